"""Row-wise results of fits with a structured residual, or several traits: the dense V judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference import projection
from lmmpy.inference.influence import without_rows
from tests.model.structured import (
    KINDS,
    SINGLE,
    at,
    data,
    fit,
    pedigree,
    projection_of,
    quiet,
    residual_of,
    stacked,
)
from tests.naive import between_rows, dense

ALL = list(KINDS)
NLME = Path(__file__).parents[1] / "reference" / "nlme" / "data"
CLOSE = {"rtol": 1e-7, "atol": 1e-8}


def same(found, wanted, **tolerance):
    np.testing.assert_allclose(found, wanted, **(CLOSE | tolerance))


def conditional_residual(model):
    """R P y."""
    return residual_of(model) @ at(model).Py


@pytest.mark.parametrize("name", ALL)
def test_fitted_values_and_residuals(name):
    model, R = fit(name), residual_of(fit(name))
    e = conditional_residual(model)
    same(stacked(model, model.residuals()), e, atol=1e-7)
    same(stacked(model, model.fitted()), model.design.y - e, atol=1e-7)
    same(stacked(model, model.residuals("pearson", scaled=True)), e / np.sqrt(np.diag(R)) / model.sigma, atol=1e-7)
    whole = np.linalg.solve(np.linalg.cholesky(R), e)  # of the whole matrix: other groups do not enter
    unit = 1.0 if model.design.traits is None else model.sigma  # of several traits σ is that of one of them
    same(stacked(model, model.residuals("pearson")), e / np.sqrt(np.diag(R)) / unit, atol=1e-7)
    same(stacked(model, model.residuals("normalized")), whole / unit, atol=1e-7)
    same(stacked(model, model.residuals("normalized", scaled=True)), whole / model.sigma, atol=1e-7)


@pytest.mark.parametrize("name", ALL)
def test_hat_values_are_derivatives_and_standardized_residuals_have_their_variance(name):
    model, R, P = fit(name), residual_of(fit(name)), projection_of(fit(name))
    e, v = R @ at(model).Py, np.diag(R @ P @ R)
    same(stacked(model, model.hatvalues()), 1.0 - np.diag(R @ P), atol=1e-7)
    same(stacked(model, model.residuals("standardized")), e / (model.sigma * np.sqrt(v)), rtol=1e-6)
    naive = at(model)
    r2 = naive.r2 - naive.Py**2 / np.diag(P)
    sigma = np.sqrt(r2 / (naive.dof - 1))
    same(stacked(model, model.residuals("student")), e / (sigma * np.sqrt(v)), rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_marginal_residuals(name):
    model, naive = fit(name), at(fit(name))
    raw = naive.y - model.design.X @ naive.beta
    own = np.diag(naive.V)
    left = own - np.diag(model.design.X @ naive.vcov @ model.design.X.T)
    same(stacked(model, model.residuals(level="marginal")), raw, atol=1e-7)
    unit = 1.0 if model.design.traits is None else model.sigma
    same(stacked(model, model.residuals("pearson", level="marginal")), raw / np.sqrt(own) / unit, atol=1e-7)
    same(
        stacked(model, model.residuals("standardized", level="marginal")),
        raw / (model.sigma * np.sqrt(left)),
        atol=1e-7,
    )
    scaled = np.linalg.solve(np.linalg.cholesky(naive.V), raw) / model.sigma
    same(stacked(model, model.residuals(scaled=True, level="marginal")), scaled, atol=1e-7)
    with pytest.raises(lmm.ModelError, match="of the conditional level; use scaled=True"):
        model.residuals("normalized", level="marginal")


def without(model, rows):
    """β̂, its covariance, r² and the degrees of freedom of the model without some rows, θ held."""
    mask = np.zeros(model.nobs, dtype=bool)
    mask[rows] = True
    left = dense(without_rows(model.design, mask), model.optimum.theta, model.reml)
    return left


@pytest.mark.parametrize("name", ALL)
def test_a_design_without_rows_is_the_submatrix(name):
    model, rows = fit(name), [0, 7, 8, 30]
    kept = np.setdiff1d(np.arange(model.nobs), rows)
    same(without(model, rows).V, at(model).V[np.ix_(kept, kept)])


@pytest.mark.parametrize("name", ALL)
def test_deletions_hold_theta(name):
    model, naive = fit(name), at(fit(name))
    change, scaled = model.dfbeta(), model.dfbetas()
    assert list(change.columns) == list(model.design.names)
    cooks = stacked(model, model.cooks_distance())
    R, P = residual_of(model), projection_of(model)
    for i in (0, 11, 40):
        left = without(model, [i])
        same(change.to_numpy()[i], left.beta - naive.beta, atol=1e-7)
        se = np.sqrt(left.r2 / (naive.dof - 1) * np.diag(left.vcov))
        same(scaled.to_numpy()[i], (left.beta - naive.beta) / se, rtol=1e-6, atol=1e-7)
        # The move of β̂ and b̂ in the metric of the mixed model equations: that of the fitted effects' likelihood.
        moved = naive.Py[i] / P[i, i]
        wanted = moved**2 * (np.linalg.inv(R) - P)[i, i] / (model.design.p * model.sigma**2)
        same(cooks[i], wanted, rtol=1e-6)
    group = model.influence("g", refit=False)
    for level in list(group.fixef.index)[:3]:
        codes = model.frame()["g"].to_numpy() == level
        traits = model.design.traits
        of_level = np.flatnonzero(codes if traits is None else codes[traits.row])
        left = without(model, of_level)
        same(group.fixef.loc[level], left.beta, rtol=1e-6)
        same(group.parameters.loc[level, "sigma"], np.sqrt(left.r2 / (naive.dof - len(of_level))), rtol=1e-6)


@pytest.mark.parametrize("name", ["ar1", "power", "traits kin"])
def test_influence_with_theta_estimated_anew(name):
    formula, options = KINDS[name]
    model, frame = fit(name), data()
    found = model.influence("h", refit=True)
    assert not found.problems
    level = found.fixef.index[1]
    again = quiet(formula, frame[frame["h"] != level], **options)
    same(found.fixef.loc[level], again.fixef, rtol=1e-4)
    same(found.parameters.loc[level, "sigma"], again.sigma, rtol=1e-4)
    single = model.influence(refit=False)
    assert single.cooks.index.equals(model.rows.observations)
    assert (single.summary()["cooks"].diff().dropna() <= 0).all()


def test_rows_of_a_stratum_cannot_all_be_left_out():
    model = fit("strata")
    with pytest.warns(lmm.ConvergenceWarning, match=r"no row is left of 'a', whose standard deviation is a parameter"):
        found = model.influence("f")
    assert found.fixef.isna().all().all()


def test_large_blocks_are_refused(monkeypatch):
    monkeypatch.setattr(projection, "LARGEST_BLOCK", 2)
    model = quiet(KINDS["gls"][0], data(), **KINDS["gls"][1])
    for ask in (lambda: model.residuals(scaled=True, level="marginal"), model.hatvalues, model.dfbeta):
        with pytest.raises(lmm.ModelError, match=r"hang together through Residual, and 3 do; at most 2 can"):
            ask()


def test_a_singular_residual_has_no_normalized_residuals():
    frame = data().dropna().copy()
    frame["z"] = 2.0 * frame["y"]
    frame["k"] = np.arange(len(frame)) // 4
    model = quiet("cbind(y, z) ~ 1 + (1 | k)", frame.assign(z=frame["y"] * 2 + frame["x"]), residual="us")
    assert model.residuals("normalized").shape == (len(frame), 2)
    design, theta = model.design, model.optimum.theta.copy()
    theta[-1] = 0.0  # the trait's own part of the residual
    from lmmpy.inference.row_covariances import ResidualCovariance

    R = ResidualCovariance.of(design, theta)
    with pytest.raises(lmm.ModelError, match="singular"):
        R.whitened(design.y)
    draws = np.array([R.draw(np.random.default_rng(i)) for i in range(3)])
    both = draws[:, design.traits.row == 0]
    same(both[:, 1], both[:, 0] * theta[-2], atol=1e-9)


def test_singular_residuals():
    model = fit("traits gls")
    assert not model.is_singular() and not fit("power").residual_covariance.is_singular(1e-4)
    design = model.design
    for phi in ([2.0, 1e-7], [1e-9, 1e-9]):
        residual = replace(model.residual_covariance, phi=np.array(phi))
        assert residual.design is design and residual.is_singular(1e-4)
    steep = replace(fit("power").residual_covariance, phi=np.array([-12.0]))  # variances that differ are no zeros
    assert steep.variance.min() < 1e-8 * steep.variance.max() and not steep.is_singular(1e-4)


@pytest.mark.parametrize("name", SINGLE)
def test_rows_that_are_left_out_come_back(name):
    model, whole = fit(name), fit(name, "exclude")
    missing = data()[["x"] + [name for name in ("y",)]].isna().any(axis=1)
    for of in ("fitted", "residuals", "hatvalues"):
        found = getattr(whole, of)()
        assert found.index.equals(data().index)
        assert found.isna().to_numpy().tolist() == missing.tolist()
        same(found.dropna(), getattr(model, of)())
    assert whole.dfbeta().shape == (len(data()), model.design.p)


# ---- draws


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("use_re", [False, True])
def test_draws_have_the_covariance_of_the_model(name, use_re):
    """The covariance of a linear map of standard normal numbers, found from the map itself."""
    from lmmpy.inference.simulation import draw_response
    from lmmpy.model.replicates import ResponseSource

    model, n = fit(name), fit(name).nobs
    source = ResponseSource.of(model, use_re)
    draw = draw_response(
        model.design, source.mean, source.factors, source.sigma, _Zeros(), source.residual, source.functions
    )
    mean = stacked(model, model.fitted()) if use_re else at(model).design.X @ at(model).beta
    if not use_re and model.design.offset is not None:
        mean = mean + model.design.offset
    same(draw, mean, atol=1e-6)
    counter = _Zeros()
    draw_response(model.design, 0 * mean, source.factors, source.sigma, counter, source.residual, source.functions)
    columns = np.array(
        [
            draw_response(
                model.design, np.zeros(n), source.factors, source.sigma, _Unit(i), source.residual, source.functions
            )
            for i in range(counter.size)
        ]
    )
    wanted = residual_of(model) if use_re else at(model).V
    same(columns.T @ columns, model.sigma**2 * wanted, rtol=1e-6, atol=1e-7)


class _Zeros:
    """A generator of zeros that counts them."""

    def __init__(self) -> None:
        self.size = 0

    def standard_normal(self, shape):
        self.size += int(np.prod(shape))
        return np.zeros(shape)


class _Unit(_Zeros):
    """A generator whose i-th number is one, and all others zero."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def standard_normal(self, shape):
        found = np.zeros(int(np.prod(shape)))
        here = self.place - self.size
        if 0 <= here < len(found):
            found[here] = 1.0
        self.size += len(found)
        return found.reshape(shape)


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
@pytest.mark.parametrize("name", ["ar1", "gls", "power", "traits", "traits gls"])
def test_bootstrap_refits_what_simulate_draws(name):
    model = fit(name)
    drawn = model.simulate(2, seed=3)
    assert list(drawn.columns) == ["sim_1", "sim_2"]
    assert drawn.index.equals(model.rows.observations)
    assert model.simulate(1, seed=3)["sim_1"].equals(drawn["sim_1"])
    boot = model.bootstrap(2, seed=3)
    again = model.refit(drawn["sim_2"])
    same(boot.replicates.iloc[1][list(model.design.names)], again.fixef, rtol=1e-6)
    same(boot.replicates.iloc[1]["sigma"], again.sigma, rtol=1e-6)
    assert list(boot.replicates.columns) == list(boot.estimate.index)
    naive = dense(again.design, again.optimum.theta, again.reml)
    same(again.fixef, naive.beta, rtol=1e-6)
    by_fun = model.bootstrap(2, lambda m: m.sigma, seed=3)
    same(by_fun.replicates.iloc[1], again.sigma, rtol=1e-6)


# ---- predictions


@pytest.mark.parametrize("name", ALL)
def test_predictions_of_the_fit_are_its_fitted_values(name):
    model, naive = fit(name), at(fit(name))
    found = model.predict(se=True, interval="prediction")
    R = residual_of(model)
    G = naive.V - R
    variance = np.diag(G - G @ np.linalg.solve(naive.V, G))
    A = model.design.X - G @ np.linalg.solve(naive.V, model.design.X)
    variance = variance + np.einsum("np,pq,nq->n", A, naive.vcov, A)

    def part(column):
        if model.design.traits is None:
            return found[column].to_numpy()
        return stacked(model, found.xs(column, axis=1, level=1)[list(model.design.traits.names)])

    same(part("prediction"), stacked(model, model.fitted()))
    same(part("std_error"), model.sigma * np.sqrt(variance), rtol=1e-6, atol=1e-7)
    reach = 1.959963984540054 * model.sigma * np.sqrt(variance + np.diag(R))
    same(part("conf_high") - part("prediction"), reach, rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_rows_of_the_fit_as_new_data(name):
    model = fit(name)
    frame = data().drop(index=["row3", "row9", "row20", "row30"])
    new = model.predict(frame.drop(columns=["y", "z"]), se=True, interval="prediction")
    own = model.predict(se=True, interval="prediction").loc[frame.index]
    pd.testing.assert_frame_equal(new, own, rtol=1e-7)
    none = model.predict(frame, re_form="none", se=True)
    X = pd.DataFrame(model.design.X, index=model.rows.observations)
    offset = 0.0 if model.design.offset is None else model.design.offset
    mean = pd.Series(model.design.X @ at(model).beta + offset, index=X.index)
    se = pd.Series(np.sqrt(np.einsum("np,pq,nq->n", X, model.vcov(), X)), index=X.index)
    for column, wanted in (("prediction", mean), ("std_error", se)):
        if model.design.traits is None:
            same(none[column], wanted.loc[frame.index])
        else:
            same(none.xs(column, axis=1, level=1).stack().to_numpy(), wanted.loc[frame.index].to_numpy())


def joined(name, extra):
    """The fit's model over its data with further rows below, their responses made up; θ and σ are those of the fit."""
    model, (formula, options) = fit(name), KINDS[name]
    frame = pd.concat([data(), extra])
    design = lmm.lformula(
        formula,
        frame.assign(
            y=frame["y"].where(frame.index.isin(data().index), 1.0),
            z=frame["z"].where(frame.index.isin(data().index), 1.0),
        ),
        residual=options.get("residual"),
        weights=options.get("weights"),
        relmat={"A": pedigree()} if "A)" in formula else None,
    ).design
    # The centre of a random function is the mean of the rows of the fit.
    old = [function.structure.centre for function in model.design.functions]
    functions = [
        replace(function, structure=replace(function.structure, centre=centre))
        for function, centre in zip(design.functions, old, strict=True)
    ]
    return model, replace(design, functions=tuple(functions))


EXTRA = {
    "ar1": {"g": "g4"},
    "strata": {"g": "g4"},
    "gls": {"g": "new"},
    "product": {"h": "h2", "g": "g4"},
    "power": {"id": "c3"},
    "traits": {"g": "g5"},
    "traits kin": {"id": "c3"},
    "traits slopes": {"g": "g4", "h": "h1"},
    "traits gls": {},
    "function": {"id": "c3", "h": "h2"},
}


@pytest.mark.parametrize("name", ALL)
def test_new_rows_by_the_joint_covariance_of_old_and_new(name):
    """Best linear unbiased prediction from the covariance matrix of all rows together, new residuals independent."""
    extra = data().iloc[[12, 25]].assign(t=[17, 18], **EXTRA[name]).set_axis(["n1", "n2"], axis=0)
    model, design = joined(name, extra)
    whole = dense(design, model.optimum.theta, model.reml)
    n, m = model.nobs, design.n - model.nobs
    assert m == 2 * (1 if design.traits is None else 2)
    R = sum_of_residual(design, model.optimum.theta)
    G = whole.V - R
    V, c = at(model).V, G[n:, :n]
    same(V, whole.V[:n, :n])
    X, x, naive = design.X[:n], design.X[n:], at(model)
    offset = 0.0 if design.offset is None else design.offset[n:]
    mean = x @ naive.beta + offset + c @ naive.Py
    A = x - c @ np.linalg.solve(V, X)
    variance = np.diag(G[n:, n:] - c @ np.linalg.solve(V, c.T)) + np.einsum("mp,pq,mq->m", A, naive.vcov, A)
    found = model.predict(extra.drop(columns=["y", "z"]), se=True, interval="prediction", level=0.9)

    def part(column):
        wide = found[[column]] if design.traits is None else found.xs(column, axis=1, level=1)
        return wide.to_numpy().ravel()

    assert list(found.index) == ["n1", "n2"]
    same(part("prediction"), mean, rtol=1e-6)
    same(part("std_error"), model.sigma * np.sqrt(variance), rtol=1e-6)
    reach = 1.6448536269514722 * model.sigma * np.sqrt(variance + np.diag(R)[n:])
    same(part("conf_high") - part("prediction"), reach, rtol=1e-6)
    alone = model.predict(extra, re_form="none", interval="prediction", level=0.9)
    upper = alone["conf_high"] if design.traits is None else alone.xs("conf_high", axis=1, level=1)
    variance = np.einsum("mp,pq,mq->m", x, naive.vcov, x) + np.diag(whole.V)[n:]
    same(
        upper.to_numpy().ravel(),
        x @ naive.beta + offset + 1.6448536269514722 * model.sigma * np.sqrt(variance),
        rtol=1e-6,
    )


def sum_of_residual(design, theta):
    if design.residual is not None:
        return between_rows(design, theta)[-1]
    return np.diag(np.ones(design.n) if design.weights is None else 1.0 / design.weights)


@pytest.mark.filterwarnings("ignore::lmmpy.LmmpyWarning")
def test_variances_of_the_mean():
    frame = data().assign(y=lambda d: np.exp(0.15 * d["y"]) + 5.0)
    model = quiet("y ~ x + (1 | g)", frame, residual="varpower()")
    found = model.predict(se=True, interval="prediction", level=0.9)
    power = model.parameters().loc["power|Residual", "estimate"]
    new = model.predict(frame.loc[found.index], se=True, interval="prediction", level=0.9)
    same(new, found, rtol=1e-5)
    variance = (new["conf_high"] - new["prediction"]) ** 2 / 1.6448536269514722**2 - new["std_error"] ** 2
    same(variance, model.sigma**2 * abs(new["prediction"]) ** (2.0 * power), rtol=1e-6)
    for ask in (lmm.drop1, lmm.ranova, lmm.step, lambda m: lmm.parametric_bootstrap_lrt(m, m, n=1)):
        with pytest.raises(lmm.ModelError, match="has no likelihood ratio"):
            ask(model)
    assert lmm.drop1(model, test="f").shape == (1, 6)


def test_what_new_rows_must_tell():
    frame = data().iloc[:2]
    with pytest.raises(lmm.DataError, match=r"levels that the fit has not seen: 'zz'.*interval='confidence' needs no"):
        fit("strata").predict(frame.assign(f="zz"), interval="prediction")
    with pytest.raises(lmm.DataError, match=r"A prediction interval needs 'v', which tells the residual variance"):
        fit("product").predict(frame.drop(columns="v"), interval="prediction")
    assert fit("product").predict(frame.drop(columns="v"), se=True).notna().all().all()
    ordered = quiet("y ~ x", data(), residual="us(1 | g)")
    with pytest.raises(lmm.ModelError, match=r"goes by the order of the rows within a group"):
        ordered.predict(frame, interval="prediction")
    with pytest.raises(lmm.DataError, match=r"power of zero is no variance"):
        fit("power").predict(frame.assign(v=0.0), interval="prediction")
    missing = fit("ar1").predict(frame.assign(x=[np.nan, 1.0]), interval="prediction")
    assert missing.isna().all(axis=1).tolist() == [True, False]


def test_predictions_by_parts():
    model = fit("function")
    frame = data().iloc[[1, 2]]
    whole, without = model.predict(frame), model.predict(frame, re_form=["h"])
    only = model.predict(frame, re_form="~ exp(v | kin(id, A))")
    none = model.predict(frame, re_form="none")
    same(whole - without, only - none, atol=1e-9)
    assert (abs(only - none) > 0).any()
    with pytest.raises(lmm.DataError, match="levels that it does not know: 'stranger'"):
        model.predict(frame.assign(id="stranger"))
    new = model.predict(frame.assign(id="stranger"), allow_new_levels=True)
    same(new, model.predict(frame, re_form=["h"]))
    traits = fit("traits slopes")
    only = traits.predict(frame, re_form="~ at(z, (1 | h))") - traits.predict(frame, re_form="none")
    same(only["y"], 0.0)
    same(only["z"], traits.ranef()["h"].loc[frame["h"], "z"])
    slope = traits.predict(frame, re_form="~ (0 + x | g)") - traits.predict(frame, re_form="none")
    wanted = traits.ranef()["g"].loc[frame["g"], ["y:x", "z:x"]].to_numpy() * frame[["x"]].to_numpy()
    same(slope, wanted, atol=1e-9)


def test_normalized_residuals_are_those_of_nlme():
    """Of R 4.2.2, nlme 3.1-162: gls, corSymm(form = ~ 1 | Subject), varIdent(form = ~ 1 | age), REML; two subjects.

    Where the rows are not in the order of the levels of the groups, residuals.lme takes the groups' lengths in another
    order than their rows; these are.
    """
    frame = pd.read_csv(NLME / "Orthodont.csv")
    model = quiet("distance ~ Sex * age", frame, residual="us(0 + factor(age) | Subject)")
    pearson = [1.52123850315275, 0.434605988688351, 1.29306122831938, 1.60433736116752]
    normalized = [1.52123850315275, -0.522251845634137, 0.594315894483015, 1.52767267908159]
    pearson += [-0.410744882270808, -0.786635795127718, -1.10440234399331]
    normalized += [-0.410744882270808, -0.672325659995959, -0.938033643980378]
    # nlme stops at a relative change of 1e-6.
    same(model.residuals("pearson", scaled=True)[:7], pearson, atol=5e-5, rtol=0)
    same(model.residuals("normalized", scaled=True)[:7], normalized, atol=5e-5, rtol=0)
