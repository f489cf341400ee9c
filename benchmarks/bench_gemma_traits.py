"""The worker for GEMMA with two traits: its null model by REML on a given relatedness, as `-lmm -n 1 2` fits it.

GEMMA has no mode for this null model alone, so that it is given one SNP to test. What is timed ends with the line by
which it tells the REML estimates (it prints them and their standard errors before it goes on to ML and to the SNP), and
begins, as the first argument of the worker says,

- `whole`: with the line by which it says that the eigendecomposition begins;
- `rotated`: when it opens the file of the SNP for the second time, which it does as soon as everything is rotated.

The covariate is given as an environment (`-gxe`): the null model is the same, but with `-c` GEMMA would first clear
160 kB for each person, to hold SNPs. The environment is rotated after the second opening, a product of n² operations.
It prints six digits: the criterion is computed here from its variances, and has to agree with the log-likelihood that
it prints.
"""

import ctypes
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.bench_gemma import HERE, PRINTED, READING_IS_OVER, version
from benchmarks.job import Job, read_matrix
from benchmarks.worker import Adapter, Answer, serve

REML_IS_OVER = "REMLE estimate for Vg"
SNP = "snp"
COMMAND = ("gemma", "-g", SNP, "-p", "Y", "-n", "1", "2", "-gxe", "x", "-k", "K", "-lmm", "2", "-o", "traits")
IN_OPEN = 0x20

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """When one run began to decompose and to fit, and had fitted by REML, in seconds; what it logged, and took."""

    log: str
    decomposing: float
    fitting: float
    fitted: float
    peak_rss_mb: float


def _model(job: Job, frame: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return Y, X and K in the order of the rows."""
    codes = frame["id"].cat.codes.to_numpy()
    matrix = read_matrix(job, frame)
    assert isinstance(matrix, np.ndarray)
    X = np.column_stack([np.ones(len(frame)), frame["x"].to_numpy()])
    return frame[["y1", "y2"]].to_numpy(), X, matrix[np.ix_(codes, codes)]


def _write(Y: Floats, X: Floats, K: Floats) -> None:
    """Write the files that GEMMA reads."""
    for name, values in (("Y", Y), ("x", X[:, 1:]), ("K", K)):
        np.savetxt(HERE / name, values, fmt="%.12g", delimiter="\t")
    counts = np.random.default_rng(1).integers(0, 3, len(Y))
    (HERE / SNP).write_text(", ".join(["snp1", "A", "C", *map(str, counts)]) + "\n", encoding="utf-8")


class Openings:
    """Tells when a file is opened, by Linux's inotify."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init()
        if self.descriptor < 0 or libc.inotify_add_watch(self.descriptor, os.fsencode(path), IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {path}")

    def fileno(self) -> int:
        """For selectors."""
        return int(self.descriptor)

    def __enter__(self) -> "Openings":
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)


def _events(stdout: int, openings: Openings) -> Iterator[tuple[float, str]]:
    """Yield what GEMMA says and that it opens the SNP (as its name), with the time, until it closes its output."""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        selector.register(openings, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            now = time.perf_counter()
            if openings.fileno() in ready:
                os.read(openings.fileno(), 4096)
                yield now, SNP
            if stdout in ready:
                said = os.read(stdout, 65536)
                if not said:
                    return
                yield now, said.decode(errors="replace")


def fit(job: Job, frame: pd.DataFrame) -> Run:
    """Run GEMMA."""
    decomposing = fitting = fitted = np.nan
    with Openings(HERE / SNP) as openings:
        process = subprocess.Popen(COMMAND, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        for now, said in _events(process.stdout.fileno(), openings):
            if said == SNP and np.isnan(fitted):
                fitting = now  # the last opening before the estimates
            if READING_IS_OVER in said:
                decomposing = now
            if REML_IS_OVER in said:
                fitted = now
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # else it would be thought to be running
        process.stdout.close()
    if status != 0 or not decomposing < fitting < fitted:
        raise RuntimeError(f"gemma ended with status {status}, or did not say what it was doing")
    log = (HERE / "output" / "traits.log.txt").read_text(encoding="utf-8")
    return Run(log, decomposing, fitting, fitted, usage.ru_maxrss / 1024)


def triangle(log: str, heading: str) -> Floats:
    """Return the lower triangle, row by row, that the log has first under a heading, shape (3,)."""
    found = re.search(rf"^## {re.escape(heading)}: *\n(\S+)\s*\n(\S+)\s+(\S+)\s*$", log, re.MULTILINE)
    if found is None:
        raise ValueError(f"GEMMA's log has no {heading}")
    return np.array([float(word) for word in found.groups()])


def rotated(Y: Floats, X: Floats, K: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the eigenvalues of K, and Y and X in its eigenvectors."""
    values, vectors = np.linalg.eigh(K)
    return values, vectors.T @ Y, vectors.T @ X


def reml_criterion(spectrum: Floats, Y: Floats, X: Floats, genetic: Floats, residual: Floats) -> float:
    """Return −2 log-likelihood (REML) of rotated traits at two lower triangles of covariances."""
    Vg, Ve = (np.array([[a, b], [b, c]]) for a, b, c in (genetic, residual))
    V = spectrum[:, None, None] * Vg + Ve
    inverse = np.linalg.inv(V)
    information = np.einsum("nij,na,nb->iajb", inverse, X, X).reshape(2 * X.shape[1], -1)
    by_x = np.einsum("nij,na,nj->ia", inverse, X, Y).ravel()
    squares = np.einsum("ni,nij,nj->", Y, inverse, Y) - by_x @ np.linalg.solve(information, by_x)
    logdets = np.linalg.slogdet(V)[1].sum() + np.linalg.slogdet(information)[1]
    return float(logdets + squares + (Y.size - by_x.size) * np.log(2.0 * np.pi))


class Reading:
    """Reads a run off, and checks GEMMA's log-likelihood."""

    def __init__(self, what: str) -> None:
        if what not in ("whole", "rotated"):
            raise ValueError(f"whole or rotated, not {what!r}")
        self.what, self.turned, self.size_of_x = what, (np.empty(0),) * 3, 0.0

    def prepare(self, job: Job, frame: pd.DataFrame) -> None:
        """Write the files, once; keep the model for the reading."""
        if (HERE / "K").exists():
            return
        model = _model(job, frame)
        _write(*model)
        self.turned = rotated(*model)
        self.size_of_x = float(np.linalg.slogdet(model[1].T @ model[1])[1])

    def read(self, job: Job, run: Run) -> Answer:
        """Read the variances; GEMMA's REML has ½ log |XᵀX| for each trait besides."""
        Vg, Ve = (triangle(run.log, f"REMLE estimate for {name} in the null model") for name in ("Vg", "Ve"))
        criterion = reml_criterion(*self.turned, Vg, Ve)
        found = re.search(r"^## REMLE log-likelihood in the null model = (\S+)$", run.log, re.MULTILINE)
        ours = self.size_of_x - 0.5 * criterion
        theirs = np.nan if found is None else float(found[1])
        if not abs(theirs - ours) <= PRINTED * abs(ours):
            raise ValueError(f"GEMMA's REML log-likelihood {theirs} is not that at its variances, {ours:.4f}")
        errors = np.concatenate([triangle(run.log, f"se({name})") for name in ("Vg", "Ve")])
        told = {"compared": {"covariances": [*Vg, *Ve], "their standard errors": errors.tolist()}}
        begin = run.decomposing if self.what == "whole" else run.fitting
        return Answer(criterion, [], None, told, seconds=run.fitted - begin, peak_rss_mb=run.peak_rss_mb)


if __name__ == "__main__":
    reading = Reading(sys.argv[1])
    serve(Adapter("gemma", fit, reading.read, reading.prepare, version=version()))
