"""How the time of a whole call grows: with the rows, and with the random effects.

A design is fitted at sizes that double, from strings as grouping factors, so that finding their levels is in
the time. The slope is that of log time on log size over the upper half of the sizes: 1 is linear.
"""

import argparse
import gc
import importlib
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.client import ROOT
from benchmarks.peers import environment

NAME = "growth"
DOUBLING = 2
SHORT = 1.0  # seconds: below, a size is measured three times
LINEAR = "1"


def _lmer(formula: str, frame: pd.DataFrame) -> Any:
    import lmmpy as lmm  # only in the process that measures

    return lmm.lmer(formula, frame)


def _effects(fit: Any) -> int:
    return sum(len(table) * table.shape[1] for table in fit.ranef().values())


@dataclass(frozen=True, slots=True)
class Line:
    """A design that grows in one direction.

    Attributes
    ----------
    name : str
        What is fixed and what grows, in words.
    formula : str
        The model.
    axis : {"n", "q"}
        What grows: the rows, or the random effects with the rows of a level fixed.
    make : callable
        Makes the frame of a size.
    first, last : int
        The smallest and the largest size; between them sizes double.
    expected : str
        The slope that the algorithm has for large sizes.
    fit : callable
        The call that is timed, given the formula and the frame.
    effects : callable
        Counts the random effects of what it returns (or what else is on the axis `q`).
    """

    name: str
    formula: str
    axis: str
    make: Callable[[int], Any]
    first: int
    last: int
    expected: str = LINEAR
    fit: Callable[[str, Any], Any] = _lmer
    effects: Callable[[Any], int] = _effects


@dataclass(frozen=True, slots=True)
class Point:
    """One size of a line: rows, random effects, and the seconds of `lmer()` and of `str(summary())`."""

    n: int
    q: int
    lmer: float
    summary: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A line and its points, from small to large."""

    name: str
    formula: str
    axis: str
    expected: str
    points: tuple[Point, ...]

    def sizes(self) -> NDArray[np.float64]:
        """Return the sizes along the line's axis, shape (points,)."""
        return np.array([float(getattr(point, self.axis)) for point in self.points])

    def seconds(self, what: str) -> NDArray[np.float64]:
        """Return the seconds of `lmer` or of `summary`, shape (points,)."""
        return np.array([float(getattr(point, what)) for point in self.points])

    def slope(self, what: str) -> float | None:
        """Return the slope on log-log axes over the upper half of the sizes; None for fewer than three points."""
        upper = slice(len(self.points) // 2, None) if len(self.points) > 5 else slice(-3, None)
        if len(self.points) < 3:
            return None
        return float(np.polyfit(np.log(self.sizes()[upper]), np.log(self.seconds(what)[upper]), 1)[0])


# ---- data


def _strings(prefix: str, codes: NDArray[np.int64]) -> "pd.Series[str]":
    """Return the labels of codes, shape (n,), as strings and not as a categorical."""
    labels = np.array([f"{prefix}{code}" for code in range(int(codes.max()) + 1)], dtype=object)
    return pd.Series(labels[codes], dtype="str")


def _every(rng: np.random.Generator, n: int, n_levels: int) -> NDArray[np.int64]:
    """Return codes in random order, shape (n,), in which the levels occur equally often."""
    return rng.permutation(np.arange(n) % n_levels)


def nested(n: int, n_a: int, n_b: int) -> pd.DataFrame:
    """Simulate y = 1 + x/2 + u[a] + v[a, b] + e: `n_b` levels of `b` in each of `n_a` of `a`."""
    rng = np.random.default_rng(n)
    ab = _every(rng, n, n_a * n_b)
    a, b = ab // n_b, ab % n_b
    x = rng.standard_normal(n)
    y = 1.0 + 0.5 * x + rng.standard_normal(n_a)[a] + 0.7 * rng.standard_normal(n_a * n_b)[ab] + rng.standard_normal(n)
    return pd.DataFrame({"y": y, "x": x, "a": _strings("a", a), "b": _strings("b", b)})


def slopes(n: int, n_groups: int) -> pd.DataFrame:
    """Simulate y = 1 + x/2 + b0[g] + b1[g] x + e."""
    rng = np.random.default_rng(n)
    g = _every(rng, n, n_groups)
    x = rng.standard_normal(n)
    y = 1.0 + 0.5 * x + rng.standard_normal(n_groups)[g] + 0.5 * rng.standard_normal(n_groups)[g] * x
    return pd.DataFrame({"y": y + rng.standard_normal(n), "x": x, "g": _strings("g", g)})


def crossed(n: int, n_a: int, n_b: int) -> pd.DataFrame:
    """Simulate y = 1 + x/2 + u[a] + v[b] + e with `a` and `b` crossed at random."""
    rng = np.random.default_rng(n)
    a, b = _every(rng, n, n_a), _every(rng, n, n_b)
    x = rng.standard_normal(n)
    y = 1.0 + 0.5 * x + 0.8 * rng.standard_normal(n_a)[a] + 0.6 * rng.standard_normal(n_b)[b] + rng.standard_normal(n)
    return pd.DataFrame({"y": y, "x": x, "a": _strings("a", a), "b": _strings("b", b)})


def _lines() -> tuple[Line, ...]:
    """Return what is measured; sizes are rows or levels, and a line ends where its share of the budget does."""
    two, one, both = "y ~ x + (1 | a/b)", "y ~ x + (x | g)", "y ~ x + (1 | a) + (1 | b)"
    return (
        Line("nested, 100 × 10 levels", two, "n", lambda n: nested(n, 100, 10), 4_000, 4_096_000),
        Line("slopes, 1,000 levels", one, "n", lambda n: slopes(n, 1_000), 4_000, 4_096_000),
        Line("crossed, 300 × 200 levels", both, "n", lambda n: crossed(n, 300, 200), 4_000, 4_096_000),
        Line("nested, 10 b in each a, 5 rows a b", two, "q", lambda m: nested(50 * m, m, 10), 50, 102_400),
        Line("slopes, 5 rows a level", one, "q", lambda m: slopes(5 * m, m), 500, 1_024_000),
        Line("crossed, a grows, 300 b, 5 rows an a", both, "q", lambda m: crossed(5 * m, m, 300), 500, 1_024_000),
        Line(
            "crossed, both grow, a = 2 b, 10 rows an a",
            both,
            "q",
            lambda m: crossed(20 * m, 2 * m, m),
            100,
            6_400,
            expected="up to 3",
        ),
    )


LINES = _lines()


# ---- measuring


def _timed(call: Callable[[], object]) -> tuple[float, object]:
    gc.collect()
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def _point(line: Line, size: int) -> tuple[Point, float]:
    """Measure one size, thrice where it is quick; return the least times, and the seconds spent."""
    frame = line.make(size)
    fits, summaries = [], []
    while True:
        seconds, fit = _timed(lambda: line.fit(line.formula, frame))
        fits.append(seconds)
        seconds, _ = _timed(lambda fit=fit: str(fit.summary()))  # type: ignore[misc,attr-defined]
        summaries.append(seconds)
        if len(fits) == 3 or sum(fits) > SHORT:
            break
    return Point(len(frame), line.effects(fit), min(fits), min(summaries)), sum(fits) + sum(summaries)


def _next(points: Sequence[Point]) -> float:
    """Return the seconds that the next size is likely to take: as many times the last's as that took the one before."""
    seconds = [point.lmer + point.summary for point in points[-2:]]
    return seconds[-1] * max(DOUBLING, seconds[-1] / seconds[0])


def measure(lines: Sequence[Line], budget: float, largest: float = 1.0) -> Iterator[Measured]:
    """Measure each line at doubling sizes while the next one is likely to fit into its share of the budget.

    Parameters
    ----------
    lines : sequence of Line
        What to measure.
    budget : float
        Seconds for all of them.
    largest : float
        Shrinks each line's largest size.
    """
    for number, line in enumerate(lines):
        share = budget / (len(lines) - number)  # of what is left: a line that ends early leaves more to the others
        left, size = share, line.first
        points: list[Point] = []
        while size <= line.last * largest:
            point, spent = _point(line, size)
            points.append(point)
            left -= spent
            if _next(points) > left:
                break
            size *= DOUBLING
        budget -= share - left
        yield Measured(line.name, line.formula, line.axis, line.expected, tuple(points))


def run(budget: float, threads: int, progress: Callable[[str], None], module: str = NAME) -> tuple[Measured, ...]:
    """Measure the lines of a module in a process of its own, so that the threads are set before numpy is there."""
    progress(f"{module}: designs in about {budget:g} s")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "growth.json"
        command = [sys.executable, "-m", "benchmarks.growth", str(output), "--lines", module, "--budget", str(budget)]
        said = subprocess.run(
            command, env=environment(threads), cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False
        )
        lines = json.loads(output.read_text(encoding="utf-8")) if output.exists() else []
    if said.returncode:
        progress(f"    failed after {len(lines)} designs: {(said.stderr.strip() or 'without a word').splitlines()[-1]}")
    return tuple(from_json(line) for line in lines)


def from_json(fields: dict[str, object]) -> Measured:
    """Return a line from what `asdict` made of it."""
    points = tuple(Point(**point) for point in fields["points"])  # type: ignore[attr-defined]
    return Measured(**{**fields, "points": points})  # type: ignore[arg-type]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the lines as JSON after each of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="Time against size.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--lines", default=NAME, metavar="NAME", help="growth, kin-growth, or scan-growth")
    parser.add_argument("--budget", type=float, default=180.0, metavar="S", help="seconds in all")
    parser.add_argument("--largest", type=float, default=1.0, metavar="F", help="shrink the largest sizes by this")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    done: list[dict[str, object]] = []
    lines = importlib.import_module(f"benchmarks.{options.lines.replace('-', '_')}").LINES
    _point(lines[0], lines[0].first)  # what is imported only when it is wanted is not of the first size
    for line in measure(lines, options.budget, options.largest):
        done.append(asdict(line))
        options.output.write_text(json.dumps(done), encoding="utf-8")


if __name__ == "__main__":
    main()
