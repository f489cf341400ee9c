"""`all_fit`: independent searches for the same optimum, and what they say when they disagree."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lmmpy as lmm
from lmmpy import Control, ModelError
from tests.fitting.problems import problem, uses_reml


def quiet(call: Callable[[], Any]) -> Any:
    """What a call gives, without lmmpy's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return call()


def fit_of(formula: str, data: str, **options: Any) -> lmm.LmmFit:
    return quiet(lambda: lmm.lmer(formula, lmm.datasets.load(data), **options))


SLEEP = "Reaction ~ Days + (Days | Subject)"
COARSE = Control(tolerance=1e-7)  # COBYQA's last steps take most of its time
FITS: dict[str, Callable[[], lmm.LmmFit]] = {
    "sleepstudy, ML": lambda: fit_of(SLEEP, "sleepstudy", reml=False, weights="1 + Days"),
    "Penicillin": lambda: fit_of("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    "Pastes": lambda: fit_of("strength ~ 1 + (1 | batch/cask)", "Pastes"),
    "singular": lambda: fit_of("Yield ~ 1 + (1 | Batch)", "Dyestuff2"),
    "cs": lambda: fit_of("Reaction ~ Days + cs(Days | Subject, hom = TRUE)", "sleepstudy", control=COARSE),
    # Two starts of this one pass a variance of zero with the correlation at an end, from which it is left by another.
    "ar1": lambda: fit_of("Reaction ~ factor(Days) + ar1(0 + factor(Days) | Subject)", "sleepstudy", control=COARSE),
}


@pytest.mark.parametrize("name", FITS)
def test_all_searches_agree(name: str) -> None:
    fit = FITS[name]()
    found = quiet(lambda: lmm.all_fit(fit))
    assert isinstance(found, lmm.AllFit) and found.agree
    assert found.table["converged"].all()
    np.testing.assert_allclose(found.table["criterion"], -2.0 * fit.loglik, rtol=0, atol=1e-6)
    at = found.parameters.loc["newton"]
    assert at[[*fit.fixef.index, "sigma"]].to_list() == pytest.approx([*fit.fixef, fit.sigma], rel=1e-6)
    spread = (found.parameters - at).abs() / at.abs().clip(lower=1e-3 * fit.sigma)
    assert spread.max(axis=None) < 1e-3  # of a correlation, say, the criterion is flat


@pytest.fixture(scope="module")
def disagreement() -> lmm.AllFit:
    """A stored problem with further optima where standard deviations are zero: there the criterion rises from each."""
    case = problem(15)
    options = {"weights": case.weights, "reml": uses_reml(15), "control": COARSE}
    fit = quiet(lambda: lmm.lmer(case.formula, case.data, **options))
    found = quiet(lambda: lmm.all_fit(fit))
    # The fit itself has the best of them: that of the search with all its starts, and of the independent one.
    assert found.table["criterion"].min() == pytest.approx(-2.0 * fit.loglik, abs=1e-7)
    return found


def test_local_optima_are_found_out(disagreement: lmm.AllFit) -> None:
    above = disagreement.table["above"]
    assert not disagreement.agree
    assert above["newton"] < 1e-7 and above["cobyqa"] < 1e-6 and above.max() > 0.3
    assert "The searches disagree" in repr(disagreement)


def test_the_table(disagreement: lmm.AllFit) -> None:
    table = disagreement.table
    assert list(table.columns) == ["criterion", "above", "converged", "evaluations", "seconds"]
    others = [f"newton, start {i}" for i in range(2, 8)]
    assert list(table.index) == list(disagreement.parameters.index) == ["newton", *others, "cobyqa"]
    np.testing.assert_array_equal(table["above"], table["criterion"] - table["criterion"].min())
    assert table["converged"].dtype == bool and (table["evaluations"] > 0).all() and (table["seconds"] > 0.0).all()


def test_agreement_is_within_a_tolerance(disagreement: lmm.AllFit) -> None:
    table = disagreement.table.assign(above=[0.0] * 7 + [0.9e-4])
    assert lmm.AllFit(table, disagreement.parameters).agree
    assert not lmm.AllFit(table.assign(above=[0.0] * 7 + [1.1e-4]), disagreement.parameters).agree


def test_the_fit_is_left_alone_and_its_control_followed() -> None:
    with pytest.warns(lmm.ConvergenceWarning):
        fit = lmm.lmer(SLEEP, lmm.datasets.load("sleepstudy"), control=Control(max_evaluations=2))
    before = (fit.theta.to_list(), fit.loglik, len(fit.optimization))
    found = lmm.all_fit(fit)
    assert (fit.theta.to_list(), fit.loglik, len(fit.optimization)) == before
    assert found.agree and found.table["converged"].all()  # searches are not cut short as the fit was
    assert found.table["criterion"].min() == pytest.approx(1743.62827195995, abs=1e-6)  # lme4 1.1-31
    assert "All searches agree." in repr(found)
    # The last one is another method: it asks for values, and for many.
    assert found.table.loc["cobyqa", "evaluations"] > 3 * found.table["evaluations"].iloc[:-1].max()


def test_of_a_refit() -> None:
    fit = fit_of("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin")
    refit = fit.refit(fit.simulate(1, seed=1).iloc[:, 0])
    found = lmm.all_fit(refit)
    assert found.agree and found.table["criterion"].min() == pytest.approx(refit.reml_criterion, abs=1e-7)


def test_what_cannot_be_searched() -> None:
    held = fit_of("Yield ~ 1 + (1 | Batch)", "Dyestuff", varcomp={"Batch": 1700.0, "Residual": 2400.0})
    with pytest.raises(ModelError, match="were given"):
        lmm.all_fit(held)
    with pytest.raises(ModelError, match="takes a fit, not a str"):
        lmm.all_fit("fit")  # type: ignore[arg-type]
