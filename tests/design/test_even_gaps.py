"""`ar1` where all times between rows of a group are even: ρ and −ρ are one model."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.covariance import OrderedAR1
from lmmpy.errors import DataError


@pytest.fixture(scope="module")
def orthodont():
    return lmm.datasets.load("Orthodont")


def structure(data, residual="ar1(age | Subject)"):
    return lmm.gls("distance ~ age * Sex", data, residual=residual)


def test_rho_is_not_negative_and_the_optimum_is_that_of_nlme(orthodont):
    """nlme 3.1 finds ±0.79024563, whichever sign it starts from, and −222.2937243 by REML."""
    fit = structure(orthodont)
    assert fit.design.residual.structure.even
    assert fit.parameters().loc["rho|Residual", "estimate"] == pytest.approx(0.79024563, abs=1e-6)
    assert fit.loglik == pytest.approx(-222.2937243, abs=1e-7)
    assert fit.loglik == pytest.approx(structure(orthodont, "car1(age | Subject)").loglik, abs=1e-8)
    assert fit.convergence.ok


def test_only_differences_within_groups_count(orthodont):
    shifted = orthodont.assign(age=orthodont["age"] + (orthodont["Sex"] == "Male"))
    assert structure(shifted).design.residual.structure.even
    one = orthodont.assign(age=orthodont["age"].where(orthodont["age"] != 14, 13))
    assert not structure(one).design.residual.structure.even


def test_negative_dependence_at_even_lags_is_none():
    rng = np.random.default_rng(2)
    u = rng.normal(size=80)
    values = np.column_stack([u, -u]) + 0.5 * rng.normal(size=(80, 2))
    data = pd.DataFrame({"y": values.ravel(), "t": np.tile([0, 2], 80), "g": np.repeat(np.arange(80), 2)})
    fit = lmm.gls("y ~ 1", data, residual="ar1(t | g)")
    assert fit.theta.tolist() == [0.0] and fit.convergence.ok


@pytest.mark.parametrize("angle", [-0.7, 0.7, np.pi - 0.7])
def test_angles_fold_onto_those_of_the_range(angle):
    even = OrderedAR1(np.array([0.0, 2.0, 6.0]), even=True)
    i, j = np.array([0, 0, 1]), np.array([1, 2, 2])
    folded = even.canonical(np.array([angle]))
    assert 0.0 <= folded[0] <= np.pi / 2
    np.testing.assert_allclose(even.between(i, j).at(folded).values, even.between(i, j).at(np.array([angle])).values)


def test_the_range_ends_at_none_and_at_perfect_correlation():
    even = OrderedAR1(np.array([0.0, 2.0]), even=True)
    assert even.boundary(np.array([0.01]), np.array([0.05])) == [(0, 0.0)]
    assert even.boundary(np.array([np.pi / 2]), np.array([0.05])) == [(0, np.pi / 2)]
    assert even.pinned(np.zeros(1)).all() and not even.pinned(even.start()).any()


def test_the_name_of_another_structure_keeps_its_case(orthodont):
    with pytest.raises(DataError, match=r"\. car1\(age \| Subject\) is for any times\.$"):
        structure(orthodont.assign(age=orthodont["age"] + 0.5))
