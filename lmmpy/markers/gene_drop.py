"""Gene dropping: founder alleles are numbered and passed down a pedigree, so that all sharing by descent is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError, shown
from lmmpy.markers.descent import Lineage, lineage_of, related_pairs
from lmmpy.markers.ibd import IbdMap, position_frame
from lmmpy.markers.ibd_sources import ReadPairs
from lmmpy.markers.pairs import Floats, Ints, Pairs
from lmmpy.relatedness import Pedigree

__all__ = ["DroppedGenes", "drop_genes", "unlinked"]

Labels = NDArray[np.int32] | NDArray[np.int16]
_BATCH = 2**24  # draws at once, so that a generation's arrays stay small


@dataclass(frozen=True, eq=False, slots=True)
class DroppedGenes:
    """
    What everybody inherited at each of some positions.

    Attributes
    ----------
    people : tuple of str
        Of the pedigree, in its order.
    positions : DataFrame
        chromosome (str), position (float, cM), in the order in which they were given.
    alleles : ndarray of int16 or int32, shape (n_positions, n_people, 2)
        The number of the founder allele that came from the father and from the mother; those of a founder are his own.
    n_founder_alleles : int
    pairs : tuple of ndarray of intp, shape (m,), two
        Everybody with himself and all pairs who can share, first ≤ second.
    """

    people: tuple[str, ...]
    positions: pd.DataFrame
    alleles: Labels
    n_founder_alleles: int
    pairs: tuple[Ints, Ints]

    @property
    def ibd(self) -> IbdMap:
        """The sharing that follows, in the order of the genome: 0, ½ or 1 of two people who are not inbred."""
        read = partial(_shared, self.alleles, *self.pairs)
        place, order = _in_order(self.positions)
        return IbdMap(self.people, place, ReadPairs(read, partial(_contents, self.alleles)), "gene dropping", order)

    def genotypes(self, frequencies: Any = 0.5, seed: Any = None, names: Sequence[str] | None = None) -> pd.DataFrame:
        """
        Genotypes of markers at the positions.

        Parameters
        ----------
        frequencies : float, sequence or mapping
            A frequency makes markers of two alleles, counted 0, 1, 2; a sequence of one for each position does alike. A
            mapping from alleles to frequencies that sum to 1 makes genotypes "A/B", the allele of the father first.
        seed : int or Generator, optional
            For the alleles of founders.
        names : sequence of str, optional
            Of the markers, in the order of the positions; by default "m1", "m2", ….

        Returns
        -------
        DataFrame, shape (n_people, n_positions)
            The index is the ids.

        Raises
        ------
        DataError
            When frequencies are not between 0 and 1, or do not sum to 1.
        """
        rng = np.random.default_rng(seed)
        L = len(self.positions)
        columns = pd.Index([f"m{i + 1}" for i in range(L)] if names is None else list(names))
        if len(columns) != L:
            raise DataError(f"{len(columns)} names for {L} markers.")
        index = pd.Index(list(self.people), name="id")
        if isinstance(frequencies, Mapping):
            texts = _drawn_texts(self.alleles, self.n_founder_alleles, frequencies, rng)
            return pd.DataFrame(texts, index=index, columns=columns)
        at = np.asarray(frequencies, dtype=np.float64)
        if at.shape not in ((), (L,)) or not ((at >= 0.0) & (at <= 1.0)).all():
            raise DataError(
                f"frequencies must be a number from 0 to 1, or one for each of the {L} positions: {shown(at.ravel())}."
            )
        has = rng.random((L, self.n_founder_alleles)) < np.broadcast_to(at, (L,))[:, None]
        counts = np.empty((len(self.people), L), dtype=np.int64)
        for i in range(L):
            counts[:, i] = has[i][self.alleles[i]].sum(axis=1)
        return pd.DataFrame(counts, index=index, columns=columns)


def drop_genes(pedigree: Pedigree, positions: Any, seed: Any = None) -> DroppedGenes:
    """
    Drop the alleles of founders down a pedigree.

    Parameters
    ----------
    pedigree : Pedigree
        Identical twins inherit the same. Who has one known parent gets a new founder allele for the other.
    positions : int, sequence of float, or DataFrame
        A number of unlinked loci; positions in cM on one chromosome, named "1"; or a frame with chromosome and position
        (cM); in any order. Between neighbours recombination is Haldane's, ½(1 − exp(−2d)) for d Morgans (no
        interference), the same in both sexes; chromosomes are unlinked.
    seed : int or Generator, optional

    Returns
    -------
    DroppedGenes
        With `.ibd`, the sharing at each position, and `.genotypes(frequencies)`. The autosomes are meant: there is no
        X chromosome.

    Raises
    ------
    DataError
        When there are no positions, or they are no numbers.

    References
    ----------
    MacCluer, VandeBerg, Read & Ryder (1986), Zoo Biol. 5, 147–160; Haldane (1919), J. Genet. 8, 299–309.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> genes = lmm.qtl.drop_genes(ped, [0.0, 10.0], seed=1)
    >>> genes.genotypes(0.3, seed=2).shape
    (398, 2)
    """
    given = _positions(positions)
    place, order = _in_order(given)
    rng = np.random.default_rng(seed)
    lineage = lineage_of(pedigree)
    switch = _recombination(place)
    kind: Any = np.int16 if lineage.n_founder_alleles < 2**15 else np.int32
    alleles = np.empty((len(place), len(pedigree), 2), dtype=kind)
    # A batch of positions starts with a new draw: only where they are unlinked, at the start of a chromosome.
    for start, stop in _batches(switch, max(1, _BATCH // max(1, len(pedigree)))):
        alleles[start:stop] = _dropped(lineage, switch[start:stop], kind, rng)[lineage.level].transpose(2, 0, 1)
    if not np.array_equal(order, np.arange(len(order))):
        alleles = alleles[np.argsort(order)]
    return DroppedGenes(pedigree.ids, given, alleles, lineage.n_founder_alleles, related_pairs(lineage))


def unlinked(pedigree: Pedigree, n: int, seed: Any = None) -> IbdMap:
    """
    True sharing at some unlinked, fully informative loci.

    Parameters
    ----------
    pedigree : Pedigree
    n : int
        Number of loci; each is a chromosome of its own, named "1", "2", ….
    seed : int or Generator, optional

    Returns
    -------
    IbdMap

    Examples
    --------
    >>> import lmmpy as lmm
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> lmm.qtl.unlinked(ped, 3, seed=1)
    <IbdMap: 398 people, 3 positions, chromosome 1, 2, 3; gene dropping>
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise DataError(f"n must be a number of loci, 1 or more; it is {n!r}.")
    return drop_genes(pedigree, int(n), seed).ibd


def _positions(positions: Any) -> pd.DataFrame:
    if isinstance(positions, int | np.integer) and not isinstance(positions, bool):
        if positions < 1:
            raise DataError(f"The number of loci must be 1 or more; it is {positions}.")
        names = pd.Series([str(i + 1) for i in range(int(positions))]).astype("str")
        return pd.DataFrame({"chromosome": names, "position": np.zeros(int(positions))})
    if isinstance(positions, pd.DataFrame):
        absent = [name for name in ("chromosome", "position") if name not in positions.columns]
        if absent:
            raise DataError(f"The positions have no column {shown(absent)}; give chromosome and position (cM).")
        chromosome, place = positions["chromosome"].tolist(), positions["position"].to_numpy()
    else:
        place = np.atleast_1d(np.asarray(positions))
        if place.ndim > 1 or place.dtype == bool:
            raise DataError(
                "Positions are a number of loci, numbers in cM, or a frame with chromosome and position; got "
                + (f"{positions!r}." if place.ndim == 1 else f"an array of shape {place.shape}.")
            )
        chromosome = ["1"] * len(place)
    if not len(place):
        raise DataError("There are no positions to drop genes at.")
    frame, order = position_frame(chromosome, place, "drop_genes")
    return frame.iloc[np.argsort(order)].reset_index(drop=True)


def _in_order(positions: pd.DataFrame) -> tuple[pd.DataFrame, Ints]:
    """In the order of the genome, and the number of each."""
    return position_frame(positions["chromosome"].tolist(), positions["position"].to_numpy(), "drop_genes")


def _recombination(place: pd.DataFrame) -> Floats:
    """Probability that each position is inherited from the other strand than the one before; ½ on a new chromosome."""
    names, cM = place["chromosome"].to_numpy(), place["position"].to_numpy()
    r = np.full(len(cM), 0.5)
    r[1:] = np.where(names[1:] == names[:-1], 0.5 * -np.expm1(-2.0 * np.diff(cM) / 100.0), 0.5)
    return r


def _batches(switch: Floats, most: int) -> list[tuple[int, int]]:
    """Runs of positions, about `most` long, each of which starts anew."""
    free = np.append(np.flatnonzero(switch == 0.5), len(switch))
    runs = [0]
    for start, stop in zip(free[:-1].tolist(), free[1:].tolist(), strict=True):
        if stop - runs[-1] > most and start > runs[-1]:
            runs.append(start)
    return list(zip(runs, [*runs[1:], len(switch)], strict=True))


def _dropped(lineage: Lineage, switch: Floats, kind: Any, rng: np.random.Generator) -> NDArray[Any]:
    """Founder alleles of each level, shape (n_levels, 2, n_positions)."""
    L = len(switch)
    alleles = np.empty((len(lineage.founder), 2, L), dtype=kind)
    alleles[:] = lineage.founder[:, :, None]
    for members, parents, sides in lineage.generations:
        strand = _strands(len(members), switch, rng)
        alleles[members, sides] = np.where(strand, alleles[parents, 1], alleles[parents, 0])
    return alleles


def _strands(n: int, switch: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of a parent's two strands is passed on, in some meioses and at each position."""
    L = len(switch)
    if (switch == 0.5).all():
        bits = np.frombuffer(rng.bytes((n * L + 7) // 8), dtype=np.uint8)
        return np.unpackbits(bits, count=n * L).reshape(n, L).astype(bool)
    return np.logical_xor.accumulate(rng.random((n, L)) < switch, axis=1)


def _shared(alleles: Labels, first: Ints, second: Ints, number: int) -> Pairs:
    """The pairs who share at a position: half the number of the four comparisons of alleles that agree."""
    father, mother = np.ascontiguousarray(alleles[number].T)
    (a, b), (c, d) = ((father.take(at), mother.take(at)) for at in (first, second))
    same = (a == c).view(np.int8) + (b == d) + (a == d) + (b == c)
    at = np.flatnonzero(same)
    return Pairs(first[at], second[at], 0.5 * same[at].astype(np.float64))


def _contents(alleles: Labels) -> list[Labels]:
    return [alleles]


def _drawn_texts(
    alleles: Labels, n_founder_alleles: int, frequencies: Mapping[Any, float], rng: np.random.Generator
) -> NDArray[np.object_]:
    """Genotypes "A/B" of markers whose founder alleles are drawn with some frequencies."""
    names = np.array([str(name) for name in frequencies], dtype=object)
    weights = np.array(list(frequencies.values()), dtype=np.float64)
    if not (weights >= 0.0).all() or abs(weights.sum() - 1.0) > 1e-6:
        raise DataError(f"Allele frequencies must be 0 or more and sum to 1; they are {dict(frequencies)}.")
    L, n = alleles.shape[:2]
    has = rng.choice(len(names), size=(L, n_founder_alleles), p=weights / weights.sum())
    texts = np.empty((n, L), dtype=object)
    for i in range(L):
        own = names[has[i][alleles[i]]]
        texts[:, i] = own[:, 0] + "/" + own[:, 1]
    return texts
