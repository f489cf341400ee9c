"""The likelihood of two traits in terms of what a family study reports, and what it loses when one of these is held.

Twice the loss is the likelihood-ratio statistic; a profile interval contains a value when it is at most z². That takes
one search, not the two limits of an interval. It is written here anew, from the criterion alone, so that it judges the
package's own profiles and fits with constraints.

Coordinates are u = (c₁, c₂, a, b, r): h²ₜ = sin² cₜ, ρ_g = sin a, ρ_e = sin b, and r the logarithm of the ratio of the
total standard deviations. In them nothing is singular at h² = 0 or |ρ| = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lmmpy.engines import Criterion
from lmmpy.model.lmm_fit import LmmFit

__all__ = ["QUANTITIES", "coordinates", "statistic", "theta_of"]

Floats = NDArray[np.float64]

# A quantity with its place among the coordinates; rho_p depends on four.
QUANTITIES = {"h2[y1]": 0, "h2[y2]": 1, "rho_g": 2, "rho_e": 3, "rho_p": None}
# The residual stays regular: h² below one, |ρ_e| too.
_MOST = np.array([1.55, 1.55, 0.5 * np.pi, 1.57, np.inf])
_LEAST = np.array([0.0, 0.0, -0.5 * np.pi, -1.57, -np.inf])
# Where searches begin at most: at the ends the likelihood has no slope.
_INSIDE = np.array([[0.15, 1.45], [0.15, 1.45], [-1.3, 1.3], [-1.3, 1.3], [-np.inf, np.inf]])
_ACCURACY = 1e-8
# scipy's words for: done; the line search finds nothing better; as many steps as allowed. It creeps along where h² is
# nearly nothing, and is within 0.01 of the least value then.
_ENDED = (0, 8, 9)


def theta_of(u: Floats) -> tuple[Floats, Floats]:
    """θ of `cbind(y1, y2) ~ … + kin(ped)`, and its derivative in u, shape (5, 5)."""
    c1, c2, a, b, r = u.tolist()
    ratio = math.exp(r) / math.cos(c1)
    genetic, residual = ratio * math.sin(c2), ratio * math.cos(c2)
    theta = np.array(
        [math.tan(c1), genetic * math.sin(a), genetic * math.cos(a), residual * math.sin(b), residual * math.cos(b)]
    )
    jacobian = np.zeros((5, 5))
    jacobian[0, 0] = 1.0 / math.cos(c1) ** 2
    jacobian[1:, 0] = theta[1:] * math.tan(c1)
    jacobian[1:3, 1] = residual * math.sin(a), residual * math.cos(a)
    jacobian[3:, 1] = -genetic * math.sin(b), -genetic * math.cos(b)
    jacobian[1:3, 2] = theta[2], -theta[1]
    jacobian[3:, 3] = theta[4], -theta[3]
    jacobian[1:, 4] = theta[1:]
    return theta, jacobian


def coordinates(theta: Floats) -> Floats:
    """The u of a θ."""
    t1, t21, t22, e21, e22 = theta.tolist()
    c1, c2 = math.atan(abs(t1)), math.atan2(math.hypot(t21, t22), math.hypot(e21, e22))
    r = math.log(math.hypot(t21, t22, e21, e22) * math.cos(c1))
    return np.array([c1, c2, math.atan2(t21, abs(t22)), math.atan2(e21, abs(e22)), r])


def statistic(fit: LmmFit, name: str, value: float) -> float:
    """
    Twice what the log-likelihood of a fit loses when a quantity has a value; NaN when no search ends.

    Parameters
    ----------
    fit : LmmFit
        Of two traits with one relatedness term.
    name : str
        Among `QUANTITIES`.
    value : float
        For h² more than 0 and less than 1.
    """
    best, place = coordinates(fit.optimum.theta), QUANTITIES[name]
    criterion, minimum = fit.criterion, fit.optimum.evaluation.value
    on_edge = bool(fit.optimum.on_boundary.any()) or abs(value) == 1.0
    losses = []
    for start in _starts(best, _INSIDE):
        loss = _held(criterion, minimum, place, value, start)
        losses += [] if math.isnan(loss) else [loss]
        if losses and not on_edge:  # one valley
            break
    return min(losses, default=math.nan)


def _starts(best: Floats, inside: Floats) -> Iterator[Floats]:
    """The optimum, off the ends; and from there without correlations."""
    first = np.clip(best, *inside.T)
    yield first
    yield first * np.array([1.0, 1.0, 0.0, 0.0, 1.0])


def _held(criterion: Criterion, minimum: float, place: int | None, value: float, start: Floats) -> float:
    """The least −2 log-likelihood above its minimum under the restriction, to which a search leads."""
    start, free = start.copy(), np.arange(5)
    if place is not None:
        start[place] = math.asin(math.sqrt(value) if place < 2 else value)
        free = np.delete(free, place)
    deviance, scale = _scaled(criterion, minimum, start, free)
    restriction = {
        "type": "eq",
        "fun": lambda s: _rho_p(start + scale * s)[0] - value,
        "jac": lambda s: _rho_p(start + scale * s)[1] * scale,
    }
    found = minimize(
        deviance,
        np.zeros(len(free)),
        jac=True,
        method="SLSQP",
        bounds=np.column_stack([(_LEAST - start)[free] / scale, (_MOST - start)[free] / scale]),
        constraints=[restriction] if place is None else [],
        options={"ftol": _ACCURACY, "maxiter": 200},
    )
    return float(found.fun) if found.status in _ENDED else math.nan


def _scaled(
    criterion: Criterion, minimum: float, start: Floats, free: NDArray[np.intp]
) -> tuple[Callable[[Floats], tuple[float, Floats]], Floats]:
    """The deviance above its minimum at u = start + scale·s, and the scale, which is about a standard error."""
    theta, jacobian = theta_of(start)
    information = criterion.evaluate(theta, 2).information
    assert information is not None
    curvature = np.diag(jacobian.T @ information @ jacobian)[free]
    scale = np.sqrt(2.0 / np.maximum(curvature, 2.0))

    def deviance(s: Floats) -> tuple[float, Floats]:
        u = start.copy()
        u[free] += scale * s
        theta, jacobian = theta_of(np.clip(u, _LEAST, _MOST))
        found = criterion.evaluate(theta, 1)
        assert found.gradient is not None
        return found.value - minimum, (found.gradient @ jacobian)[free] * scale

    return deviance, scale


def _rho_p(u: Floats) -> tuple[float, Floats]:
    """The phenotypic correlation, and its derivative in u."""
    (s1, s2, sa, sb), (k1, k2, ka, kb) = np.sin(u[:4]), np.cos(u[:4])
    value = sa * s1 * s2 + sb * k1 * k2
    slope = [sa * k1 * s2 - sb * s1 * k2, sa * s1 * k2 - sb * k1 * s2, ka * s1 * s2, kb * k1 * k2, 0.0]
    return float(value), np.array(slope)
