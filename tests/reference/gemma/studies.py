"""The studies that GEMMA was run on, as arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.qtl.family import kinship, people

HERE = Path(__file__).parent
MADE = HERE / "made.csv.gz"
STUDIES = ("made_plain", "made_covariates", "family_bmi")


@dataclass(frozen=True, eq=False)
class Study:
    """y (n,), X (n, p) with the intercept, SNPs with missing genotypes, K (n, n)."""

    y: np.ndarray
    X: np.ndarray
    snps: pd.DataFrame
    K: np.ndarray

    @property
    def dosages(self) -> np.ndarray:
        """Genotypes, what is missing being the mean, shape (n, m)."""
        G = self.snps.to_numpy(dtype=float, na_value=np.nan)
        return np.where(np.isnan(G), np.nanmean(G, axis=0), G)


def study(name: str) -> Study:
    """One of `STUDIES`."""
    return _family() if name == "family_bmi" else _made(with_covariates=name == "made_covariates")


def _made(with_covariates: bool) -> Study:
    table = pd.read_csv(MADE)
    X = np.column_stack([np.ones(len(table)), table.a, table.b])[:, : 3 if with_covariates else 1]
    found = Study(table.y.to_numpy(), X, table.iloc[:, 3:], np.empty((0, 0)))
    G = found.dosages
    G = (G - G.mean(axis=0)) / G.std(axis=0)
    return Study(found.y, found.X, found.snps, G @ G.T / G.shape[1])


def _family() -> Study:
    table = people()
    snps = table[["ID"]].merge(pd.read_csv(HERE / "family_genotypes.csv.gz"), on="ID").drop(columns="ID").astype(float)
    person, snp = np.indices(snps.shape)
    snps = snps.mask((7 * person + 3 * snp) % 30 == 0)
    used = table.bmi.notna().to_numpy()
    A = kinship().to_numpy()[np.ix_(used, used)]
    X = np.column_stack([np.ones(used.sum()), table.age[used], table.SEX[used] == 2])
    return Study(table.bmi[used].to_numpy(), X, snps[used], A)
