"""A fit that was pickled is the fit that it was: in another process, with every kind of data and scope."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from tests.frames import polars

SLEEP = "Reaction ~ Days + (Days | Subject)"


def by_pickle(fit: lmm.LmmFit) -> lmm.LmmFit:
    again: lmm.LmmFit = pickle.loads(pickle.dumps(fit))
    return again


def by_joblib(fit: lmm.LmmFit) -> lmm.LmmFit:
    file = io.BytesIO()
    joblib.dump(fit, file, compress=1)
    file.seek(0)
    again: lmm.LmmFit = joblib.load(file)
    return again


def by_cloudpickle(fit: lmm.LmmFit) -> lmm.LmmFit:
    again: lmm.LmmFit = pickle.loads(pytest.importorskip("cloudpickle").dumps(fit))
    return again


COPIES: list[Callable[[lmm.LmmFit], lmm.LmmFit]] = [by_pickle, by_joblib, by_cloudpickle, copy.deepcopy]


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return lmm.datasets.load("sleepstudy")


def assert_works_the_same(again: lmm.LmmFit, fit: lmm.LmmFit, data: Any) -> None:
    """Everything that a fit can do, on the copy; the numbers are those of the original to the last bit."""
    assert again is not fit and again.criterion is not fit.criterion
    assert str(again.summary()) == str(fit.summary()) and str(again.convergence) == str(fit.convergence)
    pd.testing.assert_frame_equal(again.optimization, fit.optimization)
    for ours, theirs in ((again.predict(data), fit.predict(data)), (again.residuals(), fit.residuals())):
        pd.testing.assert_series_equal(ours, theirs)
    pd.testing.assert_frame_equal(again.vcov(), fit.vcov())
    pd.testing.assert_frame_equal(again.frame(), fit.frame())
    pd.testing.assert_frame_equal(again.augment(), fit.augment())
    everything = {"effects": ("fixed", "ran_pars", "ran_vals", "ran_coefs"), "ddf": "satterthwaite"}
    pd.testing.assert_frame_equal(again.tidy(**everything), fit.tidy(**everything))
    y = fit.simulate(1, seed=3).iloc[:, 0].dropna().to_numpy()
    pd.testing.assert_frame_equal(again.simulate(2, seed=3), fit.simulate(2, seed=3))
    assert again.refit(y).loglik == fit.refit(y).loglik
    assert again.refit_ml().loglik == fit.refit_ml().loglik
    assert again.update(reml=False).loglik == fit.update(reml=False).loglik
    pd.testing.assert_frame_equal(again.bootstrap(3, seed=4).replicates, fit.bootstrap(3, seed=4).replicates)


@pytest.mark.parametrize("copied", COPIES)
def test_every_way_to_copy(sleep: pd.DataFrame, copied: Callable[[lmm.LmmFit], lmm.LmmFit]) -> None:
    fit = lmm.lmer(SLEEP, sleep)
    assert_works_the_same(copied(fit), fit, sleep)
    assert_works_the_same(copied(copied(fit)), fit, sleep)  # of a fit whose cached results are filled, and of a copy


@pytest.mark.parametrize("engine", ["blocked", "blocked-sparse", "sparse"])
def test_every_engine(engine: str) -> None:
    """CHOLMOD's factors are no Python objects: they are made anew, not pickled."""
    data = lmm.datasets.load("Penicillin")
    control = lmm.Control(engine=engine)
    fit = lmm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", data, control=control)
    again = by_pickle(fit)
    assert again.criterion.name == fit.criterion.name
    assert_works_the_same(again, fit, data)


def test_rows_left_out_weights_and_offset(sleep: pd.DataFrame) -> None:
    data = sleep.assign(w=np.linspace(0.5, 2.0, 180), o=np.linspace(-5.0, 5.0, 180))
    data.loc[[4, 90], "Reaction"] = np.nan
    fit = lmm.lmer(SLEEP, data, weights="w", offset="o", subset="Days > 0", na_action="exclude")
    again = by_pickle(fit)
    assert_works_the_same(again, fit, data)
    pd.testing.assert_frame_equal(again.augment(data), fit.augment(data))


def test_known_components_and_a_singular_fit(sleep: pd.DataFrame) -> None:
    held = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep, varcomp={"Subject": 900.0, "Residual": 700.0})
    assert_works_the_same(by_pickle(held), held, sleep)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        data = lmm.datasets.load("Dyestuff2")
        fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", data)
        again = by_pickle(fit)
        assert again.is_singular() and str(again.summary()) == str(fit.summary())
        assert again.refit_ml().loglik == fit.refit_ml().loglik


def test_polars_data_and_arrays(sleep: pd.DataFrame) -> None:
    frame = polars(sleep.astype({"Subject": str}))
    for data in (frame, {name: sleep[name].to_numpy() for name in sleep}):
        fit = lmm.lmer(SLEEP, data)
        assert_works_the_same(by_pickle(fit), fit, data)


def test_transformations_and_a_module_in_the_formula(sleep: pd.DataFrame) -> None:
    fit = lmm.lmer("np.log(Reaction) ~ ns(np.sqrt(Days), 3) + (scale(Days) | Subject)", sleep)
    again = by_pickle(fit)
    new = pd.DataFrame({"Days": [0.5, 3.0], "Subject": ["308", "309"]})
    pd.testing.assert_series_equal(again.predict(new), fit.predict(new))
    pd.testing.assert_frame_equal(again.augment(), fit.augment())
    smaller = ". ~ . - ns(np.sqrt(Days), 3) + Days"
    assert again.update(smaller).loglik == fit.update(smaller).loglik


def doubled(x: Any) -> Any:
    return 2 * x


def test_a_function_of_a_module_pickles_by_its_name(sleep: pd.DataFrame) -> None:
    fit = lmm.lmer("Reaction ~ doubled(Days) + (1 | Subject)", sleep)
    pd.testing.assert_series_equal(by_cloudpickle(fit).predict(sleep), fit.predict(sleep))
    assert fit.blueprint.scope == {"doubled": doubled}


def test_a_local_function_needs_cloudpickle(sleep: pd.DataFrame) -> None:
    """Pickle refuses it by its name; cloudpickle, which joblib's processes use, takes it along."""
    offset = 3.0
    bent = lambda x: np.sqrt(x + offset)  # noqa: E731
    fit = lmm.lmer("Reaction ~ bent(Days) + (1 | Subject)", sleep)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(fit)
    again = by_cloudpickle(fit)
    assert again.blueprint.scope["bent"] is not bent
    pd.testing.assert_series_equal(again.predict(sleep), fit.predict(sleep))
    assert_works_the_same(again, fit, sleep)


def test_only_the_names_that_the_formula_uses_go_along(sleep: pd.DataFrame) -> None:
    """Not all that the caller had in scope, which may be large, or not to be pickled at all."""
    large, lock = np.zeros(10**6), (_ for _ in ())
    fit = lmm.lmer("Reaction ~ np.sqrt(Days) + (1 | Subject)", sleep)
    assert set(fit.blueprint.scope) == {"np"}
    assert len(pickle.dumps(fit)) < 200_000 < large.nbytes and lock is not None


def test_another_process_reads_it(sleep: pd.DataFrame, tmp_path: Path) -> None:
    fit = lmm.lmer("np.log(Reaction) ~ ns(Days, 2) + (1 | Subject)", sleep)
    path = tmp_path / "fit.pickle"
    path.write_bytes(pickle.dumps(fit))
    program = (
        "import pickle, sys\n"
        f"fit = pickle.loads(open({str(path)!r}, 'rb').read())\n"
        "new = fit.frame().iloc[::7]\n"
        "print(repr(float(fit.refit_ml().loglik)), repr(float(fit.predict(new).sum())))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said = [float(word) for word in done.stdout.split()]
    assert said == pytest.approx([fit.refit_ml().loglik, fit.predict(fit.frame().iloc[::7]).sum()], rel=1e-12)


@pytest.mark.parametrize("engine", ["blocked", "sparse"])
def test_the_size_is_that_of_data_and_design(engine: str) -> None:
    """Factors, cross-products and the pattern of the system are made anew when they are needed."""
    rng = np.random.default_rng(2)
    n = 20_000
    data = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 2000, n), "h": rng.integers(0, 300, n)})
    data["y"] = data["x"] + rng.normal(size=2000)[data["g"]] + rng.normal(size=300)[data["h"]] + rng.normal(size=n)
    control = lmm.Control(engine=engine)
    fit = lmm.lmer("y ~ x + (1 | g) + (1 | h)", data, control=control)
    # y, X (2), two columns of ones, two of codes: 7 columns; the data have 4; masks, b and its spherical form are half
    # a column each at most.
    assert len(pickle.dumps(fit)) < 8 * n * 12
