"""The standard deviations, correlations and other parameters that users know a model by, and where θ has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import CovarianceStructure, Diagonal, Indexed, Product, RowStructure
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.covariance.correlation_matrix import Correlation
from lmmpy.design import Design

__all__ = ["SIGMA", "Block", "Quantity", "blocks", "quantities"]

Floats = NDArray[np.float64]

SIGMA = "sigma"


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """A stretch of θ: a random term, a covariance between rows, or a factor of one.

    Attributes
    ----------
    name : str
        Of the term, or "Residual".
    start, end : int
        Where θ has it.
    matrix : CovarianceStructure or None
        The covariance of its effects or places; None for other functions of rows.
    rows : RowStructure or None
        What gives covariances of rows; None for a random term.
    labels : tuple of str
        Of the effects or places.
    unit : ndarray, shape (k,)
        Typical standard deviations of those, relative to σ.
    scaled : bool
        Whether it has standard deviations of its own; a correlation that is multiplied by others' has none.
    """

    name: str
    start: int
    end: int
    matrix: CovarianceStructure | None
    rows: RowStructure | None
    labels: tuple[str, ...]
    unit: Floats
    scaled: bool = True

    @property
    def reference(self) -> bool:
        """Whether the first standard deviation is that of the reference row, σ itself."""
        return self.rows is not None and self.matrix is not None

    @property
    def one_variance(self) -> bool:
        """Whether all standard deviations are one parameter."""
        return isinstance(self.matrix, Correlation) or bool(getattr(self.matrix, "homogeneous", False))

    @property
    def correlates(self) -> bool:
        """Whether there are correlations."""
        return self.matrix is not None and self.matrix.k > 1 and not isinstance(self.matrix, Diagonal)

    @property
    def one_correlation(self) -> bool:
        """Whether a single parameter gives them all."""
        return self.correlates and isinstance(self.matrix, OneCorrelation)

    @property
    def least(self) -> float:
        """The least correlation; the greatest is one."""
        return self.matrix.least if isinstance(self.matrix, OneCorrelation) else -1.0

    def full(self, theta: Floats) -> Floats:
        """θ of the matrix, given that of the model, whose first entry may be held."""
        part = theta[self.start : self.end]
        return np.concatenate([[1.0], part]) if self.reference else part

    def covariance(self, theta: Floats) -> Floats:
        """Of the effects or places, relative to σ², shape (k, k)."""
        assert self.matrix is not None
        T = self.matrix.factor(self.full(theta)).T
        return np.asarray(T @ T.T)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A parameter that users know.

    Attributes
    ----------
    name : str
        As in the table of parameters: ``sd_a|g``, ``cor_b.a|g``, ``rho|Residual``, ``sigma``.
    kind : {"sd", "cor", "parameter"}
    block : int
        Place among `blocks`; −1 for sigma.
    places : tuple of int
        Its effect, or its two effects, the later first; for a block without a matrix its place among the reported.
    """

    name: str
    kind: str
    block: int
    places: tuple[int, ...] = ()


def blocks(design: Design, units: Sequence[Floats]) -> list[Block]:
    """
    All stretches of θ, in its order.

    Parameters
    ----------
    design : Design
    units : sequence of ndarray
        Typical relative standard deviations of the effects of each random term.
    """
    found, start = [], 0
    for term, unit in zip(design.random, units, strict=True):
        end = start + term.structure.n_theta
        found.append(Block(term.name, start, end, term.structure, None, term.columns, np.asarray(unit, dtype=float)))
        start = end
    for rows in design.row_covariances:
        parts = rows.structure.parts if isinstance(rows.structure, Product) else (rows.structure,)
        for part in parts:
            end = start + part.n_theta
            found.append(_of_rows(rows.name, start, end, part, alone=len(parts) == 1))
            start = end
    return found


def _of_rows(name: str, start: int, end: int, structure: RowStructure, alone: bool) -> Block:
    if isinstance(structure, Indexed):
        sizes = np.asarray(structure.sizes, dtype=float)
        block = Block(name, start, end, structure.structure, structure, structure.labels, sizes)
        return block if alone or not block.one_variance else replace(block, scaled=False)
    return Block(name, start, end, None, structure, (), np.ones(0))


def quantities(parts: Sequence[Block]) -> list[Quantity]:
    """
    What users know of each block, and sigma as the last.

    Parameters
    ----------
    parts : sequence of Block
    """
    found: list[Quantity] = []
    for b, block in enumerate(parts):
        if block.matrix is None:
            found += _reported(b, block)
            continue
        k, name = len(block.labels), block.name
        if block.scaled:
            found += [Quantity(f"sd_{label}|{name}", "sd", b, (a,)) for a, label in enumerate(block.labels)]
        if isinstance(block.rows, Indexed) and block.rows.one_correlation:
            found.append(Quantity(f"rho|{name}", "cor", b, (1, 0)))
        elif block.correlates:
            pairs = ((i, j) for j in range(k) for i in range(j + 1, k))
            found += [Quantity(f"cor_{_joined(block, i, j)}|{name}", "cor", b, (i, j)) for i, j in pairs]
    return [*found, Quantity(SIGMA, "sd", -1)]


def _joined(block: Block, i: int, j: int) -> str:
    """Two effects or places, the later first in the order in which they are reported."""
    if isinstance(block.rows, Indexed) and block.rows.order.index(i) < block.rows.order.index(j):
        i, j = j, i
    return f"{block.labels[i]}.{block.labels[j]}"


def _reported(b: int, block: Block) -> list[Quantity]:
    assert block.rows is not None
    found = []
    for place, reported in enumerate(block.rows.reported(block.rows.start())):
        prefix = f"{reported.kind}_" if reported.kind in ("sd", "cor") else ""
        found.append(Quantity(f"{prefix}{'.'.join(reported.labels)}|{block.name}", reported.kind, b, (place,)))
    return found
