"""Residuals with structure against gls and lme of nlme, number by number."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.model.lmer import gls

HERE = Path(__file__).parent / "nlme"
LOGLIK = 1e-5  # absolute
PARAMETER = 1e-4  # absolute of correlations and powers, relative of variances
FIXED = 1e-4  # of an estimate, in its standard errors; of the covariances of estimates, relative to those

ORTHODONT, CENTRED, OVARY = "distance ~ age * Sex", "distance ~ agec * Sex", "follicles ~ s + c"
GIVEN = {
    "orthodont_gls_ar1": (ORTHODONT, "ar1(t | Subject)"),
    "orthodont_gls_ar1_varident": (ORTHODONT, "ar1(t | Subject) * varident(Sex)"),
    "orthodont_gls_cs": (ORTHODONT, "cs(1 | Subject)"),
    "orthodont_gls_symm_varident": (ORTHODONT, "us(0 + factor(age) | Subject)"),
    "orthodont_pdDiag": (f"{CENTRED} + diag(agec | Subject)", None),
    "orthodont_ri": (f"{ORTHODONT} + (1 | Subject)", None),
    "orthodont_ri_ar1": (f"{ORTHODONT} + (1 | Subject)", "ar1(t | Subject)"),
    "orthodont_ri_varident": (f"{ORTHODONT} + (1 | Subject)", "varident(Sex)"),
    "orthodont_rs": (f"{ORTHODONT} + (age | Subject)", None),
    "orthodont_rs_varident": (f"{CENTRED} + (agec | Subject)", "diag(0 + Sex | 1)"),
    "ovary_gls_ar1": (OVARY, "ar1(k | Mare)"),
    "ovary_gls_arma11": (OVARY, "arma11(k | Mare)"),
    "ovary_pdDiag": (f"{OVARY} + diag(s | Mare)", None),
    "ovary_pdDiag_ar1": (f"{OVARY} + diag(s | Mare)", "ar1(k | Mare)"),
    "ovary_ri_ar1": (f"{OVARY} + (1 | Mare)", "ar1(1 | Mare)"),
    "ovary_ri_car1": (f"{OVARY} + (1 | Mare)", "car1(Time | Mare)"),
}
PLAIN = "y ~ x + t"
BATCH, UNIT, NESTED = f"{PLAIN} + (1 | batch)", f"{PLAIN} + (1 | unit)", f"{PLAIN} + (1 | batch) + (1 | unit)"
MORE = {
    "gls_varpower": (PLAIN, "varpower(v)"),
    "lme_varpower": (UNIT, "varpower(v)"),
    "gls_varpower_mean": (PLAIN, "varpower()"),
    "lme_varpower_mean": (UNIT, "varpower()"),
    "gls_varexp": (PLAIN, "varexp(v)"),
    "lme_varexp": (UNIT, "varexp(v)"),
    "gls_varexp_mean": (PLAIN, "varexp()"),
    "lme_varexp_mean": (UNIT, "varexp()"),
    "gls_compsymm": (PLAIN, "cs(1 | unit)"),
    "lme_compsymm": (BATCH, "cs(1 | unit)"),
    "gls_symm": (PLAIN, "us(0 + factor(t) | unit, hom = TRUE)"),
    "lme_symm": (BATCH, "us(0 + factor(t) | unit, hom = TRUE)"),
    "gls_car1_varident": (PLAIN, "car1(time | unit) * varident(f)"),
    "lme_car1_varident": (BATCH, "car1(time | unit) * varident(f)"),
    "gls_ar1_gaps": (PLAIN, "ar1(t | unit)"),
    "lme_ar1_gaps": (BATCH, "ar1(t | batch:unit)"),
    "gls_arma11_gaps": (PLAIN, "arma11(t | unit)"),
    "lme_arma11": (BATCH, "arma11(1 | unit)"),
    "gls_two_varidents": (PLAIN, "varident(f) * varident(h)"),
    "gls_varident_cells": (PLAIN, "varident(f:h)"),
    "lme_ar1_varident_varpower": (UNIT, "ar1(t | unit) * varident(f) * varpower(v)"),
    "lme_nested_ar1": (NESTED, "ar1(t | unit)"),
    "gls_varfixed": (PLAIN, None),
    "lme_varfixed_ar1": (UNIT, "ar1(t | unit)"),
    "gls_known": (PLAIN, "kin(row, R)"),
}
CASES = [
    pytest.param(file, name, method, id=f"{name}_{method}")
    for file, models in (("given", GIVEN), ("more", MORE))
    for name in models
    for method in ("REML", "ML")
]
everywhere = pytest.mark.parametrize(("file", "name", "method"), CASES)


@cache
def answers(file: str) -> dict:
    return json.loads((HERE / f"{file}.json").read_text(encoding="utf-8"))


@cache
def data(name: str) -> pd.DataFrame:
    frame = pd.read_csv(HERE / "data" / f"{name}.csv", dtype=str)
    path = HERE / "data" / f"{name}.levels.json"
    factors = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for column in frame:
        if column in factors:
            frame[column] = pd.Categorical(frame[column], factors[column]["levels"])
        elif column not in ("unit", "batch", "f", "h"):
            frame[column] = frame[column].astype(float)  # every digit, as pandas' own reader of numbers may not
    return frame


def data_of(name: str) -> pd.DataFrame:
    return data({"orthodont": "Orthodont", "ovary": "Ovary"}.get(name.split("_", maxsplit=1)[0], "Nested"))


def known_covariance() -> pd.DataFrame:
    """As in make.R."""
    row = np.arange(1, 61)
    scale = 1 + row % 3 / 4
    labels = [f"r{i}" for i in row]
    return pd.DataFrame(0.7 ** np.abs(np.subtract.outer(row, row)) * np.outer(scale, scale), labels, labels)


@cache
def fitted(name: str, method: str) -> lmm.LmmFit:
    formula, residual = (GIVEN | MORE)[name]
    options = {"reml": method == "REML"}
    frame = data_of(name)
    if residual is not None:
        options["residual"] = residual
    if "varfixed" in name:
        options["weights"] = "1 / w"
    if name == "gls_known":
        frame = frame.iloc[:60].assign(row=[f"r{i}" for i in range(1, 61)])
        options["relmat"] = {"R": known_covariance()}
    fit = lmm.lmer if "|" in formula else gls
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return fit(formula, frame, **options)


def reported(fit: lmm.LmmFit) -> dict[tuple[str, ...], float]:
    """What is known of the residual, by kind and labels."""
    if fit.design.residual is None:
        return {}
    phi = fit.design.split_rows(fit.theta)[-1]
    return {(one.kind, *one.labels): one.value for one in fit.design.residual.structure.reported(phi)}


def test_the_cases_are_all_there():
    assert set(answers("given")) == {f"{name}_{method}" for name in GIVEN for method in ("REML", "ML")}
    assert set(answers("more")) == {f"{name}_{method}" for name in MORE for method in ("REML", "ML")}
    assert len(answers("given")) == 32


@everywhere
def test_likelihood(file, name, method):
    assert fitted(name, method).loglik == pytest.approx(answers(file)[f"{name}_{method}"]["logLik"], abs=LOGLIK)


@everywhere
def test_fixed_effects(file, name, method):
    fit, r = fitted(name, method), answers(file)[f"{name}_{method}"]
    vcov = np.array(r["vcov"])
    if method == "ML" and "gls" in name and name != "gls_known":
        vcov *= 1.0 - fit.design.p / fit.design.n  # gls, but not lme, has the unbiased σ² in it
    se = np.sqrt(np.diag(vcov))
    assert list(fit.fixef.index) == list(r["beta"])
    np.testing.assert_allclose((fit.fixef - list(r["beta"].values())) / se, 0.0, atol=FIXED)
    np.testing.assert_allclose(fit.vcov() / np.outer(se, se), vcov / np.outer(se, se), atol=FIXED)


@everywhere
def test_residual_parameters(file, name, method):
    fit, r = fitted(name, method), answers(file)[f"{name}_{method}"]
    found = reported(fit)
    correlations = [
        value for (kind, *label), value in found.items() if kind == "cor" or label[0] in ("rho", "ar", "ma")
    ]
    np.testing.assert_allclose(correlations, r.get("correlation") or [], atol=PARAMETER)
    reference = 1.0
    for part in r["variance"]:
        if set(part) <= {"power", "expon"}:
            ours = found["parameter", "power" if "power" in part else "rate"]
            assert ours == pytest.approx(next(iter(part.values())), abs=PARAMETER)
        else:  # R takes as reference what comes first in the data
            levels = {level.replace("*", ":"): ratio for level, ratio in part.items()}
            ours = next(level for level in levels if found["sd", level] == 1.0)
            reference *= levels[ours]
            for level, ratio in levels.items():
                assert found["sd", level] == pytest.approx(ratio / levels[ours], rel=PARAMETER)
    assert fit.sigma == pytest.approx(r["sigma"] * reference, rel=PARAMETER)


@everywhere
def test_random_effects(file, name, method):
    fit, r = fitted(name, method), answers(file)[f"{name}_{method}"]
    for group, covariance in (r.get("random") or {}).items():
        stored = np.atleast_2d(covariance)
        scale = np.sqrt(np.diag(stored))
        found = fit.varcorr[group].to_numpy()
        np.testing.assert_allclose(found / np.outer(scale, scale), stored / np.outer(scale, scale), atol=2 * PARAMETER)
    effects = r.get("ranef")
    if effects and file == "given":
        (group,) = r["random"]
        stored = pd.DataFrame(effects["values"], effects["levels"])
        found = fit.ranef()[group].loc[stored.index].to_numpy()
        np.testing.assert_allclose(found, stored, atol=PARAMETER * np.abs(stored.to_numpy()).max())
    elif effects:
        parts = effects if isinstance(effects, dict) else dict(zip(r["random"], effects, strict=True))
        for group, stored in parts.items():
            levels = [level.split("/")[-1] for level in stored]
            found = fit.ranef()[group].loc[levels].to_numpy()[:, 0]
            np.testing.assert_allclose(found, list(stored.values()), atol=PARAMETER * max(stored.values()))
