"""The worker for GEMMA, a program of its own: its null model (`-lmm 5`) by REML on a given relatedness.

GEMMA reads text. What is timed is from the line by which it says that the reading is over and the
eigendecomposition begins, to its end; the whole process is told too. It prints six digits: the criterion is computed
here from its two variances, and has to agree with the log-likelihood that it prints.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg

from benchmarks.job import Job, read_matrix
from benchmarks.worker import Adapter, Answer, serve

READING_IS_OVER = "Start Eigen-Decomposition"
PRINTED = 6e-6  # half a unit of the sixth digit, relative, and a little for the sum of two such
FOLDER = tempfile.TemporaryDirectory()
HERE = Path(FOLDER.name)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took, and what it logged: `begin` is when the reading was over."""

    log: str
    whole: float
    counted: float
    peak_rss_mb: float


def _model(job: Job, frame: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return y, X and K in the order of the rows."""
    codes = frame["id"].cat.codes.to_numpy()
    matrix = read_matrix(job, frame)
    assert isinstance(matrix, np.ndarray)
    X = np.column_stack([np.ones(len(frame)), frame["x"].to_numpy()])
    return frame["y"].to_numpy(), X, matrix[np.ix_(codes, codes)]


def prepare(job: Job, frame: pd.DataFrame) -> None:
    """Write the files that GEMMA reads, once."""
    if (HERE / "K").exists():
        return
    for name, values in zip(("y", "X", "K"), _model(job, frame), strict=True):
        np.savetxt(HERE / name, values, fmt="%.12g", delimiter="\t")


def fit(job: Job, frame: pd.DataFrame) -> Run:
    """Run GEMMA."""
    command = ["gemma", "-p", "y", "-c", "X", "-k", "K", "-lmm", "5", "-o", "null"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    read = begin
    said = []
    for line in process.stdout:
        said.append(line)
        if READING_IS_OVER in line:
            read = time.perf_counter()
    _, status, usage = os.wait4(process.pid, 0)
    end = time.perf_counter()
    if status != 0 or read == begin:
        raise RuntimeError(f"gemma ended with status {status}: {''.join(said[-3:])}")
    log = (HERE / "output" / "null.log.txt").read_text(encoding="utf-8")
    return Run(log, end - begin, end - read, usage.ru_maxrss / 1024)


def _printed(log: str, name: str) -> list[float]:
    found = re.search(rf"^## {re.escape(name)} in the null model = +(.*)$", log, re.MULTILINE)
    if found is None:
        raise ValueError(f"GEMMA's log has no {name}")
    return [float(word) for word in found[1].split()]


def reml_criterion(y: Floats, X: Floats, K: Floats, genetic: float, residual: float) -> float:
    """Return −2 log-likelihood (REML) at two variances, by a dense V."""
    n, p = X.shape
    factor = linalg.cho_factor(genetic * K + residual * np.eye(n), lower=True, overwrite_a=True)
    by_v = linalg.cho_solve(factor, np.column_stack([X, y]))
    information = X.T @ by_v[:, :p]
    residuals = y @ by_v[:, p] - by_v[:, p] @ X @ np.linalg.solve(information, X.T @ by_v[:, p])
    logdets = 2.0 * np.log(np.diag(factor[0])).sum() + np.linalg.slogdet(information)[1]
    return float(logdets + residuals + (n - p) * np.log(2.0 * np.pi))


class Reading:
    """Reads a run off, and checks GEMMA's log-likelihood."""

    def __init__(self) -> None:
        self.model: tuple[Floats, Floats, Floats] | None = None

    def prepare(self, job: Job, frame: pd.DataFrame) -> None:
        """Write the files; keep the model for the reading."""
        prepare(job, frame)
        self.model = _model(job, frame)

    def read(self, job: Job, run: Run) -> Answer:
        """Read the variances; GEMMA's REML has ½ log |XᵀX| besides."""
        assert self.model is not None
        y, X, K = self.model
        (genetic,), (residual,) = (_printed(run.log, f"{name} estimate") for name in ("vg", "ve"))
        criterion = reml_criterion(y, X, K, genetic, residual)
        (theirs,) = _printed(run.log, "REMLE log-likelihood")
        ours = 0.5 * (np.linalg.slogdet(X.T @ X)[1] - criterion)
        if abs(theirs - ours) > PRINTED * abs(ours):
            raise ValueError(f"GEMMA's REML log-likelihood {theirs} is not that at its variances, {ours:.4f}")
        told = {"id": genetic, "Residual": residual, "whole process, seconds": run.whole}
        beta = _printed(run.log, "beta estimate")
        return Answer(criterion, beta, None, told, seconds=run.counted, peak_rss_mb=run.peak_rss_mb)


def version() -> str | None:
    if shutil.which("gemma") is None:
        return None
    said = subprocess.run(["gemma"], capture_output=True, text=True, check=False)
    found = re.search(r"GEMMA (\S+)", said.stdout + said.stderr)
    return found[1] if found else None


if __name__ == "__main__":
    reading = Reading()
    serve(Adapter("gemma", fit, reading.read, reading.prepare, version=version()))
