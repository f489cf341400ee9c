"""The worker for what is asked of a fit; its first argument says what.

The model is fitted before each call, which is not timed: a fit keeps what it has computed.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import bench_lmmpy
from benchmarks.job import Job
from benchmarks.worker import Adapter, Answer, serve

REPLICATES = 1000


def _bootstrap(fit: Any) -> Any:
    found = fit.bootstrap(REPLICATES, seed=1)
    if len(found) != REPLICATES:
        raise ValueError(f"{len(found)} rows of {REPLICATES}")
    return found


def _coefficients(fit: Any, summary: Any) -> dict[str, Any]:
    tests = fit.contrast_tests("kenward-roger").single(np.eye(len(fit.fixef)))
    return {"se": tests.std_error.tolist(), "df": tests.df.tolist(), "p": tests.p_value.tolist()}


def _limits(fit: Any, limits: pd.DataFrame) -> dict[str, Any]:
    coefficients = list(fit.fixef.index)
    names = [name for name in limits.index if name not in coefficients]  # in R's order: the covariances first
    return {"limits": limits.loc[[*names, *coefficients]].to_numpy().tolist()}


CALLS: Mapping[str, Callable[[Any], Any]] = {
    "kenward-roger": lambda fit: fit.summary(ddf="kenward-roger"),
    "profile": lambda fit: fit.profile().confint(),
    "bootstrap": _bootstrap,
}
READINGS: Mapping[str, Callable[[Any, Any], dict[str, Any] | None]] = {
    "kenward-roger": _coefficients,
    "profile": _limits,
    "bootstrap": lambda fit, found: None,
}


class Asked:
    """One model, and what is timed on it."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.model: Any = None

    def prepare(self, job: Job, frame: pd.DataFrame) -> None:
        """Fit the model."""
        self.model = bench_lmmpy.fit(job, frame)

    def fit(self, job: Job, frame: pd.DataFrame) -> Any:
        """Ask the fit: the call that is timed."""
        return CALLS[self.what](self.model)

    def read(self, job: Job, result: Any) -> Answer:
        """Read the fit's criterion, and the numbers that a peer should agree with."""
        of_fit = bench_lmmpy.read(job, self.model)
        return Answer(of_fit.criterion, of_fit.beta, of_fit.theta, READINGS[self.what](self.model, result))


if __name__ == "__main__":
    asked = Asked(sys.argv[1])
    serve(Adapter("lmmpy", asked.fit, asked.read, asked.prepare))
