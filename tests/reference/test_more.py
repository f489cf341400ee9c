"""Models of every data set of `lmmpy.datasets`, against lme4 (make_more.R)."""

import json

import pytest

import lmmpy as lmm
from tests.reference import checks
from tests.reference.cases import HERE, fitted, names, stored

CASES = names("more")
REQUESTED = [case["name"] for case in json.loads((HERE / "more_cases.json").read_text(encoding="utf-8"))]


def by_name(check):
    return check.__name__.removeprefix("check_")


def test_every_request_was_answered():
    assert sorted(REQUESTED) == CASES
    assert len(CASES) >= 25


def test_every_data_set_is_used():
    assert {stored("more", name)["data"] for name in CASES} == set(lmm.datasets.names())


def test_singular_and_regular_fits_are_there():
    singular = [name for name in CASES if stored("more", name)["singular"]]
    assert 5 <= len(singular) <= len(CASES) - 20


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, id=f"{name}-{by_name(check)}")
        for name in CASES
        for check in (*checks.CHECKS, checks.check_spherical)
    ],
)
def test_numbers(name, check):
    check(fitted("more", name))


def test_r_is_at_its_optimum():
    """What the tolerances rest on: hardly any slope left (the criterion itself is rounded to 1e-11)."""
    assert max(abs(stored("more", name)["gradient"]) for name in CASES) < 1e-6
