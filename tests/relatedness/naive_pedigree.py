"""Pedigrees by brute force: random ones, the tabular method, and all ways that alleles can be handed down."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np


@dataclass(frozen=True)
class Plain:
    """Parents by number, before their children, −1 unknown; `twin` is the first of identical twins, or oneself."""

    father: list[int]
    mother: list[int]
    male: list[bool]
    twin: list[int]

    @property
    def n(self):
        return len(self.father)

    @property
    def ids(self):
        return [f"p{i:02d}" for i in range(self.n)]

    def columns(self):
        """As a user writes them: id, father, mother, sex, twin."""
        names = [*self.ids, "0"]
        group = [self.twin[i] + 1 if self.twin.count(self.twin[i]) > 1 else 0 for i in range(self.n)]
        sex = [1 if male else 2 for male in self.male]
        return self.ids, [names[i] for i in self.father], [names[i] for i in self.mother], sex, group


def random_pedigree(rng, n, unknown=0.25, twins=0.15):
    """Any males and females may have children, relatives included."""
    father, mother, male, twin = [-1, -1], [-1, -1], [True, False], [0, 1]
    while len(father) < n:
        i = len(father)
        if i > 2 and rng.random() < twins:
            of = int(rng.integers(i))
            if twin.count(twin[of]) == 1:
                for column in (father, mother, male):
                    column.append(column[of])
                twin.append(of)
                continue
        for column, wanted in ((father, True), (mother, False)):
            able = [j for j in range(i) if male[j] == wanted]
            column.append(-1 if rng.random() < unknown else int(rng.choice(able)))
        male.append(bool(rng.integers(2)))
        twin.append(i)
    return Plain(father, mother, male, twin)


def tabular(ped):
    """A by the tabular method (Emik & Terrill 1949), twins as copies."""
    A = np.zeros((ped.n, ped.n))
    for i in range(ped.n):
        f, m, t = ped.father[i], ped.mother[i], ped.twin[i]
        if t != i:
            A[i, :i] = A[t, :i]
            A[i, i] = A[t, t]
        else:
            A[i, :i] = 0.5 * ((A[f, :i] if f >= 0 else 0.0) + (A[m, :i] if m >= 0 else 0.0))
            A[i, i] = 1.0 + (0.5 * A[f, m] if f >= 0 and m >= 0 else 0.0)
        A[:i, i] = A[i, :i]
    return A


def handed_down(ped, chromosome_x=False):
    """
    Alleles of everybody in every outcome of all meioses, shape (outcomes, n, 2): from the mother, from the father.

    Founders' alleles are all different. A male's X is his mother's, held twice; it is what his daughters get.
    """
    meioses = {}
    for i in range(ped.n):
        if ped.twin[i] != i:
            continue
        if ped.mother[i] >= 0:
            meioses[i, 0] = len(meioses)
        if ped.father[i] >= 0 and not chromosome_x:
            meioses[i, 1] = len(meioses)
    outcomes = np.array(list(product((0, 1), repeat=len(meioses))), dtype=int)
    every = np.arange(len(outcomes))
    alleles = np.empty((len(outcomes), ped.n, 2), dtype=int)
    for i in range(ped.n):
        if ped.twin[i] != i:
            alleles[:, i] = alleles[:, ped.twin[i]]
            continue
        for side, parent in enumerate((ped.mother[i], ped.father[i])):
            if parent < 0:
                alleles[:, i, side] = 2 * i + side
            elif chromosome_x and side == 1:
                alleles[:, i, 1] = alleles[:, parent, 0]
            else:
                alleles[:, i, side] = alleles[every, parent, outcomes[:, meioses[i, side]]]
        if chromosome_x and ped.male[i]:
            alleles[:, i, 1] = alleles[:, i, 0]
    return alleles


def identity(alleles, a, b):
    """Probability that allele `a` of i is allele `b` of j, shape (n, n)."""
    return (alleles[:, :, None, a] == alleles[:, None, :, b]).mean(axis=0)


def kinship(alleles):
    """Twice the probability that a random allele of each is the same."""
    return sum(identity(alleles, a, b) for a in (0, 1) for b in (0, 1)) / 2.0


def both_shared(alleles):
    """Probability that both alleles are shared, of the not inbred."""
    straight = (alleles[:, :, None] == alleles[:, None]).all(axis=3)
    crossed = (alleles[:, :, None] == alleles[:, None, :, ::-1]).all(axis=3)
    return (straight | crossed).mean(axis=0)
