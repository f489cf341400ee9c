"""Names, values and derivatives of the parameters of covariances between rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.covariance import ContinuousAR1, Indexed, Power, Product, RandomFunction, Strata, make_structure
from lmmpy.design import Design, RowCovariance, build_design
from lmmpy.errors import ModelError
from lmmpy.fitting.reference import theta_in, with_reference
from lmmpy.inference.absolute_deviations import Deviations
from lmmpy.inference.mean_covariances import MeanCorrelation, MeanShare, mean_covariances
from lmmpy.inference.variance_parameters import components, deviations
from lmmpy.model.components import make_varcorr, parameter_names, parameter_values, theta_from_components, theta_names
from lmmpy.model.vpredict import component_values


def long_data(n: int = 12) -> pd.DataFrame:
    """Three records of each of n, at the places a, b and c."""
    rng = np.random.default_rng(5)
    place = np.tile([0, 1, 2], n)
    return pd.DataFrame(
        {
            "y": rng.normal(size=3 * n),
            "x": rng.normal(size=3 * n),
            "place": np.array(["a", "b", "c"])[place],
            "id": np.repeat(np.arange(n), 3).astype(str),
            "g": np.repeat(np.arange(n) // 3, 3).astype(str),
        }
    )


def structured(kind: str, homogeneous: bool | None = None, formula: str = "y ~ x + (1 + x | g)") -> Design:
    """A design whose residual has a structure over three places."""
    data = long_data()
    design = build_design(formula, data)[0]
    places = np.tile(np.arange(3), 12).astype(np.intp)
    structure = Indexed(make_structure(kind, 3, homogeneous), places, ("a", "b", "c"), np.array([1.0, 2.0, 0.5]))
    groups = np.repeat(np.arange(12), 3).astype(np.intp)
    return replace(design, residual=RowCovariance("Residual", groups, structure, np.ones(36)))


KINDS = [("us", None), ("diag", False), ("cs", False), ("ar1", False), ("ar1", True), ("cs", True)]


def somewhere(design: Design) -> np.ndarray:
    """An ordinary θ."""
    rows = design.residual.structure.start() + 0.1 * np.arange(1, design.residual.structure.n_theta + 1)
    return np.concatenate([[0.8, 0.2, 0.6], rows])


def differences(function, x: np.ndarray) -> np.ndarray:
    """∂f/∂x by central differences, extrapolated (Richardson 1911)."""

    def central(h: float) -> np.ndarray:
        return np.array([(function(x + h * e) - function(x - h * e)) / (2 * h) for e in np.eye(len(x))]).T

    return (4.0 * central(5e-4) - central(1e-3)) / 3.0


@pytest.mark.parametrize(("kind", "homogeneous"), KINDS)
def test_jacobians_are_derivatives(kind: str, homogeneous: bool | None) -> None:
    design = structured(kind, homogeneous)
    x = np.append(somewhere(design), 0.3)
    found = components(design, x[:-1], np.exp(x[-1]))
    numeric = differences(lambda x: components(design, x[:-1], np.exp(x[-1])).values, x)
    np.testing.assert_allclose(found.jacobian, numeric, rtol=1e-8, atol=1e-9)
    values, jacobian = deviations(design, x[:-1], np.exp(x[-1]))
    numeric = differences(lambda x: deviations(design, x[:-1], np.exp(x[-1]))[0], x)
    np.testing.assert_allclose(jacobian, numeric, rtol=1e-8, atol=1e-9)
    beta = np.zeros(2)
    np.testing.assert_allclose(parameter_values(design, x[:-1], np.exp(x[-1]), beta)[2:], values, rtol=1e-14)
    assert len(parameter_names(design)) == len(values) + 2
    assert len(theta_names(design)) == design.n_theta


def test_names_follow_those_of_random_terms() -> None:
    design = structured("us")
    assert parameter_names(design)[2:] == [
        "sd_(Intercept)|g", "sd_x|g", "cor_x.(Intercept)|g", "sd_a|Residual", "sd_b|Residual", "sd_c|Residual",
        "cor_b.a|Residual", "cor_c.a|Residual", "cor_c.b|Residual", "sigma",
    ]  # fmt: skip
    assert components(design, somewhere(design), 1.0).names == (
        "g.(Intercept)", "g.x.(Intercept)", "g.x", "Residual.a", "Residual.b.a", "Residual.c.a", "Residual.b",
        "Residual.c.b", "Residual.c", "Residual",
    )  # fmt: skip
    assert theta_names(design)[-2:] == ["Residual.c.b", "Residual.c"]
    diagonal = structured("diag", False)
    assert parameter_names(diagonal)[-4:] == ["sd_a|Residual", "sd_b|Residual", "sd_c|Residual", "sigma"]
    assert components(diagonal, somewhere(diagonal), 1.0).names[-4:] == (
        "Residual.a", "Residual.b", "Residual.c", "Residual",
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "homogeneous"), KINDS)
def test_values_are_those_of_the_covariance_matrix(kind: str, homogeneous: bool | None) -> None:
    design, sigma = structured(kind, homogeneous), 1.7
    theta = somewhere(design)
    phi = theta[3:]
    i, j = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    R = sigma**2 * design.residual.structure.between(i, j).at(phi).values.reshape(3, 3)
    varcorr = make_varcorr(design, theta, sigma)
    np.testing.assert_allclose(varcorr["Residual"], R, rtol=1e-14)
    assert list(varcorr["Residual"].index) == ["a", "b", "c"]
    named = dict(zip(parameter_names(design), parameter_values(design, theta, sigma, np.zeros(2)), strict=True))
    sd = np.sqrt(np.diag(R))
    for b, label in enumerate("abc"):
        if f"sd_{label}|Residual" in named:
            assert named[f"sd_{label}|Residual"] == pytest.approx(sd[b], rel=1e-13)
        for a in range(b + 1, 3):
            name = f"cor_{'abc'[a]}.{label}|Residual"
            if name in named:
                assert named[name] == pytest.approx(R[a, b] / (sd[a] * sd[b]), rel=1e-13)
    assert named["sigma"] == sigma
    # From parameters back to components, as of bootstrap replicates.
    values = parameter_values(design, theta, sigma, np.zeros(2))
    np.testing.assert_allclose(
        component_values(design, np.array([values, values]))[1], components(design, theta, sigma).values, rtol=1e-13
    )


def test_varcorr_lists_the_residual_matrix() -> None:
    design = structured("us")
    frame = make_varcorr(design, somewhere(design), 1.0).to_frame()
    residual = frame[frame.grp == "Residual"]
    assert residual["var1"].tolist() == ["a", "b", "c", "a", "a", "b"]
    assert residual["var2"].tolist()[3:] == ["b", "c", "c"]
    assert residual["vcov"].iloc[0] == 1.0


def test_components_that_are_given() -> None:
    design, sigma = structured("us"), 1.7
    theta = somewhere(design)
    varcorr = make_varcorr(design, theta, sigma)
    found = theta_from_components(design, {"g": varcorr["g"], "Residual": varcorr["Residual"].iloc[::-1, ::-1]})
    np.testing.assert_allclose(found[0], theta, rtol=1e-12)
    assert found[1] == pytest.approx(sigma)
    with pytest.raises(ModelError, match=r"3 × 3 covariance matrix for 'a', 'b', 'c'"):
        theta_from_components(design, {"g": varcorr["g"], "Residual": 2.0})
    with pytest.raises(ModelError, match="labelled by 'a', 'b', 'c'"):
        labelled = varcorr["Residual"].rename(index={"a": "A"})
        theta_from_components(design, {"g": varcorr["g"], "Residual": labelled})
    with pytest.raises(ModelError, match=r"varcomp\['Residual'\]"):
        theta_from_components(design, {"g": varcorr["g"], "Residual": np.ones((3, 3)) - 2 * np.eye(3)})


def test_a_vanishing_variance_has_covariances_with_slopes() -> None:
    design = structured("us")
    theta = somewhere(design)
    theta[[3, 5]] = 0.0  # b does not vary at all
    found = components(design, theta, 1.0)
    assert np.isfinite(found.values).all() and np.isfinite(found.jacobian).all()
    values, jacobian = deviations(design, theta, 1.0)
    names = parameter_names(design)[2:]
    assert np.isnan(values[names.index("cor_b.a|Residual")])
    assert np.isnan(jacobian[names.index("sd_b|Residual")]).all()


@pytest.mark.parametrize("scale", [0.0, 0.7])
def test_another_reference_changes_no_component(scale: float) -> None:
    design, sigma = structured("us"), 1.7
    theta, turned = somewhere(design), with_reference(design, 2)
    theta[[3, 5]] *= scale  # b does not vary, or does
    other, size = theta_in(design, theta, turned), sigma * np.linalg.norm(theta[[4, 6, 7]])
    found, own = components(turned, other, size), components(design, theta, sigma)
    assert found.names == own.names
    np.testing.assert_allclose(found.values[:-1], own.values[:-1], rtol=1e-12, atol=1e-12)
    numeric = differences(lambda x: components(turned, x[:-1], np.exp(x[-1])).values, np.append(other, np.log(size)))
    np.testing.assert_allclose(found.jacobian, numeric, rtol=1e-8, atol=1e-8)
    varcorr, expected = make_varcorr(turned, other, size), make_varcorr(design, theta, sigma)
    assert list(varcorr["Residual"].index) == list(varcorr["Residual"].columns) == ["a", "b", "c"]
    np.testing.assert_allclose(varcorr["Residual"], expected["Residual"], rtol=1e-12, atol=1e-12)
    pd.testing.assert_frame_equal(varcorr.to_frame(), expected.to_frame(), rtol=1e-12, atol=1e-12)


def test_deviations_that_stay_as_they_are() -> None:
    chart = Deviations(np.ones(3), np.array([True, True, False]))
    y = np.array([0.5, -0.3, 0.7, 0.9])
    x, jacobian = chart.to_x(y)
    np.testing.assert_allclose(chart.of(x[:-1], np.exp(x[-1])), y)
    np.testing.assert_allclose(jacobian, differences(lambda y: chart.to_x(y)[0], y), atol=1e-9)


def with_rows(*which: str) -> Design:
    """A design with a random function of x, or a residual that is a product, or both."""
    design = build_design("y ~ x + (1 | g)", long_data())[0]
    groups, times = np.repeat(np.arange(12), 3).astype(np.intp), np.tile([0.0, 1.0, 3.0], 12)
    places = np.tile([0, 1, 1], 12).astype(np.intp)
    if "function" in which:
        function = RowCovariance(
            "exp(x | id)", np.zeros(36, dtype=np.intp), RandomFunction(design.X[:, 1], 0.2), np.ones(36), codes=groups
        )
        design = replace(design, functions=(function,))
    if "residual" in which:
        structure = Product(
            ContinuousAR1(times), Strata(places, ("low", "high"), np.array([1.0, 2.0])), Power(2.0 + times)
        )
        design = replace(design, residual=RowCovariance("Residual", groups, structure, np.ones(36)))
    return design


@pytest.mark.parametrize("which", [("function",), ("residual",), ("function", "residual")])
def test_functions_and_products_of_structures(which: tuple[str, ...]) -> None:
    design = with_rows(*which)
    names, parts = parameter_names(design), []
    if "function" in which:
        parts.append(np.array([0.7, 0.3, 0.2]))
        assert {"sd_centre|exp(x | id)", "rate|exp(x | id)", "decay|exp(x | id)"} <= set(names)
    if "residual" in which:
        parts.append(design.residual.structure.start() + np.array([0.1, 0.2, 0.3]))
        assert names[-5:] == ["sd_low|Residual", "sd_high|Residual", "rho|Residual", "power|Residual", "sigma"]
    x = np.concatenate([[0.8], *parts, [0.3]])
    found = components(design, x[:-1], np.exp(x[-1]))
    numeric = differences(lambda x: components(design, x[:-1], np.exp(x[-1])).values, x)
    np.testing.assert_allclose(found.jacobian, numeric, rtol=1e-8, atol=1e-9)
    jacobian = deviations(design, x[:-1], np.exp(x[-1]))[1]
    numeric = differences(lambda x: deviations(design, x[:-1], np.exp(x[-1]))[0], x)
    np.testing.assert_allclose(jacobian, numeric, rtol=1e-8, atol=1e-9)
    both = np.array([parameter_values(design, x[:-1], np.exp(x[-1]), np.zeros(2))])
    np.testing.assert_allclose(component_values(design, both)[0], found.values, rtol=1e-13)
    if "function" in which:
        assert found.values[found.names.index("exp(x | id)")] == pytest.approx(0.49 * np.exp(0.6))
        assert make_varcorr(design, x[:-1], np.exp(x[-1]))["exp(x | id)"].size == 1
        with pytest.raises(ModelError, match=r"varcomp cannot hold 'exp\(x \| id\)'"):
            theta_from_components(design, {"g": 1.0, "Residual": 1.0})
    elif "residual" in which:
        with pytest.raises(ModelError, match="which no matrix gives"):
            theta_from_components(design, {"g": 1.0, "Residual": 1.0})


@pytest.mark.parametrize("which", [(), ("residual",), ("function", "residual")])
def test_mean_covariances_are_means(which: tuple[str, ...]) -> None:
    design = with_rows(*which)
    rng = np.random.default_rng(3)
    i, j = rng.integers(0, 36, size=(2, 9))
    theta = np.concatenate([[0.8], *(rows.structure.start() + 0.1 for rows in design.row_covariances)])
    sigma, values = 1.3, [term.values for term in design.random]
    for a, b in ((i, j), (i, i)):
        averages = mean_covariances(design, values, (None,), a, b)
        x = np.append(theta, np.log(sigma))
        found, slopes = averages(x)
        expected = [(0.8 * sigma) ** 2]
        for rows, phi in zip(design.row_covariances, design.split_rows(theta), strict=True):
            expected.append(sigma**2 * rows.structure.between(a, b).at(phi).values.mean())
        if design.residual is None:
            expected.append(sigma**2 if a is b else 0.0)
        np.testing.assert_allclose(found, expected, rtol=1e-13)
        np.testing.assert_allclose(slopes, differences(lambda x: averages(x)[0], x), rtol=1e-8, atol=1e-9)  # noqa: B023
    whole = mean_covariances(design, values, (None,), i, i)
    share = MeanShare(whole, 0)
    np.testing.assert_allclose(share(x)[1], differences(lambda x: np.array(share(x)[0]), x), rtol=1e-8, atol=1e-9)
    assert not share.vanishes(x)
    other = mean_covariances(design, values, (None,), j, j)
    rho = MeanCorrelation(whole, other, mean_covariances(design, values, (None,), i, j), slice(None))
    np.testing.assert_allclose(rho(x)[1], differences(lambda x: np.array(rho(x)[0]), x), rtol=1e-8, atol=1e-9)


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
def test_a_moving_average_is_invertible() -> None:
    """1/β gives the same correlations as β, so that limits lie between −1 and 1, and any value there can be held."""
    rng = np.random.default_rng(4)
    e = rng.normal(size=(40, 9))
    y = e[:, 1:] + 0.6 * e[:, :-1] + rng.normal(size=(40, 1))
    data = pd.DataFrame({"y": y.ravel(), "g": np.repeat(np.arange(40), 8).astype(str), "t": np.tile(np.arange(8), 40)})
    fit = lmm.lmer("y ~ 1 + (1 | g)", data, residual="arma11(t | g)", reml=False)
    low, high = fit.confint("ma|Residual").to_numpy()[0]
    for end in (low, high):
        held = fit.constrain({"ma|Residual": end})
        assert held.parameters().loc["ma|Residual", "estimate"] == pytest.approx(end, abs=1e-12)
        assert 2.0 * (fit.loglik - held.loglik) == pytest.approx(1.959963984540054**2, abs=1e-4)
    few = lmm.lmer("y ~ 1 + (1 | g)", data[data["g"].astype(int) < 5], residual="arma11(t | g)", reml=False)
    for limits in (few.confint("ma|Residual"), few.parameters().loc[["ma|Residual"], ["conf_low", "conf_high"]]):
        assert (limits.abs() <= 1.0).all().all()
    for value in (-1.0, -0.99, -0.5, 0.0, 0.99, 1.0):
        held = fit.constrain({"ma|Residual": value})
        assert held.parameters().loc["ma|Residual", "estimate"] == pytest.approx(value, abs=1e-7)
