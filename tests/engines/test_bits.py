"""The same data give the same bits: in one process, in another, and with any number of BLAS threads.

But for Schur complements of 2,000 effects and more, which are factorised by all threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import lmmpy as lmm
from lmmpy.engines import ENGINES

ROOT = Path(__file__).parents[2]


def crossed():
    """300 × 200 levels in 3,000 rows; slopes in the larger factor."""
    rng = np.random.default_rng(31)
    n = 3000
    a, b = (np.concatenate([np.arange(m), rng.integers(0, m, n - m)]) for m in (300, 200))
    x = rng.normal(size=n)
    y = x + rng.normal(size=300)[a] + 0.5 * x * rng.normal(size=300)[a] + rng.normal(size=200)[b] + rng.normal(size=n)
    return {"y": y, "x": x, "a": a, "b": b}


def bits(engine: str) -> dict[str, str]:
    """θ̂, β̂ and the criterion of a fit, to the bit."""
    fit = lmm.lmer("y ~ x + (1 + x | a) + (1 | b)", crossed(), control=lmm.Control(engine=engine))
    evaluation = fit.optimum.evaluation
    found = {"theta": fit.optimum.theta, "beta": fit.fixef, "se": fit.se, "criterion": evaluation.value}
    found["information"] = evaluation.information
    return {name: np.asarray(value, dtype=float).tobytes().hex() for name, value in found.items()}


@cache
def elsewhere(threads: int) -> dict[str, dict[str, str]]:
    """The same in a new process, one for all engines."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONHASHSEED": str(threads)}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    code = "import json; from tests.engines.test_bits import *; print(json.dumps({e: bits(e) for e in ENGINES[1:]}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(params=ENGINES[1:])
def engine(request):
    return request.param


def test_two_fits_in_one_process(engine):
    assert bits(engine) == bits(engine)


@pytest.mark.parametrize("threads", [1, 2])
def test_another_process_with_any_number_of_threads(engine, threads):
    """This process was given one thread."""
    assert elsewhere(threads)[engine] == bits(engine)
