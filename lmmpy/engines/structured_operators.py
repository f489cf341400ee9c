"""What inference asks of the linear algebra at one θ, where the residual has structure; see `operators`.

At a given φ the model is that of an independent residual after the rows are multiplied by R^-½, so that everything
follows as it does there, from ZᵀR⁻¹Z and ZᵀR⁻¹X.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.penalized_operators import PenalizedOperators
from lmmpy.engines.structured_rows import FactoredResidual

__all__ = ["StructuredOperators"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StructuredOperators(PenalizedOperators):
    """
    Linear maps at one θ; see `PenalizedOperators`, whose `products` are those with R⁻¹ for W.

    Attributes
    ----------
    ZtWQ : ndarray, shape (q, p)
        ZᵀWQ with the weights of the engine.
    VQ : ndarray, shape (n, p)
        V⁻¹Q.
    residual : FactoredResidual
        R.
    """

    ZtWQ: Floats
    VQ: Floats
    residual: FactoredResidual

    @cached_property
    def ZtWX(self) -> Floats:
        """See `Operators.ZtWX`."""
        return self._turned(self.ZtWQ @ self.products.R, [None if R is None else R.T for R in self.bases])

    @cached_property
    def GZtVX(self) -> Floats:
        """See `Operators.GZtVX`."""
        ZtRX = self.products.ZtXy[:, :-1] @ self.products.R
        return self._back(self._conditional_covariance(np.ascontiguousarray(ZtRX)))

    def _residual_solve(self, F: Floats) -> Floats:
        return self.residual.solve(F)

    def row_slopes(self) -> Floats:
        """See `Operators.row_slopes`."""
        p = self.VQ.shape[1]
        found = [self.VQ.T @ columns for columns in self.residual.slopes_times(self.VQ)]
        return np.stack(found) if found else np.empty((0, p, p))
