"""The worker for lmmpy."""

from typing import Any

import pandas as pd

import lmmpy as lmm
from benchmarks.job import Job
from benchmarks.worker import Adapter, Answer, serve


def fit(job: Job, frame: pd.DataFrame) -> Any:
    """Fit the job's model, the call that is timed."""
    return lmm.lmer(job.formula, frame, reml=job.reml)


def read(job: Job, result: Any) -> Answer:
    """Read the criterion and the estimates off the fit."""
    criterion = result.reml_criterion if job.reml else -2.0 * result.loglik
    return Answer(criterion=criterion, beta=pd.Series(result.fixef).tolist(), theta=list(result.theta))


if __name__ == "__main__":
    serve(Adapter("lmmpy", fit, read))
