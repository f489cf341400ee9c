"""How well random effects are predicted: the variance of b̂ − b, β̂ estimated with them.

With C = Cov(b | y, β)/σ² and B = GZᵀV⁻¹X, σ²G the covariance of the effects, Var(b̂ − b) = σ²[C + B(XᵀV⁻¹X)⁻¹Bᵀ]: the
block C²² of the inverse of the mixed model equations (Henderson 1975).
"""

from __future__ import annotations

import numpy as np

from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Floats
from lmmpy.engines import Criterion, make_criterion
from lmmpy.relatedness import Relatedness
from lmmpy.relatedness.additive import PedigreeForm

__all__ = ["accuracies", "criterion_at_once", "inbreeding_coefficients", "prediction_error_variances"]

# Up to so many rows their covariance may be formed, whatever it would cost to fit with it.
_FEW_ROWS = 8_000


def criterion_at_once(design: Design, reml: bool) -> Criterion:
    """
    A criterion for use at one θ, without what prepares an engine for many of them.

    Parameters
    ----------
    design : Design
    reml : bool
    """
    kernels = [term.relatedness for term in design.random if not term.relatedness.is_identity]
    all_sparse = all(K.is_sparse for K in kernels)
    if not kernels or (all_sparse and design.row_covariances):
        return make_criterion(design, reml)
    if all_sparse:
        return make_criterion(design, reml, "sparse")
    return make_criterion(design, reml, "marginal" if design.n <= _FEW_ROWS else "auto")


def prediction_error_variances(criterion: Criterion, theta: Floats, unscaled_vcov: Floats, place: int) -> Floats:
    """
    Var(b̂ − b)/σ² of each effect of a term.

    Parameters
    ----------
    criterion : Criterion
        Of the design that has the levels; more than have rows, if need be.
    theta : ndarray, shape (n_theta,)
    unscaled_vcov : ndarray, shape (p, p)
        (XᵀV⁻¹X)⁻¹.
    place : int
        The term, in `design.random`.

    Returns
    -------
    ndarray, shape (levels, k)

    References
    ----------
    Henderson (1975), Best linear unbiased estimation and prediction under a selection model, Biometrics 31, 423–447.
    """
    design = criterion.design
    found = np.einsum("laa->la", criterion.conditional_variances(theta)[place]).copy()
    if design.p:
        part = slice(design.starts[place], design.starts[place + 1])
        B = criterion.operators(theta).GZtVX[part] @ np.linalg.cholesky(unscaled_vcov)
        found += np.einsum("qp,qp->q", B, B).reshape(found.shape)
    return np.asarray(np.maximum(found, 0.0))


def accuracies(term: RandomEffects, theta: Floats, variances: Floats) -> Floats:
    """
    Correlation of predicted and true effects, √(1 − PEV/(σ_g² K_ll)).

    Parameters
    ----------
    term : RandomEffects
    theta : ndarray
        Its own parameters.
    variances : ndarray, shape (levels, k)
        Of `prediction_error_variances`.

    Returns
    -------
    ndarray, shape (levels, k)
        NaN for an effect whose variance is zero.
    """
    T = term.structure.factor(theta).T
    own = np.ones(term.n_levels) if term.relatedness.is_identity else term.relatedness.diagonal()
    prior = own[:, None] * np.einsum("ab,ab->a", T, T)
    share = np.divide(variances, prior, out=np.full_like(variances, np.nan), where=prior > 0.0)
    return np.asarray(np.sqrt(np.clip(1.0 - share, 0.0, 1.0)))


def inbreeding_coefficients(relatedness: Relatedness) -> Floats | None:
    """
    F of each level where a relatedness is the additive one of a pedigree; else None.

    Parameters
    ----------
    relatedness : Relatedness
    """
    form = relatedness.form
    if not isinstance(form, PedigreeForm):
        return None
    # Other relationships that follow lines of descent (X-linked ones) leave another part to chance.
    descent = form.descent
    own = np.append(descent.diagonal, 0.0)
    additive = 1.0 - 0.25 * (own[descent.father] + own[descent.mother])
    return descent.diagonal - 1.0 if np.allclose(descent.D, additive, rtol=0.0, atol=1e-12) else None
