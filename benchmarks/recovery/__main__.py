"""The command line: `python -m benchmarks.recovery`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.calibration.store import add, done, read_records, spent
from benchmarks.recovery.designs import SETTINGS
from benchmarks.recovery.report import PAGE, RESULTS, write_page
from benchmarks.recovery.run import record_of
from benchmarks.recovery.store import counts, setting_of

CHUNK = 25
PART = "studies"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    add_argument = parser.add_argument
    add_argument("--report", action="store_true", help="simulate nothing, only make the tables anew")
    add_argument("--studies", type=int, default=500, metavar="N", help="studies of each setting")
    add_argument("--setting", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    add_argument(
        "--checkpoints", type=Path, default=Path(__file__).parent / "checkpoints", metavar="DIR",
        help="where records are kept; a run goes on from those that are there, so delete it to begin anew",
    )  # fmt: skip
    add_argument("--output", type=Path, default=RESULTS, help="the counts")
    add_argument("--page", type=Path, default=PAGE, help="the page with the tables")
    return parser


def simulate(folder: Path, settings: Sequence[str], studies: int) -> None:
    """Make the records that are missing, setting by setting in small portions, so that all grow together."""
    folder.mkdir(parents=True, exist_ok=True)
    for upto in range(CHUNK, studies + CHUNK, CHUNK):
        for name in settings:
            begin = time.process_time()
            wanted = range(done(folder, name, PART), min(upto, studies))
            add(folder, name, PART, [record_of(name, number) for number in wanted])
            spent(folder, time.process_time() - begin)
        print(f"{min(upto, studies)} studies of each setting", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, or only report what it found."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    if not options.report:
        folder = options.checkpoints
        simulate(folder, options.setting, options.studies)
        command = shlex.join(["python", "-m", "benchmarks.recovery", *words])
        records = {name: read_records(folder, name, PART)[: options.studies] for name in options.setting}
        results = {
            "setting": setting_of(command, spent(folder, 0.0)),
            "settings": {name: counts(made) for name, made in records.items()},
            "first studies": {name: made[0] for name, made in records.items()},
        }
        options.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_page(options.output, options.page)
    print(f"written: {options.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
