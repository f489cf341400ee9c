"""Sixty random small problems: the optimum is at least as good as the best of many derivative-free searches."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import lmmpy as lmm
from tests.fitting.problems import problem, uses_reml

# Made by make_best.py: seed → least criterion found by derivative-free optimisers from many starts.
BEST: dict[str, float] = json.loads((Path(__file__).parent / "best.json").read_text())


@pytest.mark.parametrize("seed", [int(seed) for seed in BEST])
def test_no_search_from_many_starts_does_better(seed: int) -> None:
    case = problem(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = lmm.lmer(case.formula, case.data, weights=case.weights, reml=uses_reml(seed))
    assert -2.0 * fit.loglik <= BEST[str(seed)] + 1e-7, case.kind
    # And not lower by more than a search without derivatives misses: the two compute the same criterion.
    assert -2.0 * fit.loglik == pytest.approx(BEST[str(seed)], abs=1e-4)
    assert fit.optimum.converged and fit.convergence.ok, f"{case.kind}: {fit.convergence}"
    assert fit.is_singular() == bool(fit.convergence.boundary), f"{case.kind}: {fit.theta}"
