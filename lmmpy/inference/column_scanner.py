"""How columns are tested beside the fixed effects of a null model: which algorithm suits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Criterion
from lmmpy.engines.block_batch import block_families
from lmmpy.errors import ModelError
from lmmpy.fitting import Control, Optimum, fit_theta
from lmmpy.inference.column_span import ColumnSpan
from lmmpy.inference.column_tests import ColumnTests, NullAtTheta, null_at_theta, refuse_null
from lmmpy.inference.estimate_tests import no_tests, placed_tests
from lmmpy.inference.exact_blocks import BlockScanner
from lmmpy.inference.exact_refits import RefitScanner
from lmmpy.inference.exact_spectral import SpectralScanner
from lmmpy.inference.spectral_exact import spectral_exact

__all__ = ["ColumnScanner", "column_scanner"]

Reals = NDArray[Any]


class Lane(Protocol):
    """One way to test columns that X does not determine."""

    @property
    def method(self) -> str:
        """How, in words."""

    def __call__(self, G: Reals, k: int = 1) -> Mapping[str, ColumnTests]:
        """See `ColumnScanner`; at least one column."""


@dataclass(frozen=True, eq=False, slots=True)
class ColumnScanner:
    """
    Tests columns beside those of X in one model; pickles.

    Attributes
    ----------
    lane : Lane
    span : ColumnSpan
        Of X: what it determines has no test.
    tests : tuple of {"score", "wald", "lrt"}
    single : bool
        Whether columns may be of single precision.
    """

    lane: Lane
    span: ColumnSpan
    tests: tuple[str, ...]
    single: bool

    @property
    def method(self) -> str:
        """How, in words."""
        return self.lane.method

    def __call__(self, G: Reals, k: int = 1) -> Mapping[str, ColumnTests]:
        """
        Test columns.

        Parameters
        ----------
        G : ndarray, shape (n, m·k)
            Rows as in the design of the null model, groups of k columns one after the other; nothing missing.
        k : int

        Returns
        -------
        dict of str to ColumnTests
            By name of the test.
        """
        m = G.shape[1] // k
        kept = np.flatnonzero(~self.span.determined(G, k))
        if not len(kept):
            return {test: no_tests(m, k) for test in self.tests}
        if len(kept) == m:
            return self.lane(G, k)
        some = np.asfortranarray(G.reshape(len(G), m, k)[:, kept].reshape(len(G), -1))
        return {test: placed_tests(found, kept, m, k) for test, found in self.lane(some, k).items()}


@dataclass(frozen=True, eq=False, slots=True)
class _Held:
    """Tests at the variance ratios of the null model.

    Attributes
    ----------
    null : NullAtTheta
    tests : tuple of str
    """

    null: NullAtTheta
    tests: tuple[str, ...]

    @property
    def method(self) -> str:
        """How, in words."""
        return f"variances of the null model; {self.null.description}"

    def __call__(self, G: Reals, k: int = 1) -> Mapping[str, ColumnTests]:
        """See `Lane`."""
        return self.null.tests(G, k, self.tests)


@dataclass(frozen=True, eq=False, slots=True)
class _WithScore:
    """Exact tests, and score tests at the variance ratios of the null model by ML."""

    exact: Lane
    score: _Held

    @property
    def method(self) -> str:
        return self.exact.method

    def __call__(self, G: Reals, k: int = 1) -> Mapping[str, ColumnTests]:
        return {**self.exact(G, k), **self.score(G, k)}


def column_scanner(
    criterion: Criterion, optimum: Optimum, tests: Sequence[str], *, exact: bool, precision: str, control: Control
) -> ColumnScanner:
    """
    What tests columns beside those of X.

    Parameters
    ----------
    criterion : Criterion
        Of the null model.
    optimum : Optimum
        Where it is least.
    tests : sequence of {"score", "wald", "lrt"}
    exact : bool
        Whether the variances are estimated anew for each column: by REML for "wald", by ML for "lrt". The ratios of the
        score test are then those of the null model by ML, as GEMMA's are.
    precision : {"auto", "double", "single"}
        See `null_at_theta`; exact tests are in double precision.
    control : Control
        How models are fitted that no quicker algorithm takes.

    Returns
    -------
    ColumnScanner

    Raises
    ------
    ModelError
        For exact tests of a model whose variances are known or constrained, and as `null_at_theta` does.
    """
    lane, span = _lane(criterion, optimum, tuple(tests), exact, precision, control), ColumnSpan.of(criterion.design)
    return ColumnScanner(lane, span, tuple(tests), isinstance(lane, _Held) and lane.null.solver.single)


def _lane(
    criterion: Criterion, optimum: Optimum, tests: tuple[str, ...], exact: bool, precision: str, control: Control
) -> Lane:
    refuse_null(criterion, optimum.theta)
    if not exact:
        return _Held(null_at_theta(criterion, optimum.theta, precision), tests)
    if optimum.held or optimum.constraint is not None:
        what = "known" if optimum.held else "constrained"
        raise ModelError(
            f"The variances of the null model are {what}; exact=True would estimate them. Take exact=False."
        )
    again = tuple(test for test in tests if test != "score")
    spectral = spectral_exact(criterion) if again else None
    if spectral is not None and not spectral.at_end:
        return SpectralScanner(spectral, tests)
    if "score" not in tests:
        return _by_fits(criterion, optimum, again, control)
    by_ml = criterion.by_ml()
    theta = fit_theta(by_ml, control, near=optimum.theta).theta if criterion.reml else optimum.theta
    score = _Held(null_at_theta(by_ml, theta, precision), ("score",))
    return _WithScore(_by_fits(criterion, optimum, again, control), score) if again else score


def _by_fits(criterion: Criterion, optimum: Optimum, tests: tuple[str, ...], control: Control) -> Lane:
    families = block_families(criterion.design, reml=True)
    refits = RefitScanner(criterion, optimum.theta, tests, control)
    if families is None:
        return refits
    return BlockScanner(families, tests, np.asarray(optimum.theta, dtype=float), refits)
