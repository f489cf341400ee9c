"""The command line: `python -m benchmarks.calibration`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.calibration.designs import DESIGNS
from benchmarks.calibration.report import PAGE, write_page
from benchmarks.calibration.run import PARTS, Study, record_of
from benchmarks.calibration.store import RESULTS, add, counts, done, read_records, setting, spent

CHUNK = 25


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    add_argument = parser.add_argument
    add_argument("--report", action="store_true", help="simulate nothing, only make tables and plot anew")
    add_argument("--replicates", type=int, default=2000, metavar="N", help="data sets of each design")
    add_argument("--design", nargs="+", choices=list(DESIGNS), default=list(DESIGNS))
    add_argument(
        "--checkpoints", type=Path, default=Path(__file__).parent / "checkpoints", metavar="DIR",
        help="where records are kept; a run goes on from those that are there, so delete it to begin anew",
    )  # fmt: skip
    add_argument("--output", type=Path, default=RESULTS, help="the counts")
    add_argument("--page", type=Path, default=PAGE, help="the page with the tables; the plot is written beside it")
    return parser


def simulate(folder: Path, designs: Sequence[str], replicates: int) -> None:
    """Make the records that are missing, design by design in small portions, so that all grow together."""
    folder.mkdir(parents=True, exist_ok=True)
    studies = {name: Study(DESIGNS[name]) for name in designs}
    for upto in range(CHUNK, replicates + CHUNK, CHUNK):
        for name, study in studies.items():
            for part in PARTS:
                wanted, begin = range(done(folder, name, part), min(upto, replicates)), time.process_time()
                add(folder, name, part, [record_of(study, part, replicate) for replicate in wanted])
                spent(folder, time.process_time() - begin)
        print(f"{min(upto, replicates)} data sets of each design", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, or only report what it found."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    if not options.report:
        folder = options.checkpoints
        simulate(folder, options.design, options.replicates)
        command = shlex.join(["python", "-m", "benchmarks.calibration", *words])
        found = {name: _measures(folder, name) for name in options.design}
        results = {"setting": setting(command, spent(folder, 0.0)), "designs": found}
        options.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_page(options.output, options.page)
    print(f"written: {options.page}")
    return 0


def _measures(folder: Path, design: str) -> dict[str, object]:
    return {part: counts(read_records(folder, design, part)) for part in PARTS}


if __name__ == "__main__":
    sys.exit(main())
