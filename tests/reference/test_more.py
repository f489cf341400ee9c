"""Models of every data set of `lmmpy.datasets` but those of relatives, against lme4 (make_more.R)."""

import json

import numpy as np
import pytest

import lmmpy as lmm
from tests.qtl.family import people
from tests.reference import checks
from tests.reference.cases import HERE, fitted, names, stored

# Of relatives, whom lme4 does not know, and where they are held against others.
RELATIVES = {
    "family": "test_lme4qtl.py, tests/qtl (SOLAR)",
    "family_pedigree": "the same; no model's data by itself",
    "family_genotypes": "the same, and test_gemma.py",
    "family_ibd": "tests/qtl/test_linkage.py (SOLAR)",
    "mrode": "tests/relatedness/test_pedigree.py (nadiv); a pedigree without records",
    "calves": "tests/model/test_breeding_values.py (the textbook's own figures)",
}
CASES = names("more")
REQUESTED = [case["name"] for case in json.loads((HERE / "more_cases.json").read_text(encoding="utf-8"))]


def by_name(check):
    return check.__name__.removeprefix("check_")


def test_every_request_was_answered():
    assert sorted(REQUESTED) == CASES
    assert len(CASES) >= 25


def test_every_data_set_is_used():
    used = {stored("more", name)["data"] for name in CASES}
    assert not used & set(RELATIVES)
    assert used | set(RELATIVES) == set(lmm.datasets.names())


def test_the_data_set_of_the_family_study_is_that_which_lme4qtl_and_solar_fitted():
    study, packaged = people(), lmm.datasets.load("family")
    for name, theirs in {
        "ID": "ID",
        "bmi": "bmi",
        "fvii": "fvii",
        "age": "age",
        "household": "HHID",
        "snp7": "snp7",
    }.items():
        np.testing.assert_array_equal(packaged[name], study[theirs], err_msg=name)
    assert (packaged["sex"].astype(str) == study["sex"].astype(str)).all()


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
