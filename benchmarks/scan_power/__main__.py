"""The command line: `python -m benchmarks.scan_power`."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.calibration.store import spent
from benchmarks.scan_power.designs import SEED, SETTINGS
from benchmarks.scan_power.report import PAGE, RESULTS, write_page
from benchmarks.scan_power.run import MARKERS, Studies
from benchmarks.scan_power.store import facts, measures
from lmmpy.scan import blocks_of, digest, run_scan

# Studies that are kept together.
BLOCK = 20


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scan_power", description=__doc__)
    add_argument = parser.add_argument
    add_argument("--report", action="store_true", help="simulate nothing, only make tables and plot anew")
    add_argument("--studies", type=int, metavar="N", help="at most so many of each setting, for a quick look")
    add_argument("--setting", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    add_argument(
        "--checkpoints", type=Path, default=Path(__file__).parent / "checkpoints", metavar="DIR",
        help="where studies are kept; a run goes on from those that are there, so delete it to begin anew",
    )  # fmt: skip
    add_argument("--output", type=Path, default=RESULTS, help="the counts")
    add_argument("--page", type=Path, default=PAGE, help="the page with the tables; the plot is written beside it")
    return parser


def simulate(folder: Path, name: str, most: int | None) -> pd.DataFrame | None:
    """All studies of a setting, made or found; None when the user interrupts."""
    setting = SETTINGS[name]
    folder.mkdir(parents=True, exist_ok=True)
    studies, begin = min(setting.studies, most or setting.studies), time.process_time()
    outcome = run_scan(
        Studies(name),
        blocks_of(studies, BLOCK, f"studies of {name}"),
        fingerprint={"setting": digest(repr(replace(setting, title=""))), "seed": digest(SEED, MARKERS)},
        what=f"studies: {name}",
        resume=folder / f"{name.replace(', ', '-').replace(' ', '-')}.tsv",
    )
    spent(folder, time.process_time() - begin)
    print(f"{name}: {outcome.done} of {outcome.total} studies, {outcome.seconds:.0f} s", flush=True)
    return outcome.table if outcome.complete else None


def written(results: dict[str, Any]) -> str:
    """Results as JSON, the innermost lists on one line each."""
    text = json.dumps(results, indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, or only report what it found."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    if not options.report:
        found = {}
        for name in options.setting:
            table = simulate(options.checkpoints, name, options.studies)
            if table is None:
                return 1
            found[name] = measures(SETTINGS[name], table)
        command = shlex.join(["python", "-m", "benchmarks.scan_power", *words])
        results = {"setting": facts(command, spent(options.checkpoints, 0.0)), "settings": found}
        options.output.write_text(written(results), encoding="utf-8")
    write_page(options.output, options.page)
    print(f"written: {options.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
