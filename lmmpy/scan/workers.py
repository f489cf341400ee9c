"""Answers for blocks, in their order, from this process or from others."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator, Sequence
from concurrent.futures import BrokenExecutor

from lmmpy.errors import ModelError
from lmmpy.inference.parallel import check_n_jobs
from lmmpy.scan.answers import Answer, answer
from lmmpy.scan.blocks import Block
from lmmpy.scan.cluster import answers_by_dask, dask_backend
from lmmpy.scan.parcels import answer_elsewhere, name_of_parcel, packed, twin
from lmmpy.scan.task import Task

__all__ = ["answers"]

# Blocks for each process between two times that all are waited for; that many answers are in memory at most, where
# one block takes much longer than others.
_AHEAD = 16
# Arrays of that many bytes are shared by all processes of a machine.
_SHARED = 100_000


def answers(task: Task, blocks: Sequence[Block], n_jobs: int | None) -> Generator[Answer]:
    """
    Do blocks.

    Parameters
    ----------
    task : Task
    blocks : sequence of Block
    n_jobs : int or None
        Processes, as joblib counts them. None: what an active ``joblib.parallel_config`` says, else this process.

    Returns
    -------
    generator
        Closing it ends the work.

    Raises
    ------
    ModelError
        When a worker dies, or joblib is not there.
    """
    jobs = None if n_jobs is None else check_n_jobs(n_jobs)
    if jobs == 1 or (jobs is None and "joblib" not in sys.modules) or not blocks:
        return _here(task, blocks)
    try:
        import joblib
    except ImportError:
        raise ModelError("n_jobs needs joblib: pip install joblib, or leave n_jobs=1.") from None
    backend = dask_backend()
    if backend is not None:
        return answers_by_dask(backend, packed(task), blocks)
    processes = int(joblib.effective_n_jobs(jobs))
    return _here(task, blocks) if processes == 1 else _by_joblib(task, blocks, jobs, _AHEAD * processes)


def _here(task: Task, blocks: Sequence[Block]) -> Generator[Answer]:
    own = twin(task)
    for block in blocks:
        yield answer(own, block)


def _by_joblib(task: Task, blocks: Sequence[Block], jobs: int | None, ahead: int) -> Generator[Answer]:
    import joblib

    name, parcel = name_of_parcel(), packed(task)
    # mmap_mode "c": every process may write to its arrays, and none sees what another wrote
    parallel = joblib.Parallel(
        n_jobs=jobs, return_as="generator", batch_size=1, max_nbytes=_SHARED, mmap_mode="c", verbose=0
    )
    work = joblib.delayed(answer_elsewhere)
    try:
        with parallel:
            for start in range(0, len(blocks), ahead):
                found = parallel(work(name, parcel, block) for block in blocks[start : start + ahead])
                try:
                    yield from found
                finally:
                    with warnings.catch_warnings():
                        # that blocks were begun in vain
                        warnings.simplefilter("ignore", UserWarning)
                        found.close()
    except BrokenExecutor as error:
        first_line = str(error).partition("\n")[0]
        raise ModelError(
            "A process of the scan was ended from outside, perhaps because memory ran out: take fewer processes "
            f"(n_jobs) or smaller blocks. ({first_line})"
        ) from error
