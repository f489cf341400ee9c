"""How far a long search is, told on the standard error stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Evaluation

__all__ = ["Progress"]

Floats = NDArray[np.float64]

# Seconds of silence.
_PATIENCE = 5.0


class Progress:
    """
    A criterion that tells how often it was computed, once that takes long.

    Parameters
    ----------
    evaluate : callable
        (θ, order) → Evaluation.
    shown : bool or None
        None: where somebody watches, that is when the standard error stream is a terminal.
    """

    def __init__(self, evaluate: Callable[[Floats, int], Evaluation], shown: bool | None) -> None:
        self._evaluate = evaluate
        self._shown = sys.stderr.isatty() if shown is None else shown
        self._patience = _PATIENCE if shown is None else 0.0
        self._start, self._count, self._width, self._best = time.monotonic(), 0, 0, np.inf

    def evaluate(self, theta: Floats, order: int = 0) -> Evaluation:
        """The criterion at θ."""
        evaluation = self._evaluate(theta, order)
        self._count += 1
        self._best = min(self._best, evaluation.value)
        if self._shown:
            self._tell()
        return evaluation

    def _tell(self) -> None:
        seconds = time.monotonic() - self._start
        if seconds >= self._patience:
            # The typical fit takes 5 to 12 evaluations; how many are left nobody knows.
            line = f"lmmpy: {self._count} evaluations, criterion {self._best:.3f}, {seconds:.0f} s"
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = max(self._width, len(line))

    def close(self) -> None:
        """End the line."""
        if self._width:
            print(file=sys.stderr, flush=True)
            self._width = 0
