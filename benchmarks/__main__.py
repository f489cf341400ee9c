"""The command line: `python -m benchmarks`."""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.peers import PEERS
from benchmarks.problems import PROBLEMS, choose
from benchmarks.report import Report, write
from benchmarks.runner import Settings, run_problem

DEFAULT_OUTPUT = Path(__file__).parent / "RESULTS.md"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Time lmmpy beside its peers.")
    add = parser.add_argument
    add("--problem", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(PROBLEMS)}")
    add("--heavy", action="store_true", help="the heavy problems too (about half an hour)")
    add("--peer", nargs="+", choices=[p.name for p in PEERS], help="these peers only")
    add("--rounds", type=int, metavar="N", help="measured rounds (by default as many as the budget allows)")
    add("--budget", type=float, default=30.0, metavar="S", help="seconds for the rounds of one problem")
    add("--time-limit", type=float, metavar="S", help="seconds for one call (by default the problem's own)")
    add("--threads", type=int, default=2, metavar="N", help="threads of every peer")
    add("--output", type=Path, default=DEFAULT_OUTPUT, help="the page; results.json is written beside it")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the problems and write the results."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(words)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: at least one round is needed")
    try:
        problems = choose(options.problem, heavy=options.heavy)
    except ValueError as error:
        parser.error(str(error))
    peers = [p for p in PEERS if options.peer is None or p.name in options.peer]
    settings = Settings(options.rounds, options.budget, options.time_limit, threads=options.threads)
    setting = describe(shlex.join(["python", "-m", "benchmarks", *words]), settings.threads)
    # sys.exit unwinds, and so the workers end with the runner
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    results = []
    for problem in problems:
        result, versions = run_problem(problem, peers, settings, partial(print, flush=True))
        results.append(result)
        for told in versions.values():
            setting.update(told)
        write(Report(setting, tuple(results)), options.output)
    print(f"written: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
