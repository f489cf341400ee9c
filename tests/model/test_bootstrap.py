"""Simulating from a fit, and the parametric bootstrap."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.random import SeedSequence

import lmmpy as lmm
from lmmpy import Control, ConvergenceWarning, ModelError
from tests.naive import dense

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return lmm.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleep: pd.DataFrame) -> lmm.LmmFit:
    return lmm.lmer(SLEEP, sleep)


@pytest.fixture(scope="module")
def dyestuff() -> lmm.LmmFit:
    return lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"))


def quiet(call: Callable[[], Any]) -> Any:
    """What a call gives, without lmmpy's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return call()


# ---- simulate: seeds


def test_a_seed_is_a_response(fit: lmm.LmmFit) -> None:
    first = fit.simulate(4, seed=3)
    pd.testing.assert_frame_equal(fit.simulate(4, seed=3), first, check_exact=True)
    pd.testing.assert_frame_equal(fit.simulate(4, seed=SeedSequence(3)), first, check_exact=True)
    pd.testing.assert_frame_equal(fit.simulate(np.int64(4), seed=np.int64(3)), first, check_exact=True)
    for n in (1, 2, 7):
        shared = min(n, 4)
        pd.testing.assert_frame_equal(fit.simulate(n, seed=3).iloc[:, :shared], first.iloc[:, :shared])
    columns = pd.concat([first, fit.simulate(4, seed=4), fit.simulate(2), fit.simulate(2)], axis=1)
    assert len(np.unique(columns.to_numpy(), axis=1).T) == 12  # no two alike


def test_the_same_seed_after_a_pickle_or_on_another_engine(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    other = lmm.lmer(SLEEP, sleep, control=Control(engine="sparse"))
    np.testing.assert_allclose(other.simulate(2, seed=3), fit.simulate(2, seed=3), rtol=1e-6)


def test_a_seed_sequence_is_not_used_up(fit: lmm.LmmFit) -> None:
    sequence, child = SeedSequence(8), SeedSequence(8).spawn(2)[1]
    for seeds in (sequence, child):
        state = seeds.state
        first = fit.simulate(3, seed=seeds)
        pd.testing.assert_frame_equal(fit.simulate(3, seed=seeds), first, check_exact=True)
        assert seeds.state == state and seeds.n_children_spawned == 0
    assert not fit.simulate(1, seed=sequence).equals(fit.simulate(1, seed=child))


def test_the_random_state_of_numpy_is_left_alone(fit: lmm.LmmFit) -> None:
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    fit.simulate(2, seed=1)
    fit.bootstrap(2, seed=1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("n", [0, -1, 2.0, "3", None, True, np.nan])
@pytest.mark.parametrize("method", ["simulate", "bootstrap"])
def test_n_is_a_whole_number_from_one(fit: lmm.LmmFit, n: Any, method: str) -> None:
    with pytest.raises(ModelError, match=r"n, the number of replicates, must be a whole number from 1"):
        getattr(fit, method)(n, seed=1)


@pytest.mark.parametrize("seed", [-1, 1.0, "1", [1], True, False, np.True_, np.random.default_rng(1)])
@pytest.mark.parametrize("method", ["simulate", "bootstrap"])
def test_what_is_no_seed(fit: lmm.LmmFit, seed: Any, method: str) -> None:
    with pytest.raises(ModelError, match="seed must"):
        getattr(fit, method)(1, seed=seed)


# ---- simulate: rows


def test_rows_and_columns(sleep: pd.DataFrame) -> None:
    data = sleep.set_index(pd.Index([f"r{i}" for i in range(180)]))
    found = lmm.lmer(SLEEP, data, subset="Days > 1").simulate(3, seed=1)
    assert list(found.columns) == ["sim_1", "sim_2", "sim_3"]
    assert list(found.index) == [f"r{i}" for i in range(180) if i % 10 > 1]
    assert (found.dtypes == np.dtype(float)).all() and found.notna().all(axis=None)


@pytest.mark.parametrize("use_re", [False, True])
def test_missing_rows_under_omit_and_exclude(sleep: pd.DataFrame, use_re: bool) -> None:
    data = sleep.copy()
    data.loc[[4, 17], "Reaction"] = np.nan
    omit, exclude = (lmm.lmer(SLEEP, data, na_action=action) for action in ("omit", "exclude"))
    kept = [i for i in range(180) if i not in (4, 17)]
    a, b = omit.simulate(2, seed=1, use_re=use_re), exclude.simulate(2, seed=1, use_re=use_re)
    assert list(a.index) == kept and list(b.index) == list(range(180))
    assert np.flatnonzero(b.isna().any(axis=1)).tolist() == [4, 17]
    pd.testing.assert_frame_equal(b.loc[kept], a, check_exact=True)


def test_a_simulation_leaves_the_fit_alone(fit: lmm.LmmFit) -> None:
    before = [x.to_numpy().tobytes() for x in (fit.theta, fit.fixef, fit.fitted(), fit.response)]
    drawn = fit.simulate(2, seed=1, use_re=True)
    drawn.iloc[:] = 0.0
    fit.simulate(2, seed=1)
    assert [x.to_numpy().tobytes() for x in (fit.theta, fit.fixef, fit.fitted(), fit.response)] == before


# ---- simulate: the distribution

BOUND = 4.5  # |z| of the worst of some hundred entries; by chance beyond it less than once in a thousand


def small(seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(5), 3)
    x = rng.normal(size=15)
    b = rng.normal(size=(5, 2)) @ np.array([[2.0, 1.0], [0.0, 1.5]])
    y = 5.0 + 2.0 * x + b[g, 0] + b[g, 1] * x + rng.normal(size=15)
    h = np.tile(np.arange(3), 5)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h.astype(str), "w": rng.uniform(0.2, 5.0, 15), "o": 7.0 * x**2})


KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "slopes": ("y ~ x + (x | g)", {"varcomp": {"g": [[4.0, 1.0], [1.0, 2.0]], "Residual": 1.5}}),
    "weights and offset": (
        "y ~ x + (x | g)",
        {"varcomp": {"g": [[4.0, -1.0], [-1.0, 2.0]], "Residual": 1.5}, "weights": "w", "offset": "o"},
    ),
    "crossed": ("y ~ x + (1 | g) + (0 + x | h)", {"varcomp": {"g": 3.0, "h": 0.5, "Residual": 0.7}}),
    "ar1": (
        "y ~ x + ar1(0 + h | g)",
        {"varcomp": {"g": 2.0 * 0.6 ** np.abs(np.subtract.outer(np.arange(3), np.arange(3))), "Residual": 0.5}},
    ),
    "cs": ("y ~ x + cs(0 + h | g)", {"varcomp": {"g": np.full((3, 3), -0.8) + 2.8 * np.eye(3), "Residual": 0.5}}),
}


def check_moments(draws: np.ndarray, mean: np.ndarray, V: np.ndarray) -> None:
    """Both moments of normal draws, shape (n, number), by z-scores."""
    v, number = np.diag(V), draws.shape[1]
    z_mean = (draws.mean(axis=1) - mean) / np.sqrt(v / number)
    S = (draws - mean[:, None]) @ (draws - mean[:, None]).T / number
    z_cov = (S - V) / np.sqrt((np.outer(v, v) + V**2) / number)
    assert np.abs(z_mean).max() < BOUND
    assert np.abs(z_cov).max() < BOUND
    # Nor are they closer than chance allows, as when draws repeat; entries are correlated, so loosely.
    assert 0.3 < np.sqrt(np.mean(z_cov**2)) < 2.0


@pytest.mark.parametrize(
    ("name", "number"),
    [("weights and offset", 4_000), ("slopes", 1_000), ("crossed", 1_000), ("ar1", 1_000), ("cs", 1_000)],
)
def test_the_distribution_of_responses(name: str, number: int) -> None:
    formula, options = KNOWN[name]
    fit = lmm.lmer(formula, small(), **options)
    draws = fit.simulate(number, seed=7).to_numpy()
    mean = fit.design.X @ fit.fixef.to_numpy() + (small()["o"].to_numpy() if "offset" in options else 0.0)
    V = fit.sigma**2 * dense(fit.design, fit.theta.to_numpy()).V
    check_moments(draws, mean, V)


def test_the_distribution_given_the_random_effects() -> None:
    formula, options = KNOWN["weights and offset"]
    fit = lmm.lmer(formula, small(), **options)
    draws = fit.simulate(2_000, seed=7, use_re=True).to_numpy()
    check_moments(draws, fit.fitted().to_numpy(), fit.sigma**2 * np.diag(1.0 / small()["w"]))


def test_a_vanishing_variance_draws_no_effects() -> None:
    fit = quiet(lambda: lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff2")))
    drawn = fit.simulate(400, seed=1)
    between = drawn.groupby(fit.design.random[0].codes).mean().var().mean()
    assert between == pytest.approx(fit.sigma**2 / 5.0, rel=4.0 * np.sqrt(2.0 / (5 * 400)))


# ---- bootstrap: replicates are refits


def numbers(fit: lmm.LmmFit) -> dict[str, float]:
    return {**fit.fixef, **fit.theta, "sigma": fit.sigma, "loglik": fit.loglik}


def test_a_replicate_is_a_refit(fit: lmm.LmmFit) -> None:
    boot, named, drawn = fit.bootstrap(5, seed=4), fit.bootstrap(5, numbers, seed=4), fit.simulate(5, seed=4)
    for i in range(5):
        refit = quiet(lambda i=i: fit.refit(drawn.iloc[:, i]))
        assert named.replicates.iloc[i].to_dict() == numbers(refit)
        row = boot.replicates.loc[i]
        # Side by side or alone, a search ends within a millionth of a standard error of the optimum.
        np.testing.assert_allclose(row[["(Intercept)", "Days", "sigma"]], [*refit.fixef, refit.sigma], rtol=1e-6)
        G = refit.varcorr["Subject"].to_numpy()
        sd = np.sqrt(np.diag(G))
        np.testing.assert_allclose(row[["sd_(Intercept)|Subject", "sd_Days|Subject"]], sd, rtol=1e-6)
        assert row["cor_Days.(Intercept)|Subject"] == pytest.approx(G[0, 1] / sd.prod(), rel=1e-6, abs=1e-6)
    assert boot.problems == named.problems == {}
    assert named.estimate.to_dict() == numbers(fit)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        pytest.param("Reaction ~ Days + (1 | Subject)", {"reml": False, "weights": "1 / (1 + Days)"}, id="weights"),
        pytest.param(SLEEP, {"offset": "5 * Days", "subset": "Days != 3"}, id="offset and subset"),
        pytest.param("Reaction ~ gap + (1 | Subject)", {"na_action": "exclude"}, id="exclude"),
        pytest.param("Reaction ~ Days + ar1(0 + factor(Days > 4) | Subject)", {}, id="ar1"),
        pytest.param(SLEEP, {"varcomp": {"Subject": np.diag([600.0, 35.0]), "Residual": 650.0}}, id="held"),
        pytest.param(SLEEP, {"control": Control(engine="sparse")}, id="sparse"),
    ],
)
@pytest.mark.parametrize("use_re", [False, True])
def test_replicates_of_other_models(sleep: pd.DataFrame, formula: str, options: dict[str, Any], use_re: bool) -> None:
    data = sleep.assign(gap=sleep["Days"].where(sleep.index % 50 != 7))
    fit = quiet(lambda: lmm.lmer(formula, data, **options))
    boot = quiet(lambda: fit.bootstrap(2, seed=5, use_re=use_re))
    drawn = fit.simulate(2, seed=5, use_re=use_re)
    for i in range(2):
        refit = quiet(lambda i=i: fit.refit(drawn.iloc[:, i]))
        found = boot.replicates.iloc[i]
        np.testing.assert_allclose(found[[*fit.fixef.index, "sigma"]], [*refit.fixef, refit.sigma], rtol=1e-6)
        assert boot.singular[i] == bool(refit.optimum.on_boundary.any())


def test_shapes_and_names(fit: lmm.LmmFit) -> None:
    boot = fit.bootstrap(3, seed=1)
    names = [
        "(Intercept)",
        "Days",
        "sd_(Intercept)|Subject",
        "sd_Days|Subject",
        "cor_Days.(Intercept)|Subject",
        "sigma",
    ]
    assert list(boot.replicates.columns) == list(boot.estimate.index) == list(boot.summary().index) == names
    assert len(boot) == 3 and boot.replicates.shape == (3, 6) and boot.singular.shape == (3,)
    assert boot.singular.dtype == bool and list(boot.replicates.index) == [0, 1, 2]
    np.testing.assert_allclose(boot.estimate[["(Intercept)", "Days", "sigma"]], [*fit.fixef, fit.sigma], rtol=1e-12)
    sd = fit.varcorr.to_frame()["sdcor"]
    np.testing.assert_allclose(boot.estimate.iloc[2:], sd, rtol=1e-12)
    # The same seed again, and more replicates: the first ones stay.
    pd.testing.assert_frame_equal(fit.bootstrap(5, seed=1).replicates.iloc[:3], boot.replicates, check_exact=True)
    assert not fit.bootstrap(3, seed=2).replicates.equals(boot.replicates)


def test_summary_and_text(fit: lmm.LmmFit) -> None:
    boot = fit.bootstrap(6, seed=1)
    table = boot.summary()
    assert list(table.columns) == ["estimate", "bias", "std_error"]
    values = boot.replicates.to_numpy()
    np.testing.assert_allclose(table["bias"], values.mean(axis=0) - boot.estimate, rtol=1e-12)
    np.testing.assert_allclose(table["std_error"], values.std(axis=0, ddof=1), rtol=1e-12)
    assert repr(boot).startswith("Parametric bootstrap, 6 replicates (0 singular, 0 failed)")


def test_singular_replicates_are_counted() -> None:
    fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"), subset="Batch != 'C' & Batch != 'E'")
    boot = fit.bootstrap(12, seed=2)
    refits = [quiet(lambda y=y: fit.refit(y)) for _, y in fit.simulate(12, seed=2).items()]
    singular = [refit.is_singular() for refit in refits]
    assert boot.singular.tolist() == singular and 2 < sum(singular) < 11
    assert ((boot.replicates["sd_(Intercept)|Batch"] == 0.0) == singular).all()
    assert f"{sum(singular)} singular, 0 failed" in repr(boot)
    assert fit.bootstrap(12, lambda f: f.sigma, seed=2).singular.tolist() == singular


# ---- bootstrap: the statistic


@pytest.mark.parametrize(
    ("fun", "names"),
    [
        pytest.param(lambda f: f.sigma, ["t1"], id="number"),
        pytest.param(lambda f: np.float32(f.sigma), ["t1"], id="numpy number"),
        pytest.param(lambda f: f.nobs, ["t1"], id="integer"),
        pytest.param(lambda f: f.is_singular(), ["t1"], id="boolean"),
        pytest.param(lambda f: f.theta.to_numpy(), ["t1", "t2", "t3"], id="array"),
        pytest.param(lambda f: f.vcov().to_numpy(), ["t1", "t2", "t3", "t4"], id="matrix"),
        pytest.param(lambda f: list(f.fixef), ["t1", "t2"], id="list"),
        pytest.param(lambda f: f.fixef, ["(Intercept)", "Days"], id="series"),
        pytest.param(lambda f: {"a": f.sigma, 2: f.nobs}, ["a", "2"], id="dict"),
    ],
)
def test_what_fun_may_return(fit: lmm.LmmFit, fun: Callable[[lmm.LmmFit], Any], names: list[str]) -> None:
    boot = fit.bootstrap(2, fun, seed=1)
    assert list(boot.replicates.columns) == list(boot.estimate.index) == names
    assert (boot.replicates.dtypes == np.dtype(float)).all() and boot.problems == {}
    for i, y in enumerate(fit.simulate(2, seed=1).items()):
        expected = fun(fit.refit(y[1]))
        expected = list(expected.values()) if isinstance(expected, dict) else expected
        np.testing.assert_array_equal(boot.replicates.iloc[i], np.ravel(np.asarray(expected, dtype=float)))


@pytest.mark.parametrize(
    "given",
    [
        "text",
        {"a": "b"},
        object(),
        [1.0, "x"],
    ],
)
def test_what_fun_may_not_return(fit: lmm.LmmFit, given: Any) -> None:
    with pytest.raises(ModelError, match="fun must return numbers"):
        fit.bootstrap(2, lambda f: given, seed=1)


def test_a_forgotten_return(fit: lmm.LmmFit) -> None:
    with pytest.raises(ModelError, match="fun returned None"):
        fit.bootstrap(2, lambda f: None, seed=1)
    with pytest.warns(ConvergenceWarning, match="2 of 2.*fun returned None"):
        boot = fit.bootstrap(2, lambda f: f.sigma if f is fit else None, seed=1)
    assert boot.replicates.isna().all(axis=None)


def test_a_changing_set_of_names_is_a_problem_of_that_replicate(fit: lmm.LmmFit) -> None:
    third = fit.simulate(4, seed=1)["sim_3"].iloc[0]

    def fun(f: lmm.LmmFit) -> dict[str, float]:
        return {"b" if f.response.iloc[0] == third else "a": f.sigma}

    with pytest.warns(
        ConvergenceWarning, match=r"1 of 4 bootstrap replicates failed.*number 2: fun gave 'b'"
    ) as caught:
        boot = fit.bootstrap(4, fun, seed=1)
    assert len(caught) == 1
    assert list(boot.problems) == [2] and "for the fit" in boot.problems[2]
    assert boot.replicates["a"].isna().tolist() == [False, False, True, False]
    assert "0 singular, 1 failed" in repr(boot)
    assert boot.summary().loc["a", "std_error"] == boot.replicates["a"].dropna().std()


def test_the_warning_points_at_the_caller(fit: lmm.LmmFit, sleep: pd.DataFrame) -> None:
    with pytest.warns(ConvergenceWarning) as caught:
        fit.bootstrap(2, lambda f: {str(f.response.iloc[0]): 1.0}, seed=1)
    stopped = quiet(lambda: lmm.lmer(SLEEP, sleep, control=Control(max_evaluations=2)))
    with pytest.warns(ConvergenceWarning) as without_fun:
        stopped.bootstrap(1, seed=1)
    assert [w.filename for w in [*caught, *without_fun]] == [__file__] * 2


def test_an_error_of_lmmpy_in_fun_is_a_problem(fit: lmm.LmmFit) -> None:
    def fun(f: lmm.LmmFit) -> float:
        return f.sigma if f is fit else f.refit([1.0]).sigma

    with pytest.warns(ConvergenceWarning, match="2 of 2"):
        boot = fit.bootstrap(2, fun, seed=1)
    assert sorted(boot.problems) == [0, 1] and boot.replicates.isna().all(axis=None)


@pytest.mark.parametrize("error", [ValueError, KeyError, ZeroDivisionError, KeyboardInterrupt])
def test_an_error_that_is_not_ours_goes_through(fit: lmm.LmmFit, error: type[BaseException]) -> None:
    def fun(f: lmm.LmmFit) -> float:
        if f is not fit:
            raise error("mine")
        return 1.0

    with pytest.raises(error, match="mine"):
        fit.bootstrap(2, fun, seed=1)


def test_a_warning_that_is_not_ours_goes_through(fit: lmm.LmmFit) -> None:
    def fun(f: lmm.LmmFit) -> float:
        if f is not fit:
            warnings.warn("mine", UserWarning, stacklevel=1)
        return 1.0

    with pytest.warns(UserWarning, match="mine"):
        fit.bootstrap(1, fun, seed=1)


def stopped(sleep: pd.DataFrame) -> lmm.Bootstrap:
    fit = quiet(lambda: lmm.lmer(SLEEP, sleep, control=Control(max_evaluations=2)))
    with pytest.warns(ConvergenceWarning, match="3 of 3 bootstrap replicates failed") as caught:
        boot = fit.bootstrap(3, seed=1)
    assert len(caught) == 1  # not one a replicate
    return boot


def test_replicates_that_did_not_converge_are_problems(sleep: pd.DataFrame) -> None:
    problems = stopped(sleep).problems
    assert sorted(problems) == [0, 1, 2] and all("stopped after 2 evaluations" in text for text in problems.values())


def test_replicates_that_did_not_converge_are_nan(sleep: pd.DataFrame) -> None:
    boot = stopped(sleep)
    assert boot.replicates.isna().all(axis=None) and "3 failed" in repr(boot)
    fit = quiet(lambda: lmm.lmer(SLEEP, sleep, control=Control(max_evaluations=2)))
    by_fun = quiet(lambda: fit.bootstrap(3, lambda f: f.sigma, seed=1))
    assert by_fun.replicates.isna().all(axis=None) and by_fun.problems == boot.problems


# ---- bootstrap: statistics


def test_a_mean_in_a_balanced_design(dyestuff: lmm.LmmFit) -> None:
    """The mean of a balanced one-way design: its variance is σ_a²/6 + σ²/30, and it has no bias."""
    n = 100
    boot = dyestuff.bootstrap(n, seed=11)
    G, residual = dyestuff.varcorr["Batch"].iloc[0, 0], dyestuff.sigma**2
    se = np.sqrt(G / 6 + residual / 30)
    assert dyestuff.se.iloc[0] == pytest.approx(se, rel=1e-9)
    row = boot.summary().loc["(Intercept)"]
    assert abs(row["std_error"] / se - 1.0) < 3.5 / np.sqrt(2 * (n - 1))
    assert abs(row["bias"]) < 3.5 * se / np.sqrt(n)
    assert not boot.problems


def test_with_the_effects_held_only_the_residual_varies(dyestuff: lmm.LmmFit) -> None:
    n = 100
    boot = dyestuff.bootstrap(n, lambda f: f.response.mean(), seed=12, use_re=True)
    se = dyestuff.sigma / np.sqrt(30)
    row = boot.summary().loc["t1"]
    assert abs(row["std_error"] / se - 1.0) < 3.5 / np.sqrt(2 * (n - 1))
    assert abs(boot.replicates["t1"].mean() - dyestuff.fitted().mean()) < 3.5 * se / np.sqrt(n)


# ---- bootstrap: processes


def test_the_number_of_processes_does_not_matter(fit: lmm.LmmFit) -> None:
    pytest.importorskip("joblib")
    alone, shared = (fit.bootstrap(9, seed=6, n_jobs=n_jobs) for n_jobs in (1, 2))
    pd.testing.assert_frame_equal(shared.replicates, alone.replicates, check_exact=True)
    assert shared.singular.tolist() == alone.singular.tolist() and shared.problems == alone.problems == {}
    fun = lambda f: {"theta": f.theta.iloc[0], "loglik": f.loglik}  # noqa: E731  (pickled by value)
    alone, shared = (fit.bootstrap(3, fun, seed=6, n_jobs=n_jobs) for n_jobs in (1, 2))
    pd.testing.assert_frame_equal(shared.replicates, alone.replicates, check_exact=True)


def test_problems_come_back_from_other_processes(dyestuff: lmm.LmmFit) -> None:
    pytest.importorskip("joblib")
    known = dyestuff.sigma

    def fun(f: lmm.LmmFit) -> dict[str, float]:
        return {"a" if f.sigma == known else "b": f.sigma}

    with pytest.warns(ConvergenceWarning, match="3 of 3") as caught:
        boot = dyestuff.bootstrap(3, fun, seed=6, n_jobs=2)
    assert len(caught) == 1 and sorted(boot.problems) == [0, 1, 2]


def test_without_joblib_one_process_still_works(fit: lmm.LmmFit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert len(fit.bootstrap(1, seed=1)) == 1
    with pytest.raises(ModelError, match=r"pip install joblib.*n_jobs=1"):
        fit.bootstrap(2, seed=1, n_jobs=2)


@pytest.mark.parametrize("n_jobs", [0, 1.0, "2", True, None])
def test_n_jobs_is_a_number_of_processes(fit: lmm.LmmFit, n_jobs: Any) -> None:
    with pytest.raises(ModelError, match="n_jobs counts processes"):
        fit.bootstrap(1, seed=1, n_jobs=n_jobs)
