"""Writes the results: a Markdown page and a JSON file with every sample."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import BASELINE
from benchmarks.runner import PeerResult, ProblemResult, Status

AGREEMENT = 1e-3
NOTHING = "–"
COLUMNS = ("peer", "median", "min to max", "ratio", "criterion", "− lme4's", "peak MB", "loaded MB", "note")
SLOW_BLAS = (
    "**R ran on the reference BLAS here.** That makes lme4 several times slower on problems with large dense "
    "blocks, and flatters everybody's ratio; install OpenBLAS for R (README.md) before quoting these."
)
MEANING = {"‡": "‡ short of lme4's optimum", "†": "† below lme4's optimum"}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a run has found.

    Attributes
    ----------
    setting : dict of str to str
        Machine, libraries, command and date.
    results : tuple of ProblemResult
        In the order they were run.
    """

    setting: dict[str, str]
    results: tuple[ProblemResult, ...]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _number(value: float | None, pattern: str) -> str:
    return NOTHING if value is None else format(value, pattern)


def _cell(text: str) -> str:
    """Make free text safe inside a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table: the first column to the left, the rest to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def mark(result: ProblemResult, peer: PeerResult) -> str:
    """Return ‡ for a criterion above lme4's by more than `AGREEMENT`, † for one below, else nothing."""
    difference = result.difference(peer)
    if difference is None or abs(difference) <= AGREEMENT:
        return ""
    return "‡" if difference > 0 else "†"


def _note(result: ProblemResult, peer: PeerResult) -> str:
    if peer.status is not Status.OK:
        return _cell(f"{peer.status}: {peer.message}")
    notes = [MEANING[sign]] if (sign := mark(result, peer)) else []
    notes += peer.reply.warnings[:1] if peer.reply else []
    return _cell("; ".join(notes))


def _detail_row(result: ProblemResult, peer: PeerResult) -> list[str]:
    ok = peer.median is not None
    memory = peer.reply.peak_rss_mb if ok and peer.reply else None
    span = f"{_time(min(peer.seconds))} to {_time(max(peer.seconds))}" if ok else NOTHING
    return [
        peer.peer,
        _time(peer.median),
        span,
        _number(result.ratio(peer), ".3g"),
        _number(peer.criterion, ".6f"),
        _number(result.difference(peer), "+.1e"),
        _number(memory, ".0f"),
        _number(peer.loaded_rss_mb if ok else None, ".0f"),
        _note(result, peer),
    ]


def _detail(result: ProblemResult) -> str:
    problem = result.problem
    levels = ", ".join(f"{name} {count:,}" for name, count in result.n_levels.items())
    rounds = "1 round" if result.rounds == 1 else f"{result.rounds} rounds"
    return "\n\n".join(
        [
            f"### {problem.name}",
            f"`{problem.formula}`, {problem.method}; {result.n_rows:,} rows; levels: {levels}; {rounds}.",
            table(COLUMNS, [_detail_row(result, peer) for peer in result.peers]),
        ]
    )


def _summary_cell(result: ProblemResult, peer: PeerResult) -> str:
    if peer.status is not Status.OK:
        return str(peer.status)
    if peer.peer == BASELINE:
        return _time(peer.median)
    ratio = result.ratio(peer)
    figure = _time(peer.median) if ratio is None else f"{ratio:.3g}"
    return f"{figure} {mark(result, peer)}".rstrip()


def _summary(results: Sequence[ProblemResult]) -> str:
    names = list(dict.fromkeys(peer.peer for result in results for peer in result.peers))
    rows = []
    for result in results:
        cells = {peer.peer: _summary_cell(result, peer) for peer in result.peers}
        rows.append([result.problem.name, *[cells.get(name, NOTHING) for name in names]])
    return table(["problem", *names], rows)


def markdown(report: Report) -> str:
    """Return the page."""
    setting = table(["", ""], [[key, _cell(value)] for key, value in report.setting.items()])
    reading = (
        "Median time of one whole fitting call from a data frame, as a ratio to R's lme4 in the same run "
        "(lme4's own column is its time; below 1 is faster than lme4). "
        f"‡: the criterion is more than {AGREEMENT:g} above lme4's, so the peer stopped short of the optimum "
        "and its time counts for nothing. †: it is as much below lme4's: a better optimum, or not the same "
        "criterion."
    )
    columns = (
        "The criterion is −2 log-likelihood (REML or ML) with its constants, as R prints it; a negative "
        "difference is a better optimum than lme4's. Peak MB is the worker's peak resident memory since the "
        "data were loaded, loaded MB its resident memory before the first fit (interpreter, libraries, data)."
    )
    caution = [SLOW_BLAS] if report.setting.get("R BLAS", "").startswith("blas/") else []
    parts = ["# Benchmark results", reading, _summary(report.results), *caution]
    parts += ["## What they were made on", setting]
    parts += ["## By problem", columns, *[_detail(result) for result in report.results]]
    return "\n\n".join(parts) + "\n"


def _json_peer(result: ProblemResult, peer: PeerResult) -> dict[str, Any]:
    found = {"median": peer.median, "ratio": result.ratio(peer), "difference": result.difference(peer)}
    return {**asdict(peer), **found}


def as_json(report: Report) -> str:
    """Return every sample and estimate."""
    problems = [
        {
            "name": result.problem.name,
            "formula": result.problem.formula,
            "method": result.problem.method,
            "rows": result.n_rows,
            "levels": result.n_levels,
            "rounds": result.rounds,
            "peers": [_json_peer(result, peer) for peer in result.peers],
        }
        for result in report.results
    ]
    return json.dumps({"setting": report.setting, "problems": problems}, indent=1) + "\n"


def write(report: Report, output: Path) -> None:
    """Write the page to `output` and `results.json` beside it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(markdown(report), encoding="utf-8")
    output.with_name("results.json").write_text(as_json(report), encoding="utf-8")
