"""How many threads BLAS may use: one for the small products of a fit, all for a large factorisation.

Small products gain nothing from threads, and where other programs share the machine threads that wait for each other
cost many times the work. With one thread the same data give the same bits on a machine of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["all_blas_threads", "blas_threads", "one_blas_thread", "threads_for", "workers"]

# Rows and columns of a matrix from which a dense factorisation is quicker by all threads.
_MANY_THREADS = 2_000


@cache
def _libraries() -> tuple[ThreadpoolController, dict[str, int]]:
    """The BLAS libraries of this process, and how many threads each was given."""
    controller = ThreadpoolController().select(user_api="blas")
    return controller, {library.prefix: library.num_threads for library in controller.lib_controllers}


def blas_threads() -> int:
    """How many threads BLAS was given when the first fit began."""
    return max(_libraries()[1].values(), default=1)


def one_blas_thread() -> AbstractContextManager[object]:
    """A context in which BLAS uses one thread."""
    controller, _ = _libraries()
    if all(library.num_threads == 1 for library in controller.lib_controllers):
        return nullcontext()
    limited: AbstractContextManager[object] = controller.limit(limits=1)
    return limited


def all_blas_threads() -> AbstractContextManager[object]:
    """A context in which BLAS uses as many threads as it was given when the first fit began."""
    controller, given = _libraries()
    if all(library.num_threads == given[library.prefix] for library in controller.lib_controllers):
        return nullcontext()
    as_given: AbstractContextManager[object] = controller.limit(limits=given)
    return as_given


def threads_for(size: float, least: float = _MANY_THREADS) -> AbstractContextManager[object]:
    """Threads for a dense operation, by its order or whatever `least` is a number of: all where they are worth it."""
    return all_blas_threads() if size >= least else nullcontext()


@contextmanager
def workers(parallel: bool = True) -> Iterator[Callable[..., list[Any]]]:
    """
    A `map` to a list, by as many threads as BLAS was given, whose BLAS has one thread each.

    Parameters
    ----------
    parallel : bool
        Whether threads may share the work; else this one does it.
    """
    threads = blas_threads() if parallel else 1
    with one_blas_thread():
        if threads == 1:
            yield lambda task, items: [task(item) for item in items]
            return
        with ThreadPoolExecutor(threads) as pool:
            yield lambda task, items: list(pool.map(task, items))
