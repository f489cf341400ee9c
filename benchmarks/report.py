"""Writes the results: a Markdown page and a JSON file with every sample."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks import bootstrap, inference, kin, scan_pages, scans, structured
from benchmarks.cells import NOTHING, cell, goal_of, number, table, time_of
from benchmarks.client import Reply
from benchmarks.growth import Measured, from_json
from benchmarks.growth_plot import ANIMALS, SCANS, WHAT_OF_SCANS, draw
from benchmarks.peers import BASELINE
from benchmarks.problems import PROBLEMS, Problem
from benchmarks.runner import PeerResult, ProblemResult, Status
from benchmarks.targets import AGREEMENT, OURS, judge, off

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
    refits : ProblemResult or None
        The bootstrap, as `bootstrap.run` returns it.
    growth : tuple of Measured
        The designs that grow.
    inference : tuple of ProblemResult
        The tasks of `inference.TASKS`, in the order they were run.
    kin : tuple of ProblemResult
        The tasks of `kin.TASKS`, likewise.
    kin_growth : tuple of Measured
        The pedigrees that grow.
    structured : tuple of ProblemResult
        The tasks of `structured.TASKS`, likewise.
    scans : tuple of ProblemResult
        The tasks of `scans.TASKS`, likewise.
    scan_growth : tuple of Measured
        The scans that grow.
    """

    setting: dict[str, str]
    results: tuple[ProblemResult, ...]
    refits: ProblemResult | None = None
    growth: tuple[Measured, ...] = ()
    inference: tuple[ProblemResult, ...] = ()
    kin: tuple[ProblemResult, ...] = ()
    kin_growth: tuple[Measured, ...] = ()
    structured: tuple[ProblemResult, ...] = ()
    scans: tuple[ProblemResult, ...] = ()
    scan_growth: tuple[Measured, ...] = ()


def mark(result: ProblemResult, peer: PeerResult) -> str:
    """Return ‡ for a criterion above lme4's by more than `AGREEMENT`, † for one below, else nothing."""
    difference = off(result, peer)
    return "" if difference == 0 else "‡" if difference > 0 else "†"


def _note(result: ProblemResult, peer: PeerResult) -> str:
    if peer.status is not Status.OK:
        return cell(f"{peer.status}: {peer.message}")
    notes = ["one call, without warm-up"] if peer.warmup is None else []
    notes += [MEANING[sign]] if (sign := mark(result, peer)) else []
    notes += peer.reply.warnings[:1] if peer.reply else []
    return cell("; ".join(notes))


def _detail_row(result: ProblemResult, peer: PeerResult) -> list[str]:
    ok = peer.median is not None
    span = f"{time_of(min(peer.seconds))} to {time_of(max(peer.seconds))}" if ok else NOTHING
    return [
        peer.peer,
        time_of(peer.median),
        span,
        number(result.ratio(peer), ".3g"),
        number(peer.criterion, ".6f"),
        number(result.difference(peer), "+.1e"),
        number(peer.peak_rss_mb if ok else None, ".0f"),
        number(peer.loaded_rss_mb if ok else None, ".0f"),
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
    if peer.stopped_after is not None:
        return f"over {time_of(peer.stopped_after)}"
    if peer.status is not Status.OK:
        return str(peer.status)
    if peer.peer == BASELINE:
        return time_of(peer.median)
    ratio = result.ratio(peer)
    figure = time_of(peer.median) if ratio is None else f"{ratio:.3g}"
    return f"{figure} {mark(result, peer)}".rstrip()


def _memory_cell(result: ProblemResult) -> str:
    ours = next((peer for peer in result.peers if peer.peer == OURS), None)
    if ours is None or ours.peak_rss_mb is None or ours.loaded_rss_mb is None:
        return NOTHING
    return f"{ours.peak_rss_mb:,.0f} (+{max(ours.peak_rss_mb - ours.loaded_rss_mb, 0.0):,.0f})"


def _summary(results: Sequence[ProblemResult]) -> str:
    names = list(dict.fromkeys(peer.peer for result in results for peer in result.peers))
    rows = []
    for result in results:
        cells = {peer.peer: _summary_cell(result, peer) for peer in result.peers}
        rows.append([result.problem.name, *[cells.get(name, NOTHING) for name in names], _memory_cell(result)])
    return table(["problem", *names, "lmmpy's peak MB"], rows)


def _target_rows(results: Sequence[ProblemResult]) -> list[list[str]]:
    rows = []
    for result in results:
        target, verdict = result.problem.target, judge(result)
        if target is None or verdict is None:
            continue
        figure = NOTHING
        if verdict.measured is not None:
            figure = time_of(verdict.measured) if target.seconds else f"{verdict.measured:.3g}"
        if verdict.bound:
            figure = f"under {figure}"
        if target.memory_gib is not None:
            figure += f", {number(verdict.memory_gib, '.2f')} GiB"
        faster = ", ".join(f"{name} {ratio:.2g}" for name, ratio in verdict.faster)
        rows.append(
            [
                result.problem.name,
                goal_of(target, target.must),
                goal_of(target, target.aim),
                figure,
                verdict.met,
                faster or "nobody",
            ]
        )
    return rows


def _targets(results: Sequence[ProblemResult]) -> list[str]:
    rows = _target_rows(results)
    if not rows:
        return []
    reading = (
        "Ratios are to lme4's time in this run; seconds are lmmpy's own, with its peak memory. Met says which of the "
        "two figures was reached. Faster than lmmpy are the peers that reached the optimum in less time, with "
        "their time as a ratio to lmmpy's."
    )
    header = ("problem", "must", "aim", "measured", "met", "faster than lmmpy")
    return ["## Targets", reading, table(header, rows)]


def _inference_rows(result: ProblemResult) -> Iterable[list[str]]:
    verdict, target = judge(result), result.problem.target
    for peer in result.peers:
        ours = peer.peer == OURS
        goal = goal_of(target, target.must) if ours and target is not None else NOTHING
        yield [
            result.problem.name,
            peer.peer,
            time_of(peer.median),
            number(result.ratio(peer), ".3g"),
            goal,
            verdict.met if ours and verdict is not None else NOTHING,
            number(inference.disagreement(result, peer), ".1e"),
            number(peer.peak_rss_mb, ",.0f"),
            _note(result, peer),
        ]


def _inference(results: Sequence[ProblemResult]) -> list[str]:
    if not results:
        return []
    reading = (
        "What one asks of a fit, which is made before each call, outside the time. The ratio is to the R package that "
        "does the same; must is lmmpy's target, in the same run. Apart is the largest relative difference of lmmpy's "
        "numbers from the package's; random numbers are not compared."
    )
    header = ("task", "package", "median", "ratio", "must", "met", "apart", "peak MB", "note")
    tasks = [(result, inference.TASKS[result.problem.name]) for result in results]
    told = [
        f"- {r.problem.name}: {task.told}; `{r.problem.formula}`, {r.problem.method}, {r.n_rows:,} rows, levels: "
        + ", ".join(f"{name} {count:,}" for name, count in r.n_levels.items())
        for r, task in tasks
    ]
    rows = [row for result in results for row in _inference_rows(result)]
    return ["## Inference", reading, "\n".join(told), table(header, rows)]


def _kin_note(result: ProblemResult, peer: PeerResult) -> str:
    if peer.stopped_after is not None or peer.status is not Status.OK:
        return cell(f"{peer.status}: {peer.message}")
    told = (peer.reply.varcomp or {}) if peer.reply else {}
    if peer.peer == OURS and "std_error" in told:
        correlation = f"; r_g {told['rg estimate']:.4f}, SE {told['rg std_error']:.4f}" if "rg estimate" in told else ""
        return f"h² {told['estimate']:.4f}, SE {told['std_error']:.4f}{correlation}"
    whole = told.get("whole process, seconds")
    return NOTHING if whole is None else f"{time_of(whole)} with the reading of K"


def _kin_rows(result: ProblemResult) -> Iterable[list[str]]:
    target = result.problem.target
    for peer in result.peers:
        ours = peer.peer == OURS
        verdict = kin.verdict(result, peer)
        beside = target if ours else kin.TASKS[result.problem.name].beside[peer.peer]
        goal = NOTHING if beside is None else goal_of(beside, beside.must)
        yield [
            result.problem.name,
            peer.peer,
            time_of(peer.median),
            number(kin.ratio(result, peer), ".3g"),
            goal,
            NOTHING if verdict is None else verdict.met,
            number(None if ours else result.difference(peer), "+.1e"),
            number(peer.peak_rss_mb, ",.0f"),
            _kin_note(result, peer),
        ]


def _kin(results: Sequence[ProblemResult]) -> list[str]:
    if not results:
        return []
    reading = (
        "Relatedness in the formula. lmmpy's time is from plain tables (the matrix, or the pedigree) to the fit, h² "
        "and its standard error; lme4qtl's is its fit in its quickest setting (a Cholesky factor, no derivatives); "
        "GEMMA's is its null model after it has read its files. The ratio is lmmpy's time to the peer's, must what "
        "that (or lmmpy's own time and memory) may be at most, and the criterion −2 log-likelihood, the peer's less "
        "lmmpy's. The large pedigrees have no peer here: pedigreemm and lme4qtl multiply by a factor of the "
        "relatedness, which is dense already in one herd of a thousand animals, and GEMMA decomposes it."
    )
    header = ("task", "package", "median", "ratio", "must", "met", "criterion − lmmpy's", "peak MB", "note")
    told = [f"- {r.problem.name}: `{r.problem.formula}`, {r.n_rows:,} rows, {_related(r)}" for r in results]
    return ["## Relatedness", reading, "\n".join(told), table(header, [row for r in results for row in _kin_rows(r)])]


def _related(result: ProblemResult) -> str:
    return kin.TASKS[result.problem.name].told


def _structured_rows(result: ProblemResult) -> Iterable[list[str]]:
    verdict, target = judge(result), result.problem.target
    for peer in result.peers:
        ours, base = peer.peer == OURS, peer is result.baseline()
        goal = goal_of(target, target.must) if ours and target is not None else NOTHING
        notes = [text for text in (structured.note(peer), _note(result, peer)) if text]
        yield [
            result.problem.name,
            peer.peer,
            time_of(peer.median),
            NOTHING if base else number(result.ratio(peer), ".3g"),
            goal,
            verdict.met if ours and verdict is not None else NOTHING,
            NOTHING if base else number(result.difference(peer), "+.1e"),
            number(structured.disagreement(result, peer), ".1e"),
            number(peer.peak_rss_mb, ",.0f"),
            cell("; ".join(notes)),
        ]


def _structured(results: Sequence[ProblemResult]) -> list[str]:
    if not results:
        return []
    reading = (
        "cbind() of several traits, and `residual=`. The ratio is lmmpy's time to the package's. GEMMA's time for "
        "mv-fit is from when traits and covariate are rotated to when its REML estimates and their standard errors "
        "are there; for mv-grm it begins with the eigendecomposition, after its files are read. Its fit by ML and "
        "the test of a SNP, which it does not leave out, are in neither. lmmpy's begins for mv-fit with a criterion "
        "whose rotation is done, for mv-grm with the matrix and the table, and ends with all variances, covariances "
        "and their standard errors, as GEMMA's. nlme's is one call of `lme` or `gls` as they are by themselves, with "
        "the covariance of the variance parameters; lmmpy's is the fit and the standard errors of all parameters. "
        "SOLAR's time is given, not measured. The criterion is −2 log-likelihood, lmmpy's less the package's; apart "
        "is the largest relative difference of lmmpy's numbers (variances, shares or correlations, and coefficients "
        "or standard errors) from the package's."
    )
    header = ("task", "package", "median", "ratio", "must", "met", "criterion", "apart", "peak MB", "note")
    told = [
        f"- {r.problem.name}: `{cell(r.problem.formula)}`, {r.problem.method}, {r.n_rows:,} rows: "
        + structured.TASKS[r.problem.name].told
        for r in results
    ]
    rows = [row for result in results for row in _structured_rows(result)]
    return ["## Several traits and structured residuals", reading, "\n".join(told), table(header, rows)]


def _refits(result: ProblemResult | None) -> list[str]:
    if result is None:
        return []
    medians = {peer.peer: peer.median for peer in result.peers}
    unit = medians.get(bootstrap.EVALUATIONS)
    rows = []
    for peer in result.peers:
        per_unit = None if unit is None or peer.median is None else peer.median / unit
        rows.append([peer.peer, time_of(peer.median), number(per_unit, ".3g"), _note(result, peer)])
    reading = (
        f"{bootstrap.REPLICATES:,} replicates of `{result.problem.formula}` on sleepstudy, beside as many evaluations "
        "of lmmpy's criterion with its derivatives at the optimum: a replicate simulates, fits and reads off estimates."
    )
    return ["## Bootstrap", reading, table(("what", "median", "ratio to the evaluations", "note"), rows)]


def _growth_rows(lines: Sequence[Measured]) -> list[list[str]]:
    rows = []
    for line in lines:
        first, last = line.points[0], line.points[-1]
        sizes = f"{getattr(first, line.axis):,} to {getattr(last, line.axis):,}"
        rows.append(
            [
                f"{line.name}: `{cell(line.formula)}`",
                line.axis,
                sizes,
                time_of(last.lmer),
                number(line.slope("lmer"), ".2f"),
                line.expected,
                time_of(last.summary),
                number(line.slope("summary"), ".2f"),
            ]
        )
    return rows


GROWTH_COLUMNS = (
    "design",
    "against",
    "sizes",
    "lmer() at the last",
    "slope",
    "expected",
    "summary at the last",
    "slope",
)


def _growth(lines: Sequence[Measured]) -> list[str]:
    if not lines:
        return []
    reading = (
        "One whole `lmer()` call, and `str(fit.summary())`, at sizes that double: rows n with the levels fixed, and "
        "random effects q with the rows of a level fixed. The grouping factors are strings, so that finding their "
        "levels is in the time. The slope is that of log time on log size, by least squares over the upper half of the "
        "sizes; 1 is linear, and less means that the size does not matter yet. More than 1 is expected in one place: "
        "where both crossed factors grow, the dense Cholesky factor of what is left of the smaller one "
        "after the larger is eliminated takes the third power of its levels."
    )
    return ["## Growth", reading, table(GROWTH_COLUMNS, _growth_rows(lines)), "![time against size](growth.svg)"]


def _kin_growth(lines: Sequence[Measured]) -> list[str]:
    if not lines:
        return []
    reading = (
        "One whole `lmer()` call with a pedigree, which is made anew from strings in the time, a record for each "
        "animal; slopes as above. What a pedigree costs is told by who mates with whom. Where few males serve many "
        "females, and in families, time is near to linear until the dense factor of the males counts. Where everybody "
        "mates with anybody it takes the third power, and 20,000 to 40,000 animals are the end: the documented worst."
    )
    picture = "![time against animals](kin-growth.svg)"
    return ["## Growth with a pedigree", reading, table(GROWTH_COLUMNS, _growth_rows(lines)), picture]


def _json_growth(line: Measured) -> dict[str, Any]:
    return {**asdict(line), "slopes": {what: line.slope(what) for what in ("lmer", "summary")}}


def markdown(report: Report) -> str:
    """Return the page."""
    setting = table(["", ""], [[key, cell(value)] for key, value in report.setting.items()])
    reading = (
        "Median time of one whole fitting call from a data frame, as a ratio to R's lme4 in the same run "
        "(lme4's own column is its time; below 1 is faster than lme4). "
        f"‡: the criterion is more than {AGREEMENT:g} above lme4's, so the peer stopped short of the optimum "
        "and its time counts for nothing. †: it is as much below lme4's: a better optimum, or not the same "
        "criterion. The last column is the peak resident memory of lmmpy's process during a call, in "
        "parentheses what of it is above the interpreter, the libraries and the data."
    )
    columns = (
        "The criterion is −2 log-likelihood (REML or ML) with its constants, as R prints it; a negative "
        "difference is a better optimum than lme4's. Peak MB is the worker's peak resident memory during a "
        "call, the largest of the calls; loaded MB is its resident memory before the first fit "
        "(interpreter, libraries, data)."
    )
    caution = [SLOW_BLAS] if report.setting.get("R BLAS", "").startswith("blas/") else []
    parts = ["# Benchmark results", reading, _summary(report.results), *caution]
    parts += _targets(report.results) + _inference(report.inference) + _kin(report.kin)
    parts += _structured(report.structured) + scan_pages.section(report.scans)
    parts += _refits(report.refits) + _growth(report.growth) + _kin_growth(report.kin_growth)
    parts += scan_pages.growth_section(report.scan_growth)
    parts += ["## What they were made on", setting]
    parts += ["## By problem", columns, *[_detail(result) for result in report.results]]
    return "\n\n".join(parts) + "\n"


def _json_peer(result: ProblemResult, peer: PeerResult) -> dict[str, Any]:
    found = {"median": peer.median, "ratio": result.ratio(peer), "difference": result.difference(peer)}
    return {**asdict(peer), **found}


def _json_problem(result: ProblemResult) -> dict[str, Any]:
    verdict = judge(result)
    return {
        "name": result.problem.name,
        "formula": result.problem.formula,
        "method": result.problem.method,
        "rows": result.n_rows,
        "levels": result.n_levels,
        "rounds": result.rounds,
        "target": None if result.problem.target is None else asdict(result.problem.target),
        "verdict": None if verdict is None else asdict(verdict),
        "peers": [_json_peer(result, peer) for peer in result.peers],
    }


def _json_kin(result: ProblemResult) -> dict[str, Any]:
    """Return a result with a verdict for each peer that lmmpy is set beside."""
    verdicts = {peer.peer: kin.verdict(result, peer) for peer in result.peers}
    told = {name: asdict(verdict) for name, verdict in verdicts.items() if verdict is not None}
    return {**_json_problem(result), "verdicts": told}


def _json_scan(result: ProblemResult) -> dict[str, Any]:
    """Return a result with a verdict for each thing that lmmpy is asked."""
    verdicts = {peer.peer: scans.verdict(result, peer) for peer in result.peers}
    told = {name: asdict(verdict) for name, verdict in verdicts.items() if verdict is not None}
    return {**_json_problem(result), "verdicts": told}


def as_json(report: Report) -> str:
    """Return every sample and estimate."""
    found = {
        "setting": report.setting,
        "problems": [_json_problem(result) for result in report.results],
        "inference": [_json_problem(result) for result in report.inference],
        "bootstrap": None if report.refits is None else _json_problem(report.refits),
        "growth": [_json_growth(line) for line in report.growth],
        "kin": [_json_kin(result) for result in report.kin],
        "kin-growth": [_json_growth(line) for line in report.kin_growth],
        "structured": [_json_problem(result) for result in report.structured],
        "scans": [_json_scan(result) for result in report.scans],
        "scan-growth": [_json_growth(line) for line in report.scan_growth],
    }
    return json.dumps(found, indent=1) + "\n"


def _read_problem(found: dict[str, Any], problem: Problem) -> ProblemResult:
    names = {field.name for field in fields(PeerResult)}
    peers = []
    for peer in found["peers"]:
        kept = {name: value for name, value in peer.items() if name in names}
        kept |= {"status": Status(peer["status"]), "seconds": tuple(peer["seconds"])}
        kept["reply"] = None if peer["reply"] is None else Reply(**peer["reply"])
        peers.append(PeerResult(**kept))
    return ProblemResult(problem, found["rows"], found["levels"], found["rounds"], tuple(peers))


def _read_problems(found: Iterable[dict[str, Any]], known: Mapping[str, Problem]) -> tuple[ProblemResult, ...]:
    return tuple(_read_problem(one, known[one["name"]]) for one in found if one["name"] in known)


def _read_growth(found: Iterable[dict[str, Any]]) -> tuple[Measured, ...]:
    return tuple(from_json({name: value for name, value in line.items() if name != "slopes"}) for line in found)


def read(output: Path) -> Report:
    """Read what an earlier run wrote beside `output`; problems that are no more are left out."""
    found = json.loads(output.with_name("results.json").read_text(encoding="utf-8"))
    results = _read_problems(found["problems"], PROBLEMS)
    asked = _read_problems(found.get("inference", []), inference.MODELS)
    refits = None if found["bootstrap"] is None else _read_problem(found["bootstrap"], bootstrap.PROBLEM)
    related = _read_problems(found.get("kin", []), kin.MODELS)
    several = _read_problems(found.get("structured", []), structured.MODELS)
    scanned = _read_problems(found.get("scans", []), scans.MODELS)
    growth, animals, sizes = (_read_growth(found.get(name, [])) for name in ("growth", "kin-growth", "scan-growth"))
    return Report(found["setting"], results, refits, growth, asked, related, animals, several, scanned, sizes)


def _anew(results: Iterable[ProblemResult], result: ProblemResult, order: Iterable[str]) -> tuple[ProblemResult, ...]:
    by_name = {old.problem.name: old for old in results} | {result.problem.name: result}
    return tuple(by_name[name] for name in order if name in by_name)


def updated(report: Report, result: ProblemResult) -> tuple[ProblemResult, ...]:
    """The results with one problem's anew, in the order of the problems."""
    return _anew(report.results, result, PROBLEMS)


def asked_anew(report: Report, result: ProblemResult) -> tuple[ProblemResult, ...]:
    """The tasks' results with one task's anew, in the order of the tasks."""
    return _anew(report.inference, result, inference.TASKS)


def kin_anew(report: Report, result: ProblemResult) -> tuple[ProblemResult, ...]:
    """The results with relatedness with one task's anew, in the order of the tasks."""
    return _anew(report.kin, result, kin.TASKS)


def structured_anew(report: Report, result: ProblemResult) -> tuple[ProblemResult, ...]:
    """The results of several traits and structured residuals with one task's anew, in the order of the tasks."""
    return _anew(report.structured, result, structured.TASKS)


def scans_anew(report: Report, result: ProblemResult) -> tuple[ProblemResult, ...]:
    """The scans' results with one task's anew, in the order of the tasks."""
    return _anew(report.scans, result, scans.TASKS)


def write(report: Report, output: Path) -> None:
    """Write the page to `output`, and beside it `results.json` and the pictures of the growth."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(markdown(report), encoding="utf-8")
    output.with_name("results.json").write_text(as_json(report), encoding="utf-8")
    if report.growth:
        draw(report.growth, output.with_name("growth.svg"))
    if report.kin_growth:
        draw(report.kin_growth, output.with_name("kin-growth.svg"), ANIMALS)
    if report.scan_growth:
        draw(report.scan_growth, output.with_name("scan-growth.svg"), SCANS, WHAT_OF_SCANS)
