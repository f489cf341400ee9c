"""What relatedness adds to M = ΛᵀZᵀWZΛ + P: the precision P of the spherical effects, I ⊗ K⁻¹ term by term.

With b = Λu and Cov(u) = σ²P⁻¹ the relatedness K is in P alone, constant and, for a pedigree, sparse; Λ acts within
levels. Where all levels are unrelated P is the identity, and nothing is computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lmmpy.design import RandomEffects
from lmmpy.relatedness import Relatedness

__all__ = ["Penalty"]

Floats = NDArray[np.float64]


class Penalty:
    """
    P and its inverse, applied to effects in level-major order.

    Parameters
    ----------
    terms : sequence of RandomEffects
    """

    def __init__(self, terms: Sequence[RandomEffects]) -> None:
        self.sizes = tuple(term.k for term in terms)
        self.relatedness: tuple[Relatedness, ...] = tuple(term.relatedness for term in terms)
        self.starts = tuple(itertools.accumulate((term.q for term in terms), initial=0))

    @property
    def is_identity(self) -> bool:
        """Whether the levels of every term are unrelated."""
        return all(relatedness.is_identity for relatedness in self.relatedness)

    @property
    def logdet(self) -> float:
        """−log|P| = Σ_t k_t log|K_t|."""
        return float(sum(k * relatedness.logdet for k, relatedness in zip(self.sizes, self.relatedness, strict=True)))

    def precision(self, t: int) -> sparse.csc_array | None:
        """K⁻¹ of a term; None for the identity."""
        return self.relatedness[t].precision

    def times(self, u: Floats) -> Floats:
        """P u; u of shape (q,) or (q, m)."""
        return self._applied(u, inverse=False)

    def inverse_times(self, v: Floats) -> Floats:
        """P⁻¹ v, which is K v level by level; v of shape (q,) or (q, m)."""
        return self._applied(v, inverse=True)

    def relate(self, t: int, v: Floats) -> Floats:
        """K times the effects of one term, shape (q_t,) or (q_t, m)."""
        relatedness = self.relatedness[t]
        if relatedness.is_identity:
            return v
        flat = np.ascontiguousarray(v).reshape(relatedness.size, -1)
        return np.asarray(relatedness.times(flat)).reshape(v.shape)

    def _applied(self, values: Floats, inverse: bool) -> Floats:
        if self.is_identity:
            return values
        out = np.array(values, dtype=float, order="C")
        for t, (start, end) in enumerate(itertools.pairwise(self.starts)):
            precision = self.precision(t) if not inverse else None
            if inverse:
                out[start:end] = self.relate(t, out[start:end])
            elif precision is not None:
                flat = out[start:end].reshape(precision.shape[0], -1)
                out[start:end] = (precision @ flat).reshape(out[start:end].shape)
        return out
