"""Covariance structures: θ → the factor T of one random term, φ → the covariances of rows; and their derivatives."""

from lmmpy.covariance.autoregressive import Autoregressive
from lmmpy.covariance.base import CovarianceStructure, Factor
from lmmpy.covariance.compound import CompoundSymmetry
from lmmpy.covariance.correlation_matrix import Correlation
from lmmpy.covariance.deviations import Exponential, Power, Strata
from lmmpy.covariance.diagonal import Diagonal
from lmmpy.covariance.directions import Directions, covariance_directions, covariance_slopes
from lmmpy.covariance.known_rows import Known
from lmmpy.covariance.random_function import RandomFunction
from lmmpy.covariance.row_product import Product
from lmmpy.covariance.rows import Indexed, Pairs, PairValues, Reported, RowStructure
from lmmpy.covariance.serial import ARMA11, ContinuousAR1, Exchangeable, OrderedAR1
from lmmpy.covariance.unstructured import Unstructured, semidefinite_cholesky

__all__ = [
    "ARMA11",
    "Autoregressive",
    "CompoundSymmetry",
    "ContinuousAR1",
    "Correlation",
    "CovarianceStructure",
    "Diagonal",
    "Directions",
    "Exchangeable",
    "Exponential",
    "Factor",
    "Indexed",
    "Known",
    "OrderedAR1",
    "PairValues",
    "Pairs",
    "Power",
    "Product",
    "RandomFunction",
    "Reported",
    "RowStructure",
    "Strata",
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
