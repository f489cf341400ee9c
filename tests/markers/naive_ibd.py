"""Expected sharing at a marker by brute force: every allele of every founder, and every inheritance."""

from __future__ import annotations

import itertools

import numpy as np


def expected_sharing(parents, genotypes, frequency):
    """
    Twice the expected kinship, and the probability that two people share both alleles; of people before their children.

    `parents` are pairs of numbers, −1 unknown; `genotypes` pairs of alleles, None where not typed; `frequency` of each.
    """
    n = len(parents)
    slots, meioses, n_slots = {}, {}, 0
    for i, pair in enumerate(parents):
        for side, parent in enumerate(pair):
            if parent < 0:
                slots[i, side], n_slots = n_slots, n_slots + 1
            else:
                meioses[i, side] = len(meioses)
    held = []
    for bits in itertools.product((0, 1), repeat=len(meioses)):
        own = {}
        for i, pair in enumerate(parents):
            for side, parent in enumerate(pair):
                own[i, side] = slots[i, side] if parent < 0 else own[parent, bits[meioses[i, side]]]
        held.append([(own[i, 0], own[i, 1]) for i in range(n)])
    held = np.array(held)
    same = held[:, :, None, :, None] == held[:, None, :, None, :]
    sharing = same.sum(axis=(3, 4)) / 2
    both = (same[..., 0, 0] & same[..., 1, 1]) | (same[..., 0, 1] & same[..., 1, 0])
    total, K, D = 0.0, np.zeros((n, n)), np.zeros((n, n))
    for assigned in itertools.product(range(len(frequency)), repeat=n_slots):
        alleles = np.array(assigned)[held]
        fits = np.ones(len(held), dtype=bool)
        for i, genotype in enumerate(genotypes):
            if genotype is not None:
                fits &= (np.sort(alleles[:, i], axis=1) == np.sort(genotype)).all(axis=1)
        weight = float(np.prod([frequency[a] for a in assigned]))
        total += weight * fits.sum()
        K += weight * sharing[fits].sum(axis=0)
        D += weight * both[fits].sum(axis=0)
    return K / total, D / total
