"""The other boundary: no residual variance, where all θ grow without end.

Relatives are alike where residuals are not, so that a term with relatedness may have as many effects as there are rows,
and take all of the variance: a heritability of one. In θ that is infinity, which a search would approach for ever. Once
it is far away the criterion is asked at a point where next to nothing is left to the residual.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design

__all__ = [
    "DISTANT",
    "falls_outwards",
    "held_at_limit",
    "is_at_limit",
    "is_level",
    "limit",
    "may_saturate",
    "outlook",
    "reach",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Standard deviations relative to σ, in typical sizes: at which one looks ahead, where to, and what stands for infinity.
# There the residual has a share of 10⁻⁸, and the criterion is within some n · 10⁻⁸ of its limit.
DISTANT, _OUTLOOK, _LIMIT = 10.0, 300.0, 1e4
# A slope in log θ, for each degree of freedom, that is none.
_LEVEL = 1e-5


def may_saturate(design: Design) -> bool:
    """Whether related levels may take all of the variance."""
    return not design.functions and any(not term.relatedness.is_identity for term in design.random)


def reach(theta: Floats, scale: Floats, m: int) -> float:
    """How far the first m parameters, those of random terms, are from zero, in typical sizes; both (n_theta,)."""
    return float(np.abs(theta[:m] / scale[:m]).max(initial=0.0))


def outlook(theta: Floats, scale: Floats, m: int) -> Floats:
    """A point in the direction of θ from which the slope still tells where the criterion falls; shape (n_theta,)."""
    return _stretched(theta, _OUTLOOK / reach(theta, scale, m), m)


def limit(theta: Floats, scale: Floats, m: int) -> Floats:
    """The point in the direction of θ that stands for no residual variance; all shape (n_theta,)."""
    return _stretched(theta, _LIMIT / reach(theta, scale, m), m)


def _stretched(theta: Floats, factor: float, m: int) -> Floats:
    return np.concatenate([theta[:m] * factor, theta[m:]])


def is_at_limit(theta: Floats, scale: Floats, m: int) -> bool:
    """Whether next to nothing is left to the residual; both of shape (n_theta,)."""
    return reach(theta, scale, m) > 0.99 * _LIMIT


def held_at_limit(theta: Floats, scale: Floats, m: int) -> Mask:
    """The largest of the first m, which stays while the others may still move, and what then means nothing."""
    places = np.arange(len(theta))
    return np.asarray((places == np.argmax(np.abs(theta[:m] / scale[:m]))) | (places >= m))


def falls_outwards(theta: Floats, gradient: Floats, m: int) -> bool:
    """Whether the criterion falls when the first m parameters grow in proportion."""
    return float(gradient[:m] @ theta[:m]) < 0.0


def is_level(theta: Floats, gradient: Floats, dof: int, m: int) -> bool:
    """Whether it does not change then: where a residual is left, its slope in log θ is of the size of `dof`."""
    return abs(float(gradient[:m] @ theta[:m])) <= _LEVEL * dof
