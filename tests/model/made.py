"""Fits to made data, small enough for dense algebra, that no shortcut survives: crossed, unbalanced, weighted."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd

import lmmpy as lmm
from tests.naive import Dense, dense

FORMULAS = {
    "slope": "y ~ x + (x | g)",
    "uncorrelated": "y ~ x + (x || g)",
    "crossed": "y ~ x + f + (x | g) + (1 | h)",
    "nested": "y ~ f + (1 | g/k)",
    "three": "y ~ x + (1 | h) + (0 + x | g) + (1 | g:k)",
    "no fixed": "y ~ 0 + (1 | g) + (1 | h)",
    "offset": "y ~ x + offset(o) + (1 | g)",
}


@cache
def data(seed: int = 3, n: int = 70) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h, k = rng.integers(0, 9, n), rng.integers(0, 5, n), rng.integers(0, 3, n)
    x, o, w = rng.normal(2.0, 1.0, n), rng.normal(size=n), rng.uniform(0.5, 2.0, n)
    b, c = rng.normal(0.0, [[1.0], [0.6]], (2, 9)), rng.normal(0.0, 0.8, 5)
    y = 3.0 + b[0, g] + (1.0 + b[1, g]) * x + c[h] + rng.normal(0.0, 0.9, n) / np.sqrt(w)
    f = pd.Categorical.from_codes(rng.integers(0, 3, n), categories=["a", "b", "c"])
    frame = pd.DataFrame({"y": y, "x": x, "o": o, "w": w, "f": f, "g": [f"g{i}" for i in g], "h": h, "k": k})
    return frame.set_index(pd.Index([f"row{i}" for i in range(n)]))


def quiet(formula: str, frame: pd.DataFrame, **options: object) -> lmm.LmmFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return lmm.lmer(formula, frame, **options)


@cache
def fit(name: str, weighted: bool = True, reml: bool = True) -> lmm.LmmFit:
    return quiet(FORMULAS[name], data(), weights="w" if weighted else None, reml=reml)


def at(fit: lmm.LmmFit) -> Dense:
    """The dense algebra of a fit."""
    return dense(fit.design, fit.optimum.theta, fit.reml)
