"""Simulated cohorts as PLINK files, kept in a folder: sibships with genotypes."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.peers import HERE

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

# Where cohorts are kept; that of `assoc-biobank` has 625 MB.
SCRATCH = Path(os.environ.get("BENCHMARK_SCRATCH", HERE / "scratch"))
SIBS = 4
HERITABILITY, EFFECT = 0.4, 0.5
MISSING = 0.01
# Every so many variants have an effect, and no variant explains much.
CAUSAL_STEP = 20
CHROMOSOMES = 22
CHUNK = 4_000
# The two bits of a .bed by copies of the first allele, and of a missing genotype, in the order 0, 1, 2, missing.
CODES = np.array([3, 2, 0, 1], dtype=np.uint8)
BED = b"\x6c\x1b\x01"


@dataclass(frozen=True, slots=True)
class Cohort:
    """
    Genotypes and a trait, in files.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    @property
    def prefix(self) -> Path:
        """Of the PLINK files; the .fam has the trait."""
        return self.folder / "study"

    @property
    def relatedness(self) -> Path:
        """Text of the centred relatedness, by GEMMA; there after `relate`."""
        return self.folder / "output" / "K.cXX.txt"

    @property
    def matrix(self) -> Path:
        """The same as float64."""
        return self.folder / "K.npy"

    @property
    def covariates(self) -> Path:
        """The fixed effects as GEMMA reads them."""
        return self.folder / "covariates.txt"

    def frame(self) -> pd.DataFrame:
        """`y`, a covariate `x` and the `id`, in the order of the .fam."""
        table = pd.read_csv(self.folder / "people.csv")
        return table.assign(id=pd.Categorical(table["id"], categories=table["id"]))


def cohort(n: int, m: int, keep: Path = SCRATCH) -> Cohort:
    """
    A cohort of n people and m variants; made where it is not kept from an earlier run.

    Parameters
    ----------
    n, m : int
    keep : Path
        The folder of all cohorts.
    """
    folder = keep / f"cohort-{n}x{m}"
    if not folder.exists():
        keep.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=keep) as half_made:  # a broken run leaves no half of a cohort
            _simulate(n, m, Path(half_made) / "cohort")
            (Path(half_made) / "cohort").rename(folder)
    return Cohort(folder)


def relate(made: Cohort) -> None:
    """Let GEMMA make the centred relatedness (`-gk 1`), where it is not there."""
    if made.matrix.exists():
        return
    command = ["gemma", "-bfile", "study", "-gk", "1", "-o", "K"]
    subprocess.run(command, cwd=made.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    K = pd.read_csv(made.relatedness, sep="\t", header=None, dtype=float).to_numpy()
    half_made = made.folder / "half-made.npy"
    np.save(half_made, K)
    half_made.rename(made.matrix)


# ---- simulation


def genotypes(rng: np.random.Generator, n: int, m: int) -> Bytes:
    """Copies of the first allele in sibships of four, shape (m, n); 3 is missing."""
    families = -(-n // SIBS)
    often = rng.integers(13, 128, (m, 1, 1, 1)).astype(np.uint8)  # of 256: frequencies from 0.05 to 0.5
    alleles = (_bytes(rng, (m, 2, 2, families)) < often).astype(np.uint8)  # of two parents, two each
    which = _bytes(rng, (m, 2, SIBS, families)) < 128
    copies = np.where(which, alleles[:, :, :1], alleles[:, :, 1:]).sum(axis=1, dtype=np.uint8)
    copies = copies.transpose(0, 2, 1).reshape(m, -1)[:, :n]
    copies[_bytes(rng, (m, n)) < round(256 * MISSING)] = 3
    return copies


def _bytes(rng: np.random.Generator, shape: tuple[int, ...]) -> Bytes:
    return np.frombuffer(rng.bytes(int(np.prod(shape))), dtype=np.uint8).reshape(shape)


def packed(copies: Bytes) -> Bytes:
    """The rows of a .bed, four people in a byte, shape (m, ⌈n/4⌉)."""
    m, n = copies.shape
    codes = np.zeros((m, -(-n // 4) * 4), dtype=np.uint8)
    codes[:, :n] = CODES[copies]
    quarters = codes.reshape(m, -1, 4)
    return np.asarray(
        quarters[:, :, 0] | quarters[:, :, 1] << 2 | quarters[:, :, 2] << 4 | quarters[:, :, 3] << 6, dtype=np.uint8
    )


def standardised(copies: Bytes) -> Floats:
    """Copies with mean 0 and variance 1 by variant, what is missing at the mean."""
    values = np.where(copies == 3, np.nan, copies)
    values -= np.nanmean(values, axis=1, keepdims=True)
    values /= np.maximum(np.nanstd(values, axis=1, keepdims=True), 1e-12)
    return np.nan_to_num(values)


def _chunks(rng: np.random.Generator, n: int, m: int) -> Iterator[tuple[int, Bytes]]:
    for start in range(0, m, CHUNK):
        yield start, genotypes(rng, n, min(CHUNK, m - start))


def _simulate(n: int, m: int, folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng([n, m])
    value = np.zeros(n)
    with (folder / "study.bed").open("wb") as bed:
        bed.write(BED)
        for start, copies in _chunks(rng, n, m):
            bed.write(packed(copies).tobytes())
            causal = copies[-start % CAUSAL_STEP :: CAUSAL_STEP]
            value += rng.standard_normal(len(causal)) @ standardised(causal)
    x = rng.standard_normal(n).round(4)
    own = np.sqrt(HERITABILITY) * value / value.std() + np.sqrt(1.0 - HERITABILITY) * rng.standard_normal(n)
    _write_people(folder, (1.0 + EFFECT * x + own).round(5), x)
    _write_variants(folder / "study.bim", m)


def _write_people(folder: Path, y: Floats, x: Floats) -> None:
    names = [f"i{number + 1}" for number in range(len(y))]
    pd.DataFrame({"y": y, "x": x, "id": names}).to_csv(folder / "people.csv", index=False)
    lines = (f"{name} {name} 0 0 0 {value:.5f}\n" for name, value in zip(names, y, strict=True))
    (folder / "study.fam").write_text("".join(lines), encoding="utf-8")
    (folder / "covariates.txt").write_text("".join(f"1 {value:.4f}\n" for value in x), encoding="utf-8")


def _write_variants(path: Path, m: int) -> None:
    """Spread evenly over the chromosomes, 1 kb apart."""
    each = -(-m // CHROMOSOMES)
    with path.open("w", encoding="utf-8") as bim:
        for j in range(m):
            bim.write(f"{j // each + 1}\trs{j + 1}\t0\t{1_000 * (j % each + 1)}\tA\tG\n")


def frame_of(make: Callable[[], Cohort]) -> pd.DataFrame:
    """The people of a cohort, which is made where it is not there."""
    return make().frame()
