"""A task may itself scan, as a simulation that calls a scan for each of its studies does."""

from dataclasses import dataclass

import pandas as pd

from lmmpy.scan import Block, blocks_of, run_scan


@dataclass(frozen=True)
class Squares:
    def __call__(self, block: Block) -> pd.DataFrame:
        return pd.DataFrame({"square": [float(i * i) for i in range(block.start, block.stop)]})


@dataclass(frozen=True)
class SumsOfSquares:
    """Each item a scan of its own."""

    def __call__(self, block: Block) -> pd.DataFrame:
        inner = [run_scan(Squares(), blocks_of(i, 2), fingerprint={}, what="squares") for i in range(1, 4)]
        return pd.DataFrame({"sum": [outcome.table["square"].sum() for outcome in inner]})


def test_a_scan_within_a_scan_ends() -> None:
    outcome = run_scan(SumsOfSquares(), blocks_of(2, 1), fingerprint={}, what="sums")
    assert outcome.table["sum"].tolist() == [0.0, 1.0, 5.0] * 2
