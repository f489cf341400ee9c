"""R and M = ΛᵀZᵀR⁻¹ZΛ + P factorised together, and the blocks of V⁻¹ between rows of one group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.design import Design
from lmmpy.engines.penalty import Penalty
from lmmpy.engines.sparse import FactoredSparse, SparseMatrix
from lmmpy.engines.structured_effects import GroupEffects
from lmmpy.engines.structured_rows import FactoredResidual, ResidualGroups

__all__ = ["FactoredStructure", "StructuredSystem"]

Floats = NDArray[np.float64]


class StructuredSystem:
    """
    What can be prepared for all θ.

    Parameters
    ----------
    rows : Design
        In the coordinates, and with the weights, of the engine; with a residual.
    """

    name = "sparse"

    def __init__(self, rows: Design) -> None:
        assert rows.residual is not None
        groups = np.unique(rows.residual.groups, return_inverse=True)[1].astype(np.intp)
        self.effects = GroupEffects(rows, groups)
        self.residual = ResidualGroups(rows.residual, self.effects.stacks)
        penalty = Penalty(rows.random)
        precisions = [penalty.precision(t) for t in range(len(rows.random))]
        self.blocks = self.effects.blocks
        self.matrix = SparseMatrix(self.blocks, penalty.sizes, penalty.starts, precisions, penalty.logdet)

    @property
    def description(self) -> str:
        """How it factorises, in words."""
        return (
            "sparse Cholesky factorisation of all random effects together; "
            f"the covariance of the residual by {self.residual.description}"
        )

    def factorize(self, phi: Floats, factors: Sequence[Factor]) -> FactoredStructure:
        """
        Factorise R and M.

        Parameters
        ----------
        phi : ndarray, shape (n_φ,)
        factors : sequence of Factor

        Raises
        ------
        LinAlgError, NotPositiveDefiniteError
            When that fails.
        """
        return FactoredStructure(self, self.residual.factorize(phi), factors)


class FactoredStructure:
    """See `FactoredSystem`.

    Attributes
    ----------
    residual : FactoredResidual
        R.
    values : list of ndarray
        ZᵀR⁻¹Z, block by block.
    logdet : float
        log|R| + log|M| − log|P|.
    """

    def __init__(self, system: StructuredSystem, residual: FactoredResidual, factors: Sequence[Factor]) -> None:
        self._system, self._factors, self.residual = system, factors, residual
        self.values = system.effects.gram(residual.inverses)
        self._sparse: FactoredSparse = system.matrix.factorize(factors, self.values)
        self.logdet = residual.logdet + self._sparse.logdet

    def effects(self, c: Floats) -> Floats:
        """See `FactoredSystem`; of ZᵀR⁻¹f = c."""
        return self._sparse.effects(c)

    def slopes(self) -> list[Floats]:
        """See `FactoredSystem`."""
        return self._sparse.slopes()

    def traces(self) -> list[Floats]:
        """See `FactoredSystem`."""
        return self._sparse.traces()

    def variances(self) -> list[Floats]:
        """See `FactoredSystem`."""
        return self._sparse.variances()

    def squares(self, columns: int) -> None:
        """See `FactoredSystem`."""

    def inverse_of_rows(self) -> list[Floats]:
        """V⁻¹ = R⁻¹ − R⁻¹ZΛM⁻¹ΛᵀZᵀR⁻¹ between the rows of each group, for each stack of shape (g, r, r)."""
        pairs = zip(self._system.blocks, self._sparse.inverse_blocks(), strict=True)
        covariances = [self._factors[b.t].T @ inverse @ self._factors[b.s].T.T for b, inverse in pairs]
        explained = self._system.effects.explained(self.residual.inverses, covariances)
        return [R - part for R, part in zip(self.residual.inverses, explained, strict=True)]
