"""The part of the page about scans."""

from collections.abc import Iterable, Sequence

from benchmarks import scans
from benchmarks.cells import NOTHING, cell, goal_of, number, table, time_of
from benchmarks.growth import Measured
from benchmarks.runner import PeerResult, ProblemResult, Status
from benchmarks.scans import Row

READING = (
    "One null model, and then a question for each position or variant. Of linkage the null model is fitted anew before "
    "each call, outside the time; the call begins with the plain table of what pairs share, and the target is for a "
    "position. SOLAR's time is given, not measured. Of association `exact` is all of GEMMA's `-lmm 4` (the Wald test "
    "by REML, the likelihood ratio by ML, and the score test), from the matrix to the table: with the fit of the null "
    "model and the eigendecomposition. `score` is the score test with the null model given, `score and null` the same "
    "with its fit. GEMMA's time begins after the reading of K, with its eigendecomposition; that of the whole process "
    "is told. Both read the same PLINK files. The ratio is lmmpy's time to the other program's in this run; must is "
    "what that, or lmmpy's own time and memory, may be at most. Apart is the largest difference, over all variants, of "
    "p-values and standard errors (relative) and of β (relative to the larger of β and its standard error); of LODs it "
    "is absolute."
)
HEADER = ("scan", "program", "median", "each", "ratio", "must", "met", "apart", "peak MB", "note")


def _goal(row: Row | None, by_position: bool) -> str:
    if row is None or row.target is None:
        return NOTHING
    return f"{time_of(row.target.must)} each" if by_position else goal_of(row.target, row.target.must)


def _apart(result: ProblemResult, peer: PeerResult) -> str:
    return ", ".join(f"{name} {value:.1e}" for name, value in scans.differences(result, peer).items()) or NOTHING


def _note(peer: PeerResult) -> str:
    if peer.status is not Status.OK:
        return cell(f"{peer.status}: {peer.message}")
    told = (peer.reply.varcomp or {}) if peer.reply else {}
    notes = [str(told["note"])] if "note" in told else []
    alone = told.get("apart", {}).get("of one alone", 0.0)
    notes += [f"{alone:,.0f} variants are in one table alone"] if alone else []
    notes += ["one call, without warm-up"] if peer.warmup is None else []
    notes += peer.reply.warnings[:1] if peer.reply else []
    return cell("; ".join(notes))


def _micro(seconds: float | None) -> str:
    return f"{1e6 * seconds:.3g} µs" if seconds is not None and seconds < 1e-3 else time_of(seconds)


def _rows(result: ProblemResult) -> Iterable[list[str]]:
    task = scans.TASKS[result.problem.name]
    for peer in result.peers:
        verdict, (ratio, bound) = scans.verdict(result, peer), scans.ratio(result, peer)
        yield [
            result.problem.name,
            peer.peer,
            time_of(peer.median),
            _micro(None if peer.median is None else peer.median / task.items),
            ("under " if bound else "") + number(ratio, ".3g"),
            _goal(scans.row_of(peer, task), task.by_position),
            NOTHING if verdict is None else verdict.met,
            _apart(result, peer),
            number(peer.peak_rss_mb, ",.0f"),
            _note(peer),
        ]


def section(results: Sequence[ProblemResult]) -> list[str]:
    """The tasks and their times."""
    if not results:
        return []
    told = [
        f"- {r.problem.name}: `{cell(r.problem.formula)}`, {r.n_rows:,} people: {scans.TASKS[r.problem.name].told}"
        for r in results
    ]
    return ["## Scans", READING, "\n".join(told), table(HEADER, [row for r in results for row in _rows(r)])]


GROWTH_READING = (
    "One call of `qtl.association` on PLINK files, at sizes that double; slopes as above. With the variants time is "
    "linear, once they are more than what is done once costs: the factorisation, and of exact tests the "
    "eigendecomposition. With the people each variant takes their square (a product with a factor of V, or with the "
    "eigenvectors), and what is done once takes their third power."
)
GROWTH_HEADER = ("scan", "against", "sizes", "at the last", "slope", "expected")
AGAINST = {"n": "people", "q": "variants"}


def growth_section(lines: Sequence[Measured]) -> list[str]:
    """The scans that grow."""
    if not lines:
        return []
    rows = []
    for line in lines:
        first, last = (getattr(point, line.axis) for point in (line.points[0], line.points[-1]))
        slope = number(line.slope("lmer"), ".2f")
        took = time_of(line.points[-1].lmer)
        rows.append([line.name, AGAINST[line.axis], f"{first:,} to {last:,}", took, slope, line.expected])
    picture = "![time against variants and people](scan-growth.svg)"
    return ["## Growth of scans", GROWTH_READING, table(GROWTH_HEADER, rows), picture]
