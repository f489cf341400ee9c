"""The worker for GEMMA's scan: all tests of all variants of PLINK files, by `-lmm 4`.

Its arguments are the folder of the cohort and a file for the table. GEMMA reads the relatedness as text, which is not
to count: what is timed is from the line by which it says that the reading is over and the eigendecomposition begins, to
its end. The first of its two passes over the genotypes, in which it counts, is not in that either; the whole process is
told too.
"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.bench_gemma import HERE, READING_IS_OVER, version
from benchmarks.cohorts import Cohort
from benchmarks.job import Job
from benchmarks.worker import Adapter, Answer, serve

# GEMMA's names of what both tell.
COLUMNS = {"beta": "beta", "se": "std_error", "p_wald": "p_wald", "p_lrt": "p_lrt", "p_score": "p_score"}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took, and what it logged: the seconds from when the reading was over are `counted`."""

    log: str
    whole: float
    counted: float
    peak_rss_mb: float


def command(made: Cohort) -> list[str]:
    """The call."""
    files = ["-bfile", str(made.prefix), "-k", str(made.relatedness), "-c", str(made.covariates)]
    return ["gemma", *files, "-lmm", "4", "-o", "scan"]


def criterion(log: str, X: np.ndarray) -> float:
    """−2 log-likelihood (REML) of the null model, of six digits; GEMMA's has ½ log |XᵀX| besides."""
    found = re.search(r"^## REMLE log-likelihood in the null model = +(\S+)$", log, re.MULTILINE)
    if found is None:
        raise ValueError("GEMMA's log has no REML log-likelihood of the null model")
    return float(np.linalg.slogdet(X.T @ X)[1]) - 2.0 * float(found[1])


def table(path: Path) -> dict[str, np.ndarray]:
    """Estimates and p-values by variant, in lmmpy's words."""
    read = pd.read_csv(path, sep="\t", usecols=["rs", *COLUMNS])
    values = {ours: read[name].to_numpy() for name, ours in COLUMNS.items()}
    return {"variant": read["rs"].to_numpy(dtype=str), **values}


class Scan:
    """The call, and what is read off it."""

    def __init__(self, folder: str, output: str) -> None:
        self.made, self.output = Cohort(Path(folder)), Path(output)

    def fit(self, job: Job, frame: pd.DataFrame) -> Run:
        """Run GEMMA."""
        begin = read = time.perf_counter()
        process = subprocess.Popen(
            command(self.made), cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if READING_IS_OVER in line:
                read = time.perf_counter()
        _, status, usage = os.wait4(process.pid, 0)
        end = time.perf_counter()
        process.returncode = os.waitstatus_to_exitcode(status)  # else it would be thought to be running
        process.stdout.close()
        if status != 0 or read == begin:
            raise RuntimeError(f"gemma ended with status {status}: {''.join(said[-3:])}")
        log = (HERE / "output" / "scan.log.txt").read_text(encoding="utf-8")
        return Run(log, end - begin, end - read, usage.ru_maxrss / 1024)

    def read(self, job: Job, run: Run) -> Answer:
        """Keep the table, and tell the times."""
        np.savez(self.output, **table(HERE / "output" / "scan.assoc.txt"))
        told = {"note": f"{run.whole:.3g} s with the reading of K", "table": str(self.output)}
        return Answer(
            criterion(run.log, np.loadtxt(self.made.covariates)), [], None, told, run.counted, run.peak_rss_mb
        )


if __name__ == "__main__":
    scan = Scan(*sys.argv[1:3])
    serve(Adapter("gemma", scan.fit, scan.read, version=version()))
