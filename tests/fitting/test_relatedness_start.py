"""Where the search begins when levels are related: near the optimum, and nowhere else for ordinary terms."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.fitting import moments
from lmmpy.fitting.start import start_values
from lmmpy.relatedness import Pedigree, Relatedness
from tests.model.relatives import fit
from tests.qtl.family import pedigree, people


def nuclear(h2: float) -> tuple[pd.DataFrame, Pedigree]:
    """Two hundred families with two parents and two children, everyone with one record."""
    rng, n = np.random.default_rng(2), 200
    ids = np.array([[f"{i}.{j}" for j in range(4)] for i in range(n)])
    parents = np.where(np.arange(4) < 2, "0", ids[:, [0]]), np.where(np.arange(4) < 2, "0", ids[:, [1]])
    made = Pedigree(ids.ravel(), *(np.ravel(p) for p in parents))
    A = made.additive()
    g = A.root_times(rng.normal(size=(A.size, 1)))[A.positions(ids.ravel()), 0]
    y = np.sqrt(h2) * g + np.sqrt(1.0 - h2) * rng.normal(size=4 * n)
    return pd.DataFrame({"y": y, "x": rng.normal(size=4 * n), "id": ids.ravel()}), made


def genomic(h2: float) -> tuple[pd.DataFrame, Relatedness]:
    rng, n, m = np.random.default_rng(3), 300, 450
    G = rng.normal(size=(n, m))
    y = np.sqrt(h2 / m) * G @ rng.normal(size=m) + np.sqrt(1.0 - h2) * rng.normal(size=n)
    ids = [f"i{i}" for i in range(n)]
    return pd.DataFrame({"y": y, "x": rng.normal(size=n), "id": ids}), Relatedness(G @ G.T / m, labels=ids)


@pytest.mark.parametrize("trait", ["bmi", "fvii"])
@pytest.mark.parametrize("reml", [True, False])
def test_few_evaluations_in_families(trait, reml):
    """From the moments of single levels, of which each has one record, it took fourteen."""
    found = lmm.lmer(f"{trait} ~ age + sex + kin(ID, P)", people(), reml=reml, relmat={"P": pedigree()})
    assert len(found.optimization) <= 7


@pytest.mark.parametrize("h2", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("made", [nuclear, genomic])
def test_few_evaluations(made, h2):
    frame, K = made(h2)
    found = lmm.lmer("y ~ x + kin(id, K)", frame, relmat={"K": K})
    assert len(found.optimization) <= 9


def test_the_start_is_where_moments_are_met(monkeypatch):
    """With many signs the traces are those of the dense matrices MV_aMV_b, and the variances solve the equations."""
    monkeypatch.setattr(moments, "_PROBED", 10**9)
    clip = np.clip
    monkeypatch.setattr(moments.np, "clip", lambda x, low, high: clip(x, low, 20_000 if high == 16 else high))
    model = fit("household")
    design = model.design
    found, _ = start_values(model.criterion.orthogonal())
    w = np.sqrt(design.weights)
    X, y = design.X * w[:, None], design.y * w
    M = np.eye(design.n) - X @ np.linalg.solve(X.T @ X, X.T)
    Vs = [w[:, None] * (t.Z @ t.relatedness.dense() @ t.Z.T) * w for t in design.random] + [np.eye(design.n)]
    traces = np.array([[np.trace(M @ a @ M @ b) for b in Vs] for a in Vs])
    e = M @ y
    variances = np.linalg.solve(traces, [e @ V @ e for V in Vs])
    assert (variances > 0).all()
    np.testing.assert_allclose(found, np.sqrt(variances[:2] / variances[2]), rtol=0.05)


def test_the_scale_of_the_relatedness_does_not_matter():
    frame, K = genomic(0.5)
    starts = []
    for factor in (1e-4, 1.0, 1e4):
        found = lmm.lmer("y ~ x + kin(id, K)", frame, relmat={"K": Relatedness(factor * K.dense(), labels=K.labels)})
        starts.append(found.optimization.iloc[0, 0] * np.sqrt(factor))
    np.testing.assert_allclose(starts, starts[1], rtol=1e-8)


def test_what_has_no_data_does_no_harm():
    """A slope that is zero for most, and a level that is alone."""
    frame, K = nuclear(0.5)
    frame["z"] = np.where(np.arange(len(frame)) < 12, frame["x"], 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        found = lmm.lmer("y ~ x + (z || kin(id, K))", frame, relmat={"K": K})
    assert found.convergence.ok and np.isfinite(found.optimization.iloc[0, :2].to_numpy(float)).all()


@pytest.mark.parametrize("size", [1e-8, 1e-3, 1e4, 1e8])
@pytest.mark.parametrize("engine", ["spectral", "marginal", "sparse"])
def test_the_scale_of_a_relatedness_changes_no_step(size, engine):
    """σ_g² takes it up: the same evaluations, the same likelihood."""
    rng = np.random.default_rng(4)
    factor = rng.normal(size=(40, 60))
    K = factor @ factor.T / 60 + 0.1 * np.eye(40)
    y = np.linalg.cholesky(K) @ rng.normal(size=40) + rng.normal(size=40)
    fits = [
        lmm.lmer("y ~ 1 + kin(K)", {"y": y}, relmat={"K": c * K}, control=lmm.Control(engine=engine))
        for c in (1.0, size)
    ]
    plain, scaled = fits
    assert scaled.optimum.evaluations == plain.optimum.evaluations
    assert scaled.loglik == pytest.approx(plain.loglik, rel=1e-10)
    assert scaled.theta.iloc[0] * np.sqrt(size) == pytest.approx(plain.theta.iloc[0], rel=1e-6)
