"""How far long work is, told on the standard error stream."""

from __future__ import annotations

import sys
import time

__all__ = ["Progress"]

# Seconds of silence at first, between two tellings in a terminal, and between two lines elsewhere.
_PATIENCE = 5.0
_TERMINAL = 0.2
_ELSEWHERE = 30.0


class Progress:
    """
    Counts items, and tells how many are done, how many a second, and how long the others will take.

    Parameters
    ----------
    total : int
    unit : str
        What is counted, in the plural.
    shown : bool or None
        None: where somebody watches, that is when the standard error stream is a terminal, and after 5 seconds. True:
        from the start; where there is no terminal, a line every 30 seconds.
    what : str
        What the work is, for the beginning of the line.
    done : int
        Items that an earlier run did, which do not count for the rate.
    """

    def __init__(
        self, total: int, unit: str = "variants", shown: bool | None = None, *, what: str = "", done: int = 0
    ) -> None:
        self._total, self._unit, self._what = total, unit, f"{what}: " if what else ""
        self._terminal = sys.stderr.isatty()
        self._shown = self._terminal if shown is None else shown
        self._start = time.monotonic()
        self._next = self._start + (_PATIENCE if shown is None else 0.0)
        self._first, self._done, self._width, self._told = done, done, 0, -1

    def advance(self, n: int) -> None:
        """Count `n` more items."""
        self._done += n
        if self._shown and time.monotonic() >= self._next:
            self._tell()

    def close(self) -> None:
        """Tell the end, if anything was told before, and end the line."""
        if self._told >= 0 and self._told != self._done:
            self._tell()
        if self._width:
            print(file=sys.stderr, flush=True)
        self._width, self._shown = 0, False

    def _tell(self) -> None:
        now = time.monotonic()
        line = f"lmmpy: {self._what}{self._line(now - self._start)}"
        if self._terminal:
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = max(self._width, len(line))
        else:
            print(line, file=sys.stderr, flush=True)
        self._next, self._told = now + (_TERMINAL if self._terminal else _ELSEWHERE), self._done

    def _line(self, seconds: float) -> str:
        text = f"{self._done:,} of {self._total:,} {self._unit}"
        rate = (self._done - self._first) / seconds if seconds > 0.0 else 0.0
        if rate == 0.0:
            return text
        pace = f"{rate:,.0f}" if rate >= 10.0 else f"{rate:.2g}"
        if self._done >= self._total:
            return f"{text}, {pace}/s, {_duration(seconds)}"
        return f"{text}, {pace}/s, {_duration((self._total - self._done) / rate)} left"


def _duration(seconds: float) -> str:
    """As "48 s", "12 min" or "3 h 05 min"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
