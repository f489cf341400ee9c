"""How fits with relatives are told, drawn, checked, stored and passed on."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference.assumptions import decorrelated
from lmmpy.model import check as check_module
from lmmpy.model.check import _standardized
from lmmpy.model.influence import leverage_of
from lmmpy.plots import groups_frame
from tests.model.made import at
from tests.model.relatives import data, fit, kernel, pedigree


@pytest.fixture(scope="module")
def model() -> lmm.LmmFit:
    return fit("household")


def test_groups_are_the_levels_with_records(model):
    line = "groups:  kin(id, K), 28; hh, 9"
    assert model.ngroups == {"kin(id, K)": 28, "hh": 9}
    assert line in str(model) and line in str(model.summary()) and line in model.summary().to_latex()
    html = model.summary(ddf="kenward-roger").to_html()
    assert line in html and html == model.summary(ddf="kenward-roger")._repr_html_()
    assert "kin(id, P) (28 levels with rows" in repr(
        lmm.lformula("y ~ x + kin(id, P)", data(), relmat={"P": pedigree()})
    )


def test_tidy_has_every_relative_once(model):
    table = model.tidy("ran_vals")
    kin = table[table["group"] == "kin(id, K)"]
    effects = model.ranef(cond_var=True)
    frame = effects["kin(id, K)"]
    assert list(kin["level"]) == list(frame.index) and len(kin) == model.design.random[0].n_levels == 35
    np.testing.assert_array_equal(kin["estimate"], frame["(Intercept)"])
    np.testing.assert_allclose(kin["std_error"] ** 2, effects.cond_var["kin(id, K)"][:, 0, 0])
    assert set(table["group"]) == {"kin(id, K)", "hh"} and model.glance().loc[0, "nobs"] == 67
    assert list(model.tidy("ran_pars")["group"]) == ["kin(id, K)", "hh", "Residual"]


def test_spherical_effects_have_the_covariance_of_the_relatives(model):
    """b = Λu, so that u is b in units of its factor, with the relatedness of b."""
    T, name = model.theta.iloc[0], "kin(id, K)"
    np.testing.assert_allclose(T * model.u[name], model.ranef()[name], rtol=1e-10)


def test_augment_has_the_column_of_ids(model):
    table = model.augment()
    assert list(table["id"]) == list(data()["id"]) and list(table.index) == list(data().index)
    assert not any(column.startswith("kin") for column in table)
    own = model.augment(data())
    np.testing.assert_array_equal(own["_fitted"], model.fitted())


# ---- the check


def test_modes_of_relatives_are_made_independent(model):
    """Their standardised values have the covariance I by the model."""
    naive, term = at(model), model.design.random[0]
    root, bs = model.sigma * np.linalg.cholesky(naive.V), []
    leverage = leverage_of(model)
    X, G, Z = model.design.X, naive.spread(0, naive.Ts[0] @ naive.Ts[0].T), naive.Zs[0]
    for column in root.T:  # Xβ known: the conditional variances are those of known β
        b = G @ Z.T @ np.linalg.solve(naive.V, column)
        bs.append(_standardized(leverage, 0, 0, float(naive.Ts[0][0, 0] ** 2), b / model.sigma))
    found = np.array(bs).T
    assert found.shape[0] == term.n_recorded and X.shape[1] == 4
    np.testing.assert_allclose(found @ found.T, np.eye(term.n_recorded), atol=1e-7)


def test_twins_with_a_level_each_count_once():
    one, two = (fit("animal", kind).check().to_frame().set_index("check") for kind in ("pedigree", "twins"))
    name = "normality of (Intercept) | kin(id, K)"
    assert one.loc[name, "figure"] == pytest.approx(two.loc[name, "figure"], rel=0.3)
    full = np.array([[2.0, 2.0, 0.5], [2.0, 2.0, 0.5], [0.5, 0.5, 1.0]])
    assert len(decorrelated(np.array([1.0, 1.0, 3.0]), full)) == 2


def test_of_many_relatives_some_are_enough(model, monkeypatch):
    monkeypatch.setattr(check_module, "_RELATIVES", 12)
    found = model.check().to_frame().set_index("check").loc["normality of (Intercept) | kin(id, K)"]
    assert np.isfinite(found["p_value"])


def test_the_check_asks_no_spread_of_levels_without_records():
    """A finding about the levels of the term evens the residuals out by their spread; others have none."""
    rng = np.random.default_rng(1)
    ids = [name for name in pedigree().ids if name != "a15"][8:20]
    who = np.repeat(np.arange(12), 12)
    y = 6.0 * rng.normal(size=12)[who] + rng.normal(size=144) * np.where(who % 2, 4.0, 0.3)
    frame = pd.DataFrame({"y": y, "x": rng.normal(size=144), "id": np.array(ids)[who]})
    found = lmm.lmer("y ~ x + kin(id, K)", frame, relmat={"K": pedigree()})
    assert not found.design.random[0].recorded.all()
    table = found.check().to_frame().set_index("check")
    assert table.loc["equal variance between levels of kin(id, K)", "verdict"] == "concern"
    assert np.isfinite(table.loc["normality of residuals (variances evened out)", "figure"])


# ---- plots


def test_groups_without_records_are_not_drawn(model):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pytest.raises(lmm.ModelError, match=r"No row of the data has the level 'a00' of kin\(id, K\)"):
        groups_frame(model, "x", "kin(id, K)", ["a08", "a00"])
    drawn = model.plot.groups(n=40)
    assert sum(axes.get_visible() for axes in np.ravel(drawn)) >= 28
    titles = {axes.get_title() for axes in np.ravel(drawn)} - {""}
    term = model.design.random[0]
    assert titles == {level for level, there in zip(term.levels, term.recorded, strict=True) if there}
    some = {axes.get_title() for axes in np.ravel(model.plot.groups(n=5))} - {""}
    assert len(some) == 5 and some < titles
    for draw in (model.plot.caterpillar, model.plot.qq_ranef, model.plot.shrinkage, model.plot.influence):
        draw()
    pyplot.close("all")


# ---- other packages


def test_a_table_for_publication(model):
    maketables = pytest.importorskip("maketables")
    table = maketables.ETable([model, fit("animal")]).df
    cells = {row: list(values) for (_, row), values in zip(table.index, table.to_numpy(), strict=True)}
    assert cells["Groups (kin(id, K))"] == ["28", "28"] and cells["Groups (hh)"][0] == "9"
    sd = np.sqrt(model.varcorr["kin(id, K)"].iloc[0, 0])
    assert cells["SD (Intercept) | kin(id, K)"][0] == f"{sd:.3f}"


def test_marginal_effects(model):
    marginaleffects = pytest.importorskip("marginaleffects")
    found = lmm.lmer("y ~ x + kin(id, K)", data(), relmat={"K": pedigree()})
    table = marginaleffects.avg_slopes(found.to_marginaleffects())
    assert float(table["estimate"][0]) == pytest.approx(found.fixef["x"], rel=1e-6)
    assert float(table["std_error"][0]) == pytest.approx(found.se["x"], rel=1e-4)


@pytest.mark.parametrize("kind", ["pedigree", "precision", "twins", "genotypes"])
def test_fits_are_stored_with_their_relatedness(kind):
    model = fit("animal", kind)
    again: Any = pickle.loads(pickle.dumps(model))
    assert str(again) == str(model)
    np.testing.assert_array_equal(again.ranef()["kin(id, K)"], model.ranef()["kin(id, K)"])
    assert again.update(". ~ . - f").loglik == pytest.approx(model.update(". ~ . - f").loglik, abs=1e-9)


def test_processes_give_the_same(model):
    pytest.importorskip("joblib")
    one, two = model.influence("hh"), model.influence("hh", n_jobs=2)
    pd.testing.assert_frame_equal(one.fixef, two.fixef, rtol=1e-12)
    drawn = [model.bootstrap(4, seed=5, n_jobs=n).replicates for n in (1, 2)]
    pd.testing.assert_frame_equal(*drawn, rtol=1e-12)


# ---- refused, with the reason


def test_separate_regressions_know_no_relatives():
    P = pedigree()
    assert P.id is None
    for group in ("kin(id, P)", "kin(P)"):
        with pytest.raises(lmm.FormulaError, match="lm_list fits each group by itself"):
            lmm.lm_list(f"y ~ x | {group}", data())


def test_engines_that_cannot_take_relatives_say_so():
    for engine in ("blocked", "blocked-dense"):
        with pytest.raises(lmm.ModelError, match="are related"):
            fit("household").update(control=lmm.Control(engine=engine))
    with pytest.raises(lmm.ModelError, match="one random effect"):
        fit("household").update(control=lmm.Control(engine="spectral"))
    with pytest.raises(lmm.LmmpyError):
        lmm.lmer("y ~ x + kin(id, K)", data(), relmat={"K": kernel("twins")}, control=lmm.Control(engine="sparse"))


def test_a_new_relatedness_by_update():
    found = fit("animal").update(relmat={"K": kernel("genotypes")})
    assert found.loglik == pytest.approx(fit("animal", "genotypes").loglik, abs=1e-8)
