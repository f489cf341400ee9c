"""The command line: `python -m benchmarks`."""

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import bootstrap, growth, inference, kin, kin_growth, overview, scan_growth, scans, structured
from benchmarks.machine import describe
from benchmarks.peers import PEERS, Peer
from benchmarks.problems import PROBLEMS
from benchmarks.report import Report, asked_anew, kin_anew, read, scans_anew, structured_anew, updated, write
from benchmarks.runner import ProblemResult, Progress, Settings, Versions, run_problem

TASKS = (inference, kin, structured, scans)
MODELS = (*PROBLEMS.values(), *(problem for module in TASKS for problem in module.MODELS.values()))
GROWTHS = (growth.NAME, kin_growth.NAME, scan_growth.NAME)
HEAVY = {problem.name for problem in MODELS if problem.heavy} | set(GROWTHS)
NAMES = (*PROBLEMS, *(name for module in TASKS for name in module.TASKS), bootstrap.NAME, *GROWTHS)
DEFAULT_OUTPUT = Path(__file__).parent / "RESULTS.md"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Time lmmpy beside its peers.")
    add = parser.add_argument
    add("--problem", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(NAMES)}")
    add("--quick", action="store_true", help="without the heavy problems and the growth")
    add("--growth-budget", type=float, default=180.0, metavar="S", help="seconds for the growth")
    add("--peer", nargs="+", choices=[p.name for p in PEERS], help="these peers only")
    add("--rounds", type=int, metavar="N", help="measured rounds (by default as many as the budget allows)")
    add("--budget", type=float, default=15.0, metavar="S", help="seconds for the rounds of one problem")
    add("--time-limit", type=float, metavar="S", help="seconds for one call (by default the problem's own)")
    add("--threads", type=int, default=2, metavar="N", help="threads of every peer")
    add("--update", action="store_true", help="keep what an earlier run wrote of problems that are not run")
    add("--output", type=Path, default=DEFAULT_OUTPUT, help="the page; results.json is written beside it")
    return parser


Run = Callable[[str, Settings, Progress], tuple[ProblemResult, Versions]]
Anew = Callable[[Report, ProblemResult], tuple[ProblemResult, ...]]


def _steps(peers: Sequence[Peer], wanted: Sequence[str]) -> Iterator[tuple[str, Run, str, Anew]]:
    """Tell of each problem and task: its name, what runs it, where its result goes in the report, and how."""

    def problem(name: str, settings: Settings, progress: Progress) -> tuple[ProblemResult, Versions]:
        return run_problem(PROBLEMS[name], peers, settings, progress)

    kinds: tuple[tuple[Iterable[str], Run, str, Anew], ...] = (
        (PROBLEMS, problem, "results", updated),
        (inference.TASKS, inference.run, "inference", asked_anew),
        (kin.TASKS, kin.run, "kin", kin_anew),
        (structured.TASKS, structured.run, "structured", structured_anew),
        (scans.TASKS, scans.run, "scans", scans_anew),
    )
    for names, run, place, anew in kinds:
        for name in (name for name in names if name in wanted):
            yield name, run, place, anew


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the problems and write the results."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(words)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: at least one round is needed")
    if unknown := [name for name in options.problem if name not in NAMES]:
        parser.error(f"no problem named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    wanted = options.problem or [name for name in NAMES if not (options.quick and name in HEAVY)]
    peers = [p for p in PEERS if options.peer is None or p.name in options.peer]
    settings = Settings(options.rounds, options.budget, options.time_limit, threads=options.threads)
    setting = describe(shlex.join(["python", "-m", "benchmarks", *words]), settings.threads)
    # sys.exit unwinds, and so the workers end with the runner
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    told = partial(print, flush=True)
    report = Report(setting, ())
    if options.update:
        report = read(options.output)
        report.setting[f"then, {setting['date']}"] = setting["command"]
        setting = report.setting
    begin = time.monotonic()

    def keep(**found: Any) -> Report:
        """Write after each step: a run that is broken off leaves what it has."""
        if not options.update:
            setting["the run took"] = f"{(time.monotonic() - begin) / 60:.1f} min"
        so_far = replace(report, **found)
        write(so_far, options.output)
        return so_far

    for name, run, place, anew in _steps(peers, wanted):
        result, versions = run(name, settings, told)
        for version in versions.values():
            setting.update(version)
        report = keep(**{place: anew(report, result)})
    if bootstrap.NAME in wanted:
        report = keep(refits=bootstrap.run(settings, told)[0])
    for name in (name for name in GROWTHS if name in wanted):
        lines = growth.run(options.growth_budget, settings.threads, told, name)
        report = keep(**{name.replace("-", "_"): lines})
    if options.output == DEFAULT_OUTPUT and (options.update or set(wanted) == set(NAMES)):
        overview.main()
    print(f"written: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
