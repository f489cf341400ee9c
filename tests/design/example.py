"""A small data set for the tests of the design, with a column of every kind."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

N = 24


@cache
def _made() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"y": rng.normal(size=N), "x": rng.normal(size=N), "z": rng.uniform(1, 5, N)})
    frame["f"], frame["g"] = np.tile(list("qrp"), N // 3), np.repeat(list("abcdef"), N // 6)
    frame["i"], frame["flag"] = np.tile(range(4), N // 4), frame["x"] > 0
    frame["w"], frame["o"] = rng.uniform(0.5, 2.0, N), rng.normal(size=N)
    return frame


def frame() -> pd.DataFrame:
    """A copy: y, x, z, o numbers, w weights, f and g text, i small integers, flag truth values."""
    return _made().copy()


def with_gaps(column: str, rows: list[int]) -> pd.DataFrame:
    """The data with values missing in one column."""
    data = frame()
    data[column] = data[column].astype(object if data[column].dtype.kind not in "f" else float)
    data.loc[rows, column] = None
    return data
