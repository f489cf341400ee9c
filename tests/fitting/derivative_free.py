"""The best that general-purpose optimisers find from many starts: slow, and independent of the package's own.

The criterion is formed from V, written out; the structures have a parametrisation of their own here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from lmmpy.design import Design, RandomEffects

Array = np.ndarray


def _n_parameters(term: RandomEffects) -> int:
    k, one = term.k, getattr(term.structure, "homogeneous", False)
    if term.term.structure == "us":
        return k * (k + 1) // 2
    return (1 if one else k) + (term.term.structure in ("cs", "ar1") and k > 1)


def _covariance(term: RandomEffects, x: Array) -> Array:
    """G of one level; correlations are sines, so that both ends of their range are interior points."""
    k, kind = term.k, term.term.structure
    if kind == "us":
        T = np.zeros((k, k))
        T[np.tril_indices(k)] = x
        return T @ T.T
    n_sd = 1 if getattr(term.structure, "homogeneous", False) else k
    sd = np.broadcast_to(np.abs(x[:n_sd]), (k,))
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    R = np.eye(k)
    if kind in ("cs", "ar1") and k > 1:
        low = -1.0 / (k - 1) if kind == "cs" else -1.0
        rho = low + (1.0 - low) * (1.0 + math.sin(x[-1])) / 2.0
        power = np.ones_like(lag) if kind == "cs" else lag
        R = np.where(lag == 0, 1.0, np.sign(rho) ** power * abs(rho) ** power)
    return R * np.outer(sd, sd)


def criterion(design: Design, reml: bool) -> tuple[Callable[[Array], float], int]:
    """−2 log (restricted) likelihood as a function of this file's parameters, and their number."""
    sizes = [_n_parameters(term) for term in design.random]
    same = [np.equal.outer(term.codes, term.codes).astype(float) for term in design.random]
    w = np.ones(design.n) if design.weights is None else design.weights
    y = design.y if design.offset is None else design.y - design.offset
    Xy = np.column_stack([design.X, y])
    p, dof = design.p, design.n - design.p * reml

    def value(x: Array) -> float:
        V = np.diag(1.0 / w)
        for term, mask, part in zip(design.random, same, np.split(x, np.cumsum(sizes)[:-1]), strict=True):
            V += mask * (term.values @ _covariance(term, part) @ term.values.T)
        try:
            L = np.linalg.cholesky(V)
            half = np.linalg.solve(L, Xy)
            R = np.linalg.qr(half, mode="r")
        except np.linalg.LinAlgError:
            return math.inf
        result = 2.0 * np.log(np.diag(L)).sum() + dof * (1.0 + math.log(2.0 * math.pi * R[p, p] ** 2 / dof))
        return float(result + reml * 2.0 * np.log(np.abs(np.diag(R)[:p])).sum())

    return value, sum(sizes)


def best(design: Design, reml: bool, starts: int = 8, seed: int = 0) -> float:
    """The least value found by L-BFGS-B with differences and Nelder–Mead from random starts."""
    value, size = criterion(design, reml)
    rng = np.random.default_rng(seed)
    units = np.array([1.0 / math.sqrt(np.mean(t.values**2)) for t in design.random])
    per_parameter = np.repeat(units, [_n_parameters(t) for t in design.random])
    found = []
    for _ in range(starts):
        start = rng.normal(size=size) * rng.choice([0.3, 1.0, 3.0]) * per_parameter
        found.append(minimize(value, start, method="L-BFGS-B", options={"maxiter": 500, "maxfun": 20_000}))
    first = min(found, key=lambda r: r.fun)
    options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-9, "fatol": 1e-11, "adaptive": True}
    polished = minimize(value, first.x, method="Nelder-Mead", options=options)
    return float(min(first.fun, polished.fun))
