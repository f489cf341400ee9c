"""Covariance structures: parameters θ → the factor T of one random term, and ∂T/∂θ."""

from lmmpy.covariance.autoregressive import Autoregressive
from lmmpy.covariance.base import CovarianceStructure, Factor
from lmmpy.covariance.compound import CompoundSymmetry
from lmmpy.covariance.diagonal import Diagonal
from lmmpy.covariance.directions import Directions, covariance_directions, covariance_slopes
from lmmpy.covariance.rows import Indexed, Pairs, PairValues, Reported, RowStructure
from lmmpy.covariance.unstructured import Unstructured, semidefinite_cholesky

__all__ = [
    "Autoregressive",
    "CompoundSymmetry",
    "CovarianceStructure",
    "Diagonal",
    "Directions",
    "Factor",
    "Indexed",
    "PairValues",
    "Pairs",
    "Reported",
    "RowStructure",
    "Unstructured",
    "covariance_directions",
    "covariance_slopes",
    "make_structure",
    "semidefinite_cholesky",
]


def make_structure(name: str, k: int, homogeneous: bool | None = None) -> CovarianceStructure:
    """
    Make the structure that a formula names.

    Parameters
    ----------
    name : {"us", "diag", "cs", "ar1"}
    k : int
        Number of random effects in one level.
    homogeneous : bool, optional
        Whether all effects have one variance. By default only those of `ar1` have, as in lme4 2.0.

    Returns
    -------
    CovarianceStructure

    Raises
    ------
    ValueError
        For an unknown name, or `us` with one variance (which is `cs`).
    """
    if name == "us":
        if homogeneous:
            raise ValueError("us() has a variance for each effect; for one common variance write cs(…, hom = TRUE)")
        return Unstructured(k)
    if name == "diag":
        return Diagonal(k, bool(homogeneous))
    if name == "cs":
        return CompoundSymmetry(k, bool(homogeneous))
    if name == "ar1":
        return Autoregressive(k, homogeneous is None or homogeneous)
    raise ValueError(f"unknown covariance structure {name!r}; known are us, diag, cs and ar1")
