"""The asymptotic covariance of the variance parameters (θ, log σ), and what follows from them by the delta method.

The criterion is profiled over σ. With ν its degrees of freedom, g = ∂ log r²/∂θ and H the Hessian of the profiled
criterion d(θ), −2 log L as a function of (θ, log σ) has at its minimum the blocks H + ν g gᵀ, −2ν g and 4ν, so that the
inverse of half of it is

    Cov θ̂ = 2H⁻¹ = A,   Cov(θ̂, log σ̂) = ½ A g,   Var(log σ̂) = 1/(2ν) + ¼ gᵀA g.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Factor, covariance_slopes
from lmmpy.design import Design, RandomEffects
from lmmpy.inference.row_parameters import Functions, row_components, row_parameters, row_turned_names

__all__ = [
    "VarianceParameters",
    "components",
    "deviations",
    "other_names",
    "random_covariances",
    "variance_parameters",
]

Floats = NDArray[np.float64]

# A curvature that is nil against that of its parameters alone.
_NIL = 1e-9
# Part of a unit vector that is more than rounding.
_SOME = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class VarianceParameters:
    """
    (θ, log σ) at an optimum, and how well the data determine them.

    θ is that of the coordinates in which the optimum was searched for, where intercept and slope are told apart as well
    for a predictor far from zero as for a centred one.

    Attributes
    ----------
    design : Design
        In these coordinates.
    bases : tuple of ndarray or None
        R of each term whose effects have other coordinates than in the model, b' = R b.
    theta : ndarray, shape (n_theta,)
    sigma : float
    free : ndarray of bool, shape (n_theta + 1,)
        Which of them were estimated and lie inside their range; on the boundary there is no standard error.
    covariance : ndarray, shape (n_theta + 1, n_theta + 1)
        Of (θ̂, log σ̂); zero for those that are not free, and along combinations that the data do not determine.
    undetermined : ndarray, shape (n_theta + 1, m)
        Unit vectors of the combinations that the data do not determine, in units of the parameters' own curvatures.
    """

    design: Design
    bases: tuple[Floats | None, ...]
    theta: Floats
    sigma: float
    free: NDArray[np.bool_]
    covariance: Floats
    undetermined: Floats

    def variance_of(self, jacobian: Floats) -> Floats:
        """
        Covariance of functions of the parameters by the delta method.

        Parameters
        ----------
        jacobian : ndarray, shape (m, n_theta + 1)

        Returns
        -------
        ndarray, shape (m, m)
            NaN for a function that changes along a combination that the data do not determine.
        """
        found = np.asarray(jacobian @ self.covariance @ jacobian.T)
        # What constraints hold has no variance, and rounding must not make it a negative one.
        np.fill_diagonal(found, np.maximum(np.diag(found), 0.0))
        lost = (np.abs(jacobian @ self.undetermined) > _SOME * np.abs(jacobian).max(initial=0.0)).any(axis=1)
        found[lost, :] = np.nan
        found[:, lost] = np.nan
        return found


def variance_parameters(
    design: Design,
    bases: tuple[Floats | None, ...],
    theta: Floats,
    sigma: float,
    hessian: Floats,
    free: NDArray[np.bool_],
    log_r2_gradient: Floats,
    dof: int,
) -> VarianceParameters:
    """
    The asymptotic covariance from the observed Hessian of the profiled criterion.

    Parameters
    ----------
    design, bases
        See `VarianceParameters`.
    theta : ndarray, shape (n_theta,)
    sigma : float
    hessian : ndarray, shape (n_free, n_free)
        Of −2 log L, over the parameters that are free; NaN where it cannot be computed, and so the covariance.
    free : ndarray of bool, shape (n_theta,)
    log_r2_gradient : ndarray, shape (n_theta,)
        ∂ log r²/∂θ.
    dof : int
        n − p by REML, n by ML.

    Returns
    -------
    VarianceParameters
    """
    size = len(theta)
    if not np.isfinite(hessian).all():
        unknown = np.full((size + 1, size + 1), np.nan)
        return VarianceParameters(design, bases, theta, sigma, np.append(free, True), unknown, np.zeros((size + 1, 0)))
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(hessian)), np.finfo(float).tiny))
    curvatures, directions = np.linalg.eigh(hessian * np.outer(scale, scale))
    known = curvatures > _NIL
    along = directions[:, known] * scale[:, None]
    A = np.zeros((size, size))
    A[np.ix_(free, free)] = 2.0 * (along / curvatures[known]) @ along.T
    through = A @ log_r2_gradient
    covariance = np.zeros((size + 1, size + 1))
    covariance[:size, :size] = A
    covariance[:size, size] = covariance[size, :size] = 0.5 * through
    covariance[size, size] = 0.5 / dof + 0.25 * float(log_r2_gradient @ through)
    undetermined = np.zeros((size + 1, int((~known).sum())))
    undetermined[:size][free] = directions[:, ~known] * scale[:, None]
    undetermined /= np.maximum(np.linalg.norm(undetermined, axis=0), np.finfo(float).tiny)
    return VarianceParameters(design, bases, theta, sigma, np.append(free, True), covariance, undetermined)


def components(design: Design, theta: Floats, sigma: float, bases: Sequence[Floats | None] | None = None) -> Functions:
    """
    Variances and covariances of the random effects, term by term, and the residual variance.

    A term with one effect has the term's name; else ``g.x`` is the variance of effect x of term g and ``g.x.z`` a
    covariance, in the order of `theta` for an unstructured term. Random functions and a structured residual follow (see
    `row_parameters`), as ``Residual.a`` and ``Residual.b.a``. ``Residual``, σ², is the last.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    sigma : float
    bases : sequence of ndarray or None, optional
        R of each term when `design` and `theta` are in the coordinates of the search; see `VarianceParameters`.
    """
    names: list[str] = []
    values: list[float] = []
    rows: list[Floats] = []
    for term, C, slopes in random_covariances(design, theta, sigma, bases):
        for b in range(term.k):
            for a in range(b, term.k):
                names.append(_name(term.name, term.columns, a, b))
                values.append(float(C[a, b]))
                rows.append(slopes[:, a, b])
    residual = np.zeros(len(theta) + 1)
    residual[-1] = 2.0 * sigma**2
    others = row_components(design, theta, sigma)
    names += [*others.names, "Residual"]
    return Functions(
        tuple(names), np.array([*values, *others.values, sigma**2]), np.array([*rows, *others.jacobian, residual])
    )


def other_names(design: Design) -> dict[str, str]:
    """
    Names among the `components`, by others: a covariance with its effects the other way round, θ's for one effect.

    Parameters
    ----------
    design : Design
    """
    found = {
        _name(term.name, term.columns, b, a): _name(term.name, term.columns, a, b)
        for term in design.random
        for b in range(term.k)
        for a in range(b + 1, term.k)
    }
    found |= {f"{term.name}.{term.columns[0]}": term.name for term in design.random if term.k == 1}
    return found | row_turned_names(design)


def deviations(
    design: Design, theta: Floats, sigma: float, bases: Sequence[Floats | None] | None = None
) -> tuple[Floats, Floats]:
    """
    Standard deviations and correlations, term by term, those of covariances between rows, and sigma.

    In the order of `parameter_names`.

    Parameters
    ----------
    design, theta, sigma, bases
        See `components`.

    Returns
    -------
    values : ndarray, shape (m,)
    jacobian : ndarray, shape (m, n_theta + 1)
        In (θ, log σ); NaN where a standard deviation is zero.
    """
    values: list[float] = []
    rows: list[Floats] = []
    for term, C, slopes in random_covariances(design, theta, sigma, bases):
        sd = np.sqrt(np.diag(C))
        with np.errstate(divide="ignore", invalid="ignore"):
            d_sd = np.einsum("iaa->ia", slopes) / (2.0 * sd)
            values += sd.tolist()
            rows += list(d_sd.T)
            if term.term.structure == "diag":
                continue
            for b in range(term.k):
                for a in range(b + 1, term.k):
                    rho = C[a, b] / (sd[a] * sd[b])
                    values.append(float(np.clip(rho, -1.0, 1.0)))
                    rows.append(slopes[:, a, b] / (sd[a] * sd[b]) - rho * (d_sd[:, a] / sd[a] + d_sd[:, b] / sd[b]))
    last = np.zeros(len(theta) + 1)
    last[-1] = sigma
    others = row_parameters(design, theta, sigma)
    jacobian = np.array([*rows, *others.jacobian, last])
    jacobian[~np.isfinite(jacobian).all(axis=1)] = np.nan
    return np.array([*values, *others.values, sigma]), jacobian


def random_covariances(
    design: Design, theta: Floats, sigma: float, bases: Sequence[Floats | None] | None = None
) -> Iterator[tuple[RandomEffects, Floats, Floats]]:
    """
    Each random term with C = σ²T Tᵀ of its own effects, shape (k, k), and its derivatives in (θ, log σ).

    Parameters
    ----------
    design, theta, sigma, bases
        See `components`.
    """
    start = 0
    turns = [None] * len(design.random) if bases is None else bases
    for term, part, R in zip(design.random, design.split_theta(theta), turns, strict=True):
        factor = term.structure.factor(part)
        if R is not None:
            back = np.asarray(np.linalg.inv(R), dtype=float)
            factor = Factor(back @ factor.T, back @ factor.dT)
        C = sigma**2 * factor.T @ factor.T.T
        slopes = np.zeros((len(theta) + 1, term.k, term.k))
        slopes[start : start + len(part)] = sigma**2 * covariance_slopes(factor)
        slopes[-1] = 2.0 * C
        start += len(part)
        yield term, C, slopes


def _name(term: str, columns: tuple[str, ...], a: int, b: int) -> str:
    if len(columns) == 1:
        return term
    return f"{term}.{columns[a]}" if a == b else f"{term}.{columns[a]}.{columns[b]}"
