"""A likelihood-ratio test with the distribution that the smaller model itself gives, by simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import SeedSequence
from scipy import stats

from lmmpy.design.values import Floats
from lmmpy.engines import Criterion
from lmmpy.errors import ModelError
from lmmpy.fitting import Control, Optimum, refit_theta
from lmmpy.inference import Replicate, guarded, seed_sequences
from lmmpy.inference.bootstrap import failed
from lmmpy.inference.lrt import check_same_data, described, likelihood_ratio, not_contained
from lmmpy.inference.nested import random_not_nested
from lmmpy.inference.parallel import check_n_jobs, mapped
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.ranova import check_random
from lmmpy.model.replicates import ResponseSource
from lmmpy.model.scope import caller_scope, name_of

__all__ = ["BootstrapLrt", "parametric_bootstrap_lrt"]

_NIL = 1e-8
# Replicates in a row before it is looked whether enough of them exceed the statistic.
_BATCH = 64


@dataclass(frozen=True, eq=False)
class BootstrapLrt:
    """
    A likelihood-ratio test by parametric bootstrap.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods.
    df : int
        Difference of the numbers of parameters.
    reference : ndarray, shape (n,)
        The statistic of each replicate, drawn from the smaller model; NaN where a refit failed.
    stopped : bool
        Whether `stop_at` exceedances were seen before all replicates were drawn.
    problems : dict of int to str
        By replicate, what failed.
    headings : tuple of str
        The models, the smaller first, and how they were fitted.
    singular : float
        Share of replicates in which one of the two fits lies on the boundary.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> one = lmm.lmer("Reaction ~ 1 + (1 | Subject)", sleepstudy)
    >>> two = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> tested = lmm.parametric_bootstrap_lrt(one, two, n=9, seed=1)
    >>> tested.exceeding, tested.n_failed
    (0, 0)
    """

    statistic: float
    df: int
    reference: Floats
    stopped: bool
    problems: dict[int, str]
    headings: tuple[str, ...]
    singular: float

    @property
    def n_failed(self) -> int:
        """Replicates that could not be fitted; they do not count."""
        return len(self.problems)

    @property
    def exceeding(self) -> int:
        """Replicates whose statistic is at least that of the data."""
        return int((self._valid >= self.statistic).sum())

    @property
    def _valid(self) -> Floats:
        return np.asarray(self.reference[~np.isnan(self.reference)])

    @property
    def p_value(self) -> float:
        """(1 + exceeding)/(n + 1); after an early stop exceeding/n (Besag & Clifford 1991)."""
        n = len(self._valid)
        return self.exceeding / n if self.stopped else (1 + self.exceeding) / (n + 1)

    @property
    def chisq_p_value(self) -> float:
        """The p-value of χ² on `df` degrees of freedom."""
        return float(stats.chi2.sf(self.statistic, self.df))

    @property
    def bartlett_p_value(self) -> float:
        """That of χ² for the statistic scaled so that the replicates have the mean `df` (Bartlett's correction)."""
        mean = float(self._valid.mean()) if len(self._valid) else np.nan
        return float(stats.chi2.sf(self.statistic * self.df / mean, self.df)) if mean > 0.0 else np.nan

    def __str__(self) -> str:
        n = len(self._valid)
        lines = [
            *self.headings,
            f"LRT {self.statistic:.5g} on {self.df} df",
            f"p (bootstrap) {self.p_value:.4g}   {self.exceeding} of {n} replicates are as large"
            + ("; stopped early" if self.stopped else ""),
            f"p (χ²)        {self.chisq_p_value:.4g}",
            f"p (Bartlett)  {self.bartlett_p_value:.4g}",
            *self._advice(n),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _advice(self, n: int) -> Iterator[str]:
        p = self.p_value
        if n == 0:
            yield "No replicate could be fitted: see .problems."
            return
        error = float(np.sqrt(p * (1.0 - p) / n))
        yield f"The Monte Carlo error of the bootstrap p-value is about {error:.2g}."
        if self.exceeding == 0:
            yield "No replicate is as large: the p-value is an upper bound; a larger n would say more."
        elif abs(p - 0.05) < 2.0 * error:
            yield "That does not tell it from 0.05: use a larger n."
        if self.singular > 0.1:
            yield (
                f"In {self.singular:.0%} of the replicates a fit lies on the boundary: neither χ² nor Bartlett's "
                "correction holds; use the bootstrap p-value."
            )
        if self.n_failed:
            yield f"{self.n_failed} replicates failed and do not count: see .problems."


def parametric_bootstrap_lrt(
    m0: LmmFit,
    m1: LmmFit,
    n: int = 1000,
    seed: int | SeedSequence | None = None,
    n_jobs: int = 1,
    stop_at: int | None = None,
) -> BootstrapLrt:
    """
    Compare two nested fits by a likelihood ratio whose distribution is simulated from the smaller one.

    It needs no large sample and holds for variances at zero, where χ² does not.

    Parameters
    ----------
    m0, m1 : LmmFit
        Nested, on the same rows, in any order. When both are REML fits with the same fixed part, the restricted
        likelihoods are compared, else those of ML fits (REML fits are refitted, which the headings say).
    n : int
        Number of replicates.
    seed : int or SeedSequence, optional
        The same seed gives the same numbers, whatever `n_jobs` is.
    n_jobs : int
        Processes, as joblib counts them; −1 takes all cores.
    stop_at : int, optional
        Stop as soon as so many replicates are as large as the statistic (sequential Monte Carlo test, Besag & Clifford
        1991): a large p-value is then soon known, a small one as exactly as with all `n`.

    Returns
    -------
    BootstrapLrt

    Raises
    ------
    ModelError
        When the fits are not of the same data, neither is larger, the fixed part or a random term of one is not within
        the other's, variance components were given, or an argument is wrong.

    Warns
    -----
    ConvergenceWarning
        When replicates could not be fitted.

    References
    ----------
    Halekoh & Højsgaard (2014), J. Stat. Softw. 59(9); Davison & Hinkley (1997), Bootstrap Methods, §4.2.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> one = lmm.lmer("Reaction ~ 1 + (1 | Subject)", sleepstudy)
    >>> two = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> tested = lmm.parametric_bootstrap_lrt(one, two, n=19, seed=1)
    >>> tested.p_value
    0.05
    """
    for fit in (m0, m1):
        check_random(fit, "parametric_bootstrap_lrt")
    if stop_at is not None and (isinstance(stop_at, bool) or not isinstance(stop_at, int | np.integer) or stop_at < 1):
        raise ModelError(f"stop_at must be a whole number of exceedances from 1, or None; got {stop_at!r}.")
    seeds, jobs = seed_sequences(seed, n), check_n_jobs(n_jobs)
    scope = caller_scope()
    names = [name_of(fit, scope) or f"m{i}" for i, fit in enumerate((m0, m1))]
    small, large, headings = _prepared(m0, m1, names)
    statistic = float(likelihood_ratio(large.loglik, small.loglik))
    draw = _StatisticOfReplicate(
        ResponseSource.of(small, False),
        large.criterion,
        (small.optimum, large.optimum),
        (small.request.control, large.request.control),
    )
    runs, stopped = _replicates(draw, seeds, jobs, statistic, stop_at)
    problems = failed(runs, "replicates failed and do not count", stacklevel=3)
    reference = np.array([run.values[0] for run in runs])
    singular = float(np.mean([run.singular for run in runs]))
    return BootstrapLrt(statistic, large.df - small.df, reference, stopped, problems, headings, singular)


def _prepared(m0: LmmFit, m1: LmmFit, names: Sequence[str]) -> tuple[LmmFit, LmmFit, tuple[str, ...]]:
    """The smaller fit and the larger, by the same criterion, and what is said of them."""
    check_same_data((m0, m1), names)
    if m0.df == m1.df:
        raise ModelError(
            f"{names[0]} and {names[1]} both have {m0.df} parameters, so that neither is a special case of the other."
        )
    headings = ["Parametric bootstrap of a likelihood ratio"]
    same_mean = m0.design.X.shape == m1.design.X.shape and _within(m0, m1)
    if (m0.reml or m1.reml) and not (m0.reml and m1.reml and same_mean):
        headings.append("refitting model(s) with ML (instead of REML)")
        m0, m1 = m0.refit_ml(), m1.refit_ml()
    (small, first), (large, second) = sorted(((m0, names[0]), (m1, names[1])), key=lambda pair: pair[0].df)
    if not _within(small, large):
        raise ModelError(
            f"The fixed effects of {first} ({small.formula}) are not among those of {second} ({large.formula}), so "
            "that it is no special case of it."
        )
    stray = random_not_nested(small.design, large.design)
    if stray is not None:
        raise ModelError(
            f"The random term {stray} of {first} ({small.formula}) is not among those of {second} ({large.formula}): "
            "no term of the larger model has the same grouping factor, its columns, and a structure that allows for "
            "its own. So the smaller model is no special case of the larger, and their likelihood ratio tests nothing."
        )
    reason = not_contained(small, large)
    if reason is not None:
        raise ModelError(f"{first} is no special case of {second}, {reason}. Their likelihood ratio tests nothing.")
    headings += [f"{name}: {text}" for name, text in zip((first, second), described((small, large)), strict=True)]
    return small, large, tuple(headings)


def _within(small: LmmFit, large: LmmFit) -> bool:
    """Whether the columns of one fixed-effects matrix are combinations of those of another."""
    X, X1 = small.design.X, large.design.X
    X, X1 = X / np.linalg.norm(X, axis=0), X1 / np.linalg.norm(X1, axis=0)
    left = X - X1 @ np.linalg.lstsq(X1, X, rcond=None)[0]
    return bool((np.linalg.norm(left, axis=0) < _NIL).all())


@dataclass(frozen=True, eq=False, slots=True)
class _StatisticOfReplicate:
    """Draw from the smaller model, refit both, compare."""

    source: ResponseSource
    large: Criterion
    optima: tuple[Optimum, Optimum]
    controls: tuple[Control, Control]

    def __call__(self, seed: SeedSequence) -> Replicate:
        """One replicate."""
        return guarded(lambda: self._compute(seed), 1)

    def _compute(self, seed: SeedSequence) -> tuple[Floats, bool, str | None]:
        y = self.source(seed)
        pairs = zip((self.source.criterion, self.large), self.optima, self.controls, strict=True)
        found = [refit_theta(criterion.with_response(y), optimum, control) for criterion, optimum, control in pairs]
        value = found[0].value - found[1].value
        slow = [optimum.evaluations for optimum in found if not optimum.converged]
        problem = f"the optimiser stopped after {slow[0]} evaluations." if slow else None
        # A model that contains the other is at least as likely; less is rounding.
        return np.array([max(0.0, value)]), any(o.at_boundary for o in found), problem


def _replicates(
    draw: _StatisticOfReplicate, seeds: Sequence[SeedSequence], n_jobs: int, statistic: float, stop_at: int | None
) -> tuple[list[Replicate], bool]:
    """All replicates; or those up to the one that makes the exceedances as many as `stop_at`."""
    if stop_at is None:
        return mapped(draw, seeds, n_jobs), False
    runs: list[Replicate] = []
    for start in range(0, len(seeds), _BATCH):
        runs += mapped(draw, seeds[start : start + _BATCH], n_jobs)
        counts = np.cumsum([run.values[0] >= statistic for run in runs])
        if counts[-1] >= stop_at:
            return runs[: int(np.argmax(counts >= stop_at)) + 1], True
    return runs, False
