"""Which engine a design gets, and that the choice changes nothing but the cost."""

from __future__ import annotations

import pickle
from functools import cache

import numpy as np
import pytest

import lmmpy as lmm
from lmmpy.design import build_design
from lmmpy.engines import ENGINES, choose, make_criterion
from lmmpy.engines.blocked import BlockedSystem
from lmmpy.engines.sparse import SparseSystem


@cache
def data():
    """s and i cross, 30 × 12; c nests in s (90 levels) and o is above s (6 levels); x varies by row."""
    rng = np.random.default_rng(11)
    n = 720
    s, i = np.divmod(np.arange(n) % 360, 12)
    c, o = 3 * s + rng.integers(0, 3, n), s // 5
    x, w = rng.normal(size=n), rng.uniform(0.3, 3.0, n)
    y = 2.0 + x + rng.normal(size=30)[s] + 0.5 * x * rng.normal(size=30)[s] + rng.normal(size=12)[i]
    y += 0.7 * rng.normal(size=90)[c] + 0.8 * rng.normal(size=6)[o] + rng.normal(size=n)
    return {"y": y, "x": x, "w": w} | {name: v.astype(str) for name, v in (("s", s), ("i", i), ("c", c), ("o", o))}


def system_of(formula: str, engine: str = "auto", frame=None):
    design, _ = build_design(formula, data() if frame is None else frame)
    return make_criterion(design, True, engine)._system, design


def eliminated(formula: str) -> set[str]:
    system, design = system_of(formula)
    return {design.random[t].name for t in system.eliminated.terms}


# ---- which factor is eliminated


@pytest.mark.parametrize(
    ("random", "names"),
    [
        ("(1 | s)", {"s"}),
        ("(1 | s) + (1 | i)", {"s"}),
        ("(1 | i) + (1 | s)", {"s"}),
        ("(1 | s) + (1 | c)", {"c"}),
        ("(1 + x | s) + (1 | i)", {"s"}),
    ],
)
def test_the_factor_with_the_most_effects_is_eliminated(random, names):
    assert eliminated(f"y ~ x + {random}") == names


def test_effects_count_and_not_levels():
    """30 levels of 4 effects against 90 of one; 30 of 2 would not do."""
    four = "(1 + x + I(x^2) + I(x^3) | s)"
    assert eliminated(f"y ~ x + {four} + (1 | c)") == {"s"}
    assert eliminated("y ~ x + (1 + x | s) + (1 | c)") == {"c"}


def test_merged_terms_count_together():
    """(1|s) + (0+x|s) + (0+x²|s) + (0+x³|s): 120 effects, each term alone fewer than c's 90."""
    random = "(1 | s) + (0 + x | s) + (0 + I(x^2) | s) + (0 + I(x^3) | s) + (1 | c)"
    system, design = system_of(f"y ~ x + {random}")
    assert [design.random[t].group for t in system.eliminated.terms] == ["s"] * 4
    assert (system.eliminated.levels, system.eliminated.k) == (30, 4)
    assert eliminated("y ~ x + (1 | s) + (0 + x | s) + (1 | c)") == {"c"}


def test_every_term_of_the_eliminated_factor_goes():
    system, design = system_of("y ~ x + (1 | c) + (0 + x | c) + (1 | s)")
    assert [design.random[t].group for t in system.rest] == ["s"]


# ---- dense or sparse


def test_a_single_factor_leaves_nothing():
    system, _ = system_of("y ~ x + (1 + x | s)")
    assert isinstance(system, BlockedSystem)
    assert system.schur is None


def test_dense_for_few_others():
    system, _ = system_of("y ~ x + (1 | s) + (1 | i)")
    assert system.schur.kind == "dense"


@pytest.mark.parametrize(("small", "kind"), [(29, "sparse"), (30, "dense")])
def test_few_is_up_to_a_limit(small, kind, monkeypatch):
    """c within s: what is left are 30 effects that never meet, sparse as soon as they are many."""
    monkeypatch.setattr(choose, "_SMALL", small)
    monkeypatch.setattr(choose, "_SPARSE_IS_SLOWER", 0.0)
    system, _ = system_of("y ~ x + (1 | c) + (1 | s)")
    assert system.schur.kind == kind


def test_sparse_for_many_outer_groups():
    """500 outer groups of three inner ones."""
    inner = np.repeat(np.arange(1500), 2)
    frame = {"y": np.random.default_rng(1).normal(size=3000), "inner": inner, "outer": inner // 3}
    system, _ = system_of("y ~ 1 + (1 | inner) + (1 | outer)", frame=frame)
    assert (system.schur.kind, len(system.rest_places)) == ("sparse", 500)


def test_dense_where_levels_meet_all_the_same(monkeypatch):
    """s crossed with i: all 12 others of every level of s are together."""
    monkeypatch.setattr(choose, "_SMALL", 0)
    assert system_of("y ~ x + (1 | s) + (1 | i)")[0].schur.kind == "dense"


def test_dense_where_fill_makes_sparse_slow(monkeypatch):
    """A circle: few pairs meet, and CHOLMOD's price for them decides."""
    size = 40
    left = np.arange(size)
    frame = {"a": np.repeat(left, 2), "b": np.column_stack([left, (left + 1) % size]).ravel()}
    frame["y"] = np.random.default_rng(2).normal(size=2 * size)
    monkeypatch.setattr(choose, "_SMALL", 0)
    assert system_of("y ~ 1 + (1 | a) + (1 | b)", frame=frame)[0].schur.kind == "sparse"
    monkeypatch.setattr(choose, "_SPARSE_IS_SLOWER", 1e9)
    assert system_of("y ~ 1 + (1 | a) + (1 | b)", frame=frame)[0].schur.kind == "dense"
    monkeypatch.setattr(choose, "_LARGEST_DENSE", 10)
    assert system_of("y ~ 1 + (1 | a) + (1 | b)", frame=frame)[0].schur.kind == "sparse"


@pytest.mark.parametrize(("largest", "pairs", "expected"), [(11, 0, SparseSystem), (12, 0, BlockedSystem)])
def test_everything_is_left_to_cholmod_when_nothing_fits(largest, pairs, expected, monkeypatch):
    monkeypatch.setattr(choose, "_SMALL", 0)
    monkeypatch.setattr(choose, "_LARGEST_DENSE", largest)
    monkeypatch.setattr(choose, "_MOST_PAIRS", pairs)
    assert isinstance(system_of("y ~ x + (1 | s) + (1 | i)")[0], expected)


# ---- asked for by name


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engine_that_was_asked_for(engine):
    system, _ = system_of("y ~ x + (1 | c) + (1 | s)", engine)
    assert system.name.startswith(engine)
    if engine.startswith("blocked-"):
        assert f"blocked-{system.schur.kind}" == engine


@pytest.mark.parametrize("limit", ["_SMALL", "_LARGEST_DENSE", "_MOST_PAIRS"])
@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_name_is_stronger_than_the_limits(engine, limit, monkeypatch):
    monkeypatch.setattr(choose, limit, 0)
    system, _ = system_of("y ~ x + (1 | s) + (1 | i)", engine)
    assert isinstance(system, SparseSystem) == (engine == "sparse")
    if isinstance(system, BlockedSystem):
        assert f"blocked-{system.schur.kind}" == engine


DESIGNS = {
    "one": "y ~ x + (1 + x | s)",
    "crossed": "y ~ x + (1 | s) + (1 | i)",
    "crossed slopes": "y ~ x + (1 + x | s) + (1 | i)",
    "nested": "y ~ x + (1 | c) + (1 | s) + (1 | o)",
    "merged": "y ~ x + (1 | s) + (0 + x | s) + (1 | i) + (1 | c)",
    "structured": "y ~ x + cs(1 + x | s) + (1 | i)",
}


@cache
def fitted(label: str, engine: str):
    weights = "w" if label == "merged" else None
    return lmm.lmer(DESIGNS[label], data(), weights=weights, control=lmm.Control(engine=engine))


@pytest.mark.parametrize("engine", ["auto", *ENGINES[1:]])
@pytest.mark.parametrize("label", DESIGNS)
def test_every_engine_gives_the_same_fit(label, engine):
    fit, other = fitted(label, engine), fitted(label, "blocked")
    np.testing.assert_allclose(fit.optimum.theta, other.optimum.theta, rtol=1e-6, atol=1e-6)
    assert fit.optimum.evaluation.value == pytest.approx(other.optimum.evaluation.value, rel=0, abs=1e-8)
    np.testing.assert_allclose(fit.fixef, other.fixef, rtol=1e-6)
    np.testing.assert_allclose(fit.se, other.se, rtol=1e-6)


@pytest.mark.parametrize("label", ["one", "nested"])
@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_the_fit_records_its_engine(label, engine):
    recorded = fitted(label, engine).convergence.engine
    assert recorded in ENGINES
    if label == "nested" or engine == "sparse":
        assert recorded.startswith("blocked" if engine == "auto" else engine)
    else:
        assert recorded == "blocked"


def test_an_engine_that_does_not_exist():
    with pytest.raises(lmm.ModelError, match="'fast'"):
        lmm.Control(engine="fast")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fit_pickles(engine):
    """And goes on to work: the same numbers, the same engine, a prediction, a refit."""
    fit = fitted("crossed slopes", engine)
    again = pickle.loads(pickle.dumps(fit))
    assert again.convergence.engine == fit.convergence.engine
    np.testing.assert_array_equal(again.optimum.theta, fit.optimum.theta)
    np.testing.assert_array_equal(again.fixef, fit.fixef)
    np.testing.assert_array_equal(again.fitted(), fit.fitted())
    theta = 1.1 * fit.optimum.theta
    assert again.criterion.evaluate(theta).value == fit.criterion.evaluate(theta).value
    np.testing.assert_array_equal(
        again.criterion.evaluate(theta, 2).gradient, fit.criterion.evaluate(theta, 2).gradient
    )
    y = fit.design.y[::-1].copy()
    assert (
        again.criterion.with_response(y).evaluate(theta).value == fit.criterion.with_response(y).evaluate(theta).value
    )
