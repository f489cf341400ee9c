"""Answers for blocks from a Dask cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from lmmpy.errors import ModelError
from lmmpy.scan.answers import Answer
from lmmpy.scan.blocks import Block
from lmmpy.scan.parcels import Bytes, answer_elsewhere, name_of_parcel

__all__ = ["answers_by_dask", "dask_backend"]

# Blocks that a thread of the cluster has before it at most, and those of a cluster that has yet to grow.
_AHEAD, _LEAST = 2, 16
# How often in a row all copies of the task may be lost without a block done between.
_LOSSES = 3


def dask_backend() -> Any:
    """Joblib's backend, when the active one is Dask's, else None."""
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    return backend if type(backend).__name__ == "DaskDistributedBackend" else None


def answers_by_dask(backend: Any, parcel: Bytes, blocks: Sequence[Block]) -> Generator[Answer]:
    """
    Do blocks on the cluster of joblib's active backend.

    Joblib's own way puts large arguments on one worker, where they die with it. Here all workers get the task at the
    beginning and others when they join; a block that a worker died of or with is done again by another.

    Parameters
    ----------
    backend : DaskDistributedBackend
    parcel : ndarray of uint8
        The task.
    blocks : sequence of Block

    Raises
    ------
    ModelError
        When the cluster is gone, or a block ends one worker after the other.
    """
    from distributed import KilledWorker

    done = losses = 0
    while done < len(blocks):
        try:
            for found in _submitted(backend, parcel, blocks[done:]):
                done, losses = done + 1, 0
                yield found
        except KilledWorker as error:
            raise ModelError(
                f"{blocks[done].label}, or a block soon after, ended one Dask worker after the other, perhaps because "
                f"memory ran out: take smaller blocks or workers with more memory. ({error})"
            ) from error
        except (CancelledError, OSError, TimeoutError) as error:
            # all workers that had the task are gone
            losses += 1
            if losses > _LOSSES or backend.client.status != "running":
                raise ModelError(f"The Dask cluster does not answer any more: {error}") from error


def _submitted(backend: Any, parcel: Bytes, blocks: Sequence[Block]) -> Generator[Answer]:
    client, name = backend.client, name_of_parcel()
    backend.effective_n_jobs(-1)  # waits for a first worker
    [everywhere] = client.scatter([parcel], broadcast=True, hash=False)
    waiting: deque[Any] = deque()
    try:
        for block in blocks:
            waiting.append(
                client.submit(
                    answer_elsewhere,
                    name,
                    everywhere,
                    block,
                    key=f"lmmpy-{name}-{block.number}",
                    pure=False,
                    **backend.submit_kwargs,
                )
            )
            if len(waiting) >= max(_LEAST, _AHEAD * sum(client.ncores().values())):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        if waiting and client.status == "running":
            client.cancel(list(waiting), force=True)
