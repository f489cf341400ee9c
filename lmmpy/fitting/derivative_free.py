"""The alternative that asks for values only: COBYQA (Ragonneau & Zhang 2023), from SciPy.

Slower and less exact than Newton's method. It shares no derivative with it, so it is a check on one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from lmmpy.engines import Evaluation
from lmmpy.fitting.trust_region import Minimum, Step

__all__ = ["minimise_by_values"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FIRST, _LEAST = 0.5, 1e-8


def minimise_by_values(
    evaluate: Callable[[Floats, int], Evaluation],
    start: Floats,
    scale: Floats,
    lower: Floats,
    free: Mask,
    *,
    tolerance: float,
    max_evaluations: int,
    known: Evaluation | None = None,
) -> Minimum:
    """
    Minimise a criterion without its derivatives; parameters and result as of `minimise`.

    The evaluation that is returned has derivatives, for the report; they do not guide the search. It completes one that
    is in the log.
    """
    log: list[Step] = []
    if not free.any() or max_evaluations < 3:
        if known is None:
            known = evaluate(start, 2)
            log.append(Step(start, known.value, True, "start"))
        return Minimum(start, known, not free.any(), log)

    def full(coordinates: Floats) -> Floats:
        theta = start.copy()
        theta[free] += coordinates * scale[free]
        return np.maximum(theta, lower)

    def value(coordinates: Floats) -> float:
        theta = full(coordinates)
        found = evaluate(theta, 0).value
        best = min((step.value for step in log), default=np.inf)
        log.append(Step(theta, found, found < best, "cobyqa"))
        return found if np.isfinite(found) else 1e300

    bounds: Any = optimize.Bounds((lower[free] - start[free]) / scale[free], np.inf)
    # Near the optimum the criterion is a parabola, so a step of √tolerance changes it by about the tolerance.
    last = max(_LEAST, float(np.sqrt(tolerance)))
    options: Any = {"maxfev": max_evaluations, "initial_tr_radius": _FIRST, "final_tr_radius": min(last, _FIRST)}
    found = optimize.minimize(value, np.zeros(int(free.sum())), method="COBYQA", bounds=bounds, options=options)
    best = min(log, key=lambda step: step.value)
    return Minimum(best.theta, evaluate(best.theta, 2), bool(found.success), log)
