"""The other boundary: no residual variance, where all θ grow without end.

Relatives are alike where residuals are not, so that a term with relatedness may have as many effects as there are rows,
and take all of the variance: a heritability of one. In θ that is infinity, which a search would approach for ever. Once
it is far away the criterion is asked at a point where next to nothing is left to the residual.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmmpy.design import Design

__all__ = ["DISTANT", "falls_outwards", "held_at_limit", "is_at_limit", "is_level", "limit", "may_saturate", "outlook"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Standard deviations relative to σ, in typical sizes: at which one looks ahead, where to, and what stands for infinity.
# There the residual has a share of 10⁻⁸, and the criterion is within some n · 10⁻⁸ of its limit.
DISTANT, _OUTLOOK, _LIMIT = 10.0, 300.0, 1e4
# A slope in log θ, for each degree of freedom, that is none.
_LEVEL = 1e-5


def may_saturate(design: Design) -> bool:
    """Whether related levels may take all of the variance."""
    return not design.row_covariances and any(not term.relatedness.is_identity for term in design.random)


def outlook(theta: Floats, scale: Floats) -> Floats:
    """A point in the direction of θ from which the slope still tells where the criterion falls; shape (n_theta,)."""
    return np.asarray(theta * (_OUTLOOK / np.abs(theta / scale).max()))


def limit(theta: Floats, scale: Floats) -> Floats:
    """The point in the direction of θ that stands for no residual variance; all shape (n_theta,)."""
    return np.asarray(theta * (_LIMIT / np.abs(theta / scale).max()))


def is_at_limit(theta: Floats, scale: Floats) -> bool:
    """Whether next to nothing is left to the residual; both of shape (n_theta,)."""
    return float(np.abs(theta / scale).max()) > 0.99 * _LIMIT


def held_at_limit(theta: Floats, scale: Floats) -> Mask:
    """The largest parameter, which stays where it is while the others may still move; shape (n_theta,)."""
    return np.asarray(np.arange(len(theta)) == np.argmax(np.abs(theta / scale)))


def falls_outwards(theta: Floats, gradient: Floats) -> bool:
    """Whether the criterion falls when all θ grow in proportion."""
    return float(gradient @ theta) < 0.0


def is_level(theta: Floats, gradient: Floats, dof: int) -> bool:
    """Whether it does not change then: where a residual is left, its slope in log θ is of the size of `dof`."""
    return abs(float(gradient @ theta)) <= _LEVEL * dof
