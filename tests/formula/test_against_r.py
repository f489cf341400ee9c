"""Every formula of the table is read as R reads it: names, values, offset, response and random terms.

The table is in ``reference/``: ``cases.json`` (rounded values), and ``cases_more.json`` and
``contrasts_cases.json`` (doubles that read back exactly), made by ``reference/make_cases.R``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

REFERENCE = Path(__file__).parent / "reference"
ROUNDED, EXACT = "cases.json", ("cases_more.json", "contrasts_cases.json")

# Relative to the largest value of a column: R's QR and ours differ in the last digits only.
RTOL = 1e-12
# A column of Z may hold only what rounding left of a zero (the middle of contr.poly): no scale is less.
SMALLEST_SCALE = 1e-3
# Spline bases are solved for (a QR of the boundary constraints), so more roundings pile up.
RTOL_SPLINE = 1e-10
# Half a unit of the last decimal in cases.json: ten for X, eight for the sums of columns of Z.
ATOL_X_ROUNDED, ATOL_Z_ROUNDED = 5.1e-11, 5.1e-9

# The powers of single numbers, which R takes for the number itself, and of which a warning tells.
POWERS = ("y ~ x^2 + (1 | g)",)

Case = Mapping[str, Any]


def as_list(value: Any) -> list[Any]:
    """Undo R's habit of writing a vector of one element as a scalar."""
    return value if isinstance(value, list) else [] if value is None else [value]


@cache
def table(file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((REFERENCE / file).read_text(encoding="utf-8"))
    return content


@cache
def data() -> pd.DataFrame:
    """The data as R has them: factors by their level order, ``l`` logical, ``s`` text."""
    head = table(ROUNDED)
    frame = pd.read_csv(REFERENCE / "data.csv", dtype={"c4": str})
    for name, levels in head["levels"].items():
        frame[name] = pd.Categorical(frame[name], categories=levels, ordered=name == head["ordered"])
    return frame


def contrasts_of(case: Case) -> Any:
    if case.get("global"):
        return tuple(case["global"])
    return case.get("contrasts")


def parameters() -> list[Any]:
    found = []
    for file in (ROUNDED, *EXACT):
        for case in table(file)["cases"]:
            coding = contrasts_of(case)
            label = " ".join(case["formula"].split()) + (f" {coding}" if coding else "")
            found.append(pytest.param(case, id=label))
    return found


def assert_columns_equal(actual: Any, expected: Any, names: list[str], atol: float) -> None:
    """Compare two matrices column by column, each on its own scale, and name the columns that differ."""
    actual, expected = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    assert actual.shape == expected.shape
    for j, name in enumerate(names):
        rtol = RTOL_SPLINE if "ns(" in name or "bs(" in name else RTOL
        bound = atol + rtol * max(SMALLEST_SCALE, np.abs(expected[:, j]).max())
        off = np.abs(actual[:, j] - expected[:, j]).max()
        assert off <= bound, f"column {j} ({name}) is off by {off:.3g}, at most {bound:.3g} is rounding"


def fixed_matrix(case: Case) -> NDArray[np.float64]:
    names = as_list(case["fixed"])
    return np.array(case["X"], dtype=float).reshape(len(data()), len(names))


def random_matrix(case: Case) -> NDArray[np.float64]:
    Z = np.zeros((len(data()), len(case["Z_colsum"])))
    entries = case["Zt"]
    Z[as_list(entries["j"]), as_list(entries["i"])] = as_list(entries["x"])
    return Z


def z_names(case: Case) -> list[str]:
    """One name per column of Z: levels in order, the term's columns within a level."""
    return [
        f"{column} | {term['group']} {level}"
        for term in case["random"]
        for level in as_list(term["levels"])
        for column in as_list(term["columns"])
    ]


def check_fixed(design: Any, case: Case) -> None:
    names = as_list(case["fixed"])
    assert list(design.X.columns) == names
    assert list(design.dropped) == as_list(case["dropped"])
    assert_columns_equal(design.X, fixed_matrix(case), names, 0.0 if "Zt" in case else ATOL_X_ROUNDED)


def check_offset(design: Any, case: Case) -> None:
    expected = np.zeros(len(data())) if case["offset"] is None else np.array(case["offset"], dtype=float)
    assert_columns_equal(np.asarray(design.offset)[:, None], expected[:, None], ["offset"], 0.0)


def check_response(design: Any, case: Case) -> None:
    response = data()["y"] if "response" not in case else case["response"]
    expected = np.asarray(response, dtype=float)[:, None]
    assert_columns_equal(np.asarray(design.y)[:, None], expected, ["response"], 0.0)


def check_random(design: Any, case: Case) -> None:
    got = [(term.group, list(term.columns), list(term.levels)) for term in design.random]
    assert got == [(t["group"], as_list(t["columns"]), as_list(t["levels"])) for t in case["random"]]
    Z = np.hstack([term.Z.toarray() for term in design.random])
    names = z_names(case)
    if "Zt" in case:
        assert_columns_equal(Z, random_matrix(case), names, 0.0)
    else:
        # R also lists what rounding left of a zero (the middle of contr.poly), which is an exact zero here.
        listed = set(as_list(case["Z_row1_nonzero"]))
        filled = {int(j) + 1 for j in np.flatnonzero(Z[0])}
        assert filled <= listed
        assert all(names[j - 1].startswith(("o.L", "o.Q")) for j in listed - filled)
        sums = np.array(as_list(case["Z_colsum"]))
        assert_columns_equal(Z.sum(axis=0)[None, :], sums[None, :], names, ATOL_Z_ROUNDED)


@pytest.mark.parametrize("case", parameters())
def test_read_as_in_r(case: Case) -> None:
    import lmmpy

    expected = pytest.warns(lmmpy.FormulaWarning, match="crosses terms") if case["formula"] in POWERS else nullcontext()
    with expected:
        design = lmmpy.lformula(case["formula"], data().copy(), contrasts=contrasts_of(case))
    check_fixed(design, case)
    check_offset(design, case)
    check_response(design, case)
    check_random(design, case)


@pytest.mark.parametrize("file", EXACT)
def test_reference_is_consistent(file: str) -> None:
    """The files agree with themselves and with the data; guards a regenerated or hand-edited table."""
    seen = set()
    for case in table(file)["cases"]:
        seen.add((case["formula"], repr(contrasts_of(case))))
        Z = random_matrix(case)
        names = z_names(case)
        assert len(names) == Z.shape[1], case["formula"]
        np.testing.assert_allclose(Z.sum(axis=0), case["Z_colsum"], rtol=0, atol=1e-12)
        # R also lists what rounding left of a zero (the middle of contr.poly), which is an exact zero here.
        listed = set(as_list(case["Z_row1_nonzero"]))
        filled = {int(j) + 1 for j in np.flatnonzero(Z[0])}
        assert filled <= listed
        assert all(names[j - 1].startswith(("o.L", "o.Q")) for j in listed - filled)
        X = fixed_matrix(case)
        assert np.isfinite(X).all()
        assert X.shape[1] == 0 or np.linalg.matrix_rank(X / np.abs(X).max(axis=0, initial=1e-300)) == X.shape[1]
        assert not set(as_list(case["fixed"])) & set(as_list(case["dropped"]))
    assert len(seen) == len(table(file)["cases"])
    assert table(file)["levels"] == table(ROUNDED)["levels"]
