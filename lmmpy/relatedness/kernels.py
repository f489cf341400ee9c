"""Kernels other than the additive one: dominance, X chromosome, parent of origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse

from lmmpy.errors import DataError
from lmmpy.relatedness import _pedigree
from lmmpy.relatedness.additive import Descent
from lmmpy.relatedness.components import members
from lmmpy.relatedness.covariance import Dense, SparseCovariance, sorted_csc
from lmmpy.relatedness.form import MOST_DENSE, Floats, Form, Labels
from lmmpy.relatedness.inbreeding import Sampling, inbreeding
from lmmpy.relatedness.labels import Ints
from lmmpy.relatedness.rows import MALE, Int32

__all__ = ["by_family", "dominance_block", "origin_block", "x_descent"]

Block = Callable[[Descent], Floats]


def by_family(descent: Descent, families: Ints, labels: Labels, block: Block) -> Form:
    """A kernel that is zero between families: sparse when they are small, else dense."""
    groups = members(families)
    entries = sum(len(group) ** 2 for group in groups)
    n = len(descent.D)
    if entries > MOST_DENSE**2:
        raise DataError(
            f"The families of this pedigree are too large for a dense kernel: its blocks would hold {entries:,} "
            f"numbers ({entries * 8 / 2**30:,.0f} GiB). Prune it first: pedigree.prune(ids)."
        )
    parts = _families(descent, groups)
    if 2 * entries > n**2:
        K = np.zeros((n, n))
        for group, family in zip(groups, parts, strict=True):
            K[np.ix_(group, group)] = block(family)
        return Dense(K, labels)
    rows, columns, values = [], [], []
    for group, family in zip(groups, parts, strict=True):
        part = block(family)
        i, j = np.nonzero(part)
        rows.append(group[i])
        columns.append(group[j])
        values.append(part[i, j])
    triplets = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return SparseCovariance(sorted_csc(sparse.coo_array(triplets, shape=(n, n))), labels)


def _families(descent: Descent, groups: list[Ints]) -> Iterator[Descent]:
    """Each family by itself, its members numbered from 0."""
    new = np.full(len(descent.D) + 1, -1, dtype=np.int32)
    for group in groups:
        new[group] = np.arange(len(group), dtype=np.int32)
    for group in groups:
        yield Descent(new[descent.father[group]], new[descent.mother[group]], descent.D[group], descent.diagonal[group])


def _tabular(father: Int32, mother: Int32, diagonal: Floats) -> Floats:
    A = np.zeros((len(father), len(father)))
    _pedigree.dense(father, mother, diagonal, A)
    return A


def dominance_block(family: Descent) -> Floats:
    """¼(A_ff A_mm + A_fm A_mf) of the parents of two levels (Cockerham 1954); 1 of a level with itself."""
    A = _tabular(family.father, family.mother, family.diagonal)
    known = np.flatnonzero((family.father >= 0) & (family.mother >= 0))
    f, m = family.father[known], family.mother[known]
    K = np.eye(len(A))
    K[np.ix_(known, known)] = 0.25 * (A[np.ix_(f, f)] * A[np.ix_(m, m)] + A[np.ix_(f, m)] * A[np.ix_(m, f)])
    np.fill_diagonal(K, 1.0)
    return K


def origin_block(maternal: bool) -> Block:
    """Probabilities that the alleles from the mothers (or the fathers) of two levels are identical by descent."""

    def block(family: Descent) -> Floats:
        G = _gametes(family)
        own = G[::2, ::2] if maternal else G[1::2, 1::2]
        return np.ascontiguousarray(own)

    return block


def _gametes(family: Descent) -> Floats:
    """
    Probabilities that two alleles are identical by descent, shape (2n, 2n).

    Number 2i is what i got from the mother, 2i + 1 from the father.

    An allele is one of the two of the parent it came from, so that the tabular method holds with the parent's two
    alleles as an allele's parents (Schaeffer, Kennedy & Gibson 1989).
    """
    n = len(family.D)
    one, other = np.full(2 * n, -1, dtype=np.int32), np.full(2 * n, -1, dtype=np.int32)
    for side, parent in enumerate((family.mother, family.father)):
        known = parent >= 0
        own = 2 * np.flatnonzero(known) + side
        one[own], other[own] = 2 * parent[known], 2 * parent[known] + 1
    return _tabular(one, other, np.ones(2 * n))


def x_descent(father: Int32, mother: Int32, generation: Int32, sex: np.ndarray) -> Descent:
    """
    Twice the kinship of the X chromosome as a pedigree of its own: a son's only X is from his mother.

    With F the inbreeding of females at X, males have 2 on the diagonal and females 1 + F; what is new in a son is
    1 − F_mother, in a daughter ¼(1 − F_mother): her father's X is passed on whole (Fernando & Grossman 1990).
    """
    son = sex == MALE
    dad, mom = np.where(son, mother, father).astype(np.int32), mother
    of_mother = np.where(mom < 0, 0.0, np.where(son, 1.0, 0.25))
    base = np.where(son, 2.0, np.where(dad >= 0, 0.5, 1.0))
    F, D = inbreeding(dad, mom, generation, Sampling(base, np.zeros(len(son)), of_mother))
    return Descent(dad, mom, D, np.where(son, 2.0, 1.0 + F))
