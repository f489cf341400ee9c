"""Fits with relatedness: against dense algebra on Z·chol(A), and through everything that makes a fit of another."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import lmmpy as lmm
from lmmpy.errors import FormulaError, LmmpyError, ModelError
from lmmpy.model.lformula import lformula
from lmmpy.model.update import Changes, submodel, update_fit
from lmmpy.relatedness import Relatedness
from tests.model.made import at

SIZE, N = 30, 80
IDS = [f"i{i:02d}" for i in range(SIZE)]


def kernel(seed: int) -> pd.DataFrame:
    """Three families that are not related, everyone in one alike to some degree."""
    F = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    family = np.repeat(np.arange(3), SIZE // 3)
    K = (F @ F.T / SIZE + 0.5) * (family[:, None] == family) + 0.5 * np.eye(SIZE)
    return pd.DataFrame(K, index=IDS, columns=IDS)


A, D = kernel(1), kernel(2)


def made() -> pd.DataFrame:
    rng = np.random.default_rng(21)
    who = np.append(np.arange(2, SIZE), rng.integers(2, SIZE, N - SIZE + 2))
    b = 1.5 * np.linalg.cholesky(A.to_numpy()) @ rng.normal(size=(SIZE, 2)) + rng.normal(size=(SIZE, 2)) * [1.2, 0.0]
    x, w = rng.normal(size=N), rng.uniform(0.5, 2.0, N)
    y = 2.0 + x + b[who, 0] + 0.7 * b[who, 1] * x + 1.3 * rng.normal(size=N) / np.sqrt(w)
    return pd.DataFrame({"y": y, "x": x, "w": w, "id": np.array(IDS)[who], "g": rng.integers(0, 7, N).astype(str)})


DATA = made()


@pytest.fixture(scope="module")
def fit() -> lmm.LmmFit:
    return lmm.lmer("y ~ x + kin(id, A) + (1 | id)", DATA, weights="w", relmat={"A": A})


def by_hand(Zs: list[np.ndarray], reml: bool, start: float = 0.7) -> tuple[float, np.ndarray, np.ndarray]:
    """−2 log likelihood, variances (σ² last) and β of y ~ x, each Z with independent effects: V = W⁻¹ + Σ θ²ZZᵀ."""
    X, y, W = np.column_stack([np.ones(N), DATA["x"]]), DATA["y"].to_numpy(), np.diag(1.0 / DATA["w"])
    dof = N - 2 * reml

    def parts(theta: np.ndarray) -> tuple[float, float, np.ndarray]:
        V = W + sum(t**2 * Z @ Z.T for t, Z in zip(theta, Zs, strict=True))
        XtVX = X.T @ np.linalg.solve(V, X)
        beta = np.linalg.solve(XtVX, X.T @ np.linalg.solve(V, y))
        r2 = float((y - X @ beta) @ np.linalg.solve(V, y - X @ beta))
        value = np.linalg.slogdet(V)[1] + reml * np.linalg.slogdet(XtVX)[1] + dof * (1 + np.log(2 * np.pi * r2 / dof))
        return float(value), r2 / dof, beta

    found = minimize(lambda t: parts(t)[0], np.full(len(Zs), start), method="BFGS", options={"gtol": 1e-7})
    value, sigma2, beta = parts(found.x)
    return value, np.append(found.x**2, 1.0) * sigma2, beta


def rooted(K: pd.DataFrame, slope: np.ndarray | None = None) -> np.ndarray:
    """Z·chol(K) of the ids of the data."""
    Z = np.eye(SIZE)[[IDS.index(one) for one in DATA["id"]]] @ np.linalg.cholesky(K.to_numpy())
    return Z if slope is None else Z * slope[:, None]


UNRELATED = pd.DataFrame(np.eye(SIZE), IDS, IDS)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    ("random", "Zs"),
    [
        ("kin(A)", [rooted(A)]),
        ("(1 | id)", [rooted(A)]),
        ("kin(id, A) + (1 | g)", [rooted(A), np.eye(7)[DATA["g"].astype(int)]]),
        ("(x || kin(id, A))", [rooted(A), rooted(A, DATA["x"].to_numpy())]),
        ("kin(id, A) + (0 + x | kin(id, D))", [rooted(A), rooted(D, DATA["x"].to_numpy())]),
    ],
)
def test_a_fit_is_that_of_independent_effects_on_Z_chol_A(random, Zs, reml):
    relmat = {"id": A} if random == "(1 | id)" else {name: K for name, K in (("A", A), ("D", D)) if name in random}
    fit = lmm.lmer(f"y ~ x + {random}", DATA, weights="w", relmat=relmat, reml=reml)
    value, variances, beta = by_hand(Zs, reml)
    assert -2.0 * fit.loglik == pytest.approx(value, abs=1e-7)
    np.testing.assert_allclose(fit.fixef, beta, rtol=1e-6)
    np.testing.assert_allclose(fit.varcorr.to_frame()["vcov"], variances, rtol=2e-5)
    assert -2.0 * fit.loglik == pytest.approx(at(fit).value, abs=1e-9)
    np.testing.assert_allclose(fit.solution.b, at(fit).b, rtol=1e-8, atol=1e-10)


def test_a_slope_correlated_with_the_intercept():
    fit = lmm.lmer("y ~ x + (x | kin(id, A))", DATA, weights="w", relmat={"A": A})
    assert -2.0 * fit.loglik == pytest.approx(at(fit).value, abs=1e-9)
    np.testing.assert_allclose(fit.solution.b, at(fit).b, rtol=1e-8, atol=1e-10)
    value, _, _ = by_hand([rooted(A), rooted(A, DATA["x"].to_numpy())], reml=True)
    assert -2.0 * fit.loglik <= value + 1e-8  # without the correlation


def test_dense_identity_is_the_ordinary_fit():
    ours = lmm.lmer("y ~ x + (x | kin(id, one))", DATA, weights="w", relmat={"one": UNRELATED})
    theirs = lmm.lmer("y ~ x + (x | id)", DATA, weights="w")
    assert ours.loglik == pytest.approx(theirs.loglik, abs=1e-8)
    np.testing.assert_allclose(ours.fixef, theirs.fixef, rtol=1e-6)
    np.testing.assert_allclose(ours.ranef()["kin(id, one)"], theirs.ranef()["id"], rtol=1e-3, atol=1e-4)
    assert ours.ngroups == {"kin(id, one)": 28} and theirs.ngroups == {"id": 28}


# ---- what a fit says of itself


def test_the_term_is_called_as_it_is_written(fit):
    assert fit.formula == "y ~ x + kin(id, A) + (1 | id)"
    assert fit.ngroups == {"kin(id, A)": 28, "id": 28}
    assert list(fit.ranef()) == ["kin(id, A)", "id"]
    assert list(fit.varcorr.to_frame()["grp"]) == ["kin(id, A)", "id", "Residual"]
    assert fit.request.source.relmat["A"] is A
    assert "kin(id, A)" in str(fit.summary())


def test_relatives_without_records_are_no_groups(fit):
    P = np.linalg.inv(A.to_numpy())
    of_all = Relatedness.from_precision((P + P.T) / 2, IDS)
    again = lmm.lmer("y ~ x + kin(id, A) + (1 | id)", DATA, weights="w", relmat={"A": of_all})
    assert again.design.random[0].n_levels == SIZE and again.ngroups == fit.ngroups
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-7)
    assert "kin(id, A) (28 levels with rows of 30)" in repr(lformula("y ~ x + kin(id, A)", DATA, relmat={"A": of_all}))
    assert "kin(id, A) (28 levels)" in repr(lformula("y ~ x + kin(id, A)", DATA, relmat={"A": A}))


# ---- which designs can be fitted


ONCE = DATA.iloc[:28]  # one record each


def refused(
    words: list[str], formula: str, data: Any = ONCE, error: type[LmmpyError] = ModelError, **options: Any
) -> None:
    with pytest.raises(error) as caught:
        lmm.lmer(formula, data, **options)
    assert [word for word in words if word not in str(caught.value)] == [], caught.value


def test_as_many_levels_as_rows_are_fine_for_relatives():
    fit = lmm.lmer("y ~ x + kin(id, A)", ONCE, relmat={"A": A})
    assert fit.ngroups == {"kin(id, A)": fit.nobs} and fit.sigma > 0
    by_row = lmm.lmer("y ~ x + kin(K)", ONCE, relmat={"K": A.loc[ONCE["id"], ONCE["id"]].to_numpy()})
    assert by_row.loglik == pytest.approx(fit.loglik, abs=1e-8)
    more = lmm.lmer("y ~ x + kin(id, A) + (0 + x | kin(id, D))", ONCE, relmat={"A": A, "D": D})
    assert more.design.q == 2 * more.nobs


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_as_many_unrelated_levels_as_rows_are_not(scale):
    words = ["'kin(id, one)'", "(28)", "identity, or a multiple", "same thing"]
    refused(words, "y ~ x + kin(id, one)", relmat={"one": scale * UNRELATED})
    refused(["'kin(one)'", *words[1:]], "y ~ x + kin(one)", relmat={"one": scale * np.eye(28)})
    # Also when it is a larger precision in which nobody who is recorded has a relative.
    everyone = np.eye(SIZE) * scale
    everyone[0, 1] = everyone[1, 0] = scale / 2
    outside = Relatedness.from_precision(everyone, IDS)
    refused(words, "y ~ x + kin(id, one)", relmat={"one": outside})
    slopes = ["56 random effects (28 levels × 2", "check_sizes"]
    twice = pd.concat([ONCE, ONCE]).assign(x=np.random.default_rng(1).normal(size=56))
    refused(slopes, "y ~ x + (x | kin(id, one))", twice, relmat={"one": scale * UNRELATED})
    assert lmm.lmer("y ~ x + kin(id, one)", DATA, relmat={"one": scale * UNRELATED}).sigma > 0


def test_ordinary_levels_beside_relatives_are_held_against_the_rows():
    refused(["'id' of (1 | id)", "as many levels (28)", "residual"], "y ~ x + kin(id, A) + (1 | id)", relmat={"A": A})


def test_one_level_is_refused():
    refused(["'kin(id, A)'", "one level only", "'i05'"], "y ~ x + kin(id, A)", DATA.assign(id="i05"), relmat={"A": A})


# ---- fits of fits


def test_update_keeps_and_changes_relmat(fit):
    assert fit.update().loglik == pytest.approx(fit.loglik, abs=1e-9)
    without = fit.update(". ~ . - kin(id, A)")
    assert without.formula == "y ~ x + (1 | id)"
    assert without.loglik == pytest.approx(lmm.lmer("y ~ x + (1 | id)", DATA, weights="w").loglik, abs=1e-9)
    # What it took away can be brought back.
    assert without.update(". ~ . + kin(id, A)").loglik == pytest.approx(fit.loglik, abs=1e-9)
    other = update_fit(fit, Changes(relmat={"A": D}), {})
    assert other.request.source.relmat["A"] is D
    expected = lmm.lmer("y ~ x + kin(id, A) + (1 | id)", DATA, weights="w", relmat={"A": D})
    assert other.loglik == pytest.approx(expected.loglik, abs=1e-9)
    with pytest.raises(ModelError, match="relmat holds 'B'"):
        update_fit(fit, Changes(relmat={"A": A, "B": D}), {})
    with pytest.raises(FormulaError, match="no relatedness 'A'"):
        update_fit(fit, Changes(relmat=None), {})


def test_the_scope_is_remembered():
    def inside(related: Relatedness) -> lmm.LmmFit:
        return lmm.lmer("y ~ x + kin(id, related)", DATA, weights="w")

    fit = inside(Relatedness(A))
    again = pickle.loads(pickle.dumps(fit))
    assert again.update(". ~ . + (1 | g)").ngroups == {"kin(id, related)": 28, "g": 7}
    assert str(again.summary()) == str(fit.summary())
    assert submodel(fit, "y ~ 1 + kin(id, related)").fit.ngroups == fit.ngroups


def test_single_deletions_take_the_term_away(fit):
    table = lmm.ranova(fit) if hasattr(lmm, "ranova") else fit.ranova()
    assert list(table.index) == ["<none>", "kin(id, A)", "(1 | id)"]
    expected = lmm.lmer("y ~ x + (1 | id)", DATA, weights="w")
    assert table.loc["kin(id, A)", "logLik"] == pytest.approx(expected.loglik, abs=1e-8)
    assert submodel(fit, "y ~ x + (1 | id)").fit.request.source.relmat is fit.request.source.relmat


def test_variables_are_read_again(fit):
    evaluator = fit.evaluator()
    factor = evaluator.column(fit.blueprint.parsed.random[0].grouping.factors[0])
    assert [factor.labels[code] for code in factor.codes] == list(DATA["id"])
    data = DATA.assign(x=DATA["x"].mask(DATA["x"] > 1))
    by_row = lmm.lmer("y ~ x + kin(K) + (1 | g)", data, relmat={"K": A.loc[data["id"], data["id"]].to_numpy()})
    assert by_row.nobs < N and by_row.ngroups["kin(K)"] == by_row.nobs
    node = by_row.design.random[0].term.grouping.factors[0]
    assert by_row.evaluator().column(node).codes.tolist() == np.flatnonzero(by_row.design.rows).tolist()
