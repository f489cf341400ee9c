"""Marginal means and contrasts against the emmeans of the further cases, table by table (make_inference.R)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from tests.reference.inference_cases import frame, more, more_fit, more_names

RTOL = 1e-4
# R's ptukey is off by this much, absolutely, with few degrees of freedom.
TUKEY_P = 1e-6


def compare(found: pd.DataFrame, expected: pd.DataFrame, what: str) -> None:
    for column in expected:
        if column not in found or not pd.api.types.is_numeric_dtype(expected[column]) or column in ("x", "temp", "age"):
            continue
        a, b = found[column].to_numpy(dtype=float), expected[column].to_numpy(dtype=float)
        absolute = TUKEY_P if column == "p.value" else 1e-8 * np.nanmax(np.abs(b), initial=1.0)
        np.testing.assert_allclose(a, b, rtol=RTOL, atol=absolute, err_msg=f"{what} {column}")


@pytest.mark.parametrize("case", more_names("emmeans"))
def test_means_and_contrasts(case: str) -> None:
    fit, compared = more_fit(case), 0
    for entry in more(case)["emmeans"]:
        options: dict[str, Any] = {"ddf": entry["ddf"]}
        if entry["at"]:
            options["at"] = {name: np.atleast_1d(values).tolist() for name, values in entry["at"].items()}
        if entry["weights"]:
            options["weights"] = entry["weights"]
        means, expected = lmm.emmeans(fit, entry["specs"], **options), frame(entry["means"])
        tests = expected.drop(columns=["lower.CL", "upper.CL"], errors="ignore")
        limits = expected.drop(columns=["t.ratio", "p.value"], errors="ignore")
        compare(means.test().to_frame(), tests, entry["specs"])
        compare(means.to_frame(), limits, entry["specs"])
        for contrast in entry["contrasts"] or []:
            method, adjust = contrast["method"], contrast["adjust"]
            found = means.contrast(method, adjust=adjust or "none")
            table = frame(contrast["table"])
            what = f"{entry['specs']} {method} {adjust}"
            compare(found.test().to_frame(), table.drop(columns=["lower.CL", "upper.CL"], errors="ignore"), what)
            compare(found.confint().to_frame(), table.drop(columns=["t.ratio", "p.value"], errors="ignore"), what)
            compared += 1
    assert compared
