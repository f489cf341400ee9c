"""The peers: how each is started, and how to see whether it is installed."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

BASELINE = "lme4"
HERE = Path(__file__).parent
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A package that is measured.

    Attributes
    ----------
    name : str
        As in the tables.
    command : tuple of str
        Starts the worker; the job file's path is appended.
    missing : callable
        Returns what is not installed, in words, or None.
    """

    name: str
    command: tuple[str, ...]
    missing: Callable[[], str | None]


def missing_module(module: str) -> str | None:
    if importlib.util.find_spec(module) is None:
        return f"pip install {module}"
    return None


def missing_r(package: str) -> str | None:
    if shutil.which("Rscript") is None:
        return "no Rscript on the path"
    wanted = f'"{package}", "jsonlite"'
    code = f"cat(Filter(function(p) !nzchar(system.file(package = p)), c({wanted})), fill = TRUE)"
    said = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
    absent = said.stdout.split()
    return f"R package {', '.join(absent)}" if absent else None


def _python_peer(name: str) -> Peer:
    command = (sys.executable, "-m", f"benchmarks.bench_{name}")
    return Peer(name, command, partial(missing_module, name))


def _r_peer(name: str) -> Peer:
    return Peer(name, ("Rscript", str(HERE / f"bench_{name}.R")), partial(missing_r, name))


PEERS: tuple[Peer, ...] = (
    _python_peer("lmmpy"),
    _r_peer(BASELINE),
    _r_peer("glmmTMB"),
    _python_peer("mixedlm"),
    _python_peer("statsmodels"),
)


def environment(threads: int) -> dict[str, str]:
    """Return the environment of every worker: the same number of threads for each."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
