"""Cells and tables of the page."""

from collections.abc import Iterable, Sequence

from benchmarks.problems import Target

NOTHING = "–"


def time_of(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def number(value: float | None, pattern: str) -> str:
    return NOTHING if value is None else format(value, pattern)


def cell(text: str) -> str:
    """Make free text safe inside a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table: the first column to the left, the rest to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def goal_of(target: Target, figure: float) -> str:
    told = f"{figure:g} s" if target.seconds else f"{figure:g}"
    return told if target.memory_gib is None else f"{told}, {target.memory_gib:g} GiB"
