"""The same work on many items, here or in several processes."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from lmmpy.engines import one_blas_thread
from lmmpy.errors import LmmpyWarning, ModelError

__all__ = ["check_n_jobs", "mapped"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def check_n_jobs(n_jobs: Any) -> int:
    """A number of processes as joblib counts them.

    Raises
    ------
    ModelError
    """
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0:
        raise ModelError(f"n_jobs counts processes, or is −1 for one a core; got {n_jobs!r}.")
    return int(n_jobs)


def mapped(function: Callable[[Item], Result], items: Sequence[Item], n_jobs: int) -> list[Result]:
    """
    A function of each item, in order; lmmpy's warnings are not shown.

    Parameters
    ----------
    function : callable
        Pickles, when there are several processes.
    items : sequence
    n_jobs : int
        Processes, as joblib counts them (−1 is one a core); 1 works in this process.

    Returns
    -------
    list

    Raises
    ------
    ModelError
        When several processes are asked for and joblib is not there.
    """
    if n_jobs == 1:
        return _run(function, items)
    try:
        import joblib
    except ImportError:
        raise ModelError("n_jobs needs joblib: pip install joblib, or leave n_jobs=1.") from None
    # A few chunks for each process, so that none waits long for the others; each carries the function once.
    bounds = np.linspace(0, len(items), min(len(items), 4 * int(joblib.effective_n_jobs(n_jobs))) + 1).astype(int)
    chunks = [items[start:end] for start, end in itertools.pairwise(bounds)]
    done = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(_run)(function, chunk) for chunk in chunks)
    return [result for results in done for result in results]


def _run(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    with warnings.catch_warnings(), one_blas_thread():
        warnings.simplefilter("ignore", LmmpyWarning)
        return [function(item) for item in items]
