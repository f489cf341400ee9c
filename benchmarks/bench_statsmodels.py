"""The worker for statsmodels' MixedLM."""

from typing import Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf  # type: ignore[import-not-found,import-untyped,unused-ignore]

from benchmarks.job import Job
from benchmarks.worker import Adapter, Answer, serve


def fit(job: Job, frame: pd.DataFrame) -> Any:
    """State and fit the job's model, the call that is timed."""
    spelling = job.statsmodels
    if spelling is None:
        raise ValueError(f"{job.formula} has no spelling for statsmodels")
    groups = np.zeros(len(frame)) if spelling.groups is None else frame[spelling.groups]
    model = smf.mixedlm(
        spelling.formula,
        frame,
        groups=groups,
        re_formula=spelling.re_formula,
        vc_formula=dict(spelling.vc_formula) or None,
    )
    return model.fit(reml=job.reml)


def read(job: Job, result: Any) -> Answer:
    """Read the criterion and the estimates off the fit."""
    varcomp = {
        "covariance": np.asarray(result.cov_re).tolist(),
        "components": dict(zip(result.model.exog_vc.names, map(float, result.vcomp), strict=True)),
        "residual": float(result.scale),
    }
    return Answer(criterion=-2.0 * result.llf, beta=list(result.fe_params), varcomp=varcomp)


if __name__ == "__main__":
    serve(Adapter("statsmodels", fit, read))
