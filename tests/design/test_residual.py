"""`residual=` over data: groups, places and times of rows, typical sizes, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.design import build_design
from lmmpy.errors import DataError, FormulaError, ModelError
from lmmpy.model.checks import check_design
from lmmpy.model.lmer import gls


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    frame = pd.DataFrame(
        {
            "g": np.repeat([f"g{i}" for i in range(12)], 4),
            "t": np.tile([1, 2, 4, 7], 12),
            "s": np.resize(["m", "f", "f"], 48),
            "age": rng.uniform(20, 60, 48),
            "u": rng.uniform(0.0, 9.0, 48),
            "id": [f"i{i:02d}" for i in range(48)],
        }
    )
    frame["f"] = frame.t.map({1: "one", 2: "two", 4: "four", 7: "seven"})
    frame["y"] = rng.normal(size=48) * np.where(frame.s == "m", 3.0, 1.0) + np.repeat(rng.normal(size=12), 4) * 3 + 5
    return frame.sample(frac=1.0, random_state=3).reset_index(drop=True)


def residual_of(data, text, formula="y ~ 1", **options):
    return build_design(formula, data, residual=text, **options)[0].residual


def dense(residual, phi):
    """R of all rows: r within groups, zero between."""
    n = len(residual.groups)
    i, j = (index.ravel() for index in np.indices((n, n)))
    same = residual.groups[i] == residual.groups[j]
    R = np.zeros(n * n)
    R[same] = residual.structure.between(i[same], j[same]).at(np.asarray(phi, dtype=float)).values
    return R.reshape(n, n)


def reported(residual, phi):
    return {(r.kind, *r.labels): r.value for r in residual.structure.reported(np.asarray(phi, dtype=float))}


def same_group(data):
    g = data.g.to_numpy()
    return g[:, None] == g


def lags(data):
    t = data.t.to_numpy(dtype=float)
    return np.abs(t[:, None] - t)


def test_parameters_of_alike_variances_are_told_apart(data):
    frame = data.assign(h=np.resize(["f", "m", "m", "f"], len(data)), v=data.age**2)
    residual = residual_of(frame, "varident(s) * varident(h:f)")
    assert [r.labels for r in residual.structure.reported(residual.structure.start())][:3] == [
        ("f",),
        ("m",),
        ("f:four",),
    ]
    alike = residual_of(frame, "varident(s) * varident(h) * varpower(age) * varpower(v) * varexp(u)")
    phi = [2.0, 3.0, 0.1, 0.2, 0.3]
    assert list(reported(alike, phi)) == [
        *(("sd", name) for name in ("s.f", "s.m", "h.f", "h.m")),
        *(("parameter", name) for name in ("power.age", "power.v", "rate")),
    ]
    assert alike.structure.names() == ["s.m", "h.m", "power.age", "power.v", "rate"]
    means = residual_of(frame, "varpower(age) * varpower()")
    assert list(reported(means, [1.0, 2.0])) == [("parameter", "power.age"), ("parameter", "power")]


@pytest.mark.parametrize("text", ["car1(t | g)", "ar1(t | g)"])
def test_correlation_falls_with_the_lag(data, text):
    residual = residual_of(data, text)
    phi = residual.structure.start() + 0.3
    (rho,) = reported(residual, phi).values()
    assert 0.0 < abs(rho) < 1.0
    np.testing.assert_allclose(
        dense(residual, phi), same_group(data) * np.sign(rho) ** lags(data) * abs(rho) ** lags(data)
    )


def test_one_group_of_all_rows(data):
    some = data[data.g == "g3"]
    residual = residual_of(some, "ar1(t | 1)")
    assert set(residual.groups) == {0}


def test_order_of_rows(data):
    residual = residual_of(data, "ar1(1 | g)")
    order = data.groupby("g").cumcount().to_numpy()
    phi = residual.structure.start() + 0.4
    (rho,) = reported(residual, phi).values()
    power = np.abs(order[:, None] - order)
    np.testing.assert_allclose(dense(residual, phi), np.where(same_group(data), rho**power, 0.0))


def test_exchangeable(data):
    residual = residual_of(data, "cs(1 | g)")
    phi = residual.structure.start() + 0.2
    (rho,) = reported(residual, phi).values()
    np.testing.assert_allclose(dense(residual, phi), same_group(data) * rho + (1 - rho) * np.eye(48))


def test_levels_of_a_factor(data):
    residual = residual_of(data, "us(0 + f | g)")
    structure = residual.structure
    assert structure.labels == ("four", "one", "seven", "two")
    assert [structure.labels[p] for p in structure.places] == data.f.tolist()
    assert structure.n_theta == 9
    phi = structure.start() + 0.1 * np.arange(9)
    sd = [reported(residual, phi)["sd", label] for label in structure.labels]
    R = dense(residual, phi)
    np.testing.assert_allclose(np.sqrt(np.diag(R)), np.array(sd)[structure.places])
    assert sd[0] == 1.0
    assert (R[~same_group(data)] == 0.0).all()
    for i, j in ((0, 1), (1, 2), (0, 3)):
        rho = reported(residual, phi)["cor", structure.labels[j], structure.labels[i]]
        pairs = same_group(data) & (structure.places[:, None] == j) & (structure.places == i)
        assert pairs.sum() == 12
        np.testing.assert_allclose(R[pairs], rho * sd[i] * sd[j])


def test_ordered_levels(data):
    levels = ["one", "two", "four", "seven"]
    frame = data.assign(f=pd.Categorical(data.f, categories=levels, ordered=True))
    residual = residual_of(frame, "ar1(0 + f | g)")
    assert residual.structure.labels == tuple(levels)
    phi = residual.structure.start() + 0.3
    place = frame.f.cat.codes.to_numpy().astype(int)
    rho = dense(residual, phi)[same_group(frame) & (np.abs(place[:, None] - place) == 1)]
    assert np.ptp(rho) < 1e-12 < abs(rho[0])
    rho = rho[0]
    power = np.abs(place[:, None] - place)
    np.testing.assert_allclose(dense(residual, phi), np.where(same_group(data), rho**power, 0.0))
    assert (residual.typical == 1.0).all()


def test_a_variance_for_each_stratum(data):
    for text in ("varident(s)", "diag(0 + s | 1)", "diag(0 + s | g)"):
        residual = residual_of(data, text)
        np.testing.assert_array_equal(residual.groups, np.arange(48))
        np.testing.assert_allclose(dense(residual, [2.5]), np.diag(np.where(data.s == "f", 1.0, 6.25)))
        e = data.y - data.y.mean()
        ratio = np.sqrt(np.mean(e[data.s == "m"] ** 2) / np.mean(e[data.s == "f"] ** 2))
        np.testing.assert_allclose(residual.typical, np.where(data.s == "f", 1.0, ratio))


def test_strata_of_two_factors(data):
    residual = residual_of(data, "varident(s:f)")
    assert residual.structure.labels[:2] == ("f:four", "f:one") and residual.structure.n_theta == 7


def test_functions_of_a_covariate(data):
    power = residual_of(data, "varpower(age)")
    np.testing.assert_allclose(dense(power, [0.7]), np.diag(data.age**1.4))
    exponential = residual_of(data, "varexp(age / 10)")
    np.testing.assert_allclose(dense(exponential, [0.3]), np.diag(np.exp(0.6 * data.age / 10)))


def test_of_the_mean_begins_with_least_squares(data):
    residual = residual_of(data, "varpower()", "y ~ age")
    X = np.column_stack([np.ones(48), data.age])
    mean = X @ np.linalg.lstsq(X, data.y, rcond=None)[0]
    np.testing.assert_allclose(dense(residual, [0.5]), np.diag(np.abs(mean)))


def test_a_product(data):
    residual = residual_of(data, "car1(t | g) * varident(s) * varexp(u)")
    structure = residual.structure
    phi = structure.start() + 0.2
    parts = dict(zip(structure.names(), phi, strict=True))
    sd = np.where(data.s == "f", 1.0, parts["m"]) * np.exp(parts["rate"] * data.u)
    alone = residual_of(data, "car1(t | g)")
    correlation = dense(alone, phi[: alone.structure.n_theta])
    np.testing.assert_allclose(dense(residual, phi), correlation * np.outer(sd, sd))
    assert residual.groups.max() == 11


def test_a_correlation_matrix_with_strata(data):
    residual = residual_of(data, "us(0 + f | g, hom = TRUE) * varident(s)")
    assert residual.structure.n_theta == 6 + 1
    R = dense(residual, residual.structure.start())
    np.testing.assert_allclose(R, np.diag(residual.typical**2), atol=1e-12)


def test_a_known_covariance(data):
    rng = np.random.default_rng(2)
    blocks = np.kron(np.eye(12), np.ones((4, 4)))
    K = blocks * 0.3 + np.diag(rng.uniform(0.5, 2.0, 48))
    order = data.sort_values("g").id.tolist()
    R = pd.DataFrame(K, index=order, columns=order)
    residual = residual_of(data, "kin(id, R)", scope={"R": R})
    assert residual.structure.n_theta == 0 and residual.groups.max() == 11
    np.testing.assert_allclose(dense(residual, []), R.loc[data.id, data.id])
    np.testing.assert_allclose(residual.typical, np.sqrt(np.diag(R.loc[data.id, data.id])))
    half = residual_of(data, "kin(id, R)", scope={"R": R}, subset="u > 4")
    used = data.id[data.u > 4]
    np.testing.assert_allclose(dense(half, []), R.loc[used, used])
    by_argument = residual_of(data, "kin(id, known)", relmat={"known": R})
    np.testing.assert_allclose(dense(by_argument, []), R.loc[data.id, data.id])
    product = residual_of(data, "kin(id, R) * varident(s)", scope={"R": R})
    sd = np.where(data.s == "f", 1.0, 2.0)
    np.testing.assert_allclose(dense(product, [2.0]), R.loc[data.id, data.id] * np.outer(sd, sd))


def test_known_and_random_of_one_relatedness(data):
    R = pd.DataFrame(np.eye(48) + 0.1, index=data.id, columns=data.id)
    design, blueprint = build_design("y ~ kin(id, R)", data, residual="kin(id, R)", scope={"R": R})
    np.testing.assert_array_equal(design.residual.structure.codes, design.random[0].codes)
    assert set(blueprint.relatedness) == {"kin(id, R)"}


def test_stacked_rows(data):
    frame = data.assign(y2=data.y * 2 + data.u)
    design, _ = build_design("cbind(y, y2) ~ 1", frame, residual="ar1(t | g:trait) * varident(trait)")
    trait, row = design.traits.trait, design.traits.row
    phi = design.residual.structure.start() + 0.3
    R = dense(design.residual, phi)
    together = (frame.g.to_numpy()[row][:, None] == frame.g.to_numpy()[row]) & (trait[:, None] == trait)
    assert np.array_equal(R != 0, together)
    design, _ = build_design("cbind(y, y2) ~ 1", frame, residual="us(0 + trait | row, hom = TRUE) * varident(trait:s)")
    assert design.residual.structure.parts[1].labels == ("y:f", "y:m", "y2:f", "y2:m")


def test_missing_values_of_the_residual_leave_rows_out(data):
    frame = data.copy()
    frame.loc[[2, 5], "t"] = np.nan
    frame.loc[9, "g"] = None
    design, _ = build_design("y ~ 1", frame, residual="ar1(t | g)")
    assert np.flatnonzero(~design.rows).tolist() == [2, 5, 9]
    with pytest.raises(DataError, match=r"'t' in 2 rows"):
        build_design("y ~ 1", frame, residual="ar1(t | g)", na_action="fail")


def test_a_random_function(data):
    design, _ = build_design("y ~ s + exp(age | g) + (1 | f)", data)
    (function,) = design.functions
    assert function.name == "exp(age | g)" and function.levels == tuple(sorted(set(data.g)))
    assert [function.levels[code] for code in function.codes] == data.g.tolist()
    np.testing.assert_array_equal(function.groups[:, None] == function.groups, same_group(data))
    phi = np.array([1.5, 0.02, 0.01])
    i, j = (index.ravel() for index in np.indices((48, 48)))
    values = function.structure.between(i, j).at(phi).values.reshape(48, 48)
    a, centre = data.age.to_numpy(), data.age.mean()
    named = dict(zip(function.structure.names(), phi, strict=True))
    sum_, lag = a[:, None] + a - 2 * centre, np.abs(a[:, None] - a)
    np.testing.assert_allclose(
        values, named["sd"] ** 2 * np.exp(named["rate"] * sum_ / 2 - named["decay"] * lag), rtol=1e-12
    )
    assert design.random[0].group == "f" and design.n_theta == 1 + 3


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("us", FormulaError, "traits of cbind(a, b)"),
        ("us(0 + f | q)", DataError, "no column 'q'"),
        ("us(0 + s | g)", DataError, "the group 'g0' has the level"),
        ("ar1(s | g)", DataError, "is a factor or text"),
        ("ar1(u | g)", DataError, "must be whole numbers"),
        ("arma11(u | g)", DataError, "must be whole numbers"),
        ("ar1(t | s)", DataError, "the group 'f' has the time 1 of t more than once"),
        ("car1(t | 1)", DataError, "there is the time 1 of t more than once"),
        ("ar1(t | id)", ModelError, "no group of ar1(t | id) has two rows"),
        ("varident(id)", ModelError, "have one row only"),
        ("varident(constant)", ModelError, "two levels or more"),
        ("us(0 + constant | id)", ModelError, "needs at least two levels"),
        ("varpower(s)", DataError, "is a factor or text"),
        ("varpower(zero)", DataError, "is zero in the rows 0"),
        ("varexp(one)", ModelError, "constant"),
        ("varexp(log(zero))", DataError, "not finite"),
        ("kin(g, R)", DataError, "stands in several rows"),
        ("kin(id, S)", FormulaError, "no relatedness 'S'"),
        ("trait", FormulaError, "What is understood"),
    ],
)
def test_errors(data, text, kind, message):
    frame = data.assign(zero=np.arange(48.0), one=1.0, constant="a")
    levels = sorted(set(data.g))
    R = pd.DataFrame(np.eye(12), index=levels, columns=levels)
    with pytest.raises(kind) as caught:
        build_design("y ~ 1", frame, residual=text, scope={"R": R})
    assert message in str(caught.value)


def test_only_levels_that_meet_have_a_correlation(data):
    frame = data[(data.g < "g5") | (data.t < 3)]
    frame = frame[~((frame.g < "g5") & (frame.t == 1))]
    with pytest.raises(ModelError, match=r"no group of g has both 'four' and 'one' .nor 1 other pair."):
        build_design("y ~ 1", frame, residual="us(0 + f | g)")


def test_models_without_random_terms(data):
    fit = gls("y ~ age", data, residual="varident(s)")
    assert fit.design.random == () and fit.design.n_theta == 1
    with pytest.raises(FormulaError, match=r"gls\(\) has no random terms"):
        gls("y ~ age + (1 | g)", data)
    with pytest.raises(FormulaError, match="no random term"):
        lmm.lmer("y ~ age", data)


def test_independent_by_least_squares(data):
    fit = gls("y ~ age", data, weights="1 / age")
    X, w = np.column_stack([np.ones(48), data.age]), 1 / data.age.to_numpy()
    beta = np.linalg.solve(X.T @ (X * w[:, None]), X.T @ (data.y * w))
    sigma2 = np.sum(w * (data.y - X @ beta) ** 2) / 46
    np.testing.assert_allclose(fit.fixef, beta)
    np.testing.assert_allclose(fit.sigma, np.sqrt(sigma2))
    np.testing.assert_allclose(fit.vcov(), sigma2 * np.linalg.inv(X.T @ (X * w[:, None])))


def test_a_known_covariance_by_generalised_least_squares(data):
    rng = np.random.default_rng(4)
    root = rng.normal(size=(48, 48))
    K = pd.DataFrame(root @ root.T + np.eye(48), index=data.id, columns=data.id)
    fit = gls("y ~ age", data, residual="kin(id, K)", reml=False)
    X, P = np.column_stack([np.ones(48), data.age]), np.linalg.inv(K.to_numpy())
    beta = np.linalg.solve(X.T @ P @ X, X.T @ P @ data.y)
    r = (data.y - X @ beta).to_numpy()
    sigma2 = r @ P @ r / 48
    loglik = -0.5 * (48 * np.log(2 * np.pi * sigma2) + np.linalg.slogdet(K)[1] + 48)
    np.testing.assert_allclose(fit.fixef, beta, rtol=1e-8)
    np.testing.assert_allclose(fit.sigma, np.sqrt(sigma2))
    np.testing.assert_allclose(fit.loglik, loglik)


def test_update_changes_the_residual(data):
    fit = gls("y ~ age", data, residual="varident(s)", reml=False)
    assert fit.update(". ~ . - age").design.residual.structure.names() == ["m"]
    other = fit.update(residual="ar1(t | g)")
    direct = gls("y ~ age", data, residual="ar1(t | g)", reml=False)
    np.testing.assert_allclose(other.loglik, direct.loglik)
    with_random = fit.update(". ~ . + (1 | g)", residual=None)
    assert with_random.design.residual is None


def test_effects_of_rows_beside_residuals_of_groups(data):
    """An independent part beside a serial one (a nugget) is told apart; beside independent residuals it is not."""
    check_design(build_design("y ~ 1 + (1 | id)", data, residual="car1(t | g)")[0])
    known = pd.DataFrame(np.diag(data.u + 1), index=data.id, columns=data.id)
    check_design(build_design("y ~ 1 + (1 | id)", data, residual="kin(id, K)", scope={"K": known})[0])
    for residual in ("varident(s)", "kin(id, I)"):
        equal = pd.DataFrame(np.eye(48), index=data.id, columns=data.id)
        with pytest.raises(ModelError, match="cannot be told apart"):
            check_design(build_design("y ~ 1 + (1 | id)", data, residual=residual, scope={"I": equal})[0])
