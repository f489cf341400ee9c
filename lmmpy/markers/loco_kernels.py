"""The relatedness without a chromosome, made when it is asked for: the whole sum less that of the chromosome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import DataError
from lmmpy.markers.grm import (
    Method,
    Sum,
    add_variants,
    kernel_block_size,
    relatedness_of,
    sums_of,
    variants_by_chromosome,
)
from lmmpy.markers.source import GenotypeSource
from lmmpy.markers.summaries import summarise
from lmmpy.relatedness import Relatedness
from lmmpy.scan import blocks_of

__all__ = ["LocoKernels"]

Floats = NDArray[np.float64]


class LocoKernels:
    """
    Relatedness by chromosome, each without its own variants; as ``grm(..., loco=True)``, one at a time.

    The whole is summed once; a chromosome is read again when its relatedness is asked for, so that three n × n arrays
    suffice whatever the number of chromosomes. Pickles with the whole.

    Parameters
    ----------
    source : GenotypeSource
    people : sequence of str
        Of the relatedness, in this order.
    method : {"standardized", "centered"}
        See `grm`.
    memory : int
        Bytes for the arrays and a block of variants.
    progress : bool, optional

    Raises
    ------
    DataError
        When there are not several chromosomes, or the chromosome of a variant is not known.
    ModelError
        When the memory does not suffice.
    """

    def __init__(
        self, source: GenotypeSource, people: Sequence[str], method: Method, memory: int, progress: bool | None = None
    ) -> None:
        place = {id: i for i, id in enumerate(source.people)}
        self._rows = np.array([place[id] for id in people], dtype=np.intp)
        self._source, self._people, self._method = source, tuple(people), method
        self._chromosomes = variants_by_chromosome(source)
        self._size = kernel_block_size(len(self._people), 3, memory)
        self._whole = sums_of(source, self._rows, method, self._size, progress)
        self._last: tuple[str, Relatedness] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_last": None}

    def __contains__(self, chromosome: object) -> bool:
        return bool((self._chromosomes == chromosome).any())

    def __getitem__(self, chromosome: str) -> Relatedness:
        """The relatedness from all other chromosomes."""
        if self._last is None or self._last[0] != chromosome:
            self._last = None  # room for the next
            self._last = chromosome, self._without(chromosome)
        return self._last[1]

    def _without(self, chromosome: str) -> Relatedness:
        n = len(self._people)
        rest, own = Sum(self._whole.K.copy(order="F"), self._whole.count), Sum(np.zeros((n, n), order="F"))
        for start, stop in self._runs(chromosome):
            for block in blocks_of(stop - start, self._size, "variants"):
                first, last = start + block.start, start + block.stop
                G = cast(Floats, self._source.read(first, last, self._rows))
                summary = summarise(G)
                add_variants(own, G, summary, summary.varies, self._method)
        rest.K -= own.K
        rest.count -= own.count
        if not rest.count:
            raise DataError(
                f"loco: only chromosome {chromosome!r} has variants that vary; nothing is left for the relatedness "
                "without it."
            )
        return relatedness_of(rest, self._people)

    def _runs(self, chromosome: str) -> list[tuple[int, int]]:
        """Runs of its variants."""
        inside = np.concatenate([[False], self._chromosomes == chromosome, [False]])
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
