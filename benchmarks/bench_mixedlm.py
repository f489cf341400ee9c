"""The worker for mixedlm."""

from typing import Any

import mixedlm  # type: ignore[import-not-found,import-untyped,unused-ignore]
import pandas as pd

from benchmarks.job import Job
from benchmarks.worker import Adapter, Answer, serve


def fit(job: Job, frame: pd.DataFrame) -> Any:
    """Fit the job's model, the call that is timed."""
    return mixedlm.lmer(job.formula, frame, REML=job.reml)


def read(job: Job, result: Any) -> Answer:
    """Read the criterion and the estimates off the fit."""
    criterion = -2.0 * result.logLik().value
    return Answer(criterion=criterion, beta=list(result.beta), theta=list(result.theta))


if __name__ == "__main__":
    serve(Adapter("mixedlm", fit, read))
