"""Every data set against facts that R states of it (facts.json, by make_facts.R)."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmmpy import datasets

FACTS: dict[str, Any] = json.loads((Path(__file__).parent / "facts.json").read_text(encoding="utf-8"))
COLUMNS = [(name, column) for name, facts in FACTS.items() for column in facts["columns"]]

# R adds in long double, math.fsum exactly: the sums differ by the last digit of the printed 17 at most,
# measured against the sum of absolute values (cHEIGHT sums to zero).
SUM_TOLERANCE = 1e-15

R_CLASS = {"number": "numeric", "integer": "integer", "factor": "factor", "ordered": "ordered"}


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return {name: datasets.load(name) for name in FACTS}


def test_the_facts_cover_all_but_the_sets_typed_in() -> None:
    assert {*FACTS, "sire", "mrode", "calves"} == set(datasets.names())


@pytest.mark.parametrize("name", FACTS)
def test_shape(frames: dict[str, pd.DataFrame], name: str) -> None:
    frame = frames[name]
    assert len(frame) == datasets.describe(name).n_rows == FACTS[name]["rows"]
    assert list(frame.columns) == list(FACTS[name]["columns"])
    assert frame.index.equals(pd.RangeIndex(len(frame)))
    missing = {name: column["missing"] for name, column in FACTS[name]["columns"].items() if "missing" in column}
    assert {column: n for column, n in frame.isna().sum().items() if n} == missing


@pytest.mark.parametrize(("name", "column"), COLUMNS)
def test_type(frames: dict[str, pd.DataFrame], name: str, column: str) -> None:
    r_class = FACTS[name]["columns"][column]["class"]
    values = frames[name][column]
    if isinstance(values.dtype, pd.CategoricalDtype):
        assert r_class == ("ordered" if values.dtype.ordered else "factor")
    else:
        assert r_class == {"float64": "numeric", "int64": "integer"}[str(values.dtype)]
    info = {c.name: c for c in datasets.describe(name).columns}[column]
    assert R_CLASS[info.type] == r_class


@pytest.mark.parametrize(("name", "column"), COLUMNS)
def test_values_in_order(frames: dict[str, pd.DataFrame], name: str, column: str) -> None:
    facts = FACTS[name]["columns"][column]
    values = frames[name][column]
    is_factor = isinstance(values.dtype, pd.CategoricalDtype)
    x = (values.cat.codes.to_numpy() + 1 if is_factor else values.to_numpy()).astype(np.float64)
    weighted = x * np.arange(1, len(x) + 1)
    x, weighted = x[~np.isnan(x)], weighted[~np.isnan(x)]
    assert math.fsum(x) == pytest.approx(facts["sum"], abs=SUM_TOLERANCE * np.abs(x).sum())
    assert math.fsum(weighted) == pytest.approx(facts["weighted"], abs=SUM_TOLERANCE * np.abs(weighted).sum())


@pytest.mark.parametrize(("name", "column"), [(n, c) for n, c in COLUMNS if "md5" in FACTS[n]["columns"][c]])
def test_levels_in_order(frames: dict[str, pd.DataFrame], name: str, column: str) -> None:
    facts = FACTS[name]["columns"][column]
    levels = list(frames[name][column].cat.categories)
    assert len(levels) == facts["n_levels"]
    assert levels[:3] == facts["first"]
    assert levels[-3:] == facts["last"]
    lines = "".join(f"{level}\n" for level in levels)
    assert hashlib.md5(lines.encode(), usedforsecurity=False).hexdigest() == facts["md5"]
