"""The worker for many refits of one model; its first argument says of what, its second how many.

The model is fitted at the first call, the warm-up, and kept.
"""

import sys
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.bench_lmmpy import fit, read
from benchmarks.job import Job
from benchmarks.worker import Adapter, Answer, serve


class Refits:
    """One model and what is timed on it, `n` times over."""

    def __init__(self, what: str, n: int) -> None:
        self.what, self.n = what, n
        self.model: Any = None

    def fit(self, job: Job, frame: pd.DataFrame) -> Any:
        """Evaluate the criterion with its derivatives, or refit: the call that is timed."""
        if self.model is None:
            self.model = fit(job, frame)
        if self.what == "evaluations":
            theta = np.asarray(self.model.theta)
            for i in range(self.n):  # never twice at the same θ, about which the criterion remembers something
                self.model.criterion.evaluate(theta * (1.0 + 1e-9 * (i % 2)), 2)
            return self.model
        found = self.model.bootstrap(self.n, seed=1, n_jobs=2 if self.what == "processes" else 1)
        if len(found) != self.n:
            raise ValueError(f"{len(found)} rows of {self.n}")
        return self.model

    def read(self, job: Job, result: Any) -> Answer:
        """Read the criterion and the estimates off the model."""
        return read(job, result)


if __name__ == "__main__":
    refits = Refits(sys.argv[1], int(sys.argv[2]))
    serve(Adapter("lmmpy", refits.fit, refits.read))
