"""Marginal means and contrasts against R's emmeans (make_emmeans.R).

The fits themselves differ by the optimiser's stopping rules (variances about 1e-6 relative).
"""

import json
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy.inference.contrast_methods import contrast_family
from lmmpy.inference.studentized_range import range_sf
from lmmpy.model.emmeans import emmeans
from tests.reference.cases import HERE, array

STORED = json.loads((HERE / "emmeans.json").read_text(encoding="utf-8"))
METHODS = ("kenward-roger", "satterthwaite", "asymptotic")
RELATIVE = 1e-4
#: What R's ptukey is off by, absolutely, with 5 degrees of freedom (see test_r_is_the_less_exact_side).
TUKEY_P = 5e-7
FACTORS = {"f", "h", "g", "Subject", "Worker", "Machine"}

ASKED = {
    "sleepstudy": {
        "means": lambda em: em("Days"),
        "pairs": lambda em: em("Days").pairs(),
        "pairs_ci": lambda em: em("Days").pairs().confint(),
        "control": lambda em: em("Days").contrast("trt.vs.ctrl"),
        "control_ci": lambda em: em("Days").contrast("trt.vs.ctrl").confint(),
        "poly": lambda em: em("Days").contrast("poly"),
    },
    "machines": {
        "means": lambda em: em("Machine"),
        "pairs": lambda em: em("pairwise ~ Machine").contrasts,
        "eff": lambda em: em("Machine", contrast="eff").contrasts,
        "eff_ci": lambda em: em("Machine").contrast("eff").confint(),
        "del_eff": lambda em: em("Machine").contrast("del.eff"),
        "means_sidak": lambda em: em("Machine").confint(adjust="sidak", level=0.9),
    },
    "cake": {
        "recipe": lambda em: em("recipe"),
        "temperature": lambda em: em("temperature"),
        "poly": lambda em: em("temperature", contrast="poly").contrasts,
        "within": lambda em: em("pairwise ~ recipe | temperature").contrasts,
        "within_holm": lambda em: em("pairwise ~ recipe | temperature", adjust="holm").contrasts,
        "cells": lambda em: em("~ recipe * temperature"),
        "consec": lambda em: em("temperature").contrast("consec", adjust="sidak"),
        "joint": lambda em: em("temperature", by="recipe").pairs().joint_test(),
    },
    "oats": {
        "means": lambda em: em("Variety"),
        "at": lambda em: em("nitro", by="Variety", at={"nitro": [0, 0.6]}),
        "pairs": lambda em: em("Variety", by="nitro", at={"nitro": [0, 0.6]}).pairs(),
        "numbers": lambda em: em("nitro", at={"nitro": [-0.1, 0.25, 0.5]}).pairs(),
    },
    "oats_factor": {
        "means": lambda em: em("nitro"),
        "pairs": lambda em: em("nitro").pairs(),
        "pairs_ci": lambda em: em("nitro").pairs().confint(),
        "scheffe": lambda em: em("nitro").pairs("scheffe"),
        "scheffe_ci": lambda em: em("nitro").pairs().confint(adjust="scheffe"),
        "fdr": lambda em: em("nitro").pairs("BH"),
        "hochberg": lambda em: em("nitro").pairs("hochberg"),
        "holm": lambda em: em("nitro").pairs("holm"),
        "holm_ci": lambda em: em("nitro").pairs("holm").confint(),
        "bonferroni": lambda em: em("nitro").pairs("bonf"),
        "sidak": lambda em: em("nitro").pairs("sidak"),
        "none": lambda em: em("nitro").pairs("none"),
        "cells": lambda em: em("~ factor(nitro) | Variety"),
        "null": lambda em: em("nitro").test(null=100),
        "mean_chg": lambda em: em("nitro").contrast("mean_chg", adjust="none"),
        "across": lambda em: em("~ nitro | Variety").pairs(by=None),
        "of_pairs": lambda em: em("~ Variety | nitro").pairs().pairs(by=None),
        "joint": lambda em: em("nitro").pairs().joint_test(),
    },
    "simulated": {
        "equal": lambda em: em("f"),
        "proportional": lambda em: em("f", weights="proportional"),
        "outer": lambda em: em("f", weights="outer"),
        "cells": lambda em: em("f", weights="cells"),
        "by": lambda em: em("f", by="h", weights="cells"),
        "two": lambda em: em(["f", "h"], weights="proportional"),
        "at": lambda em: em("f", at={"x": [0, 5]}),
        "at_cells": lambda em: em("h", at={"x": [0, 5, 7], "f": ["a", "b"]}, weights="cells"),
        "z": lambda em: em("z"),
        "l": lambda em: em("l"),
        "overall": lambda em: em("~ 1"),
        "x": lambda em: em("x"),
        "z_pair": lambda em: em("z").pairs(),
        "l_pair": lambda em: em("l").pairs(),
        "custom": lambda em: em("f").contrast({"foo": [1, 0, -1], "bar": [0.5, 0.5, -1]}),
        "control": lambda em: em("f").contrast("trt.vs.ctrl", ref="b"),
        "last": lambda em: em("f").contrast("trt.vs.ctrlk"),
        "reversed": lambda em: em("f").pairs(reverse=True),
        "identity": lambda em: em("f").contrast("identity"),
    },
    "unweighted": {
        "equal": lambda em: em("f"),
        "by": lambda em: em("f", by="h", weights="cells"),
        "pairs": lambda em: em("f", weights="proportional").pairs(),
        "control": lambda em: em("f").contrast("trt.vs.ctrl", ref="c").confint(),
    },
    "transforms": {
        "means": lambda em: em("f"),
        "z": lambda em: em("z"),
        "x": lambda em: em("x", at={"x": [1, 2]}),
    },
    "offset": {
        "means": lambda em: em("f"),
        "pairs": lambda em: em("f").pairs(),
    },
    "offset_argument": {"means": lambda em: em("f")},
    "holes": {
        "cells": lambda em: em("~ f * h"),
        "f": lambda em: em("f"),
        "h": lambda em: em("h"),
        "f_cells": lambda em: em("f", weights="cells"),
        "pairs": lambda em: em("~ f * h").pairs(),
        "holm": lambda em: em("~ f * h").pairs("holm"),
        "bonferroni": lambda em: em("~ f * h").pairs("bonferroni"),
        "sidak": lambda em: em("~ f * h").pairs("sidak"),
        "scheffe": lambda em: em("~ f * h").pairs("scheffe"),
        "fdr": lambda em: em("~ f * h").pairs("fdr"),
    },
}


@cache
def data(name):
    if name not in STORED["frames"]:
        return lmm.datasets.load(name)
    return pd.DataFrame(STORED["frames"][name])


@cache
def fit(name):
    case = STORED["models"][name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.RankDeficiencyWarning)
        options = {key: case[key] for key in ("weights", "offset") if key in case}
        return lmm.lmer(case["formula"], data(case["data"]), **options)


def test_every_answer_is_asked_for():
    assert {name: set(case["ask"]) for name, case in STORED["models"].items()} == {
        name: set(questions) for name, questions in ASKED.items()
    }


@pytest.mark.parametrize(
    ("name", "ddf"),
    # pbkrtest's covariance of the response leaves prior weights out (its diagonal is constant), so that its
    # adjustment is of another model; "unweighted" stands for it.
    [(name, ddf) for name in ASKED for ddf in METHODS if (name, ddf) != ("simulated", "kenward-roger")],
)
def test_tables(name, ddf):
    for question, ask in ASKED[name].items():
        if question != "joint":
            answer = ask(lambda *args, **kwargs: emmeans(fit(name), *args, ddf=ddf, **kwargs))
            compare(answer, STORED["models"][name]["tables"][ddf][question], ddf, f"{name} {question}")


def compare(answer, expected, ddf, what):
    found = answer.to_frame()
    assert list(found.columns) == list(expected), what
    spread = np.nanmax(found["SE"])
    for column, values in expected.items():
        if column in answer.levels:
            assert texts(found[column]) == texts(values), what
            continue
        r = array(values)
        if column == "df" and ddf == "asymptotic":  # JSON has no infinity
            r = np.where(np.isnan(r) & ~np.isnan(array(expected["SE"])), np.inf, r)
        if column == "p.value" and answer.adjust == "tukey" and np.isnan(r).any() and ddf != "asymptotic":
            # Beside a comparison that is not estimable, emmeans takes Tukey's probabilities at rounded df.
            q, df = np.sqrt(2) * np.abs(found["t.ratio"].to_numpy()), np.round(found["df"].to_numpy())
            p = [
                np.nan if np.isnan(x) else range_sf(np.array([x]), answer.compared, v)[0]
                for x, v in zip(q, df, strict=True)
            ]
            np.testing.assert_allclose(p, r, RELATIVE, TUKEY_P, err_msg=what)
            continue
        # A number that is nearly nil is held to the standard errors, a tiny p-value of Tukey's to R's own accuracy.
        floor = {"df": 0.0, "SE": 0.0, "t.ratio": RELATIVE, "z.ratio": RELATIVE}.get(column, RELATIVE * spread)
        if column == "p.value":
            floor = TUKEY_P if answer.adjust in ("tukey", "dunnettx") else 1e-14
        np.testing.assert_allclose(found[column].to_numpy(float), r, RELATIVE, floor, err_msg=f"{what} {column}")


def texts(values):
    return [label(value) for value in values]


def label(value):
    """R writes factor(nitro)'s levels in a contrast with the name of the column, as here."""
    return (
        {True: "TRUE", False: "FALSE"}[value]
        if isinstance(value, bool | np.bool_)
        else (f"{value:.15g}" if isinstance(value, int | float) else value)
    )


@pytest.mark.parametrize("ddf", METHODS)
@pytest.mark.parametrize("name", ["cake", "oats_factor"])
def test_joint_tests(name, ddf):
    """Balanced: Kenward and Roger's λ is one, so that R, who leaves it out, has the same F, but rounded."""
    found = ASKED[name]["joint"](lambda *args, **kwargs: emmeans(fit(name), *args, ddf=ddf, **kwargs))
    expected = STORED["models"][name]["tables"][ddf]["joint"]
    np.testing.assert_array_equal(found["df1"], expected["df1"])
    np.testing.assert_allclose(found["F.ratio"], expected["F.ratio"], RELATIVE, 6e-4)
    np.testing.assert_allclose(found["p.value"], expected["p.value"], 1e-3, 1e-14)
    assert set(found["note"]) == {"d"}


def test_r_is_the_less_exact_side():
    """Machines, A - C: at R's own t, R's Tukey p-value is 2.5e-7 too small; scipy's slow integral agrees with ours."""
    r = STORED["models"]["machines"]["tables"]["kenward-roger"]["pairs"]
    q, exact = np.sqrt(2) * abs(r["t.ratio"][1]), range_sf(np.array([np.sqrt(2) * abs(r["t.ratio"][1])]), 3, 5.0)[0]
    assert stats.studentized_range.sf(q, 3, 5) == pytest.approx(exact, rel=1e-8)
    assert 2e-7 < exact - r["p.value"][1] < 3e-7


@pytest.mark.parametrize("k", range(3, 13))
def test_orthogonal_polynomials(k):
    expected = np.array(list(STORED["poly"][k - 3].values()))
    np.testing.assert_array_equal(contrast_family("poly", [str(i) for i in range(k)]).matrix, expected)
