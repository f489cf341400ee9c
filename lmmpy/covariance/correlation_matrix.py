"""`us` with one variance: any correlation matrix, by angles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmmpy.covariance.base import Factor, Floats
from lmmpy.covariance.unstructured import Unstructured, semidefinite_cholesky

__all__ = ["Correlation"]

Row = tuple[Floats, Floats, Floats]


@dataclass(frozen=True, slots=True)
class Correlation:
    """
    A standard deviation times a Cholesky factor with rows of length one: θ = (sd, angles), row by row.

    Row a is (cos ω₀, sin ω₀ cos ω₁, …, sin ω₀ ⋯ sin ω_{a−1}), so any angles give a correlation matrix, singular where
    one has the sine zero (Pinheiro & Bates 1996, eq. 6).
    """

    k: int

    @property
    def n_theta(self) -> int:
        return 1 + self.k * (self.k - 1) // 2

    @property
    def lower(self) -> Floats:
        return np.full(self.n_theta, -np.inf)

    @property
    def several_optima(self) -> bool:
        return False

    def names(self, columns: Sequence[str]) -> list[str]:
        pairs = [f"angle.{columns[a]}.{columns[c]}" for a in range(1, self.k) for c in range(a)]
        return ["sd", *pairs] if self.k > 1 else list(columns)

    def start(self, sd: Floats) -> Floats:
        theta = np.full(self.n_theta, math.pi / 2)
        theta[0] = math.sqrt(float(np.mean(sd**2)))
        return theta

    def other_starts(self, sd: Floats) -> list[Floats]:
        return [self.start(factor * sd) for factor in (3.0, 0.3)]

    def scale(self, unit: Floats) -> Floats:
        return np.concatenate([[float(unit.min())], np.ones(self.n_theta - 1)])

    def _angles(self, theta: Floats, a: int) -> slice:
        """Where the angles of row a are in θ."""
        first = 1 + a * (a - 1) // 2
        return slice(first, first + a)

    def factor(self, theta: Floats) -> Factor:
        k, sd = self.k, float(theta[0])
        L, dL = np.zeros((k, k)), np.zeros((self.n_theta, k, k))
        d2L = np.zeros((self.n_theta, self.n_theta, k, k))
        L[0, 0] = 1.0
        for a in range(1, k):
            at = self._angles(theta, a)
            L[a, : a + 1], dL[at, a, : a + 1], d2L[at, at, a, : a + 1] = _row(theta[at])
        dT, d2T = sd * dL, sd * d2L
        dT[0] = L
        d2T[0, 1:] = d2T[1:, 0] = dL[1:]
        return Factor(sd * L, dT, d2T)

    def canonical(self, theta: Floats) -> Floats:
        L = self.factor(np.concatenate([[1.0], theta[1:]])).T
        whole = Unstructured(self.k)
        return self._from_rows(abs(float(theta[0])), whole.factor(whole.from_factor(L)).T)

    def _from_rows(self, sd: float, L: Floats) -> Floats:
        theta = self.start(np.array([sd]))
        for a in range(1, self.k):
            at = self._angles(theta, a)
            theta[at] = _angles_of(L[a, : a + 1])
        return theta

    def boundary(self, theta: Floats, tolerance: Floats) -> list[tuple[int, float]]:
        near = [(0, 0.0)] if abs(theta[0]) < tolerance[0] else []
        ends = ((i, end) for i in range(1, self.n_theta) for end in (0.0, math.pi))
        return near + [(i, end) for i, end in ends if abs(theta[i] - end) < tolerance[i]]

    def equivalents(self, theta: Floats) -> list[Floats]:
        return []

    def nearest(self, G: Floats) -> Floats:
        sd = np.sqrt(np.diag(G))
        safe = np.where(sd > 0.0, sd, 1.0)
        correlation = G / np.outer(safe, safe)
        np.fill_diagonal(correlation, 1.0)
        return self._from_rows(math.sqrt(float(np.mean(sd**2))), semidefinite_cholesky(correlation))

    def from_covariance(self, G: Floats) -> Floats:
        if G.shape != (self.k, self.k) or np.any(np.diag(G) < 0):
            raise ValueError(f"expected a {self.k} × {self.k} matrix with a non-negative diagonal")
        theta = self.nearest(G)
        T = self.factor(theta).T
        if not np.allclose(T @ T.T, G, rtol=1e-8, atol=1e-12 * float(np.abs(G).max())):
            raise ValueError("the matrix is not one variance times a correlation matrix")
        return theta


def _row(angles: Floats) -> Row:
    """The entries (a+1,) of a row with a angles, and their derivatives (a, a+1) and (a, a, a+1)."""
    a = len(angles)
    s, c = np.sin(angles)[:, None], np.cos(angles)[:, None]
    s[np.abs(s) < 1e-15] = 0.0  # at π: what is singular there is exactly so
    angle, entry = np.arange(a)[:, None], np.arange(a + 1)[None, :]
    below, at = angle < entry, angle == entry
    # Entry c is the product down a column of these: sines of the angles before c, the cosine of its own.
    plain = np.where(below, s, np.where(at, c, 1.0))
    slope = np.where(below, c, np.where(at, -s, 0.0))
    bend = np.where(below | at, -plain, 0.0)
    first, second = np.empty((a, a + 1)), np.empty((a, a, a + 1))
    for i in range(a):
        once = plain.copy()
        once[i] = slope[i]
        first[i] = once.prod(axis=0)
        for j in range(a):
            twice = once.copy()
            twice[j] = bend[j] if i == j else slope[j]
            second[i, j] = twice.prod(axis=0)
    return plain.prod(axis=0), first, second


def _angles_of(row: Floats) -> Floats:
    """Angles in [0, π] of a row of length one whose last entry is not negative; π/2 where they mean nothing."""
    left = np.sqrt(np.cumsum(row[::-1] ** 2)[::-1])
    angles = np.arctan2(left[1:], row[:-1])
    return np.where(left[:-1] > 1e-14, angles, math.pi / 2)
