"""The worker's side of the protocol, shared by the Python adapters.

A worker is started with the path of a job file. It loads the data, writes one JSON line that says
it is ready, and then answers each line `fit` on its standard input with one JSON line. It ends when
its input ends. An exception ends it too, after one line `{"error": …}`.
"""

import contextlib
import gc
import importlib.metadata
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import pandas as pd

from benchmarks.job import Job, read_frame, read_job

KEPT_WARNINGS = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What an adapter reads off a fit, outside the timed call.

    Attributes
    ----------
    criterion : float
        −2 log-likelihood (ML or REML), constants included, as R prints it.
    beta : sequence of float
        Fixed effects.
    theta : sequence of float or None
        Relative covariance parameters in lme4's order, where the peer has them.
    varcomp : dict or None
        Variance components by name, where it has these instead.
    seconds, peak_rss_mb : float or None
        Time and memory of the call, where the peer is a program of its own whose reading of files is not to count.
    """

    criterion: float
    beta: Sequence[float]
    theta: Sequence[float] | None = None
    varcomp: dict[str, Any] | None = None
    seconds: float | None = None
    peak_rss_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A peer: the timed call, what is read off its result, and what is done before each call, outside the time.

    Its `version` is asked of the installed distribution unless it is told.
    """

    distribution: str
    fit: Callable[[Job, pd.DataFrame], Any]
    read: Callable[[Job, Any], Answer]
    prepare: Callable[[Job, pd.DataFrame], None] | None = None
    version: str | None = None


def _memory_mb(entry: str) -> float | None:
    """Return `VmHWM` (peak) or `VmRSS` (now) of this process in MB; None where /proc has no such file."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text(encoding="utf-8").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(entry))
    return int(kilobytes) / 1024


def _reset_peak() -> None:
    """Let the peak start anew at what is resident now, so that it is the coming call's."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(distribution), "__version__", "not installed, from the checkout"))


def _private_stdout() -> TextIO:
    """Return the real standard output, and send whatever else prints to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return channel


def _say(channel: TextIO, message: dict[str, Any]) -> None:
    channel.write(json.dumps(message) + "\n")
    channel.flush()


def _answer(adapter: Adapter, job: Job, frame: pd.DataFrame) -> dict[str, Any]:
    """Fit once; only the whole fitting call is timed."""
    if adapter.prepare is not None:
        adapter.prepare(job, frame)
    gc.collect()
    _reset_peak()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begin = time.perf_counter()
        result = adapter.fit(job, frame)
        seconds = time.perf_counter() - begin
    peak = _memory_mb("VmHWM")  # before anything is read off: some peers compute the log-likelihood only then
    read = adapter.read(job, result)
    return {
        "seconds": seconds if read.seconds is None else read.seconds,
        "criterion": float(read.criterion),
        "beta": [float(value) for value in read.beta],
        "theta": None if read.theta is None else [float(value) for value in read.theta],
        "varcomp": read.varcomp,
        "peak_rss_mb": peak if read.peak_rss_mb is None else read.peak_rss_mb,
        "warnings": list(dict.fromkeys(str(w.message) for w in caught))[:KEPT_WARNINGS],
        "error": None,
    }


def serve(adapter: Adapter) -> None:
    """Run the worker until its input ends."""
    channel = _private_stdout()
    plain_hook = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        plain_hook(kind, error, trace)
        _say(channel, {"error": f"{kind.__name__}: {error}"})

    sys.excepthook = report
    job = read_job(Path(sys.argv[-1]))
    frame = read_frame(job)
    gc.collect()
    versions = {adapter.distribution: adapter.version or _version(adapter.distribution)}
    _say(channel, {"ready": True, "loaded_rss_mb": _memory_mb("VmRSS"), "versions": versions, "error": None})
    for line in sys.stdin:
        if line.strip() == "fit":
            _say(channel, _answer(adapter, job, frame))
