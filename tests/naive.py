"""The naive dense reference: V is formed and everything follows from textbook formulas, whatever it costs.

V = R + Σ_t Z_t (K_t ⊗ T_t T_tᵀ) Z_tᵀ + Σ_f [r_ij K_ij], relative to σ²; R = W⁻¹, or [r_ij/√(w_i w_j)] within groups. A
term's columns run fastest within a level. β̂ is generalised least squares, b̂ Henderson's BLUP (Searle, Casella &
McCulloch 1992, §6.6–6.7, §7.4). Nothing of the engines is used. The factors T may be complex, so that a complex step
differentiates the criterion to the last digit; r(φ) is real, and differentiated by differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor
from lmmpy.design import Design

Array = NDArray[Any]
STEP = 1e-30


def factors_at(design: Design, theta: Array) -> list[Factor]:
    """T and ∂T/∂θ of each term, from the structures themselves."""
    return [t.structure.factor(part) for t, part in zip(design.random, design.split_theta(theta), strict=True)]


def between_rows(design: Design, theta: Array) -> list[Array]:
    """Each of `design.row_covariances` as a matrix over the rows, shape (n, n)."""
    i, j = (x.ravel() for x in np.indices((design.n, design.n)))
    root = np.ones(design.n) if design.weights is None else np.sqrt(design.weights)
    found = []
    for rows, phi in zip(design.row_covariances, design.split_rows(theta), strict=True):
        r = rows.structure.between(i, j).at(phi).values.reshape(design.n, design.n)
        r = np.where(rows.groups[:, None] == rows.groups, r, 0.0)
        if rows.relatedness is None:
            found.append(r / np.outer(root, root))
        else:
            found.append(r * rows.relatedness.dense()[np.ix_(rows.codes, rows.codes)])
    return found


def row_slopes(design: Design, theta: Array, which: Sequence[int] | None = None) -> list[Array]:
    """∂V/∂φ_i of the parameters of covariances between rows, or of those at some places of θ, by differences."""

    def total(theta: Array) -> Array:
        return sum(between_rows(design, theta))

    some = range(design.n_theta_random, design.n_theta) if which is None else which
    return [_derivative(total, theta, i, 1e-3) for i in some]


def _derivative(f: Callable[[Array], Array], theta: Array, i: int, step: float) -> Array:
    """Of f in θ_i, exact for polynomials of degree six (Richardson 1911)."""

    def central(h: float) -> Array:
        h *= max(1.0, abs(theta[i]))
        move = h * (np.arange(len(theta)) == i)
        return (f(theta + move) - f(theta - move)) / (2.0 * h)

    one, two, four = central(step), central(step / 2.0), central(step / 4.0)
    first, second = (4.0 * two - one) / 3.0, (4.0 * four - two) / 3.0
    return (16.0 * second - first) / 15.0


def logdet(A: Array) -> Any:
    """log|A| of a matrix that is positive definite, but for an infinitesimal imaginary part."""
    sign, size = np.linalg.slogdet(A)
    return np.log(sign) + size if np.iscomplexobj(A) else size


@dataclass(frozen=True, eq=False)
class Dense:
    """One design at one θ, given by the factors `Ts` of its terms and the covariances between rows."""

    design: Design
    Ts: Sequence[Array]
    reml: bool
    between: Sequence[Array] = ()

    @cached_property
    def Zs(self) -> list[Array]:
        shapes = [(self.design.n, term.n_levels, term.k) for term in self.design.random]
        Zs = [np.zeros(shape) for shape in shapes]
        for Z, term in zip(Zs, self.design.random, strict=True):
            Z[np.arange(self.design.n), term.grouping.codes] = term.values
        return [Z.reshape(self.design.n, -1) for Z in Zs]

    def spread(self, t: int, C: Array) -> Array:
        """K_t ⊗ C, the covariance of term t when C is that of one level."""
        return np.kron(self.design.random[t].relatedness.dense(), C)

    @cached_property
    def V(self) -> Array:
        parts = [Z @ self.spread(t, T @ T.T) @ Z.T for t, (Z, T) in enumerate(zip(self.Zs, self.Ts, strict=True))]
        parts += list(self.between)
        if self.design.residual is None:
            w = np.ones(self.design.n) if self.design.weights is None else self.design.weights
            parts.append(np.diag(1.0 / w))
        return sum(parts)

    @cached_property
    def y(self) -> Array:
        return self.design.y if self.design.offset is None else self.design.y - self.design.offset

    @cached_property
    def XtVX(self) -> Array:
        return self.design.X.T @ np.linalg.solve(self.V, self.design.X)

    @cached_property
    def vcov(self) -> Array:
        return np.linalg.inv(self.XtVX)

    @cached_property
    def beta(self) -> Array:
        return self.vcov @ (self.design.X.T @ np.linalg.solve(self.V, self.y))

    @cached_property
    def Py(self) -> Array:
        return np.linalg.solve(self.V, self.y - self.design.X @ self.beta)

    @property
    def dof(self) -> int:
        return self.design.n - self.design.p * self.reml

    @property
    def r2(self) -> Any:
        return (self.y - self.design.X @ self.beta) @ self.Py

    @property
    def sigma(self) -> float:
        return float(np.sqrt(self.r2 / self.dof))

    @property
    def value(self) -> Any:
        """−2 log (restricted) likelihood, σ at its maximum."""
        restricted = logdet(self.XtVX) if self.reml else 0.0
        return logdet(self.V) + restricted + self.dof * (1.0 + np.log(2.0 * np.pi * self.r2 / self.dof))

    @property
    def b(self) -> Array:
        """G Zᵀ V⁻¹ (y − Xβ̂), term by term."""
        parts = [self.spread(t, T @ T.T) @ self.Zs[t].T @ self.Py for t, T in enumerate(self.Ts)]
        return np.concatenate([np.empty(0), *parts])

    @property
    def functions(self) -> list[Array]:
        """Predictions of the random functions at the rows."""
        return [self.between[f] @ self.Py for f in range(len(self.design.functions))]

    @property
    def conditional_variances(self) -> list[Array]:
        """Diagonal blocks, one a level, of G − G Zᵀ V⁻¹ Z G."""
        found = []
        for t, T in enumerate(self.Ts):
            G, k = self.spread(t, T @ T.T), len(T)
            C = G - G @ self.Zs[t].T @ np.linalg.solve(self.V, self.Zs[t] @ G)
            found.append(np.array([C[i : i + k, i : i + k] for i in range(0, len(C), k)]))
        return found


def dense(design: Design, theta: Array, reml: bool = True) -> Dense:
    return Dense(design, [factor.T for factor in factors_at(design, theta)], reml, between_rows(design, theta))


def _directions(design: Design, theta: Array) -> list[tuple[int, Array, Array]]:
    """(term, T, ∂T/∂θ_i) for every parameter."""
    return [(t, f.T, dT) for t, f in enumerate(factors_at(design, theta)) for dT in f.dT]


def gradient(design: Design, theta: Array, reml: bool = True) -> Array:
    """Of the criterion in θ, by a complex step along ∂T/∂θ_i, or along ∂V/∂φ_i."""
    Ts, between = [factor.T for factor in factors_at(design, theta)], between_rows(design, theta)
    slopes = []
    for t, T, dT in _directions(design, theta):
        stepped = [*Ts[:t], T + 1j * STEP * dT, *Ts[t + 1 :]]
        slopes.append(Dense(design, stepped, reml, between).value.imag / STEP)
    for slope in row_slopes(design, theta):
        slopes.append(Dense(design, Ts, reml, [*between, 1j * STEP * slope]).value.imag / STEP)
    return np.array(slopes)


def covariance_slopes(design: Design, theta: Array, reml: bool = True) -> list[Array]:
    """Of the criterion in the covariance C = T Tᵀ of one level, term by term: symmetric, by complex steps."""
    at = dense(design, theta, reml)
    found = []
    for t, T in enumerate(at.Ts):
        slope = np.zeros(T.shape)
        for a, b in np.ndindex(T.shape):
            V = at.V.astype(complex)
            E = np.zeros(T.shape)
            E[a, b] += 0.5
            E[b, a] += 0.5
            V += 1j * STEP * at.Zs[t] @ at.spread(t, E) @ at.Zs[t].T
            moved = Dense(design, at.Ts, reml, at.between)
            moved.__dict__["V"] = V
            slope[a, b] = moved.value.imag / STEP
        found.append(slope)
    return found


def bend(design: Design, theta: Array, reml: bool = True) -> Array:
    """⟨∂d/∂C, ∂²C/∂θ_i∂θ_j⟩, the second derivative of C = T Tᵀ by differences of its first."""
    slopes, factors, step = covariance_slopes(design, theta, reml), factors_at(design, theta), 1e-5
    cuts = np.cumsum([0, *(len(factor.dT) for factor in factors)])
    out = np.zeros((len(theta), len(theta)))
    for j in range(cuts[-1]):
        ends = [factors_at(design, theta + s * step * (np.arange(len(theta)) == j)) for s in (1, -1)]
        t = int(np.searchsorted(cuts, j, side="right")) - 1
        firsts = [f[t].dT @ f[t].T.T + f[t].T @ f[t].dT.transpose(0, 2, 1) for f in ends]
        out[cuts[t] : cuts[t + 1], j] = np.einsum("iab,ab->i", firsts[0] - firsts[1], slopes[t]) / (2 * step)
    start = cuts[-1]
    for A, B in row_bends(design, theta, reml):
        place = slice(start, start := start + len(A))
        out[place, place] = A - B
    return out


def row_bends(design: Design, theta: Array, reml: bool = True) -> list[tuple[Array, Array]]:
    """⟨A, ∂²V/∂φ_i∂φ_j⟩ and ⟨B, ∂²V/∂φ_i∂φ_j⟩ of each covariance between rows, with ∂d/∂V = A − B."""
    at = dense(design, theta, reml)
    A = projection(at) if reml else np.linalg.inv(at.V)
    B = at.dof / at.r2 * np.outer(at.Py, at.Py)
    found, start = [], design.n_theta_random
    for rows in design.row_covariances:
        n_phi = rows.structure.n_theta
        bends = np.empty((2, n_phi, n_phi))
        for j in range(n_phi):

            def slopes(theta: Array, some: Sequence[int] = range(start, start + j + 1)) -> Array:
                return np.array(row_slopes(design, theta, some))

            second = _derivative(slopes, theta, start + j, 1e-2)
            for bend, M in zip(bends, (A, B), strict=True):
                bend[: j + 1, j] = bend[j, : j + 1] = np.einsum("irs,rs->i", second, M)
        found.append((bends[0], bends[1]))
        start += n_phi
    return found


def projection(at: Dense) -> Array:
    """P = V⁻¹ − V⁻¹X(XᵀV⁻¹X)⁻¹XᵀV⁻¹."""
    VX = np.linalg.solve(at.V, at.design.X)
    return np.linalg.inv(at.V) - VX @ at.vcov @ VX.T


def information(design: Design, theta: Array, reml: bool = True) -> Array:
    """ν [w_iᵀ P w_j / r² − (yᵀP w_i)(yᵀP w_j) / r⁴], w_i = V_i P y (Johnson & Thompson 1995, σ² profiled out)."""
    at = dense(design, theta, reml)
    P = projection(at)
    ws = [at.Zs[t] @ at.spread(t, dT @ T.T + T @ dT.T) @ at.Zs[t].T @ at.Py for t, T, dT in _directions(design, theta)]
    ws += [slope @ at.Py for slope in row_slopes(design, theta)]
    w = np.column_stack(ws) if ws else np.empty((design.n, 0))
    return at.dof * (w.T @ P @ w / at.r2 - np.outer(at.Py @ w, at.Py @ w) / at.r2**2)
