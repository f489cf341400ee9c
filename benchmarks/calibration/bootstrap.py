"""The decision of the parametric bootstrap test at B = 99, at a fraction of its cost.

`lmmpy.parametric_bootstrap_lrt` fits two models to every replicate. To know whether its p-value is at most 5 % or 1 %
one needs less: whether the statistic T* = d₀(θ̂₀) − d₁(θ̂₁) of a replicate reaches that of the data. As θ̂₀ and θ̂₁ are
minima,

    d₀(θ̂₀) − d₁(θ̂₀)  ≤  T*  ≤  d₀(θ̂₁) − d₁(θ̂₁),

so that one fit and one evaluation usually tell, and a rough fit where T* is far from the statistic of the data. The
replicates are those that `parametric_bootstrap_lrt` draws from the same seed, and the study counts how often the
decisions agree.
"""

from __future__ import annotations

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

from lmmpy.engines import Criterion
from lmmpy.fitting import Control, fit_theta
from lmmpy.fitting.start import typical_scale
from lmmpy.fitting.trust_region import Minimum, minimise
from lmmpy.inference import seed_sequences
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.replicates import ResponseSource

__all__ = ["exceedances"]

Floats = NDArray[np.float64]

# Stop a search when a step promises less, and what the minimum may then still be lower by: ten times as much.
_PASSES = ((1e-2, 0.1), (1e-6, 0.0))
# Relative standard deviations from which a search for the other model may begin; nearer to zero it begins at the truth.
_INTERIOR = 0.05


def exceedances(
    small: LmmFit, large: LmmFit, theta: Floats, n: int, stop_at: int, seed: SeedSequence
) -> tuple[int, int]:
    """
    How many replicates reach the statistic of the data, and how many were drawn; stops after `stop_at`.

    Parameters
    ----------
    small, large : LmmFit
        Nested, by ML, of the same data.
    theta : ndarray, shape (n_theta,)
        Where searches start.
    n, stop_at : int
    seed : SeedSequence
    """
    statistic = 2.0 * (large.loglik - small.loglik)
    source, found = ResponseSource.of(small, False), 0
    for drawn, child in enumerate(seed_sequences(seed, n), 1):
        found += statistic <= 0.0 or _reaches(small.criterion, large.criterion, source(child), theta, statistic)
        if found == stop_at:
            return found, drawn
    return found, n


def _reaches(small: Criterion, large: Criterion, y: Floats, theta: Floats, statistic: float) -> bool:
    """Whether a replicate's statistic is at least that of the data."""
    small, large = small.with_response(y), large.with_response(y)
    # When the statistic is small most replicates reach it, which the smaller model shows; else the larger one.
    order = (small, large) if statistic < large.design.p - small.design.p else (large, small)
    starts = [theta, theta]
    for tolerance, slack in _PASSES:
        first = _minimum(order[0], starts[0], tolerance)
        other = order[1].evaluate(first.theta).value
        if order[0] is small and first.evaluation.value - slack - other >= statistic:
            return True
        if order[0] is large and other - first.evaluation.value + slack < statistic:
            return False
        second = _minimum(order[1], _start(first.theta, theta), tolerance)
        lower, upper = (first, second) if order[0] is small else (second, first)
        excess = lower.evaluation.value - upper.evaluation.value - statistic
        if abs(excess) >= slack:
            return excess >= 0.0
        starts = [_start(first.theta, theta), _start(second.theta, theta)]
    raise AssertionError("without slack every replicate is decided")


def _start(theta: Floats, truth: Floats) -> Floats:
    """A known optimum, unless it is (nearly) at a zero, off which a search is slow."""
    diagonal = theta if len(theta) == 1 else theta[[0, 2]]
    return theta if diagonal.min() > _INTERIOR else truth


def _minimum(criterion: Criterion, start: Floats, tolerance: float) -> Minimum:
    lower = np.concatenate([term.structure.lower for term in criterion.design.random])
    scale, free = typical_scale(criterion), np.ones(len(start), dtype=bool)
    found = minimise(criterion.evaluate, start, scale, lower, free, tolerance=tolerance, max_evaluations=200)
    if not found.converged:
        own = fit_theta(criterion, Control())
        found = Minimum(own.theta, own.evaluation, own.converged)
    return found
