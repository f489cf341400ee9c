"""The parametric bootstrap: a statistic over fits to responses drawn from the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.random import SeedSequence

from lmmpy.design.values import Floats
from lmmpy.engines import NotPositiveDefiniteError
from lmmpy.errors import ConvergenceWarning, LmmpyError, ModelError, shown
from lmmpy.inference.bootstrap_intervals import KINDS, bootstrap_limits
from lmmpy.inference.intervals import checked_level, percent_labels
from lmmpy.inference.parallel import mapped

__all__ = ["Bootstrap", "Replicate", "failed", "guarded", "run_bootstrap"]

# So many replicates are refitted side by side; for several processes there are at least so many groups.
_TOGETHER, _GROUPS = 250, 16


@dataclass(frozen=True, eq=False, slots=True)
class Replicate:
    """One refit: what the statistic was, whether the fit was singular, and what went wrong, if anything did."""

    values: Floats
    singular: bool
    problem: str | None


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """
    Results of a parametric bootstrap.

    Attributes
    ----------
    estimate : Series
        The statistic of the fit itself.
    replicates : DataFrame
        One row a replicate; NaN where the refit failed.
    singular : ndarray of bool, shape (n,)
        Which refits ended on the boundary.
    problems : dict of int to str
        By replicate, what failed.
    jackknife : callable, optional
        Gives the statistic without each group in turn, a DataFrame with the columns of `replicates`; for BCa intervals.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> fit.bootstrap(10, lambda one: one.fixef, seed=1).summary().round(1)
                 estimate  bias  std_error
    (Intercept)     251.4  -0.5        6.7
    Days             10.5  -0.6        0.6
    """

    estimate: pd.Series
    replicates: pd.DataFrame
    singular: np.ndarray[Any, np.dtype[np.bool_]]
    problems: dict[int, str]
    jackknife: Callable[[], pd.DataFrame] | None = None

    def __len__(self) -> int:
        return len(self.replicates)

    def summary(self) -> pd.DataFrame:
        """
        Estimate, bias (mean of the replicates less the estimate) and standard error of each statistic.

        Returns
        -------
        DataFrame
            One row a statistic: `estimate`, `bias`, `std_error`.
        """
        mean, std = self.replicates.mean(), self.replicates.std()
        return pd.DataFrame({"estimate": self.estimate, "bias": mean - self.estimate, "std_error": std})

    def confint(self, level: float = 0.95, kind: str = "percentile") -> pd.DataFrame:
        """
        Bootstrap intervals.

        Parameters
        ----------
        level : float
        kind : {"percentile", "basic", "bca"}
            Quantiles of the replicates; twice the estimate less those; or quantiles moved for bias and skewness. BCa's
            bias correction comes from the share of replicates below the estimate, its acceleration from the jackknife
            over the levels of the grouping factor with the fewest levels.

        Returns
        -------
        DataFrame
            One row a statistic; columns such as `2.5 %` and `97.5 %`. Failed replicates are left out.

        Raises
        ------
        ModelError
            For an unknown kind, or BCa when there is no jackknife for the statistic.

        References
        ----------
        Davison & Hinkley (1997), §5.2–5.3; Efron (1987).
        """
        level = checked_level(level)
        if kind not in KINDS:
            raise ModelError(f"kind is one of {shown(KINDS)}, not {kind!r}.")
        deleted: Floats | None = None
        if kind == "bca":
            if self.jackknife is None:
                raise ModelError(
                    "BCa intervals need the statistic without each group in turn, which is known for the parameters of "
                    "the model only. Use kind='percentile' or kind='basic', or bootstrap without fun."
                )
            deleted = self.jackknife().to_numpy(dtype=float)
        values, estimate = self.replicates.to_numpy(dtype=float), self.estimate.to_numpy(dtype=float)
        limits = [
            bootstrap_limits(estimate[i], values[:, i], level, kind, None if deleted is None else deleted[:, i])
            for i in range(len(estimate))
        ]
        return pd.DataFrame(limits, index=self.estimate.index, columns=percent_labels(level), dtype=float)

    def __repr__(self) -> str:
        counts = f"{int(self.singular.sum())} singular, {len(self.problems)} failed"
        return f"Parametric bootstrap, {len(self)} replicates ({counts})\n{self.summary()}"


@runtime_checkable
class ManyReplicates(Protocol):
    """Computes replicates that share their work; each gives the same bits in whatever company."""

    def many(self, seeds: Sequence[SeedSequence]) -> list[Replicate]:
        """The replicates of some seeds."""


def run_bootstrap(
    replicate: Callable[[SeedSequence], Replicate], estimate: pd.Series, seeds: Sequence[SeedSequence], n_jobs: int
) -> Bootstrap:
    """
    Run the replicates, here or in several processes.

    Parameters
    ----------
    replicate : callable
        Draws, refits and computes the statistic from one seed; pickles.
    estimate : Series
        The statistic of the fit itself.
    seeds : sequence of SeedSequence
    n_jobs : int
        Processes, as joblib counts them (−1 is one a core); 1 works in this process.

    Returns
    -------
    Bootstrap
    """
    size = _TOGETHER if n_jobs == 1 else max(1, min(_TOGETHER, len(seeds) // _GROUPS))
    groups = [seeds[i : i + size] for i in range(0, len(seeds), size)]
    results = [run for done in mapped(partial(_replicates, replicate), groups, n_jobs) for run in done]
    problems = failed(results, "bootstrap replicates failed and are NaN", stacklevel=5)
    frame = pd.DataFrame([run.values for run in results], columns=estimate.index)
    return Bootstrap(estimate, frame, np.array([run.singular for run in results]), problems)


def failed(runs: Sequence[Replicate], what: str, stacklevel: int) -> dict[int, str]:
    """
    What went wrong, by replicate, with a warning when something did.

    Parameters
    ----------
    runs : sequence of Replicate
    what : str
        What is said of those that failed, such as ``"replicates failed and do not count"``.
    stacklevel : int
        As in `warnings.warn`, counted from this function.

    Returns
    -------
    dict of int to str

    Warns
    -----
    ConvergenceWarning
    """
    problems = {i: run.problem for i, run in enumerate(runs) if run.problem is not None}
    if problems:
        first, problem = next(iter(problems.items()))
        warnings.warn(
            f"{len(problems)} of {len(runs)} {what}; the first, number {first}: {problem} See .problems.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
    return problems


def _replicates(replicate: Callable[[SeedSequence], Replicate], seeds: Sequence[SeedSequence]) -> list[Replicate]:
    if isinstance(replicate, ManyReplicates):
        return replicate.many(seeds)
    done: list[Replicate] = []
    for seed in seeds:
        try:
            done.append(replicate(seed))
        except Exception as error:
            error.add_note(f"raised by bootstrap replicate {seed.spawn_key[-1]} (counted from 0)")
            raise
    return done


def guarded(compute: Callable[[], tuple[Floats, bool, str | None]], size: int) -> Replicate:
    """A replicate, whatever lmmpy says about its response; NaN when something is wrong with it."""
    try:
        values, singular, problem = compute()
    except (LmmpyError, NotPositiveDefiniteError, np.linalg.LinAlgError) as error:
        values, singular, problem = np.empty(0), False, str(error)
    return Replicate(values if problem is None else np.full(size, np.nan), singular, problem)
