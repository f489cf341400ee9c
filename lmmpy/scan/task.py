"""What a scan computes of each block."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from lmmpy.scan.blocks import Block

__all__ = ["Task"]


class Task(Protocol):
    """
    The work on one block.

    It pickles, with all that it needs, and is called by one thread at a time in each process. What it returns depends
    on the block alone, not on the blocks before it.
    """

    def __call__(self, block: Block) -> pd.DataFrame:
        """
        Answer for the items of a block.

        Parameters
        ----------
        block : Block

        Returns
        -------
        DataFrame
            One or more rows an item, in order; the same columns and types for every block: floats, integers, truth
            values and text.

        Raises
        ------
        LmmpyError, OSError, ValueError, EOFError
            For unreadable data; the scan's error then names the block.
        """
