"""Satterthwaite's and Kenward and Roger's methods by textbook formulas on a dense V: the judge of the fast code.

V = σ²W⁻¹ + Σ_t Z_t (K_t ⊗ C_t) Z_tᵀ as a function of variances and covariances; its derivatives are n × n matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import covariance_directions
from lmmpy.design import Design
from tests import naive

Array = NDArray[Any]


def kenward_roger(design: Design, theta: Array, sigma: float, weighted: bool = True) -> tuple[Array, Any]:
    """
    Φ_A, and a function of L that gives (degrees of freedom, λ): Kenward & Roger (1997), eqs. 3–9.

    Without `weighted` the weights are left out of V, though not of Φ: that is what pbkrtest 0.5-2 does.
    """
    at = naive.dense(design, theta)
    w = np.ones(design.n) if design.weights is None or not weighted else design.weights
    parts = design.split_theta(theta)
    V, slopes, bends = sigma**2 * np.diag(1.0 / w), [], {}
    for t, (term, part) in enumerate(zip(design.random, parts, strict=True)):
        Z, T = at.Zs[t], term.structure.factor(part).T
        V = V + sigma**2 * Z @ at.spread(t, T @ T.T) @ Z.T
        family = covariance_directions(term.structure, part)
        for i, D in enumerate(family.first):
            if family.second is not None:
                for j, E in enumerate(family.second[i]):
                    # in parameters of which the first derivatives are D, and not σ²D
                    place = len(slopes) - i + j
                    bends[len(slopes), place] = Z @ at.spread(t, E / sigma**2) @ Z.T
            slopes.append(Z @ at.spread(t, D) @ Z.T)
    slopes.append(np.diag(1.0 / w))
    m, X, Vi = len(slopes), design.X, np.linalg.inv(V)
    Phi = sigma**2 * at.vcov
    P = [-X.T @ Vi @ G @ Vi @ X for G in slopes]
    Q = [[X.T @ Vi @ G @ Vi @ H @ Vi @ X for H in slopes] for G in slopes]
    information = np.empty((m, m))
    for i in range(m):
        for j in range(m):
            information[i, j] = 0.5 * (
                np.trace(Vi @ slopes[i] @ Vi @ slopes[j])
                - 2.0 * np.trace(Phi @ Q[i][j])
                + np.trace(Phi @ P[i] @ Phi @ P[j])
            )
    W = np.linalg.inv(information)
    inner = np.zeros_like(Phi)
    for i in range(m):
        for j in range(m):
            R = X.T @ Vi @ bends[i, j] @ Vi @ X if (i, j) in bends else 0.0
            inner = inner + W[i, j] * (Q[i][j] - P[i] @ Phi @ P[j] - 0.25 * R)
    adjusted = Phi + 2.0 * Phi @ inner @ Phi

    def joint(L: Array) -> tuple[float, float]:
        rank = len(L)
        Theta = L.T @ np.linalg.inv(L @ Phi @ L.T) @ L
        half = [Theta @ Phi @ p @ Phi for p in P]
        A1 = sum(W[i, j] * np.trace(half[i]) * np.trace(half[j]) for i in range(m) for j in range(m))
        A2 = sum(W[i, j] * np.trace(half[i] @ half[j]) for i in range(m) for j in range(m))
        B = (A1 + 6.0 * A2) / (2.0 * rank)
        g = ((rank + 1) * A1 - (rank + 4) * A2) / ((rank + 2) * A2)
        d = 3.0 * rank + 2.0 * (1.0 - g)
        c1, c2, c3 = g / d, (rank - g) / d, (rank + 2.0 - g) / d
        mean = 1.0 / (1.0 - A2 / rank)
        variance = 2.0 / rank * (1.0 + c1 * B) / ((1.0 - c2 * B) ** 2 * (1.0 - c3 * B))
        rho = variance / (2.0 * mean**2)
        df = 4.0 + (rank + 2) / (rank * rho - 1.0)
        return df, df / (mean * (df - 2.0))

    return adjusted, joint


def vcov_slopes(design: Design, theta: Array, sigma: float) -> Array:
    """∂(σ²(XᵀV⁻¹X)⁻¹)/∂(θ, log σ) by central differences."""

    def vcov(parameters: Array) -> Array:
        return np.exp(2.0 * parameters[-1]) * naive.dense(design, parameters[:-1]).vcov

    at, found = np.append(theta, np.log(sigma)), []
    for i in range(len(at)):
        step = np.zeros(len(at))
        step[i] = 1e-5
        found.append((vcov(at + step) - vcov(at - step)) / 2e-5)
    return np.array(found)


def hessian(design: Design, theta: Array, sigma: float, reml: bool) -> Array:
    """Of −2 log L in (θ, log σ), σ not profiled, by central differences of the dense value."""
    dof = design.n - design.p * reml

    def value(parameters: Array) -> float:
        at, variance = naive.dense(design, parameters[:-1], reml), np.exp(2.0 * parameters[-1])
        restricted = naive.logdet(at.XtVX) if reml else 0.0
        return float(naive.logdet(at.V) + restricted + dof * np.log(2.0 * np.pi * variance) + at.r2 / variance)

    at = np.append(theta, np.log(sigma))
    size, h = len(at), 1e-3
    steps = h * np.eye(size)
    found = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            a, b = steps[i], steps[j]
            corners = value(at + a + b) - value(at + a - b) - value(at - a + b) + value(at - a - b)
            found[i, j] = corners / (4.0 * h * h)
    return found
