"""Which tests a scan makes of a null model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lmmpy.engines import one_blas_thread
from lmmpy.errors import ModelError, shown
from lmmpy.inference.column_scanner import ColumnScanner, column_scanner
from lmmpy.model import LmmFit

__all__ = ["OneScanner", "ScanTests"]

_TESTS = {"score": ("score",), "wald": ("wald",), "lrt": ("lrt",), "all": ("wald", "lrt", "score")}


@dataclass(frozen=True, slots=True)
class ScanTests:
    """
    See `association`.

    Attributes
    ----------
    names : tuple of str
        "wald", "lrt", "score", in this order.
    exact : bool
    precision : str
    """

    names: tuple[str, ...]
    exact: bool
    precision: str

    @classmethod
    def checked(cls, test: Any, exact: Any, precision: Any) -> ScanTests:
        """Refuse what is none of what there is."""
        if not isinstance(test, str) or test not in _TESTS:
            raise ModelError(f"test is one of {shown(_TESTS)}, not {test!r}.")
        if not isinstance(exact, bool | np.bool_):
            raise ModelError(f"exact must be True or False, not {exact!r}.")
        if not isinstance(precision, str) or precision not in ("auto", "double", "single"):
            raise ModelError(f"precision is 'auto', 'double' or 'single', not {precision!r}.")
        return cls(_TESTS[test], bool(exact), precision)

    def scanner(self, fit: LmmFit) -> ColumnScanner:
        """What tests columns beside a null model."""
        with one_blas_thread():
            return column_scanner(
                fit.criterion,
                fit.optimum,
                self.names,
                exact=self.exact,
                precision=self.precision,
                control=fit.request.control,
            )


@dataclass(frozen=True, eq=False, slots=True)
class OneScanner:
    """The same tests on all chromosomes."""

    scanner: ColumnScanner

    @property
    def method(self) -> str:
        """How columns are tested, in words."""
        return self.scanner.method

    def __call__(self, chromosome: str) -> ColumnScanner:
        """That of a chromosome's variants."""
        return self.scanner
