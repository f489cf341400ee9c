"""Optima under constraints, judged by a general optimiser with constraints on the dense likelihood."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import lmmpy as lmm
from lmmpy.covariance import Exchangeable
from lmmpy.fitting import Control, Optimum, fit_constrained
from lmmpy.fitting.constraints import resolve
from lmmpy.fitting.held_parameter import solved
from lmmpy.fitting.jets import Jet, arccos, cos, exp, sin, sqrt
from lmmpy.fitting.projected import projected
from lmmpy.fitting.reparametrisation import Parametrisation
from lmmpy.fitting.start import typical_scale
from lmmpy.model.components import parameter_names, parameter_values
from tests.naive import dense

SLEEP = "Reaction ~ Days + (Days | Subject)"
MACHINES = "score ~ Machine + (0 + Machine | Worker)"
ONE, D = "sd_(Intercept)|Subject", "sd_Days|Subject"
COR = "cor_Days.(Intercept)|Subject"
A, B, C = (f"sd_Machine{x}|Worker" for x in "ABC")
BA, CA, CB = (f"cor_Machine{x}.Machine{y}|Worker" for x, y in ("BA", "CA", "CB"))


@pytest.fixture(scope="module")
def fits() -> dict[str, Any]:
    sleep, machines = lmm.datasets.load("sleepstudy"), lmm.datasets.load("Machines")
    penicillin = lmm.datasets.load("Penicillin")
    sleep = sleep.assign(late=np.where(sleep["Days"] < 5, "no", "yes"))
    first = sleep[sleep["Days"] < 3]
    first = first.assign(day=first["Days"].map({0: "a", 1: "b", 2: "c"}))
    return {
        "matrix": lmm.gls("Reaction ~ Days", first, residual="us(0 + day | Subject, hom = TRUE)"),
        "product": lmm.gls("Reaction ~ 1", first, residual="us(0 + day | Subject, hom = TRUE) * diag(0 + day | 1)"),
        "cs rows": lmm.gls("Reaction ~ Days", first, residual="cs(0 + day | Subject)"),
        "ar1 rows": lmm.gls("Reaction ~ Days", first, residual="ar1(0 + day | Subject)"),
        "sleep": lmm.lmer(SLEEP, sleep),
        "machines": lmm.lmer(MACHINES, machines, reml=False),
        "cs": lmm.lmer("score ~ Machine + cs(0 + Machine | Worker)", machines),
        "ar1": lmm.lmer("score ~ Machine + ar1(0 + Machine | Worker, hom = FALSE)", machines),
        "diag": lmm.lmer("Reaction ~ Days + (Days || Subject)", sleep),
        "crossed": lmm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin),
        "strata": lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep, residual="diag(0 + late | 1)"),
        "serial": lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep, residual="ar1(Days | Subject)"),
    }


CASES: list[tuple[str, dict[str, Any]]] = [
    ("sleep", {COR: 0}),
    ("sleep", {COR: -0.4}),
    ("sleep", {D: 4.0}),
    ("sleep", {D: ONE}),
    ("sleep", {ONE: "sigma"}),
    ("sleep", {"sigma": 20}),
    ("sleep", {ONE: 30, COR: 0.5}),
    ("machines", {BA: CA}),
    ("machines", {CB: 0.3}),
    ("machines", {CB: CA, A: B, C: "sigma"}),
    ("machines", {CB: 0.9, BA: 0.9}),
    ("machines", {A: B, B: C}),
    ("machines", {A: B, CA: CB, CB: 0.5}),
    ("machines", {BA: 0.0, CA: 0.3, CB: 0.2}),
    ("machines", {BA: 0, CB: 0}),
    ("cs", {BA: 0.3}),
    ("cs", {B: A}),
    ("ar1", {BA: 0.3}),
    ("ar1", {B: A, C: 5.0}),
    ("crossed", {"sd_(Intercept)|plate": "sd_(Intercept)|sample"}),
    ("crossed", {"sd_(Intercept)|plate": "sigma"}),
    ("strata", {"sd_yes|Residual": "sigma"}),
    ("strata", {"sd_yes|Residual": "sd_(Intercept)|Subject"}),
    ("matrix", {"cor_b.a|Residual": "cor_c.b|Residual"}),
    ("matrix", {"cor_b.a|Residual": 0.5, "cor_c.b|Residual": 0.4}),
    ("product", {"cor_c.a|Residual": 0.3, "sd_b|Residual": "sigma"}),
    ("product", {"cor_c.a|Residual": "cor_c.b|Residual", "sd_c|Residual": "sd_b|Residual"}),
    ("serial", {"rho|Residual": 0.3}),
    ("cs rows", {"rho|Residual": 0.3}),
    ("cs rows", {"sd_c|Residual": "sd_b|Residual", "rho|Residual": 0.5}),
    ("ar1 rows", {"rho|Residual": -0.2}),
    ("sleep", {COR: 0.97}),
]


def parametrisation(fit: Any, given: dict[str, Any]) -> Parametrisation:
    criterion = fit.criterion
    classes = resolve(criterion.design, criterion.units, given)
    return Parametrisation(classes, typical_scale(criterion), criterion.design.lower)


def x_of(fit: Any) -> np.ndarray:
    return np.append(fit.optimum.theta, math.log(fit.sigma))


def values(fit: Any, x: np.ndarray) -> dict[str, float]:
    found = parameter_values(fit.design, x[:-1], math.exp(x[-1]), fit.fixef.to_numpy())
    return dict(zip(parameter_names(fit.design), found.tolist(), strict=True))


def constrained(fit: Any, given: dict[str, Any], near: bool = True) -> Optimum:
    return fit_constrained(fit.criterion, given, Control(), x_of(fit) if near else None)


def naive_value(fit: Any, x: np.ndarray) -> float:
    """−2 log-likelihood at (θ, log σ), from the dense V."""
    at = dense(fit.design, x[:-1], fit.reml)
    ratio = float(at.r2) / at.dof * math.exp(-2.0 * x[-1])
    return float(at.value) + at.dof * (ratio - 1.0 - math.log(ratio))


# ---- numbers with derivatives


@pytest.mark.parametrize("function", [sin, cos, exp, sqrt, arccos, lambda x: 1.0 / x, lambda x: (x - 3.0) / (2.0 + x)])
def test_jets_have_the_derivatives_of_differences(function: Any) -> None:
    def at(v: np.ndarray) -> Jet:
        a, b = (Jet.variable(float(v[i]), i, 2) for i in (0, 1))
        return function(a * b + 0.1 * a) * b - a

    v, h = np.array([0.6, 0.9]), 1e-5
    steps = h * np.eye(2)
    slope = [(at(v + e).value - at(v - e).value) / (2 * h) for e in steps]
    bend = [(at(v + e).gradient - at(v - e).gradient) / (2 * h) for e in steps]
    np.testing.assert_allclose(at(v).gradient, slope, rtol=1e-8)
    np.testing.assert_allclose(at(v).hessian, bend, rtol=1e-8)


def test_the_cosine_of_a_right_angle_is_zero() -> None:
    assert cos(Jet.variable(math.pi / 2, 0, 1)).value == 0.0
    assert cos(Jet.variable(-math.pi / 2, 0, 1)).value == 0.0


# ---- the map h


@pytest.mark.parametrize(("model", "given"), CASES)
def test_the_map_obeys_the_constraints_and_knows_its_derivatives(
    fits: dict[str, Any], model: str, given: dict[str, Any]
) -> None:
    fit = fits[model]
    to = parametrisation(fit, given)
    psi = projected(to, x_of(fit)) + 0.02 * to.scale * np.cos(np.arange(to.size))
    image, h = to.at(psi), 1e-5
    assert image is not None
    steps = [(to.at(psi + h * e), to.at(psi - h * e)) for e in np.eye(to.size)]
    slopes = [(ahead.x - behind.x) / (2 * h) for ahead, behind in steps]  # type: ignore[union-attr]
    bends = [(ahead.jacobian - behind.jacobian) / (2 * h) for ahead, behind in steps]  # type: ignore[union-attr]
    np.testing.assert_allclose(image.jacobian, np.array(slopes).T, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(image.second, np.moveaxis(bends, 0, 2), rtol=1e-6, atol=1e-6)
    found = values(fit, image.x)
    for name, value in given.items():
        assert found[name] == pytest.approx(found[value] if isinstance(value, str) else value, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("model", "given"), CASES)
def test_a_point_that_obeys_is_its_own_projection(fits: dict[str, Any], model: str, given: dict[str, Any]) -> None:
    to = parametrisation(fits[model], given)
    psi = projected(to, x_of(fits[model]))
    image = to.at(psi)
    assert image is not None
    np.testing.assert_allclose(projected(to, image.x, exact=True), psi, rtol=1e-9, atol=1e-12)


# ---- optima


@pytest.mark.parametrize(("model", "given"), CASES)
def test_the_optimum_is_that_of_a_general_optimiser(fits: dict[str, Any], model: str, given: dict[str, Any]) -> None:
    fit = fits[model]
    optimum = constrained(fit, given)
    assert optimum.converged
    constraint = optimum.constraint
    assert constraint is not None
    x = np.append(optimum.theta, math.log(constraint.sigma))
    assert naive_value(fit, x) == pytest.approx(constraint.value, abs=1e-8)

    def excess(x: np.ndarray) -> np.ndarray:
        found = values(fit, x)
        return np.array(
            [math.log(found[n] / found[v]) if isinstance(v, str) and v[0] == "s" else found[n] - found.get(v, v)
             for n, v in given.items()]
        )  # fmt: skip

    # From a point nearby that does not obey: what it finds below would show.
    start = x + 0.05 * np.cos(1.0 + np.arange(len(x)))
    found = minimize(
        lambda x: fit.criterion.evaluate(x[:-1], 0).value + naive_gap(fit, x),
        start,
        method="SLSQP",
        constraints={"type": "eq", "fun": excess},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert np.abs(excess(found.x)).max() < 1e-6
    assert found.fun == pytest.approx(constraint.value, abs=2e-4)
    assert constraint.value < found.fun + 1e-6


def naive_gap(fit: Any, x: np.ndarray) -> float:
    """What a σ that is not the profiled one adds; V itself is judged at the optimum."""
    at = fit.criterion.evaluate(x[:-1], 0)
    ratio = at.r2 / fit.criterion.dof * math.exp(-2.0 * x[-1])
    return fit.criterion.dof * (ratio - 1.0 - math.log(ratio)) if math.isfinite(ratio) else math.inf


@pytest.mark.parametrize(("model", "given"), CASES)
def test_the_start_does_not_matter(fits: dict[str, Any], model: str, given: dict[str, Any]) -> None:
    near, far = (constrained(fits[model], given, near=n).constraint for n in (True, False))
    assert near is not None and far is not None
    assert far.value == pytest.approx(near.value, abs=1e-8)


@pytest.mark.parametrize(
    ("given", "formula"),
    [
        ({COR: 0}, "Reaction ~ Days + (Days || Subject)"),
        ({D: 0}, "Reaction ~ Days + (1 | Subject)"),
        ({ONE: 0}, "Reaction ~ Days + (0 + Days | Subject)"),
        ({COR: 0, D: ONE}, "Reaction ~ Days + diag(Days | Subject, hom = TRUE)"),
        ({D: ONE}, "Reaction ~ Days + cs(Days | Subject, hom = TRUE)"),
    ],
)
def test_constraints_that_a_formula_can_say(fits: dict[str, Any], given: dict[str, Any], formula: str) -> None:
    fit = fits["sleep"]
    other = lmm.lmer(formula, fit.frame())
    found = fit.constrain(given)
    assert found.loglik == pytest.approx(other.loglik, abs=1e-8)
    assert found.df == other.df
    assert found.sigma == pytest.approx(other.sigma, rel=1e-6)
    np.testing.assert_allclose(found.fixef, other.fixef, rtol=1e-6)
    np.testing.assert_allclose(found.se, other.se, rtol=1e-5)


# ---- boundaries


@pytest.mark.parametrize("rho", [1.0, -1.0])
def test_a_perfect_correlation_is_exact(rho: float, fits: dict[str, Any]) -> None:
    fit = fits["strata"]
    slopes = lmm.lmer(SLEEP, fit.frame(), reml=False)
    optimum = constrained(slopes, {COR: rho})
    T = slopes.design.random[0].structure.factor(optimum.theta).T
    assert T[0, 0] * T[1, 1] == 0.0  # for ρ = −1 the intercepts do not vary

    def value(p: np.ndarray) -> float:
        return naive_value(slopes, np.array([abs(p[0]), rho * abs(p[1]), 0.0, p[2]]))

    starts = [np.array([0.5, 0.2, 3.3]), np.array([0.05, 0.25, 3.3])]
    options = {"xatol": 1e-9, "fatol": 1e-10, "maxiter": 4000}
    best = min(minimize(value, s, method="Nelder-Mead", options=options).fun for s in starts)
    assert optimum.constraint is not None
    assert optimum.constraint.value == pytest.approx(best, abs=1e-6)


def test_a_boundary_that_the_constraint_leads_to_is_found(fits: dict[str, Any]) -> None:
    found = constrained(fits["sleep"], {COR: -1})
    assert found.theta[:2].tolist() == [0.0, 0.0]  # the intercepts do not vary
    assert found.on_boundary.any()
    assert found.constraint is not None and found.constraint.report(fits["sleep"].criterion, found).boundary == (ONE,)


def test_what_is_imposed_does_not_count_as_found(fits: dict[str, Any]) -> None:
    for given in ({COR: 1}, {D: 0}):
        assert not constrained(fits["sleep"], given).at_boundary


def test_copies_have_the_correlations_of_each_other(fits: dict[str, Any]) -> None:
    fit = fits["machines"]
    optimum = constrained(fit, {CB: 1})
    found = values(fit, np.append(optimum.theta, 0.0))
    assert found[CB] == pytest.approx(1.0, abs=1e-14)
    assert found[CA] == pytest.approx(found[BA], abs=1e-14)
    T = fit.design.random[0].structure.factor(optimum.theta).T
    assert T[2, 2] == 0.0
    assert optimum.constraint is not None
    assert optimum.constraint.n_parameters == 5  # three deviations, a correlation, sigma

    def value(p: np.ndarray) -> float:
        a, b, c, angle = p[0], p[1], p[2], p[3]
        row = np.array([math.sin(angle), math.cos(angle), 0.0])
        T = np.array([[a, 0.0, 0.0], b * row, c * row])
        return naive_value(fit, np.append(T[np.tril_indices(3)][[0, 1, 3, 2, 4, 5]], p[4]))

    start = np.array([2.0, 4.3, 1.9, 1.0, 0.6])
    options = {"xatol": 1e-8, "fatol": 1e-9, "maxiter": 4000}
    assert optimum.constraint.value == pytest.approx(
        minimize(value, start, method="Nelder-Mead", options=options).fun, abs=1e-5
    )


def test_a_variance_that_the_data_do_not_have_is_zero_under_a_constraint_too() -> None:
    data = lmm.datasets.load("Dyestuff2")
    data = data.assign(x=np.tile([0.0, 1.0, 2.0, 3.0, 4.0], 6))
    with pytest.warns(lmm.SingularFitWarning):
        fit = lmm.lmer("Yield ~ 1 + (x || Batch)", data)
        tied = fit.constrain({"sd_x|Batch.1": "sd_(Intercept)|Batch"})
    assert tied.theta.tolist() == [0.0, 0.0]
    assert tied.convergence.boundary == ("sd_(Intercept)|Batch",)


# ---- the covariance of the estimates


@pytest.mark.parametrize(
    ("model", "given", "name"),
    [
        ("sleep", {D: ONE}, ONE),
        ("sleep", {D: 4.0}, "sigma"),
        ("sleep", {"sigma": 20}, COR),
        ("machines", {A: B, CA: CB}, CB),
    ],
)
def test_standard_errors_are_those_of_the_profile_near_its_minimum(
    fits: dict[str, Any], model: str, given: dict[str, Any], name: str
) -> None:
    """The second derivative of the profiled −2 log L in a parameter is 2 over its variance."""
    fit = fits[model].constrain(given)
    estimate, error = fit.parameters().loc[name, ["estimate", "std_error"]]
    h = 0.05 * error
    least = fit.optimum.constraint.value
    ends = [constrained(fits[model], {**given, name: estimate + s * h}).constraint.value - least for s in (1, -1)]
    further = [
        constrained(fits[model], {**given, name: estimate + s * 2 * h}).constraint.value - least for s in (1, -1)
    ]
    second = (16.0 * sum(ends) - sum(further)) / (12.0 * h**2)
    assert error == pytest.approx(math.sqrt(2.0 / second), rel=1e-4)


def test_the_report_confirms(fits: dict[str, Any]) -> None:
    for model, given in CASES[:6]:
        optimum = constrained(fits[model], given)
        assert optimum.constraint is not None
        report = optimum.constraint.report(fits[model].criterion, optimum)
        assert report.ok and report.scaled_gradient < 1e-4 and not report.boundary


# ---- what cannot be


@pytest.mark.parametrize(("held", "rest"), [(0.99, {}), (0.97, {"cor_c.b|Residual": 0.97, "cor_c.a|Residual": 0.95})])
def test_correlations_near_one_can_be_held(fits: dict[str, Any], held: float, rest: dict[str, float]) -> None:
    given = {"cor_b.a|Residual": held, **rest}
    constraint = constrained(fits["matrix"], given, near=False).constraint
    assert constraint is not None and math.isfinite(constraint.value)
    found = values(fits["matrix"], np.append(constraint.to.at(constraint.psi).x[:-1], 0.0))  # type: ignore[union-attr]
    assert [found[name] for name in given] == pytest.approx(list(given.values()), rel=1e-12)


def test_the_least_correlation_of_rows_can_be_held() -> None:
    rows = Exchangeable(4)
    assert solved(rows, 0, 0, -1 / 3) == 0.0
    assert solved(rows, 0, 0, 1.0) == math.pi / 2
    assert rows.reported(np.array([solved(rows, 0, 0, 0.2)]))[0].value == pytest.approx(0.2, rel=1e-12)


def test_correlations_that_no_matrix_has(fits: dict[str, Any]) -> None:
    with pytest.raises(lmm.ModelError, match="no correlation matrix of 'Worker'"):
        constrained(fits["machines"], {BA: 0.9, CA: 0.9, CB: -0.9})
    with pytest.raises(lmm.ModelError, match="cannot hold at once"):
        constrained(fits["machines"], {BA: 1, CA: 1, CB: -1})
    with pytest.raises(lmm.ModelError, match="cannot hold at once"):
        constrained(fits["machines"], {BA: 1, CA: 0.5, CB: 0.2})


def test_a_tie_of_which_one_side_vanishes_leaves_the_other() -> None:
    machines = lmm.datasets.load("Machines")
    # Without variation between workers on machine A its correlations are nothing.
    mean = machines.groupby(["Machine", "Worker"], observed=True)["score"].transform("mean")
    score = machines["score"] - np.where(machines["Machine"] == "A", mean, 0.0)
    with pytest.warns(lmm.SingularFitWarning):
        fit = lmm.lmer(MACHINES.replace("score", "flat"), machines.assign(flat=score), reml=False)
    tied = constrained(fit, {CB: BA})
    gone = constrained(fit, {A: 0})
    assert tied.constraint is not None and gone.constraint is not None
    assert tied.converged and tied.constraint.report(fit.criterion, tied).ok
    assert tied.constraint.value == pytest.approx(gone.constraint.value, abs=1e-6)


def test_a_correlation_that_means_nothing_does_not_count(fits: dict[str, Any]) -> None:
    fit = fits["machines"]
    T = np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.6, 0.8]])  # machine A does not vary
    x = np.append(T.T[np.triu_indices(3)], 0.0)
    to = parametrisation(fit, {CB: BA})
    assert math.sin(projected(to, x)[to.names.index(BA)]) == pytest.approx(0.6)


@pytest.mark.parametrize("rho", [1, -1])
def test_copies_in_a_correlation_matrix(rho: int, fits: dict[str, Any]) -> None:
    to = parametrisation(fits["matrix"], {"cor_c.b|Residual": rho})
    image = to.at(projected(to, x_of(fits["matrix"])))
    assert image is not None
    found = values(fits["matrix"], image.x)
    assert found["cor_c.b|Residual"] == pytest.approx(rho, abs=1e-15)
    assert found["cor_c.a|Residual"] == pytest.approx(rho * found["cor_b.a|Residual"], abs=1e-15)
    with pytest.raises(lmm.ModelError, match="observations is singular"):  # rows of a subject would be equal
        constrained(fits["matrix"], {"cor_c.b|Residual": rho})
