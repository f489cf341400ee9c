"""
What GEMMA 0.98.5 answers on two studies: python tests/reference/gemma/make.py (needs gemma on the PATH).

`made.csv.gz` (written when it is not there): 500 people in sibships of five, a trait with half of its variance by 300
SNPs, two covariates, 2 % of the genotypes missing. `family` is the study of tests/reference/family, all of whose 60
SNPs are in `family_genotypes.csv.gz`, one genotype in thirty taken away by a rule. GEMMA centres the relatedness that
it is given, which matters for what is by ML.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))


def made() -> pd.DataFrame:
    """Simulate the study."""
    rng = np.random.default_rng(1)
    m, sibships = 300, 100
    frequency = rng.uniform(0.02, 0.5, m)
    parents = rng.random((2, 2, sibships, m)) < frequency
    genotypes = np.empty((5 * sibships, m))
    for i in range(5):
        gametes = [np.where(rng.random((sibships, m)) < 0.5, *parent) for parent in parents]
        genotypes[i::5] = sum(gamete.astype(float) for gamete in gametes)
    genetic = (genotypes - genotypes.mean(axis=0)) @ (rng.normal(size=m) * (rng.random(m) < 0.3))
    a, b = rng.normal(size=500).round(3), rng.integers(0, 2, 500)
    y = (5.0 + 0.8 * genetic / genetic.std() + rng.normal(size=500) + 0.3 * a - 0.2 * b).round(5)
    genotypes[rng.random((500, m)) < 0.02] = np.nan
    snps = pd.DataFrame(genotypes, columns=[f"rs{j + 1}" for j in range(m)]).astype("Int64")
    return pd.concat([pd.DataFrame({"y": y, "a": a, "b": b}), snps], axis=1)


def run(name: str, y: np.ndarray, X: np.ndarray, snps: pd.DataFrame, K: np.ndarray) -> None:
    """Write the table of one run."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        G = snps.to_numpy(float, na_value=np.nan)
        counts = [",".join("NA" if np.isnan(g) else f"{g:g}" for g in column) for column in G.T]
        lines = [f"{snp},A,G,{count}" for snp, count in zip(snps, counts, strict=True)]
        (place / "genotypes").write_text("\n".join(lines) + "\n")
        np.savetxt(place / "trait", y, fmt="%.5f")
        np.savetxt(place / "covariates", X, fmt="%g")
        np.savetxt(place / "K", K, fmt="%.17g")
        command = "gemma -g genotypes -p trait -c covariates -k K -lmm 4 -o out"
        subprocess.run(command.split(), cwd=place, check=True, stdout=subprocess.DEVNULL)
        table = pd.read_csv(place / "output" / "out.assoc.txt", sep="\t", dtype=str)
    columns = ["rs", "n_miss", "af", "beta", "se", "logl_H1", "l_remle", "l_mle", "p_wald", "p_lrt", "p_score"]
    table[columns].to_csv(HERE / f"{name}.csv.gz", index=False, compression={"method": "gzip", "mtime": 0})


def main() -> None:
    """Make the study and the three tables."""
    from tests.reference.gemma import studies

    if not studies.MADE.exists():
        made().to_csv(studies.MADE, index=False, compression={"method": "gzip", "mtime": 0})
    for name in studies.STUDIES:
        study = studies.study(name)
        run(name, study.y, study.X, study.snps, study.K)


if __name__ == "__main__":
    main()
