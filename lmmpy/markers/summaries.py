"""Missing genotypes, allele frequencies, and the mean where a genotype is missing: the hot loop of every scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.threads import workers
from lmmpy.errors import ModelError
from lmmpy.markers import _dosages
from lmmpy.markers.source import Dosages

__all__ = ["VariantSummary", "impute_mean", "standardise", "summarise"]


# Variants that a thread works on at a time.
_TOGETHER = 256


@dataclass(frozen=True, eq=False, slots=True)
class VariantSummary:
    """
    What a scan says of each of m variants.

    Attributes
    ----------
    missing : ndarray of int, shape (m,)
    mean : ndarray, shape (m,)
        Of the known dosages; NaN where none is known.
    variance : ndarray, shape (m,)
        Σ(x − mean)²/n over all n people, those whose genotype is missing at the mean: what GEMMA standardises by.
        Exactly 0 where all known dosages are equal; NaN where none is known.
    """

    missing: NDArray[np.intp]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    @property
    def frequency(self) -> NDArray[np.float64]:
        """Of the effect allele, from the known dosages, shape (m,)."""
        return self.mean / 2.0

    @property
    def maf(self) -> NDArray[np.float64]:
        """Frequency of the rarer allele, shape (m,)."""
        return np.minimum(self.frequency, 1.0 - self.frequency)

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Whether known dosages differ, shape (m,): not of a monomorphic variant, nor of one that nobody has."""
        return self.variance > 0.0


def _by_variant(G: Dosages, what: str) -> Dosages:
    """The transpose of G, a variant a contiguous row."""
    if G.ndim != 2 or G.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ModelError(
            f"{what} takes dosages as float32 or float64 of two dimensions; got {G.dtype}, shape {G.shape}."
        )
    by_variant: Dosages = np.ascontiguousarray(G.T)  # type: ignore[assignment]
    return by_variant


def _by_threads(task: Callable[[slice], None], m: int) -> None:
    """Do runs of variants."""
    with workers(m > _TOGETHER) as each:
        each(task, [slice(start, start + _TOGETHER) for start in range(0, m, _TOGETHER)])


def summarise(G: Dosages) -> VariantSummary:
    """
    Missing genotypes, mean and variance of each variant.

    Parameters
    ----------
    G : ndarray of float32 or float64, shape (n, m)
        Dosages, NaN where missing; quickest in Fortran order, as `GenotypeSource.read` gives them.

    Returns
    -------
    VariantSummary
        Sums are formed in double precision. Those of a variant do not depend on the others, so that blocks of another
        size give the same bits.
    """
    X = _by_variant(G, "summarise")
    m = len(X)
    missing, mean, square = np.empty(m, dtype=np.intp), np.empty(m), np.empty(m)

    def some(part: slice) -> None:
        _dosages.summarise(X[part], missing[part], mean[part], square[part])

    _by_threads(some, m)
    return VariantSummary(missing, mean, square / max(G.shape[0], 1))


def impute_mean(G: Dosages, summary: VariantSummary | None = None) -> VariantSummary:
    """
    Put the mean of a variant where its genotype is missing, in place.

    Parameters
    ----------
    G : ndarray of float32 or float64, shape (n, m)
        In Fortran order; changed. A variant that is missing in all people becomes 0.
    summary : VariantSummary, optional
        Of `summarise(G)`, if it is known already.

    Returns
    -------
    VariantSummary
        Of G as it was.

    Raises
    ------
    ModelError
        When G is not in Fortran order, or cannot be changed.
    """
    known = summarise(G) if summary is None else summary
    if not (G.flags.f_contiguous and G.flags.writeable):
        raise ModelError("impute_mean changes dosages in place: they must be in Fortran order and writeable.")
    X, by = G.T, np.nan_to_num(known.mean)
    _by_threads(lambda part: _dosages.fill(X[part], known.missing[part], by[part]), len(X))
    return known


def standardise(G: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
    """(G − mean)·scale of each variant, in place and in Fortran order; 0 where it is missing or its scale is 0."""
    _dosages.standardise(G.T, mean, scale)
