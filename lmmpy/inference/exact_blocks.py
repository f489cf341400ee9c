"""Exact tests of columns where rows fall into blocks: all models of a batch of columns are fitted side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.block_batch import BlockFamilies, ColumnEstimates
from lmmpy.errors import ModelError
from lmmpy.fitting.lockstep import minimise_together
from lmmpy.inference.column_tests import ColumnTests
from lmmpy.inference.estimate_tests import joined_tests, lrt_tests, replaced_tests, wald_tests
from lmmpy.inference.exact_refits import RefitScanner

__all__ = ["BlockScanner"]

Floats = NDArray[np.float64]

# Columns that are fitted side by side: their copies in the metric of the weights are 64 MB at 4,000 rows.
_TOGETHER = 1_000


class _Fitted(NamedTuple):
    """−2 log-likelihoods, shape (m,); estimates, NaN where collinear; and of which models the search failed."""

    value: Floats
    estimates: ColumnEstimates
    failed: NDArray[np.bool_]


class BlockScanner:
    """
    See `ColumnScanner`.

    Parameters
    ----------
    families : BlockFamilies
        Of the null model.
    tests : tuple of {"wald", "lrt"}
    theta : ndarray, shape (n_theta,)
        Of the null model, by REML or ML.
    refits : RefitScanner
        For columns whose search side by side does not converge.

    Raises
    ------
    ModelError
        When the search for the null model does not converge.
    """

    def __init__(self, families: BlockFamilies, tests: tuple[str, ...], theta: Floats, refits: RefitScanner) -> None:
        self._families = {test: families.by(reml=test == "wald") for test in tests}
        self._refits = refits
        self._start: dict[str, Floats] = {}
        self._value: dict[str, float] = {}
        for test, own in self._families.items():
            null = minimise_together(own.alone(), own.shares(theta))
            if not null.converged[0]:
                raise ModelError(
                    "The search for the null model did not converge, so that no model with a variant can be held "
                    "against it. Look at fit.convergence, or take exact=False."
                )
            self._start[test], self._value[test] = null.shares[0], float(null.value[0])

    @property
    def method(self) -> str:
        """How, in words."""
        count = len(next(iter(self._families.values())).layout.starts) - 1
        return (
            f"every model fitted, by {count:,} blocks of rows"
            if count > 1
            else "every model fitted, all rows in one block"
        )

    def __call__(self, G: NDArray[Any], k: int = 1) -> Mapping[str, ColumnTests]:
        """See `ColumnScanner`."""
        m = G.shape[1] // k
        parts = [self._tests(G[:, start * k : (start + _TOGETHER) * k], k) for start in range(0, max(m, 1), _TOGETHER)]
        return {test: joined_tests([part[test] for part in parts]) for test in parts[0]}

    def _tests(self, G: NDArray[Any], k: int) -> dict[str, ColumnTests]:
        G, found, failed = np.asarray(G, dtype=float), {}, np.zeros(G.shape[1] // k, dtype=bool)
        if "wald" in self._families:
            design = self._families["wald"].design
            some = self._fitted("wald", G, k)
            failed |= some.failed
            found["wald"] = wald_tests(some.estimates.beta, some.estimates.vcov, design.n - design.p - k)
        if "lrt" in self._families:
            some = self._fitted("lrt", G, k)
            failed |= some.failed
            before = np.full(len(failed), self._value["lrt"])
            if k > 1:
                fewer = self._fitted("lrt", G[:, np.arange(G.shape[1]) % k < k - 1], k - 1)
                failed |= fewer.failed
                before = fewer.value
            gain, last = self._value["lrt"] - some.value, before - some.value
            found["lrt"] = lrt_tests(some.estimates.beta, some.estimates.vcov, gain, last)
        places = np.flatnonzero(failed)
        if not len(places):
            return found
        columns = G.reshape(len(G), -1, k)[:, places].reshape(len(G), -1)
        return {test: replaced_tests(found[test], places, again) for test, again in self._refits(columns, k).items()}

    def _fitted(self, test: str, G: Floats, k: int) -> _Fitted:
        families, start = self._families[test], self._start[test]
        problems = families.with_columns(G, k)
        minima = minimise_together(problems, start, probe=0.5 * (start + 1.0 / len(start)))
        estimates = problems.estimates(minima.shares)
        failed = ~minima.converged & np.isfinite(minima.value)
        return _Fitted(minima.value, estimates, failed)
