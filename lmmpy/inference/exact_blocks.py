"""Exact tests of columns where rows fall into blocks: all models of a batch of columns are fitted side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines.block_batch import BlockFamilies, ColumnEstimates
from lmmpy.fitting.lockstep import minimise_together
from lmmpy.inference.column_tests import ColumnTests
from lmmpy.inference.estimate_tests import joined_tests, lrt_tests, wald_tests

__all__ = ["BlockScanner"]

Floats = NDArray[np.float64]

# Columns that are fitted side by side: their copies in the metric of the weights are 64 MB at 4,000 rows.
_TOGETHER = 1_000


class BlockScanner:
    """
    See `ColumnScanner`.

    Parameters
    ----------
    by_reml : BlockFamilies or None
        For the Wald tests.
    by_ml : BlockFamilies or None
        For the likelihood ratios.
    theta : ndarray, shape (n_theta,)
        Of the null model, by REML or ML.
    """

    def __init__(self, by_reml: BlockFamilies | None, by_ml: BlockFamilies | None, theta: Floats) -> None:
        self._families = {"wald": by_reml, "lrt": by_ml}
        self._start: dict[str, Floats] = {}
        self._value: dict[str, float] = {}
        for test, families in self._families.items():
            if families is not None:
                null = minimise_together(families.alone(), families.shares(theta))
                self._start[test], self._value[test] = null.shares[0], float(null.value[0])

    @property
    def method(self) -> str:
        """How, in words."""
        families = next(found for found in self._families.values() if found is not None)
        return f"every model fitted, by {len(families.layout.starts) - 1:,} blocks of rows"

    def __call__(self, G: NDArray[Any], k: int = 1) -> Mapping[str, ColumnTests]:
        """See `ColumnScanner`."""
        m = G.shape[1] // k
        parts = [self._tests(G[:, start * k : (start + _TOGETHER) * k], k) for start in range(0, max(m, 1), _TOGETHER)]
        return {test: joined_tests([part[test] for part in parts]) for test in parts[0]}

    def _tests(self, G: NDArray[Any], k: int) -> dict[str, ColumnTests]:
        G, found = np.asarray(G, dtype=float), {}
        if self._families["wald"] is not None:
            design = self._families["wald"].design
            _, estimates = self._fitted("wald", G, k)
            found["wald"] = wald_tests(estimates.beta, estimates.vcov, design.n - design.p - k)
        if self._families["lrt"] is not None:
            null = np.full(G.shape[1] // k, self._value["lrt"])
            value, estimates = self._fitted("lrt", G, k)
            before = null
            if k > 1:
                keep = np.arange(G.shape[1]) % k < k - 1
                before = self._fitted("lrt", G[:, keep], k - 1)[0]
            found["lrt"] = lrt_tests(estimates.beta, estimates.vcov, null - value, before - value)
        return found

    def _fitted(self, test: str, G: Floats, k: int) -> tuple[Floats, ColumnEstimates]:
        """−2 log-likelihoods, and estimates, NaN where collinear."""
        families, start = self._families[test], self._start[test]
        assert families is not None
        problems = families.with_columns(G, k)
        minima = minimise_together(problems, start, probe=0.5 * (start + 1.0 / len(start)))
        return minima.value, problems.estimates(minima.shares)
