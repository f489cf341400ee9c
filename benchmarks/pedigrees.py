"""Simulated pedigrees: livestock in herds, human families and a closed population. The same for the same seed.

How much a pedigree of a million costs is not told by its size but by who mates with whom. In the mixed model
equations an animal is linked with its parents and its mates. Where few males serve many herds and dams stay in theirs,
the females of a herd make trees once the males are set aside, and eliminating them links only the males that
a tree has met. Where everybody mates with anybody, nothing can be set aside.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Animals:
    """A pedigree by number, parents before their offspring.

    Attributes
    ----------
    father, mother : ndarray of shape (n,)
        Numbers of the parents, -1 where unknown.
    female : ndarray of bool, shape (n,)
        The sex.
    herd : ndarray of shape (n,)
        The herd or the family.
    born : ndarray of shape (n,)
        Year of birth, or generation.
    """

    father: Numbers
    mother: Numbers
    female: NDArray[np.bool_]
    herd: Numbers
    born: Numbers

    def __len__(self) -> int:
        return self.father.size


@dataclass(frozen=True, slots=True)
class Breeding:
    """How a livestock population is bred.

    Attributes
    ----------
    herd_size : int
        Offspring born in a herd each year.
    years : int
        Years of records; base animals are those of the first two.
    litter : int
        Offspring of a dam each year.
    dam_years : int
        Years for which a female breeds, from the age of two.
    stud : int
        Males chosen each year for use in many herds (artificial insemination, reference sires), per region.
    region : int
        Herds in a region.
    abroad : float
        Share of the stud males' matings that are with herds of another region.
    own : int
        Males that a herd chooses each year from its own.
    stud_share : float
        Share of a herd's matings that are with stud males.
    sire_years : int
        Years for which a male is used, from the age of two.
    """

    herd_size: int
    years: int
    litter: int
    dam_years: int
    stud: int
    region: int
    abroad: float
    own: int
    stud_share: float
    sire_years: int


# One calf a year for some four years, every mating by artificial insemination, half of the heifers kept.
DAIRY = Breeding(40, 25, 1, 4, stud=15, region=200, abroad=0.2, own=0, stud_share=1.0, sire_years=3)
# Flocks of some 125 ewes with two rams a year of their own, joined by the reference sires of a scheme.
SHEEP = Breeding(200, 20, 2, 4, stud=2, region=25, abroad=0.1, own=2, stud_share=0.2, sire_years=2)
# Nucleus herds with litters: few parents, many offspring.
PIGS = Breeding(2_000, 20, 10, 2, stud=10, region=5, abroad=0.1, own=4, stud_share=0.5, sire_years=2)


def _pick(rng: np.random.Generator, pool: Numbers, key: Numbers, wanted: Numbers, in_turn: int = 0) -> Numbers:
    """Return for each wanted key a member of the pool with that key, shape of `wanted`; -1 where there is none.

    By chance, or, with `in_turn` = k, each member in its turn for k of them.
    """
    shuffled = rng.permutation(pool.size)
    order = shuffled[np.argsort(key[shuffled], kind="stable")]
    size = int(max(key.max(initial=0), wanted.max(initial=0))) + 1
    count = np.bincount(key, minlength=size)
    start = np.cumsum(count) - count
    if in_turn:
        by_key = np.argsort(wanted, kind="stable")
        of_key = np.bincount(wanted, minlength=size)
        rank = np.empty(wanted.size, dtype=np.int64)
        rank[by_key] = np.arange(wanted.size) - np.repeat(np.cumsum(of_key) - of_key, of_key)
        turn = (rank // in_turn) % np.maximum(count[wanted], 1)
    else:
        turn = np.floor(rng.random(wanted.size) * count[wanted]).astype(np.int64)
    found = count[wanted] > 0
    picked = np.full(wanted.size, UNKNOWN, dtype=np.int64)
    picked[found] = pool[order[(start[wanted] + turn)[found]]]
    return picked


def _chosen(rng: np.random.Generator, males: Numbers, key: Numbers, number: int) -> Numbers:
    """Return `number` of the males of each key, by chance."""
    shuffled = rng.permutation(males.size)
    order = shuffled[np.argsort(key[shuffled], kind="stable")]
    count = np.bincount(key[order])
    rank = np.arange(order.size) - np.repeat(np.cumsum(count) - count, count)
    return np.asarray(males[order[rank < number]])


def livestock(n: int, how: Breeding, seed: int) -> Animals:
    """Simulate herds with overlapping generations, whose dams stay and whose sires may serve many herds.

    Parameters
    ----------
    n : int
        Animals.
    how : Breeding
        The structure; `DAIRY`, `SHEEP` and `PIGS` are three.
    seed : int
        Seed of the generator.

    Returns
    -------
    Animals
        About `n` of them: whole herds in whole years.
    """
    rng = np.random.default_rng(seed)
    herds = max(1, round(n / how.herd_size / how.years))
    per_year = herds * how.herd_size
    herd = np.tile(np.repeat(np.arange(herds), how.herd_size), how.years)
    region = herd * max(1, herds // how.region) // herds
    female = rng.random(herd.size) < 0.5
    # so many are kept that each breeds in every year of her life
    kept = female & (rng.random(herd.size) < 2.0 / (how.litter * how.dam_years))
    father, mother = (np.full(herd.size, UNKNOWN, dtype=np.int64) for _ in range(2))
    stud, own = [], []
    for year in range(how.years):
        born = np.arange(year * per_year, (year + 1) * per_year)
        males = born[~female[born]]
        stud.append(_chosen(rng, males, region[males], how.stud))
        own.append(_chosen(rng, males, herd[males], how.own))
        if year < 2:
            continue
        dams = np.arange(max(0, year - 1 - how.dam_years) * per_year, (year - 1) * per_year)
        dams = dams[kept[dams]]
        mother[born] = _pick(rng, dams, herd[dams], herd[born], how.litter)
        used = slice(max(0, year - 1 - how.sire_years), year - 1)
        home, away = np.concatenate(own[used]), np.concatenate(stud[used])
        where = np.where(rng.random(per_year) < how.abroad, rng.permutation(region[born]), region[born])
        by_stud = _pick(rng, away, region[away], where)
        by_own = _pick(rng, home, herd[home], herd[born])
        sire = np.where((by_own < 0) | (rng.random(per_year) < how.stud_share), by_stud, by_own)
        _, first, litter = np.unique(mother[born], return_index=True, return_inverse=True)
        father[born] = sire[first[litter]]  # of one litter
    return Animals(father, mother, female, herd, np.repeat(np.arange(how.years), per_year))


def closed(n: int, generations: int, seed: int) -> Animals:
    """Simulate a closed population that mates at random, the worst that there is: each offspring draws two parents.

    Returns
    -------
    Animals
        `generations` of equal size, the first without parents; every male and female may be a parent.
    """
    rng = np.random.default_rng(seed)
    size = n // generations
    born = np.repeat(np.arange(generations), size)
    female = rng.random(born.size) < 0.5
    father, mother = (np.full(born.size, UNKNOWN, dtype=np.int64) for _ in range(2))
    for generation in range(1, generations):
        parents = np.arange((generation - 1) * size, generation * size)
        now = slice(generation * size, (generation + 1) * size)
        father[now] = rng.choice(parents[~female[parents]], size)
        mother[now] = rng.choice(parents[female[parents]], size)
    return Animals(father, mother, female, np.zeros(born.size, dtype=np.int64), born)


def nuclear_families(n: int, children: int) -> Animals:
    """Families of two parents and `children` children, as many whole ones as `n` people make."""
    people = 2 + children
    families = n // people
    place = np.tile(np.arange(people), families)
    family = np.repeat(np.arange(families), people)
    begin = family * people
    child = place >= 2
    female = np.where(child, place % 2 == 1, place == 1)
    return Animals(
        np.where(child, begin, UNKNOWN), np.where(child, begin + 1, UNKNOWN), female, family, child.astype(np.int64)
    )


# number in the family: father, mother; grandparents 0 to 3, parents 4 and 6 with their unmarried sibs 5 and 7
THREE_GENERATIONS = ((-1, -1), (-1, -1), (-1, -1), (-1, -1), (0, 1), (0, 1), (2, 3), (2, 3), *((4, 6),) * 3)
GENERATION = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2)
DAUGHTERS = (1, 3, 5, 6, 9)


def three_generations(n: int) -> Animals:
    """Families of eleven: four grandparents, two couples of sibs of whom one each marry, and three grandchildren."""
    families = n // len(THREE_GENERATIONS)
    parents = np.tile(np.array(THREE_GENERATIONS), (families, 1))
    family = np.repeat(np.arange(families), len(THREE_GENERATIONS))
    parents = np.where(parents >= 0, parents + len(THREE_GENERATIONS) * family[:, None], UNKNOWN)
    female = np.isin(np.arange(family.size) % len(THREE_GENERATIONS), DAUGHTERS)
    return Animals(parents[:, 0], parents[:, 1], female, family, np.tile(np.array(GENERATION), families))
