"""Long work cut into blocks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lmmpy.errors import ModelError

__all__ = ["Block", "blocks_of", "rest_of"]


@dataclass(frozen=True, slots=True)
class Block:
    """
    Some items that follow each other, whose answers are computed and kept together.

    Attributes
    ----------
    number : int
        From 0.
    start, stop : int
        Items `start` … `stop` − 1.
    label : str
        For messages: "variants 2,001-3,000 of study.bed".
    """

    number: int
    start: int
    stop: int
    label: str

    def __len__(self) -> int:
        return self.stop - self.start


def blocks_of(total: int, size: int, what: str = "items", breaks: Sequence[int] = ()) -> tuple[Block, ...]:
    """
    Cut items 0 … `total` − 1 into blocks.

    Parameters
    ----------
    total : int
    size : int
        Items of a block, at most.
    what : str
        What the items are, and of what: "variants of study.bed".
    breaks : sequence of int
        Numbers of items with which a block must begin: the first of each chromosome.

    Returns
    -------
    tuple of Block

    Raises
    ------
    ModelError
        When `total` is negative or `size` is not positive.

    Examples
    --------
    >>> [block.label for block in blocks_of(5, 3, "variants of a.bed", breaks=[2])]
    ['variants 1-2 of a.bed', 'variants 3-5 of a.bed']
    """
    if total < 0 or size < 1:
        raise ModelError(f"Blocks have at least one item: {total:,} items cannot be cut into blocks of {size:,}.")
    noun, of, whole = what.partition(" of ")
    edges = sorted({0, total, *(int(edge) for edge in breaks if 0 < edge < total)})
    starts = [
        (start, min(start + size, end)) for begin, end in itertools.pairwise(edges) for start in range(begin, end, size)
    ]
    return tuple(
        Block(number, start, stop, f"{noun} {start + 1:,}-{stop:,}{of}{whole}")
        for number, (start, stop) in enumerate(starts)
    )


def rest_of(blocks: Sequence[Block], done: int) -> tuple[Block, ...]:
    """
    What of some blocks is left when items 0 … `done` − 1 are done, perhaps in other blocks.

    Parameters
    ----------
    blocks : sequence of Block
    done : int

    Returns
    -------
    tuple of Block
        With their numbers; the first begins with item `done`.

    Examples
    --------
    >>> [block.label for block in rest_of(blocks_of(9, 4, "variants of a.bed"), 5)]
    ['variants 6-8 of a.bed', 'variants 9-9 of a.bed']
    """
    return tuple(_from(block, done) for block in blocks if block.stop > done)


def _from(block: Block, done: int) -> Block:
    if block.start >= done:
        return block
    whole, part = f"{block.start + 1:,}-{block.stop:,}", f"{done + 1:,}-{block.stop:,}"
    return replace(block, start=done, label=block.label.replace(whole, part, 1))
