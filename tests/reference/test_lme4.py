"""Every reference case of lme4 that ordinary grouping factors cover, number by number."""

import numpy as np
import pytest

import lmmpy as lmm
from tests.reference import checks
from tests.reference.cases import Fitted, array, data, fitted, names

CASES = names("lme4")
LARGE = [name for name in CASES if name.startswith("insteval")]
SMALL = [name for name in CASES if name not in LARGE]


def by_name(check):
    return check.__name__.removeprefix("check_")


def test_the_cases_are_there():
    assert len(SMALL) == 42
    assert len(LARGE) == 2


@pytest.mark.parametrize("check", [*checks.CHECKS, checks.check_comparisons], ids=by_name)
@pytest.mark.parametrize("name", SMALL)
def test_numbers(name, check):
    check(fitted("lme4", name))


def test_comparisons_are_there():
    compared = [entry for name in SMALL for entry in fitted("lme4", name).stored["lrt"]]
    assert {entry["refit"] for entry in compared} == {True, False}
    assert len(compared) >= 20


@pytest.fixture(scope="module", params=LARGE)
def large(request) -> Fitted:
    return fitted("lme4", request.param)


@pytest.mark.slow
def test_insteval(large):
    """One test, so that two processes do not both fit it."""
    for check in checks.CHECKS:
        check(large)
    effects = large.fit.ranef(cond_var=True)
    for group, total in large.stored["ranef_ss"].items():
        assert (effects[group].to_numpy() ** 2).sum() == pytest.approx(total, rel=checks.VARIANCE)
        head = array(large.stored["cond_var_head"][group])
        checks.close(effects.cond_var[group][: len(head), 0, 0], head, checks.VARIANCE)


PASTES = (
    "(1 | batch/cask)",
    "(1 | batch) + (1 | batch:cask)",
    "(1 | batch) + (1 | sample)",
    "(1 | sample) + (1 | batch)",
)


@pytest.mark.parametrize("reml", [True, False])
def test_four_spellings_of_nested_pastes(reml):
    fits = [lmm.lmer(f"strength ~ 1 + {random}", data("Pastes"), reml=reml) for random in PASTES]
    first = fits[0]
    expected = fitted("lme4", f"pastes_{'REML' if reml else 'ML'}").stored
    assert -2 * first.loglik == pytest.approx(expected["criterion"], abs=checks.CRITERION)
    for fit in fits[1:]:
        assert fit.loglik == pytest.approx(first.loglik, abs=1e-10)
        checks.close(fit.theta, first.theta, 1e-8)
        checks.close(fit.fitted(), first.fitted(), 1e-9)
        checks.close(fit.se, first.se, 1e-8)
        checks.close(fit.varcorr.to_frame()["vcov"], first.varcorr.to_frame()["vcov"], 1e-8)
    # Decreasing number of levels, whatever the order of writing.
    assert [list(fit.ngroups.values()) for fit in fits] == [[30, 10]] * 4


def test_excluded_rows_come_back_as_missing():
    excluded, omitted = (fitted("lme4", f"sleep_missing{suffix}_REML").fit for suffix in ("_exclude", ""))
    absent = array(fitted("lme4", "sleep_missing_exclude_REML").stored["fitted"])
    assert np.isnan(absent).sum() == 7
    assert list(np.isnan(excluded.fitted())) == list(np.isnan(absent))
    assert list(excluded.fitted().dropna().index) == list(omitted.fitted().index)
    assert excluded.nobs == omitted.nobs == 173
