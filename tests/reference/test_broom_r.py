"""tidy, glance and augment against broom.mixed 0.2.9.4: the same rows and columns, and the numbers."""

from __future__ import annotations

import json
import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from tests.reference.inference_cases import FOLDER, frame

# Both optima are tight: the criterion is flat to 1e-12 relative there, so parameters agree to about 1e-6.
TOLERANCE = 1e-5
# lmerTest's Satterthwaite df rest on numerical derivatives of the deviance.
DF_TOLERANCE = 1e-4

CASES = (
    "cake",
    "covariate_ml",
    "dyestuff2",
    "penicillin",
    "perfect_correlation",
    "sleepstudy",
    "sleepstudy_ml",
    "sleepstudy_uncorrelated",
)


@cache
def stored(name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((FOLDER / "more" / f"{name}.json").read_text(encoding="utf-8"))
    return answer


def data(name: str) -> pd.DataFrame:
    path = FOLDER / "more" / "data" / f"{name}.csv"
    if not path.exists():
        return lmm.datasets.load(name)
    levels = json.loads((path.parent / f"{name}.levels.json").read_text(encoding="utf-8"))
    made = pd.read_csv(path)
    return made.assign(**{c: pd.Categorical(made[c].astype(str), entry["levels"]) for c, entry in levels.items()})


@cache
def fit(name: str) -> lmm.LmmFit:
    case = stored(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.errors.SingularFitWarning)
        return lmm.lmer(case["formula"], data(case["data"]), reml=case["REML"])


def expected(name: str, package: str, what: str | None = None) -> pd.DataFrame:
    table = stored(name)["broom"][package]
    made = frame(table if what is None else table[what]).reset_index(drop=True)
    return made.rename(columns=lambda column: column.replace(".", "_"))


def labels(column: pd.Series) -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in column]


def assert_same(ours: pd.DataFrame, theirs: pd.DataFrame, scale: float = 0.0) -> None:
    """Same columns in the same order, same rows, and numbers to the tolerance (absolute: of `scale`)."""
    assert list(ours.columns) == list(theirs.columns)
    assert len(ours) == len(theirs)
    for column in ours:
        if pd.api.types.is_numeric_dtype(theirs[column].dtype):
            tolerance = DF_TOLERANCE if column in ("df", "p_value") else TOLERANCE
            np.testing.assert_allclose(ours[column], theirs[column], tolerance, TOLERANCE * scale, err_msg=str(column))
        else:
            assert labels(ours[column]) == labels(theirs[column]), column


@pytest.mark.parametrize("name", CASES)
def test_fixed(name: str) -> None:
    assert_same(fit(name).tidy("fixed", conf_int=True), expected(name, "lme4", "fixed"))


@pytest.mark.parametrize("name", CASES)
def test_fixed_with_df(name: str) -> None:
    theirs = expected(name, "lmerTest", "fixed")
    assert_same(fit(name).tidy("fixed", conf_int=True, ddf="satterthwaite"), theirs)


@pytest.mark.parametrize("name", [n for n in CASES if not n.endswith("_ml")])
def test_fixed_by_kenward_and_roger(name: str) -> None:
    assert_same(fit(name).tidy("fixed", conf_int=True, ddf="kenward-roger"), expected(name, "lmerTest_kr"))


@pytest.mark.parametrize("name", CASES)
def test_random_parameters(name: str) -> None:
    assert_same(fit(name).tidy("ran_pars"), expected(name, "lme4", "ran_pars"))
    assert_same(fit(name).tidy("ran_pars", scales="vcov"), expected(name, "lme4", "ran_pars_vcov"))


@pytest.mark.parametrize("name", CASES)
def test_default(name: str) -> None:
    assert_same(fit(name).tidy(), expected(name, "lme4", "default"))


@pytest.mark.parametrize("name", CASES)
def test_conditional_modes(name: str) -> None:
    ours, theirs = fit(name).tidy("ran_vals", conf_int=True), expected(name, "lme4", "ran_vals")
    # A mode near zero is a difference of larger numbers.
    assert_same(ours, theirs, scale=float(fit(name).sigma))


@pytest.mark.parametrize("name", CASES)
def test_coefficients(name: str) -> None:
    ours, theirs = fit(name).tidy("ran_coefs"), expected(name, "lme4", "ran_coefs")
    assert_same(ours, theirs, scale=float(fit(name).sigma))


@pytest.mark.parametrize("name", CASES)
def test_glance(name: str) -> None:
    assert_same(fit(name).glance(), expected(name, "lme4", "glance"))


@pytest.mark.parametrize("name", CASES)
def test_augment(name: str) -> None:
    theirs, ours = expected(name, "lme4", "augment"), fit(name).augment().reset_index(drop=True)
    own = ours.columns[ours.columns.str.startswith("_")]
    assert list(own) == [column for column in theirs.columns if column.startswith("_")]
    # R keeps the order of the formula, in which a factor of the fixed part can follow one of the random terms.
    assert set(ours.columns) == set(theirs.columns)
    assert_same(ours[theirs.columns], theirs, scale=float(fit(name).sigma))
