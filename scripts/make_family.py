"""Simulate the family study of lmmpy.datasets: `family`, its pedigree, genotypes and sharing. Nobody is behind it.

    python scripts/make_family.py [directory] [seed]     (default: lmmpy/datasets/data, 7)

398 people in 21 three-generation families, two pairs of identical twins, households, two correlated traits, 60 unlinked
SNPs (the 7th has an effect on bmi), and one locus on a chromosome of 1 M that acts on bmi.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

FAMILY_SIZES = [19] * 20 + [18]
TWIN_FAMILIES = (3, 11)
N_POSITIONS, QTL = 101, 40  # 1 cM apart
SHOWN_POSITIONS = range(0, N_POSITIONS, 5)
N_SNPS, CAUSAL_SNP = 60, 7
GENETIC = np.array([[0.9, 0.45], [0.45, 0.6]])  # of bmi and fvii
HOUSEHOLD = np.array([[0.3, 0.1], [0.1, 0.2]])
RESIDUAL = np.array([[0.7, 0.25], [0.25, 0.8]])
QTL_VARIANCE, SNP_EFFECT = 0.8, 0.45


def draw_families(rng: np.random.Generator) -> pd.DataFrame:
    """Grandparents, four children of whom three marry, grandchildren; parents before children, ids from 1."""
    rows: list[dict[str, int]] = []

    def person(family: int, father: int, mother: int, sex: int, generation: int) -> int:
        rows.append(
            {"ID": len(rows) + 1, "FAMID": family, "FA": father, "MO": mother, "SEX": sex, "generation": generation}
        )
        return len(rows)

    twins = {}
    for family, size in enumerate(FAMILY_SIZES, 1):
        before = len(rows)
        couple = person(family, 0, 0, 1, 0), person(family, 0, 0, 2, 0)
        children = [person(family, *couple, int(rng.integers(1, 3)), 1) for _ in range(4)]
        couples = []
        for child in children[:3]:
            sex = rows[child - 1]["SEX"]
            spouse = person(family, 0, 0, 3 - sex, 1)
            couples.append((child, spouse) if sex == 1 else (spouse, child))
        while len(rows) - before < size:
            parents = couples[int(rng.integers(3))]
            person(family, *parents, int(rng.integers(1, 3)), 2)
        if family in TWIN_FAMILIES:  # the last two are made identical
            one, other = rows[-2:]
            other.update(FA=one["FA"], MO=one["MO"], SEX=one["SEX"])
            twins[one["ID"]] = twins[other["ID"]] = family
    people = pd.DataFrame(rows)
    return people.assign(MZTWIN=people["ID"].map(twins).fillna(0).astype(int))


class Descent:
    """Who descends from whom, by row number, and what is dropped down to them."""

    def __init__(self, people: pd.DataFrame) -> None:
        self.size = len(people)
        self.parents = people[["FA", "MO"]].to_numpy() - 1
        pairs = people[people["MZTWIN"] > 0].groupby("MZTWIN")["ID"]
        self.copy_of = {int(ids.iloc[1]) - 1: int(ids.iloc[0]) - 1 for _, ids in pairs}

    def chromosome(self, rng: np.random.Generator) -> np.ndarray:
        """Numbered founder alleles of each person and parent along the chromosome, with recombination (Haldane)."""
        recombination = 0.5 * (1 - np.exp(-2 * 0.01))
        alleles = np.zeros((self.size, 2, N_POSITIONS), int)
        new = 0
        for i in range(self.size):
            if i in self.copy_of:
                alleles[i] = alleles[self.copy_of[i]]
                continue
            for side, parent in enumerate(self.parents[i]):
                if parent < 0:
                    alleles[i, side] = new
                    new += 1
                    continue
                strand = np.empty(N_POSITIONS, int)
                strand[0] = rng.integers(2)
                switches = rng.random(N_POSITIONS - 1) < recombination
                strand[1:] = (strand[0] + np.cumsum(switches)) % 2
                alleles[i, side] = alleles[parent, strand, np.arange(N_POSITIONS)]
        return alleles

    def snps(self, rng: np.random.Generator) -> np.ndarray:
        """Allele counts of unlinked SNPs."""
        frequency = rng.uniform(0.1, 0.5, N_SNPS)
        alleles = np.zeros((self.size, 2, N_SNPS), int)
        for i in range(self.size):
            if i in self.copy_of:
                alleles[i] = alleles[self.copy_of[i]]
                continue
            for side, parent in enumerate(self.parents[i]):
                if parent < 0:
                    alleles[i, side] = rng.random(N_SNPS) < frequency
                else:
                    alleles[i, side] = alleles[parent, rng.integers(0, 2, N_SNPS), np.arange(N_SNPS)]
        return alleles.sum(1)

    def relationships(self) -> np.ndarray:
        """A, twice the kinship, by recursion (nobody is inbred here)."""
        A = np.zeros((self.size, self.size))
        for i, (father, mother) in enumerate(self.parents):
            if i in self.copy_of:
                twin = self.copy_of[i]
                A[i, :i] = A[twin, :i]
                A[i, i] = A[twin, twin]
            elif father >= 0:
                A[i, :i] = 0.5 * (A[father, :i] + A[mother, :i])
                A[i, i] = 1 + 0.5 * A[father, mother]
            else:
                A[i, i] = 1
            A[:i, i] = A[i, :i]
        return A


def shared(alleles: np.ndarray) -> np.ndarray:
    """Twice the kinship at one position, from the numbered alleles there, shape (n, 2)."""
    same = alleles[:, None, :, None] == alleles[None, :, None, :]
    return same.sum((2, 3)) / 2


def sharing_table(alleles: np.ndarray) -> pd.DataFrame:
    """Pairs who share something at every fifth position of chromosome 1, everybody with himself among them."""
    parts = []
    for position in SHOWN_POSITIONS:
        K = shared(alleles[:, :, position])
        i, j = np.nonzero(np.tril(K))
        pairs = {"chromosome": 1, "position": position, "id1": i + 1, "id2": j + 1, "ibd": K[i, j]}
        parts.append(pd.DataFrame(pairs))
    return pd.concat(parts, ignore_index=True)


def households(people: pd.DataFrame) -> np.ndarray:
    """Grandparents; a father, his children, and their mother if she married in; others alone. Numbered from 1."""
    names = []
    for row in people.itertuples():
        if row.generation == 0:
            at = 0
        elif row.generation == 1:
            children = people[(people["MO"] == row.ID) | (people["FA"] == row.ID)]
            at = min(row.ID, int(children["FA"].iloc[0]) if len(children) else row.ID)
        else:
            at = row.FA
        names.append((row.FAMID, at))
    return pd.factorize(pd.Series(names))[0] + 1


def simulate(seed: int) -> dict[str, pd.DataFrame]:
    """Return the study, its pedigree, the SNPs and the sharing, by the names of the data sets."""
    rng = np.random.default_rng(seed)
    people = draw_families(rng)
    descent, n = Descent(people), len(people)
    chromosome = descent.chromosome(rng)
    sharing = shared(chromosome[:, :, QTL])
    snps = pd.DataFrame(descent.snps(rng), columns=[f"snp{j + 1}" for j in range(N_SNPS)])
    snp = snps[f"snp{CAUSAL_SNP}"]
    age = np.where(
        people["generation"] == 0,
        rng.normal(72, 5, n),
        np.where(people["generation"] == 1, rng.normal(46, 6, n), rng.normal(19, 5, n)),
    ).round(1)
    home = households(people)
    # The ridge makes twins' rows factorisable.
    genetic = np.linalg.cholesky(descent.relationships() + 1e-9 * np.eye(n)) @ rng.normal(size=(n, 2))
    effects = genetic @ np.linalg.cholesky(GENETIC).T
    effects = effects + (rng.normal(size=(home.max(), 2)) @ np.linalg.cholesky(HOUSEHOLD).T)[home - 1]
    effects = effects + rng.normal(size=(n, 2)) @ np.linalg.cholesky(RESIDUAL).T
    locus = np.sqrt(QTL_VARIANCE) * (np.linalg.cholesky(sharing + 1e-8 * np.eye(n)) @ rng.normal(size=n))
    female = people["SEX"].to_numpy() == 2
    study = pd.DataFrame(
        {
            "ID": people["ID"],
            "bmi": (10 + 0.02 * age - 0.5 * female + SNP_EFFECT * snp + locus + effects[:, 0]).round(5),
            "fvii": (5 - 0.01 * age + 0.3 * female + effects[:, 1]).round(5),
            "age": age,
            "sex": np.where(female, "female", "male"),
            "household": home,
            "snp7": snp,
        }
    )
    study.loc[rng.choice(n, 22, replace=False), "bmi"] = np.nan
    study.loc[rng.choice(n, 30, replace=False), "fvii"] = np.nan
    return {
        "family": study,
        "family_pedigree": people.drop(columns="generation"),
        "family_genotypes": pd.concat([people["ID"], snps], axis=1),
        "family_ibd": sharing_table(chromosome),
    }


def main(directory: Path, seed: int) -> None:
    """Write family.csv, family_pedigree.csv, family_genotypes.csv and family_ibd.csv.gz."""
    for name, frame in simulate(seed).items():
        file = directory / f"{name}.csv{'.gz' if name == 'family_ibd' else ''}"
        frame.to_csv(file, index=False, na_rep="NaN", float_format="%.15g")


if __name__ == "__main__":
    DATA = Path(__file__).parents[1] / "lmmpy" / "datasets" / "data"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA, int(sys.argv[2]) if len(sys.argv) > 2 else 7)
