"""A scan to interrupt.

``python -m tests.scan.work FOLDER`` runs it in a process of its own, as FOLDER/options.json says; what it found is left
in FOLDER/found.pickle.
"""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from lmmpy.scan import Block, Outcome, blocks_of, run_scan

FINGERPRINT = {"null model": "a1", "genotypes": "b2"}
BLOCKS = blocks_of(1_000, 25, "variants of a.bed", breaks=[510])
TEXTS = ["1", "X", "", "NA", r"\N", "#1", "tab\there", "two\nlines", "back\\slash", "é\r", None]


@dataclass
class Simulated:
    """One row an item: products with a matrix whose memory order is neither C nor Fortran, and all types of columns."""

    state: np.ndarray
    seconds: float = 0.0

    def __call__(self, block: Block) -> pd.DataFrame:
        time.sleep(self.seconds)
        items = np.arange(block.start, block.stop)
        x = np.random.default_rng(block.start).normal(size=(len(block), len(self.state)))
        single = np.float32(x[:, 0])
        single[::7] = np.nan
        value = (x @ self.state)[:, 1]
        value[::5] = np.nan
        value[1] = -np.inf
        return pd.DataFrame({
            "chromosome": [TEXTS[i % len(TEXTS)] for i in items],
            "item": items,
            "value": value,
            "single": single,
            "small": items.astype("int8"),
            "odd": items % 2 == 1,
        })  # fmt: skip


def task(seconds: float = 0.0, n: int = 301) -> Simulated:
    return Simulated(np.random.default_rng(1).normal(size=(n, 2 * n, 3))[:, ::2, 1], seconds)


def scan(work: Any = None, blocks: Any = BLOCKS, **options: Any) -> Outcome:
    fingerprint = options.pop("fingerprint", FINGERPRINT)
    return run_scan(task() if work is None else work, blocks, fingerprint=fingerprint, what="simulation", **options)


def assert_same(table: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(table, expected, check_exact=True, check_index_type="equiv")
    for name in expected:
        if expected[name].dtype.kind in "biuf":
            assert table[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes(), name


def kept_blocks(file: Path) -> int:
    return file.read_bytes().count(b"\n# block ") if file.exists() else 0


def kill_one(client: Any, file: Path, everyone: bool) -> None:
    """Kill workers of a Dask cluster, once the scan is under way."""
    while kept_blocks(file) < 5:
        time.sleep(0.01)
    pids = list(client.run(os.getpid).values())
    for pid in pids if everyone else pids[:1]:
        os.kill(pid, signal.SIGKILL)


def on_dask(options: dict[str, Any]) -> Outcome:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        if options["kill"]:
            file = Path(options["resume"] + ".partial")
            threading.Thread(target=kill_one, args=(client, file, options["kill"] == "all"), daemon=True).start()
        return scan(task(options["seconds"]), resume=options["resume"])


def main(folder: Path) -> None:
    options = json.loads((folder / "options.json").read_text())
    if options.get("dask"):
        found = on_dask(options)
    else:
        found = scan(task(options["seconds"]), resume=options["resume"], n_jobs=options["n_jobs"])
    pd.to_pickle((found.table, found.complete, found.done), folder / "found.pickle")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
