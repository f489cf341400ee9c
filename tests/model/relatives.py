"""Fits with relatives, small enough for dense algebra: inbred families with twins, repeated records, households."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import lmmpy as lmm
from lmmpy.relatedness import Pedigree, Relatedness

FORMULAS = {
    "animal": "y ~ x + f + kin(id, K)",
    "household": "y ~ x + f + kin(id, K) + (1 | hh)",
    "repeated": "y ~ x + f + kin(id, K) + (1 | id)",
    "slope": "y ~ x + (x | kin(id, K)) + (1 | hh)",
    "compound": "y ~ x + cs(x | kin(id, K))",
}
FOUNDERS, CHILDREN = 12, 26


@cache
def pedigree() -> Pedigree:
    """Thirty-eight animals, the later ones inbred; the last two are identical twins."""
    rng = np.random.default_rng(5)
    father, mother = np.full(FOUNDERS, -1), np.full(FOUNDERS, -1)
    for child in range(FOUNDERS, FOUNDERS + CHILDREN):
        low = 0 if child < 20 else 8
        father = np.append(father, 2 * rng.integers(low // 2, (child - 4) // 2))
        mother = np.append(mother, 2 * rng.integers(low // 2, (child - 4) // 2) + 1)
    father[-1], mother[-1] = father[-2], mother[-2]
    ids = [f"a{i:02d}" for i in range(FOUNDERS + CHILDREN)]
    parents = [[ids[p] if p >= 0 else 0 for p in parent] for parent in (father, mother)]
    return Pedigree(ids, *parents, twin=[0] * (len(ids) - 2) + [1, 1])


@cache
def data() -> pd.DataFrame:
    """Some seventy records; the first six animals, and two more, have none."""
    rng = np.random.default_rng(8)
    ids = list(pedigree().ids)
    who = np.concatenate([np.arange(8, len(ids)), rng.integers(8, len(ids), 42)])
    who = who[who != 15]
    A = pedigree().additive()
    g = A.root_times(rng.normal(size=(A.size, 2)))[A.positions([ids[i] for i in who])]
    n = len(who)
    x, w, hh = rng.normal(1.0, 1.0, n), rng.uniform(0.5, 2.0, n), rng.integers(0, 9, n)
    y = 3.0 + x + 1.3 * g[:, 0] + 0.8 * g[:, 1] * x + rng.normal(0.0, 0.7, 9)[hh] + rng.normal(0.0, 0.9, n) / np.sqrt(w)
    f = pd.Categorical.from_codes(rng.integers(0, 3, n), categories=["a", "b", "c"])
    frame = pd.DataFrame({"y": y, "x": x, "w": w, "f": f, "id": [ids[i] for i in who], "hh": [f"h{i}" for i in hh]})
    return frame.set_index(pd.Index([f"row{i}" for i in range(n)]))


@cache
def kernel(kind: str) -> Any:
    """The same relationships in each form; that of `twins` is singular, as the twins have a level each."""
    if kind == "pedigree":
        return pedigree()
    if kind == "precision":
        A = pedigree().additive()
        return Relatedness.from_precision(A.precision, labels=A.labels)
    if kind == "genotypes":
        names = [name for name in pedigree().ids if name != "a15"]
        return Relatedness.from_genotypes(np.random.default_rng(2).normal(size=(len(names), 14)), labels=names)
    ids = pedigree().ids
    K = pedigree().additive().subset(ids).dense()
    assert kind == "twins"
    return pd.DataFrame(K, index=list(ids), columns=list(ids))


@cache
def fit(name: str, kind: str = "pedigree", engine: str = "auto", reml: bool = True) -> lmm.LmmFit:
    frame = data()
    if kind == "precision":  # knows the twins by one name
        frame = frame.assign(id=frame["id"].replace({pedigree().ids[-1]: pedigree().ids[-2]}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        how = {"reml": reml, "weights": "w", "relmat": {"K": kernel(kind)}, "control": lmm.Control(engine=engine)}
        return lmm.lmer(FORMULAS[name], frame, **how)
