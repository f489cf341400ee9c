"""The answer for one block, or the error that names it."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pandas as pd

from lmmpy.engines import one_blas_thread
from lmmpy.errors import DataError, LmmpyError, LmmpyWarning
from lmmpy.scan.blocks import Block
from lmmpy.scan.task import Task

__all__ = ["Answer", "answer"]

# What a task is expected to raise for unreadable data. It comes back as a value, so that blocks before the bad one
# are kept and the first bad one is reported, whichever process was quicker.
Answer = pd.DataFrame | LmmpyError

_OF_THE_DATA = (OSError, ValueError, EOFError)

# A task is no more than one thread's at a time: its factorisations have work space, its files a place; and the
# number of BLAS threads and the filters of warnings are the process's. A task may itself scan: simulations do.
_ONE_AT_A_TIME = threading.RLock()


def answer(task: Task, block: Block) -> Answer:
    """
    Do one block, with one BLAS thread; lmmpy's warnings are not shown.

    Parameters
    ----------
    task : Task
    block : Block

    Returns
    -------
    DataFrame or LmmpyError

    Raises
    ------
    Exception
        What no unreadable data explain, as it is, with a note that names the block.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings(), one_blas_thread():
        warnings.simplefilter("ignore", LmmpyWarning)
        try:
            return task(block)
        except LmmpyError as error:
            return _named(type(error)(f"{block.label}: {error}"), error)
        except BaseException as error:
            # a ValueError by name only: of the numbers, not of the data
            if isinstance(error, _OF_THE_DATA) and not isinstance(error, np.linalg.LinAlgError):
                return _named(DataError(f"{block.label}: {type(error).__name__}: {error}"), error)
            error.add_note(f"This was in {block.label}.")
            raise


def _named(named: LmmpyError, error: BaseException) -> LmmpyError:
    named.__cause__ = error
    return named
