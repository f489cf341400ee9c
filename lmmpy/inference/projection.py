"""V and P = V⁻¹ − V⁻¹X(XᵀV⁻¹X)⁻¹XᵀV⁻¹ of fits whose residual has a structure, component of rows by component.

With R the covariance of the residual, the conditional residual is ê = y − ŷ = RPy, so that ∂ŷ/∂y = I − RP and
Cov(ê) = σ²RPR; without rows I, by the mean-shift model, β̂₋ − β̂ = −CXᵀV⁻¹E(P_II)⁻¹(Py)_I with C = (XᵀV⁻¹X)⁻¹ and E
their indicators, and r²₋ = r² − (Py)_Iᵀ(P_II)⁻¹(Py)_I (Haslett & Dillane 2004). For independent residuals these are the
formulas of `leverage` and `deletion`, which need no V.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from lmmpy.design import Design
from lmmpy.design.values import Codes, Floats
from lmmpy.engines.components import connected_components
from lmmpy.errors import ModelError
from lmmpy.inference.deletion import Deletion
from lmmpy.inference.row_covariances import (
    ResidualCovariance,
    covariance_of_function,
    levels_between,
    parts_of_rows,
)
from lmmpy.relatedness.components import members as members_of

__all__ = ["LARGEST_BLOCK", "MarginalCovariance", "Projection"]

# Rows that hang together and whose covariance matrix is formed: 200 MB.
LARGEST_BLOCK = 5_000
# Numbers in inverses that are kept.
_KEPT = 30_000_000
# The share of a fixed effect's information that other rows must have for its estimate without some.
_LEFT = 1e-10


@dataclass(frozen=True, eq=False)
class MarginalCovariance:
    """
    V = Var(y)/σ², the random effects of rows, random functions and the residual together.

    Attributes
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    """

    design: Design
    theta: Floats

    @cached_property
    def residual(self) -> ResidualCovariance:
        """R."""
        return ResidualCovariance.of(self.design, self.theta)

    @cached_property
    def _effects(self) -> list[Floats]:
        """zᵀT of each row and term."""
        parts = self.design.split_theta(self.theta)
        return [
            term.values @ term.structure.factor(part).T for term, part in zip(self.design.random, parts, strict=True)
        ]

    @cached_property
    def components(self) -> list[Codes]:
        """The rows of each set of rows that hang together, in the order of the data."""
        return members_of(connected_components(self.design).rows)

    def require_small(self, what: str, instead: str) -> None:
        """
        Refuse what would take too large a matrix.

        Parameters
        ----------
        what : str
            What needs it, to begin a sentence with.
        instead : str
            What to do, a sentence.

        Raises
        ------
        ModelError
        """
        largest = max(len(rows) for rows in self.components)
        if largest > LARGEST_BLOCK:
            names = [term.name for term in self.design.random] + [rows.name for rows in self.design.row_covariances]
            raise ModelError(
                f"{what} need the covariance matrix of all rows that hang together through {', '.join(names)}, and "
                f"{largest} do; at most {LARGEST_BLOCK} can. {instead}"
            )

    def block(self, rows: Codes) -> Floats:
        """V between some rows, shape (m, m)."""
        V = self.residual.block(rows)
        for term, zT in zip(self.design.random, self._effects, strict=True):
            V += (zT[rows] @ zT[rows].T) * levels_between(term, term.codes[rows])
        functions, _ = parts_of_rows(self.design, self.theta)
        for function, part in zip(self.design.functions, functions, strict=True):
            V += covariance_of_function(function, part, rows, rows)
        return V

    @cached_property
    def variance(self) -> Floats:
        """The diagonal of V, shape (n,)."""
        v = self.residual.variance.copy()
        for term, zT in zip(self.design.random, self._effects, strict=True):
            own = np.einsum("nk,nk->n", zT, zT)
            v += own if term.relatedness.is_identity else own * term.relatedness.diagonal()[term.codes]
        every, (functions, _) = np.arange(self.design.n), parts_of_rows(self.design, self.theta)
        for function, part in zip(self.design.functions, functions, strict=True):
            own = function.structure.between(every, every).at(part).values
            if function.relatedness is not None and function.codes is not None:
                own = own * function.relatedness.diagonal()[function.codes]
            v += own
        return v

    def whitened(self, values: Floats) -> Floats:
        """L⁻¹ times a column with LLᵀ = V, component by component in the order of the rows, shape (n,)."""
        found = np.empty_like(values)
        for rows in self.components:
            L = np.linalg.cholesky(self.block(rows))
            found[rows] = linalg.solve_triangular(L, values[rows], lower=True)
        return found


@dataclass(frozen=True, eq=False)
class Projection:
    """
    P of a fit, and what follows from it for rows and sets of rows, θ held.

    Attributes
    ----------
    marginal : MarginalCovariance
    beta : ndarray, shape (p,)
    unscaled_vcov : ndarray, shape (p, p)
        C = (XᵀV⁻¹X)⁻¹.
    r2 : float
        (y − Xβ̂)ᵀV⁻¹(y − Xβ̂).
    """

    marginal: MarginalCovariance
    beta: Floats
    unscaled_vcov: Floats
    r2: float

    @property
    def design(self) -> Design:
        """That of the fit."""
        return self.marginal.design

    @property
    def residual(self) -> ResidualCovariance:
        """R."""
        return self.marginal.residual

    @cached_property
    def _place(self) -> tuple[Codes, Codes]:
        """Component of each row, and its place there."""
        component, place = np.empty((2, self.design.n), dtype=np.intp)
        for number, rows in enumerate(self.marginal.components):
            component[rows], place[rows] = number, np.arange(len(rows))
        return component, place

    @cached_property
    def _kept(self) -> dict[int, Floats]:
        return {}

    def _inverse(self, component: int) -> Floats:
        """V⁻¹ of one component; kept as long as all of them together are not too much."""
        if component in self._kept:
            return self._kept[component]
        self.marginal.require_small(
            "Hat values, standardized residuals and deletions of a fit whose residual has a structure",
            "type='pearson' and type='normalized' residuals need it not.",
        )
        V = self.marginal.block(self.marginal.components[component])
        try:
            root = np.linalg.cholesky(V)
        except np.linalg.LinAlgError:
            raise ModelError(
                "The covariance of the observations is singular at this fit, so that there are no hat values, "
                "standardized residuals or deletions. See fit.convergence."
            ) from None
        inverse, info = linalg.lapack.dpotri(root, lower=1)
        assert info == 0
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        if sum(len(rows) ** 2 for rows in self.marginal.components) <= _KEPT:
            self._kept[component] = inverse
        return np.asarray(inverse)

    @cached_property
    def _solved(self) -> tuple[Floats, Floats]:
        """V⁻¹X, shape (n, p), and Py = V⁻¹(y − Xβ̂), shape (n,)."""
        design = self.design
        left = design.y - design.X @ self.beta
        left = left if design.offset is None else left - design.offset
        found = self.solve(np.column_stack([design.X, left]))
        return found[:, :-1], found[:, -1]

    def solve(self, right: Floats) -> Floats:
        """V⁻¹ times some columns, shape (n, m)."""
        found = np.empty_like(right)
        for number, rows in enumerate(self.marginal.components):
            found[rows] = self._inverse(number) @ right[rows]
        return found

    @property
    def VX(self) -> Floats:
        """V⁻¹X, shape (n, p)."""
        return self._solved[0]

    @property
    def Py(self) -> Floats:
        """Py = V⁻¹(y − Xβ̂), shape (n,)."""
        return self._solved[1]

    def block(self, rows: Codes) -> Floats:
        """P between some rows, shape (m, m)."""
        return self._inverse_block(rows) - self.VX[rows] @ self.unscaled_vcov @ self.VX[rows].T

    def _inverse_block(self, rows: Codes) -> Floats:
        component, place = self._place
        found = np.zeros((len(rows), len(rows)))
        for number in np.unique(component[rows]).tolist():
            own = np.flatnonzero(component[rows] == number)
            found[np.ix_(own, own)] = self._inverse(number)[np.ix_(place[rows[own]], place[rows[own]])]
        return found

    @cached_property
    def diagonal(self) -> Floats:
        """The diagonal of P, shape (n,)."""
        found = np.empty(self.design.n)
        for number, rows in enumerate(self.marginal.components):
            found[rows] = np.diag(self._inverse(number))
        return np.asarray(found - np.einsum("np,pq,nq->n", self.VX, self.unscaled_vcov, self.VX))

    @cached_property
    def _by_group(self) -> tuple[Floats, Floats]:
        """The diagonals of RP and of RPR, each of shape (n,)."""
        RP, RPR = np.empty(self.design.n), np.empty(self.design.n)
        for members, stack in zip(self.residual.members, self.residual.stacks, strict=True):
            for rows, R in zip(members, stack, strict=True):
                product = R @ self.block(rows)
                RP[rows], RPR[rows] = np.diag(product), np.einsum("ij,ji->i", product, R)
        return RP, RPR

    @property
    def hat(self) -> Floats:
        """∂ŷᵢ/∂yᵢ, the diagonal of I − RP, shape (n,)."""
        return 1.0 - self._by_group[0]

    @property
    def residual_variance(self) -> Floats:
        """Var(ê)/σ² of the conditional residuals, the diagonal of RPR, shape (n,)."""
        return self._by_group[1]

    @cached_property
    def independent(self) -> Floats:
        """L⁻¹ê over its standard deviation over σ, LLᵀ = R: LᵀPy over the roots of the diagonal of LᵀPL, shape (n,)."""
        found = np.empty(self.design.n)
        for members, factors in zip(self.residual.members, self.residual.factors, strict=True):
            for rows, L in zip(members, factors, strict=True):
                variance = np.einsum("ji,jk,ki->i", L, self.block(rows), L)
                known = variance > 1e-8
                scale = np.sqrt(np.where(known, variance, 1.0))
                found[rows] = np.where(known, (L.T @ self.Py[rows]) / scale, np.nan)
        return found

    @property
    def deleted_r2(self) -> Floats:
        """r² without each row, shape (n,); NaN where nothing is left of it in P."""
        P = np.where(self.diagonal > _LEFT * self.residual.variance**-1, self.diagonal, np.nan)
        return np.asarray(self.r2 - self.Py**2 / P)

    @property
    def cooks(self) -> Floats:
        """
        How far β̂ and b̂ move without each row, (Py)ᵢ²(R⁻¹ − P)ᵢᵢ/P²ᵢᵢ, over pσ² Cook's distance, shape (n,).

        The length of their change in the metric of the mixed model equations.
        """
        more = self.residual.inverse_diagonal - self.diagonal
        return np.asarray(self.Py**2 * more / np.where(self.diagonal > 0.0, self.diagonal, np.nan) ** 2)

    def delete(self, sets: Sequence[Codes]) -> Deletion:
        """
        Leave out sets of rows, θ held.

        Parameters
        ----------
        sets : sequence of ndarray of int

        Returns
        -------
        Deletion
        """
        basis = np.asarray(np.linalg.qr(self.design.X / np.sqrt(self.residual.variance)[:, None])[0])
        lines = [self._without(rows, basis) for rows in sets]
        beta, variance, r2, distance, expected = zip(*lines, strict=True)
        return Deletion(np.array(beta), np.array(variance), np.array(r2), np.array(distance), np.array(expected))

    def _without(self, rows: Codes, basis: Floats) -> tuple[Floats, Floats, float, float, Floats]:
        C, p, own = self.unscaled_vcov, self.design.p, basis[rows]
        if p and np.linalg.eigvalsh(own.T @ own)[-1] > 1.0 - _LEFT:
            return np.full(p, np.nan), np.full(p, np.nan), np.nan, np.nan, np.full(2, np.nan)
        P, Py, CX = self.block(rows), self.Py[rows], C @ self.VX[rows].T
        solved = np.linalg.solve(P, np.column_stack([Py, CX.T]))
        beta = -CX @ solved[:, 0]
        more = CX @ solved[:, 1:]
        XVX = np.linalg.inv(C) if p else C
        shares = more @ XVX
        expected = np.array([np.trace(shares), np.sum(shares * shares.T)])
        return beta, np.diag(C + more), self.r2 - float(Py @ solved[:, 0]), float(beta @ XVX @ beta), expected
