"""Genotypes of any kind as one kind of thing: a `GenotypeSource`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, ModelError
from lmmpy.markers.array_genotypes import array_genotypes, frame_genotypes
from lmmpy.markers.bimbam import BimbamGenotypes
from lmmpy.markers.dosage_table import read_dosage_table
from lmmpy.markers.joined_genotypes import JoinedGenotypes
from lmmpy.markers.plink import PlinkGenotypes, plink_paths
from lmmpy.markers.source import GenotypeSource

__all__ = ["GenotypeSource", "as_genotypes", "is_bimbam"]

_TABLES = {".csv", ".tsv"}
_BIMBAM = {".geno", ".txt", ".bimbam"}
_OTHERS = {
    ".vcf": "plink2 --vcf {0} --make-bed --out new",
    ".bcf": "plink2 --bcf {0} --make-bed --out new",
    ".bgen": "plink2 --bgen {0} ref-first --make-bed --out new",
    ".pgen": "plink2 --pfile {1} --make-bed --out new",
    ".ped": "plink1.9 --file {1} --make-bed --out new",
}


def as_genotypes(
    genotypes: Any,
    *,
    people: Any = None,
    variants: Any = None,
    ids: str = "iid",
    memory: int = 4 * 2**30,
) -> GenotypeSource:
    """
    Genotypes as a source of blocks of dosages.

    Parameters
    ----------
    genotypes : str, Path, DataFrame, ndarray, GenotypeSource, or list of these
        - a PLINK 1 data set: its prefix, or the path of its .bed; read in blocks;
        - a .csv or .tsv (perhaps .gz) of dosages, a row a person: ids in the first column, variants in the first line;
        - a BIMBAM file of mean genotypes (.geno, .txt, .bimbam, perhaps .gz), as GEMMA's -g; read in blocks; needs
          ``people``;
        - a frame of dosages: index = ids, columns = variants;
        - an array of dosages, a row a person; needs ``people``;
        - a list of such, of the same people (a file a chromosome): one after the other.

        Dosages are copies of the effect allele, 0 to 2, NaN where missing.
    people : sequence, optional
        Ids of the rows of an array, or of the columns of a BIMBAM file.
    variants : DataFrame, optional
        For what has no .bim: a column ``variant`` and any of chromosome, position, effect_allele, other_allele; rows in
        any order. For an array also a list of names.
    ids : {"iid", "fid_iid"}
        What people of a PLINK data set are called.
    memory : int
        Bytes that a CSV or TSV may take.

    Returns
    -------
    GenotypeSource

    Raises
    ------
    DataError
        When the genotypes cannot be read; names file, variant, person and values.
    ModelError
        When an argument is not for this kind of genotypes.

    Examples
    --------
    >>> import numpy as np
    >>> source = as_genotypes(np.array([[0, 1], [2, 1], [1, np.nan]]), people=["a", "b", "c"], variants=["rs1", "rs2"])
    >>> source.description
    'array of genotypes: 3 people, 2 variants'
    """
    if isinstance(genotypes, list | tuple):
        return JoinedGenotypes(
            [as_genotypes(one, people=people, variants=variants, ids=ids, memory=memory) for one in genotypes]
        )
    if isinstance(genotypes, pd.DataFrame):
        return frame_genotypes(genotypes, people, variants)
    if isinstance(genotypes, np.ndarray):
        return array_genotypes(genotypes, people, variants)
    if isinstance(genotypes, str | Path):
        return _of_path(Path(genotypes), people, variants, ids, memory)
    if isinstance(genotypes, GenotypeSource):
        _refuse(people is not None, "people", genotypes.description)
        _refuse(variants is not None, "variants", genotypes.description)
        return genotypes
    raise ModelError(
        "Genotypes are the prefix of a PLINK data set, the path of a CSV, TSV or BIMBAM file, a DataFrame (index = "
        f"ids, columns = variants) or an array with people=; got a {type(genotypes).__name__}."
    )


def _refuse(given: bool, name: str, what: str) -> None:
    if given:
        raise ModelError(f"{name}= is not for these genotypes ({what}), which say so themselves.")


def _of_path(path: Path, people: Any, variants: Any, ids: str, memory: int) -> GenotypeSource:
    """What a path is, by the end of its name; without one that is known, a PLINK prefix."""
    suffix = _kind(path)
    if suffix in _TABLES:
        _refuse(people is not None, "people", f"the table {path.name}")
        return read_dosage_table(path, _frame(variants), memory)
    if suffix in _BIMBAM:
        return BimbamGenotypes(path, people, _frame(variants))
    if not plink_paths(path)[0].exists():
        raise DataError(_not_there(path, suffix))
    _refuse(people is not None, "people", f"the PLINK data set {path.name}")
    _refuse(variants is not None, "variants", f"the PLINK data set {path.name}")
    return PlinkGenotypes(path, ids)


def is_bimbam(genotypes: Any) -> bool:
    """Whether these are the path of a BIMBAM file, by the end of its name."""
    return isinstance(genotypes, str | Path) and _kind(Path(genotypes)) in _BIMBAM


def _kind(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def _frame(variants: Any) -> pd.DataFrame | None:
    if variants is None or isinstance(variants, pd.DataFrame):
        return variants
    raise ModelError(
        "variants= of a file is a DataFrame with a column 'variant' and any of chromosome, position, effect_allele, "
        f"other_allele; got a {type(variants).__name__}."
    )


def _not_there(path: Path, suffix: str) -> str:
    command = _OTHERS.get(suffix)
    if command is not None and path.exists():
        return f"{path} is of a kind that is not read here. Make a PLINK 1 data set of it: " + command.format(
            path, path.with_suffix("")
        )
    return (
        f"{plink_paths(path)[0]} is not there. Genotypes are the prefix of a PLINK data set (.bed, .bim, .fam), or the "
        "path of a .csv, .tsv (people × variants) or BIMBAM file (.geno, .txt, .bimbam)."
    )
