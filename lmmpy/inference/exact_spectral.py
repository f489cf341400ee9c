"""Exact tests of columns beside one random effect, as a scan asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.inference.column_tests import ColumnTests
from lmmpy.inference.spectral_exact import ExactTests, SpectralExact

__all__ = ["SpectralScanner"]


@dataclass(frozen=True, eq=False, slots=True)
class SpectralScanner:
    """See `ColumnScanner`.

    Attributes
    ----------
    null : SpectralExact
    tests : tuple of {"wald", "lrt", "score"}
    """

    null: SpectralExact
    tests: tuple[str, ...]

    @property
    def method(self) -> str:
        """How, in words."""
        return "every model fitted, in the eigenvectors of the one random effect"

    def __call__(self, G: NDArray[Any], k: int = 1) -> Mapping[str, ColumnTests]:
        """See `ColumnScanner`."""
        found = self.null.tests(G, self.tests, k)
        return {test: _one(found, test) for test in self.tests}


def _one(found: ExactTests, test: str) -> ColumnTests:
    """One of the tests; its numbers are NaN where there is none."""
    joint, last = found.joint, found.last
    return ColumnTests(
        found.beta,
        found.std_error,
        getattr(joint, test),
        getattr(joint, f"p_{test}"),
        getattr(last, test),
        getattr(last, f"p_{test}"),
        found.collinear,
        np.zeros_like(found.collinear),
    )
