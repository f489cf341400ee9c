"""Null models by chromosome: the relatedness is that of all the others (leave one chromosome out)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmmpy.errors import LmmpyWarning, ModelError, shown
from lmmpy.formula.syntax import Name
from lmmpy.inference.column_scanner import ColumnScanner
from lmmpy.markers.loco_kernels import LocoKernels
from lmmpy.model import LmmFit
from lmmpy.qtl.scan_tests import ScanTests
from lmmpy.relatedness import Relatedness

__all__ = ["LocoScanners", "loco_kind", "replaced_relatedness"]

_MADE = ("standardized", "centered")


@dataclass(eq=False, slots=True)
class LocoScanners:
    """
    The tests of each chromosome's variants beside a null model of its own, made when they are asked for.

    The last one is kept, but not pickled: a scan goes from chromosome to chromosome.

    Attributes
    ----------
    fit : LmmFit
        With one relatedness, which is replaced.
    name : str
        What its formula calls it.
    kernels : LocoKernels or mapping from chromosome to Relatedness
    tests : ScanTests
    """

    fit: LmmFit
    name: str
    kernels: LocoKernels | Mapping[str, Relatedness]
    tests: ScanTests
    _last: tuple[str, ColumnScanner] | None = field(default=None, init=False, repr=False)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.fit, self.name, self.kernels, self.tests

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.fit, self.name, self.kernels, self.tests = state
        self._last = None

    @property
    def method(self) -> str:
        """How columns are tested, in words."""
        return "a null model for each chromosome"

    def __call__(self, chromosome: str) -> ColumnScanner:
        """
        That of a chromosome's variants.

        Raises
        ------
        ModelError
            When the chromosome's null model does not converge.
        """
        if self._last is None or self._last[0] != chromosome:
            self._last = None  # room for the next
            self._last = chromosome, self.tests.scanner(self._fit(chromosome))
        return self._last[1]

    def _fit(self, chromosome: str) -> LmmFit:
        given = dict(self.fit.request.source.relmat or {})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LmmpyWarning)  # what matters is an error below
            fit = self.fit.update(relmat=given | {self.name: self.kernels[chromosome]})
        if not fit.optimum.converged:
            raise ModelError(
                f"loco: the null model with the relatedness of all but chromosome {chromosome!r} did not converge. Fit "
                f"it by hand with grm(genotypes, leave_out={chromosome!r}) and look at its convergence."
            )
        return fit


def loco_kind(loco: Any) -> str:
    """What the relatedness of chromosomes is: "" for none, "given", or how it is made of the genotypes."""
    if loco is None or loco is False:
        return ""
    if loco is True:
        return _MADE[0]
    if isinstance(loco, Mapping):
        return "given"
    if isinstance(loco, str) and loco in _MADE:
        return loco
    raise ModelError(
        f"loco is True, 'standardized', 'centered', or a mapping from chromosome to Relatedness, not {loco!r}."
    )


def replaced_relatedness(fit: LmmFit) -> str:
    """
    What the formula calls the relatedness that is to be replaced.

    Raises
    ------
    ModelError
        When the fit has not exactly one relatedness, which a name stands for.
    """
    related = [term for term in fit.design.random if not term.relatedness.is_identity]
    if len(related) != 1:
        names = f": {shown([term.name for term in related])}" if related else ""
        raise ModelError(
            f"loco: the null model has {len(related)} terms with a relatedness{names}; it must be one, which is left "
            "without a chromosome. Of several, fit the model of each chromosome by hand, and scan its variants alone "
            "(variants=)."
        )
    grouping = related[0].term.grouping
    if grouping.kin is None:
        return grouping.label
    if not isinstance(grouping.kin.relatedness, Name):
        raise ModelError(f"loco: give the relatedness of {related[0].name} a name: kin(id, K) with K a variable.")
    return grouping.kin.relatedness.id
