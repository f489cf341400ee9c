"""Known variance components: BLUE and BLUP, against exact fractions and a dense computation."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm

SIRE = lmm.datasets.load("sire")
SLEEP = lmm.datasets.load("sleepstudy")
KNOWN = {"sire": 2, "Residual": 6}


def dense(X, Z, y, G, residual):
    """BLUE, its covariance, and BLUP by forming V = ZGZᵀ + σ²I."""
    V = Z @ G @ Z.T + residual * np.eye(len(y))
    ViX = np.linalg.solve(V, X)
    cov = np.linalg.inv(X.T @ ViX)
    beta = cov @ (ViX.T @ y)
    b = G @ Z.T @ np.linalg.solve(V, y - X @ beta)
    _, logdet = np.linalg.slogdet(V)
    r = y - X @ beta
    minus_two_loglik = len(y) * np.log(2 * np.pi) + logdet + r @ np.linalg.solve(V, r)
    return beta, cov, b, minus_two_loglik, np.linalg.slogdet(X.T @ ViX)[1]


def test_six_records_of_three_sires():
    fit = lmm.lmer("y ~ 0 + env + (1 | sire)", SIRE, varcomp=KNOWN)
    np.testing.assert_allclose(fit.fixef, np.array([148, 235]) / 18, rtol=0, atol=1e-12)
    np.testing.assert_allclose(fit.ranef()["sire"]["(Intercept)"], np.array([-1, 2, -1]) / 18, rtol=0, atol=1e-12)
    assert fit.sigma**2 == pytest.approx(6, abs=1e-12)
    np.testing.assert_allclose(fit.varcorr.to_frame()["vcov"], [2, 6], rtol=0, atol=1e-12)
    assert list(fit.fixef.index) == ["env1", "env2"]
    assert list(fit.ranef()["sire"].index) == ["a", "b", "c"]


@pytest.mark.parametrize("reml", [True, False])
def test_the_method_does_not_change_the_answer(reml):
    fit = lmm.lmer("y ~ 0 + env + (1 | sire)", SIRE, varcomp=KNOWN, reml=reml)
    np.testing.assert_allclose(fit.fixef, np.array([148, 235]) / 18, rtol=0, atol=1e-12)
    # Nothing but β is estimated, and nothing is left to converge.
    assert fit.df == 2
    assert fit.convergence.ok


def test_everything_of_the_sire_example_against_a_dense_computation():
    X = pd.get_dummies(SIRE["env"]).to_numpy(float)
    Z = pd.get_dummies(SIRE["sire"]).to_numpy(float)
    _, cov, b, minus_two_loglik, logdet_rx = dense(X, Z, SIRE["y"].to_numpy(), 2 * np.eye(3), 6.0)
    fit = lmm.lmer("y ~ 0 + env + (1 | sire)", SIRE, varcomp=KNOWN, reml=False)
    np.testing.assert_allclose(fit.vcov(), cov, rtol=1e-12)
    np.testing.assert_allclose(fit.ranef()["sire"]["(Intercept)"], b, rtol=0, atol=1e-12)
    assert -2 * fit.loglik == pytest.approx(minus_two_loglik, rel=1e-12)
    restricted = lmm.lmer("y ~ 0 + env + (1 | sire)", SIRE, varcomp=KNOWN)
    assert restricted.reml_criterion == pytest.approx(minus_two_loglik + logdet_rx - 2 * np.log(2 * np.pi), rel=1e-12)
    assert restricted.deviance == pytest.approx(minus_two_loglik, rel=1e-12)
    # PEV-like: Var(b | y) with β known, G − GZᵀV⁻¹ZG.
    V = 2 * Z @ Z.T + 6 * np.eye(6)
    conditional = 2 * np.eye(3) - 4 * Z.T @ np.linalg.solve(V, Z)
    found = fit.ranef(cond_var=True).cond_var["sire"]
    np.testing.assert_allclose(found[:, 0, 0], np.diag(conditional), rtol=1e-12)


G = np.array([[600.0, 10.0], [10.0, 35.0]])


def sleep_matrices():
    X = np.column_stack([np.ones(180), SLEEP["Days"]])
    levels = pd.get_dummies(SLEEP["Subject"]).to_numpy(float)
    Z = (levels[:, :, None] * X[:, None, :]).reshape(180, 36)
    return X, Z, SLEEP["Reaction"].to_numpy()


@pytest.mark.parametrize(
    "component",
    [
        pytest.param(G, id="array"),
        pytest.param(G.tolist(), id="list"),
        pytest.param(pd.DataFrame(G, ["(Intercept)", "Days"], ["(Intercept)", "Days"]), id="frame"),
        pytest.param(
            pd.DataFrame(G[::-1, ::-1], ["Days", "(Intercept)"], ["Days", "(Intercept)"]), id="frame reversed"
        ),
    ],
)
def test_a_matrix_for_a_term_with_slopes(component):
    fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", SLEEP, varcomp={"Subject": component, "Residual": 650})
    X, Z, y = sleep_matrices()
    beta, cov, b, _, _ = dense(X, Z, y, np.kron(np.eye(18), G), 650.0)
    np.testing.assert_allclose(fit.fixef, beta, rtol=1e-10)
    np.testing.assert_allclose(fit.vcov(), cov, rtol=1e-10)
    np.testing.assert_allclose(fit.ranef()["Subject"], b.reshape(18, 2), rtol=1e-9)
    np.testing.assert_allclose(fit.varcorr["Subject"], G, rtol=1e-12)
    np.testing.assert_allclose(fit.fitted(), X @ beta + Z @ b, rtol=1e-11)


@pytest.mark.parametrize(
    "singular", [np.zeros((2, 2)), np.diag([600.0, 0.0]), np.diag([0.0, 35.0]), np.array([[4.0, 6.0], [6.0, 9.0]])]
)
def test_a_singular_matrix_is_held_and_not_warned_of(singular):
    fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", SLEEP, varcomp={"Subject": singular, "Residual": 650})
    X, Z, y = sleep_matrices()
    beta, _, b, _, _ = dense(X, Z, y, np.kron(np.eye(18), singular), 650.0)
    np.testing.assert_allclose(fit.fixef, beta, rtol=1e-9)
    np.testing.assert_allclose(fit.ranef()["Subject"], b.reshape(18, 2), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fit.varcorr["Subject"], singular, rtol=1e-12, atol=1e-12)


def test_two_terms_of_one_factor_are_named_apart():
    parts = {"Subject": 600, "Subject.1": 35, "Residual": 650}
    apart = lmm.lmer("Reaction ~ Days + (Days || Subject)", SLEEP, varcomp=parts)
    together = lmm.lmer(
        "Reaction ~ Days + (Days | Subject)", SLEEP, varcomp={"Subject": np.diag([600, 35]), "Residual": 650}
    )
    np.testing.assert_allclose(apart.fixef, together.fixef, rtol=1e-12)
    np.testing.assert_allclose(apart.fitted(), together.fitted(), rtol=1e-12)
    assert apart.loglik == pytest.approx(together.loglik, rel=1e-12)


def test_the_estimates_given_back_as_known_change_nothing():
    free = lmm.lmer("Reaction ~ Days + (Days | Subject)", SLEEP)
    known = {"Subject": free.varcorr["Subject"], "Residual": free.sigma**2}
    held = lmm.lmer("Reaction ~ Days + (Days | Subject)", SLEEP, varcomp=known)
    np.testing.assert_allclose(held.fixef, free.fixef, rtol=1e-10)
    np.testing.assert_allclose(held.fitted(), free.fitted(), rtol=1e-10)
    assert held.loglik == pytest.approx(free.loglik, abs=1e-9)


def test_any_other_value_lowers_the_likelihood():
    free = lmm.lmer("Reaction ~ Days + (1 | Subject)", SLEEP, reml=False)
    variance = float(free.varcorr["Subject"].iloc[0, 0])
    for change in (0.8, 1.25):
        for known in (
            {"Subject": change * variance, "Residual": free.sigma**2},
            {"Subject": variance, "Residual": change * free.sigma**2},
        ):
            held = lmm.lmer("Reaction ~ Days + (1 | Subject)", SLEEP, reml=False, varcomp=known)
            assert held.loglik < free.loglik - 1e-3


def test_as_many_levels_as_rows_are_fine_when_nothing_is_estimated():
    rows = SIRE.assign(record=[f"r{i}" for i in range(6)])
    fit = lmm.lmer("y ~ 0 + env + (1 | record)", rows, varcomp={"record": 3, "Residual": 6})
    means = SIRE.groupby("env", observed=True)["y"].mean()
    np.testing.assert_allclose(fit.fixef, means, rtol=1e-12)
    residual = SIRE["y"] - SIRE["env"].map(means).astype(float)
    np.testing.assert_allclose(fit.ranef()["record"]["(Intercept)"], residual / 3, rtol=0, atol=1e-12)


def test_the_print_says_that_the_components_were_given():
    fit = lmm.lmer("y ~ 0 + env + (1 | sire)", SIRE, varcomp=KNOWN)
    assert "with known variance components" in str(fit).split("\n", maxsplit=1)[0]
    assert "given, not estimated" in " ".join(fit.convergence.advice)


@pytest.mark.parametrize(
    ("formula", "varcomp", "message"),
    [
        ("(1 | sire)", {"sire": 2}, r"lacks 'Residual'.*'sire', 'Residual'"),
        ("(1 | sire)", {"Residual": 6}, r"lacks 'sire'"),
        ("(1 | sire)", {}, r"lacks 'sire', 'Residual'"),
        ("(1 | sire)", {"sires": 2, "Residual": 6}, r"does not know 'sires'.*'sire', 'Residual'"),
        ("(1 | sire)", {"sire": 2, "dam": 1, "Residual": 6}, r"does not know 'dam'"),
        ("(1 | sire)", {"sire": 2, "residual": 6}, r"does not know 'residual'"),
        ("(1 | sire)", {"sire": -2, "Residual": 6}, r"varcomp\['sire'\].*not positive semi-definite"),
        ("(1 | sire)", {"sire": 2, "Residual": 0}, r"residual variance must be a positive number, not 0"),
        ("(1 | sire)", {"sire": 2, "Residual": -6}, r"residual variance must be a positive number, not -6"),
        ("(1 | sire)", {"sire": 2, "Residual": np.nan}, r"residual variance must be a positive number, not nan"),
        ("(1 | sire)", {"sire": 2, "Residual": [6, 6]}, r"residual variance must be a positive number"),
        ("(1 | sire)", {"sire": np.inf, "Residual": 6}, r"varcomp\['sire'\] must be a number"),
        ("(1 | sire)", {"sire": np.eye(2), "Residual": 6}, r"varcomp\['sire'\] must be a number.*\(2, 2\)"),
        ("(0 + env | sire)", {"sire": 2, "Residual": 6}, r"a 2 × 2 matrix for the effects 'env1', 'env2'"),
        ("(0 + env | sire)", {"sire": [[1, 2], [2, 1]], "Residual": 6}, r"not positive semi-definite"),
        ("(0 + env | sire)", {"sire": [[1, 0.5], [0, 1]], "Residual": 6}, r"symmetric 2 × 2 matrix"),
        (
            "(0 + env | sire)",
            {"sire": pd.DataFrame(np.eye(2), ["env1", "b"], ["env1", "b"]), "Residual": 6},
            r"labelled by 'env1', 'env2'",
        ),
        ("(1 | sire) + (0 + env | sire)", {"sire": 2, "Residual": 6}, r"lacks 'sire.1'"),
    ],
)
def test_errors_name_the_component(formula, varcomp, message):
    with pytest.raises(lmm.ModelError, match=message):
        lmm.lmer(f"y ~ 0 + env + {formula}", SIRE, varcomp=varcomp)


def test_a_homogeneous_term_refuses_a_matrix_that_is_not():
    formula = "Reaction ~ Days + diag(Days | Subject, hom = TRUE)"
    held = lmm.lmer(formula, SLEEP, varcomp={"Subject": np.diag([40.0, 40.0]), "Residual": 650})
    np.testing.assert_allclose(held.varcorr["Subject"], np.diag([40.0, 40.0]), rtol=1e-12)
    with pytest.raises(lmm.ModelError, match="Subject"):
        lmm.lmer(formula, SLEEP, varcomp={"Subject": np.diag([40.0, 60.0]), "Residual": 650})


def test_a_known_covariance_of_residuals_is_multiplied_by_the_residual_variance():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(len(SIRE), len(SIRE))) / 4 + np.eye(len(SIRE))
    data, R = SIRE.assign(row=range(len(SIRE))), pd.DataFrame(root @ root.T)
    held = lmm.lmer(
        "y ~ 0 + env + (1 | sire)", data, residual="kin(row, R)", relmat={"R": R}, varcomp={"sire": 2, "Residual": 6}
    )
    Z = held.design.random[0].Z.toarray()
    V, X = 2 * Z @ Z.T + 6 * R.to_numpy(), held.design.X
    beta = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, held.design.y))
    np.testing.assert_allclose(held.fixef, beta, rtol=1e-9)
    np.testing.assert_allclose(
        held.ranef()["sire"].to_numpy().ravel(), 2 * Z.T @ np.linalg.solve(V, held.design.y - X @ beta), rtol=1e-8
    )
    with pytest.raises(lmm.ModelError, match="residual variance must be a positive number"):
        held.update(varcomp={"sire": 2, "Residual": np.eye(2)})
