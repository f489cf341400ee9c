"""Which engine computes the criterion of a design with covariances between rows, or without random effects."""

from __future__ import annotations

import numpy as np

from lmmpy.design import Design
from lmmpy.engines.choose_marginal import covariance_system
from lmmpy.engines.components import Components, connected_components
from lmmpy.engines.coordinates import orthogonal_design, with_typical_weights
from lmmpy.engines.covariance_system import CovarianceSystem
from lmmpy.engines.criterion import Criterion
from lmmpy.engines.crossproducts import cross_products, fixed_basis, with_response
from lmmpy.engines.kronecker import KroneckerSystem, takes
from lmmpy.engines.marginal import MarginalLikelihood
from lmmpy.engines.structured import structured_likelihood
from lmmpy.errors import ModelError

__all__ = ["structured_criterion"]

# Dense blocks of so many cubed rows in all take some 20 ms; residual groups are dense too, and must be a small share of
# that, or small.
_SOON, _GROUP, _SHARE = 4e7, 100, 0.1


def structured_criterion(design: Design, reml: bool, engine: str) -> Criterion:
    """
    The criterion of a design with a structured residual, with random functions, or without random terms.

    "spectral" takes a residual over the traits of each row beside one random effect by trait, no trait missing: one
    reduction of K serves all steps. "sparse" takes a residual in small groups beside terms whose K has a sparse
    inverse. "marginal" takes everything, and factorises the covariance of the rows block by block. "auto" takes them in
    this order, but "marginal" before "sparse" where blocks are small: it holds where the residual is singular, too.

    Parameters
    ----------
    design : Design
    reml : bool
    engine : str
        See `make_criterion`.

    Raises
    ------
    ModelError
        When the engine that was asked for cannot take the design.
    """
    internal = with_typical_weights(design)
    rows, bases = orthogonal_design(internal)
    components = connected_components(rows)
    chosen = _chosen(rows, components) if engine == "auto" else engine
    if chosen == "sparse":
        _check_sparse(rows)
        return structured_likelihood(design, reml)
    if chosen not in ("marginal", "spectral"):
        raise ModelError(
            f"control: engine {engine!r} takes random terms and an independent residual only. Take 'auto', 'sparse' or "
            "'marginal' with covariances between rows, or without random terms."
        )
    if chosen == "spectral" and not takes(rows, components):
        raise ModelError(
            "control: engine 'spectral' takes covariances between rows only where these are of the traits of one "
            "row, beside one random effect by trait, with every trait of every level. Take 'auto' or 'marginal'."
        )
    basis = with_response(internal, *fixed_basis(internal))
    products = cross_products(rows, basis)
    system: CovarianceSystem
    if chosen == "spectral":
        system = KroneckerSystem(rows, components)
    else:
        system, _ = covariance_system(rows, "marginal", components)
    return MarginalLikelihood(design, reml, rows, bases, products, basis, system, components)


def _chosen(design: Design, components: Components) -> str:
    if takes(design, components):
        return "spectral"
    dense = float((np.bincount(components.rows).astype(float) ** 3).sum())
    if dense > _SOON and _why_not_sparse(design) is None and _is_sparse(design, dense):
        return "sparse"
    return "marginal"


def _is_sparse(design: Design, dense: float) -> bool:
    """Whether K⁻¹ of every term and the residual are; `dense` is what blocks of connected rows cost."""
    if not all(term.relatedness.is_identity or term.relatedness.is_sparse for term in design.random):
        return False
    if design.residual is None:
        return False
    sizes = np.unique(design.residual.groups, return_counts=True)[1].astype(float)
    return bool(sizes.max() <= _GROUP or (sizes**3).sum() <= _SHARE * dense)


def _check_sparse(design: Design) -> None:
    reason = _why_not_sparse(design)
    if reason is not None:
        raise ModelError(f"control: engine 'sparse' cannot take this model, since {reason}. Take 'auto' or 'marginal'.")


def _why_not_sparse(design: Design) -> str | None:
    if design.functions:
        return f"{design.functions[0].name} is a random function"
    if not design.random:
        return "the model has no random terms"
    return "the residual is independent" if design.residual is None else None
