"""A task as one array, so that other processes get its large state once and not with every block."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import LmmpyError, ModelError
from lmmpy.scan.answers import Answer, answer
from lmmpy.scan.blocks import Block
from lmmpy.scan.task import Task

__all__ = ["answer_elsewhere", "name_of_parcel", "packed", "twin", "unpacked"]

Bytes = NDArray[np.uint8]

# Where arrays begin, so that they are aligned as numpy's own.
_ALIGNMENT = 64

# The last task that this process unpacked, by the name of its parcel.
_UNPACKED: dict[str, Task] = {}
_LOCK = threading.Lock()


def packed(task: Task) -> Bytes:
    """
    Pickle a task into one array: the places of its parts, then the pickle and the arrays that it refers to.

    Parameters
    ----------
    task : Task

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    ModelError
        When it does not pickle.
    """
    import cloudpickle

    buffers: list[pickle.PickleBuffer] = []
    try:
        stream = cloudpickle.dumps(task, protocol=5, buffer_callback=buffers.append)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ModelError(f"This scan cannot go to other processes ({error}): leave n_jobs=1.") from error
    parts = [memoryview(stream), *(buffer.raw() for buffer in buffers)]
    sizes = np.array([part.nbytes for part in parts], dtype=np.int64)
    starts, end = _places(sizes)
    out = np.empty(end, dtype=np.uint8)
    head = np.concatenate([[len(parts)], sizes]).astype("<i8").view(np.uint8)
    out[: len(head)] = head
    for start, part in zip(starts, parts, strict=True):
        out[start : start + part.nbytes] = np.frombuffer(part, dtype=np.uint8)
    return out


def _places(sizes: NDArray[np.int64]) -> tuple[list[int], int]:
    """Where parts of these sizes begin behind the head, and where the last ends."""
    room = -(-np.concatenate([[8 * (1 + len(sizes))], sizes]) // _ALIGNMENT) * _ALIGNMENT
    ends = np.cumsum(room)
    return ends[:-1].tolist(), int(ends[-1])


def unpacked(parcel: Bytes) -> Task:
    """
    The task that `packed` put into an array; its own arrays lie in it.

    Parameters
    ----------
    parcel : ndarray of uint8
    """
    # what reads arrays may refuse those that cannot be written, which a backend's may be
    content = parcel if parcel.flags.writeable else parcel.copy()
    count = int(content[:8].view("<i8")[0])
    sizes = content[8 : 8 * (1 + count)].view("<i8")
    starts, _ = _places(sizes)
    parts = [content[start : start + size].data for start, size in zip(starts, sizes.tolist(), strict=True)]
    task: Task = pickle.loads(parts[0], buffers=parts[1:])
    return task


def twin(task: Task) -> Task:
    """
    A task as other processes get it, so that all compute the same bits.

    Pickling turns the order in which some arrays lie in memory, and products of matrices depend on that. A task that
    does not pickle by itself is given back as it is.

    Parameters
    ----------
    task : Task
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        stream = pickle.dumps(task, protocol=5, buffer_callback=buffers.append)
    except (pickle.PicklingError, TypeError, AttributeError):
        return task
    again: Task = pickle.loads(stream, buffers=buffers)
    return again


def name_of_parcel() -> str:
    """A name that no other parcel has."""
    return uuid.uuid4().hex


def answer_elsewhere(name: str, parcel: Any, block: Block) -> Answer:
    """
    Do one block in a worker.

    Parameters
    ----------
    name : str
        Of the parcel.
    parcel : ndarray of uint8
        What `packed` returned.
    block : Block

    Returns
    -------
    DataFrame or LmmpyError
    """
    with _LOCK:
        if name not in _UNPACKED:
            _UNPACKED.clear()
            _UNPACKED[name] = unpacked(parcel)
        task = _UNPACKED[name]
    with _uninterrupted():
        found = answer(task, block)
    if isinstance(found, LmmpyError) and not isinstance(found.__cause__, LmmpyError):
        # an exception's cause is not pickled with it
        found.add_note("".join(traceback.format_exception(found.__cause__)))
    return found


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A context in which Ctrl-C, which a terminal sends to all processes, is left to the one that began the scan."""
    ours = multiprocessing.parent_process() is not None
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
