"""Exact sharing at single markers, from the genotypes of a pedigree's members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown
from lmmpy.markers.descent import Lineage, lineage_of
from lmmpy.markers.family_ibd import MOST_CASES, Family, TooManyCases, expected_sharing
from lmmpy.markers.ibd import IbdMap, position_frame
from lmmpy.markers.ibd_sources import HeldPairs
from lmmpy.markers.marker_genotypes import Marker, marker_of
from lmmpy.markers.pairs import Floats, Ints, Plain, checked_pairs
from lmmpy.relatedness import Pedigree
from lmmpy.relatedness.labels import as_labels, positions

__all__ = ["marker_ibd"]


def marker_ibd(
    pedigree: Pedigree, genotypes: pd.DataFrame, frequencies: Any = None, *, map: pd.DataFrame | None = None
) -> IbdMap:
    """
    Expected sharing by descent at each of some markers, given the genotypes at that marker alone.

    Parameters
    ----------
    pedigree : Pedigree
        Who is in it and not in `genotypes` is not typed.
    genotypes : DataFrame
        The index is ids, a column a marker. Texts are two alleles, "A/B" or "120 124", and "0/0", "" or NaN when not
        known; numbers are copies 0, 1, 2 of an allele, NaN when not known.
    frequencies : mapping, optional
        From markers to the frequencies of alleles, {"D1S80": {"18": 0.24, …}}, or to that of the allele that is
        counted. Of markers that are not in it, and by default of all, the alleles of all who are typed are counted;
        relatives count as much as others, which is unbiased.
    map : DataFrame, optional
        chromosome and position (cM) of each marker, which is the index or a column "marker". By default a marker is a
        chromosome of its own, called by the marker's name.

    Returns
    -------
    IbdMap
        People are those of the pedigree. Without genotypes sharing is what the pedigree says, twice the kinship.

    Raises
    ------
    DataError
        Naming the marker, the people and the values: genotypes that cannot be read, that differ between identical
        twins, or that the pedigree cannot explain; a family too large to be enumerated.

    Notes
    -----
    E(sharing | genotypes) is summed over all founder alleles and inheritances (Haseman & Elston 1972, for sib pairs
    with or without their parents). Enumerated are the founders' alleles and what those inherit who have children, which
    is cheap for nuclear families of any size and for three generations of a usual size; for more there are Merlin's
    files, `read_merlin_ibd`. Neighbouring markers are not used.

    References
    ----------
    Haseman & Elston (1972), Behav. Genet. 2, 3–19; Amos, Dawson & Elston (1990), Am. J. Hum. Genet. 47, 842–853.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> import pandas as pd
    >>> ped = lmm.Pedigree(["f", "m", "a", "b"], father=[None, None, "f", "f"], mother=[None, None, "m", "m"])
    >>> typed = pd.DataFrame({"D1": ["1/2", "3/4", "1/3", "1/4"]}, index=["f", "m", "a", "b"])
    >>> lmm.qtl.marker_ibd(ped, typed).relatedness(0).to_frame(["a", "b"])
         a    b
    a  1.0  0.5
    b  0.5  1.0
    """
    if not isinstance(genotypes, pd.DataFrame):
        raise DataError(f"genotypes must be a DataFrame, ids by markers, not a {type(genotypes).__name__}.")
    names = as_labels(list(genotypes.columns), "markers")
    if not names:
        raise DataError("There are no markers: the frame of genotypes has no columns.")
    rows = positions({name: i for i, name in enumerate(pedigree.ids)}, list(genotypes.index), "The pedigree")
    as_labels(list(genotypes.index), "ids of genotypes")
    known = _frequencies(frequencies, names)
    place, order = _positions(names, map)
    lineage = lineage_of(pedigree)
    families = _families(lineage)
    expected = pedigree.additive()
    of_level = [np.flatnonzero(lineage.level == level) for level in range(len(lineage.founder))]
    found = []
    for k in order.tolist():
        marker = marker_of(names[k], genotypes.iloc[:, k], known.get(names[k]))
        genotype = _of_levels(marker, rows, lineage, pedigree.ids)
        parts = []
        for members, family in families:
            if (genotype[members] >= 0).any():
                shared = _expected(marker, genotype[members], family, [pedigree.ids[of_level[i][0]] for i in members])
            else:
                at = expected.positions([pedigree.ids[of_level[i][0]] for i in members])
                shared = expected.block(at, at)
            parts.append(_between_people(shared, [of_level[i] for i in members]))
        first, second, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        found.append(checked_pairs(first, second, values, pedigree.ids, f"Marker {marker.name!r}"))
    return IbdMap(pedigree.ids, place, HeldPairs(found), "single markers")


def _frequencies(frequencies: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """What is given for each marker."""
    if frequencies is None:
        return {}
    if not isinstance(frequencies, Mapping):
        raise DataError(f"frequencies must be a mapping from markers to frequencies, not {frequencies!r}.")
    unknown = [str(name) for name in frequencies if str(name) not in names]
    if unknown:
        raise DataError(f"frequencies has markers that genotypes has not: {shown(unknown)}; these are {shown(names)}.")
    return {str(name): value for name, value in frequencies.items()}


def _positions(names: tuple[str, ...], map: pd.DataFrame | None) -> tuple[pd.DataFrame, Ints]:
    if map is None:
        frame = pd.DataFrame({"chromosome": pd.Series(list(names)).astype("str"), "position": np.zeros(len(names))})
        return frame, np.arange(len(names), dtype=np.intp)
    frame = map.set_index("marker") if "marker" in map.columns else map
    absent = [name for name in ("chromosome", "position") if name not in frame.columns]
    if absent:
        raise DataError(f"The map has no column {shown(absent)}; it has {shown([str(c) for c in frame.columns])}.")
    at = positions({name: i for i, name in enumerate(as_labels(list(frame.index), "markers"))}, names, "The map")
    own = frame.iloc[at]
    return position_frame(own["chromosome"].tolist(), own["position"].to_numpy(), "marker_ibd")


def _families(lineage: Lineage) -> list[tuple[Ints, Family]]:
    """The levels of each family, and the family with members numbered from 0."""
    order = np.argsort(lineage.family, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(lineage.family[order])) + 1)
    has_child = np.zeros(len(lineage.founder), dtype=bool)
    has_child[lineage.parents[lineage.parents >= 0]] = True
    made = []
    for group in groups:
        members = np.sort(group)
        number = np.full(len(has_child) + 1, -1, dtype=np.intp)
        number[members] = np.arange(len(members))
        parents = number[lineage.parents[members]]
        unknown = parents < 0
        slots = np.where(unknown, np.cumsum(unknown.ravel()).reshape(-1, 2) - 1, -1)
        made.append((members, Family(parents, has_child[members], slots)))
    return made


def _of_levels(marker: Marker, rows: Ints, lineage: Lineage, people: tuple[str, ...]) -> Ints:
    """The genotype of each genetic level; identical twins must have the same."""
    genotype = np.full((len(lineage.founder), 2), -1, dtype=np.intp)
    typed = np.flatnonzero(marker.genotype[:, 0] >= 0)
    own = np.sort(marker.genotype[typed], axis=1)
    at = lineage.level[rows[typed]]
    genotype[at] = own
    differs = (genotype[at] != own).any(axis=1)
    if differs.any():
        twins = np.isin(at, at[differs])
        raise DataError(
            f"Marker {marker.name!r}: identical twins have different genotypes: "
            f"{_named(marker, typed[twins], rows, people)}."
        )
    return genotype


def _named(marker: Marker, typed: Ints, rows: Ints, people: tuple[str, ...]) -> str:
    """People and their genotypes."""
    alleles = marker.alleles
    texts = ["/".join(alleles[a] for a in marker.genotype[i]) for i in typed]
    return shown([Plain(f"{people[rows[i]]!r} {text}") for i, text in zip(typed, texts, strict=True)], 12)


def _expected(marker: Marker, genotype: Ints, family: Family, names: list[str]) -> Floats:
    """The sharing of a family's levels."""
    try:
        shared = expected_sharing(family, genotype, marker.frequency)
    except TooManyCases:
        raise DataError(
            f"Marker {marker.name!r}: the family of {shown(names)} is too large to be enumerated: there are more than "
            f"{MOST_CASES:,} cases of founder alleles and inheritances. Type more of its founders, leave out branches "
            "without genotypes (pedigree.prune), or use Merlin's sharing (read_merlin_ibd)."
        ) from None
    if shared is None:
        typed = np.flatnonzero(genotype[:, 0] >= 0)
        texts = [Plain(f"{names[i]!r} " + "/".join(marker.alleles[a] for a in genotype[i])) for i in typed]
        raise DataError(
            f"Marker {marker.name!r}: no inheritance explains the genotypes of a family: {shown(texts, 12)}. Make "
            "those not known that are wrong."
        )
    return shared


def _between_people(shared: Floats, of_level: list[Ints]) -> tuple[Ints, Ints, Floats]:
    """Pairs of people with the sharing of their levels."""
    who = np.concatenate(of_level)
    local = np.repeat(np.arange(len(of_level)), [len(people) for people in of_level])
    i, j = np.nonzero(np.triu(shared[np.ix_(local, local)]))
    return who[i], who[j], shared[local[i], local[j]]
