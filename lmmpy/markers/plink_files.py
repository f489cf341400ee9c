"""The two text files beside a PLINK .bed: people (.fam) and variants (.bim)."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, ModelError, shown
from lmmpy.markers.variant_table import positions_of, variant_table
from lmmpy.relatedness.labels import duplicates

__all__ = ["check_variants", "fam_people", "read_bim"]

SEPARATOR = "_"


def _columns(path: Path, what: str, least: int) -> pd.DataFrame:
    """A table without header as text, blanks between the columns."""
    try:
        table = pd.read_csv(
            path, sep=r"\s+", header=None, dtype="str", keep_default_na=False, quoting=csv.QUOTE_NONE, engine="c"
        )
    except FileNotFoundError:
        raise DataError(
            f"{path} is not there. A PLINK data set is three files of one name: .bed, .bim (variants), .fam (people)."
        ) from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty; it should have {what}.") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} cannot be read as {what}: {problem}") from None
    # A field that lacks at the end of a line is read as missing or as empty text, by the version of pandas.
    short = [0] if table.shape[1] < least else np.flatnonzero(table[least - 1].fillna("") == "").tolist()
    if short:
        raise DataError(f"{path}: line {short[0] + 1} has fewer than {least} columns; it should have {what}.")
    return table


def fam_people(path: Path, ids: str) -> tuple[str, ...]:
    """
    Ids of the people of a .fam file.

    Parameters
    ----------
    path : Path
    ids : {"iid", "fid_iid"}
        The individual ids (second column), or family and individual id joined by "_" where those are not unique.

    Raises
    ------
    DataError
        When an id occurs twice.
    """
    if ids not in {"iid", "fid_iid"}:
        raise ModelError(f"ids is 'iid' or 'fid_iid' (family and individual id joined by '_'); got {ids!r}.")
    table = _columns(path, "family id, individual id, father, mother, sex, phenotype", 2)
    individual = table[1].tolist()
    people = individual if ids == "iid" else [f"{f}{SEPARATOR}{i}" for f, i in zip(table[0], individual, strict=True)]
    again = duplicates(people)
    if again:
        hint = (
            "Where individual ids repeat between families, ids='fid_iid' joins both by '_', and the data need such ids."
            if ids == "iid"
            else "Family and individual id together do not tell these people apart."
        )
        raise DataError(f"{path}: ids that occur more than once: {shown(again)}. {hint}")
    return tuple(people)


def read_bim(path: Path) -> pd.DataFrame:
    """
    The variants of a .bim file.

    Returns
    -------
    DataFrame
        As in `GenotypeSource`. The effect allele is the first of the two (A1).

    Raises
    ------
    DataError
    """
    state = path.stat() if path.exists() else None
    return _read_bim(path, 0 if state is None else state.st_size, 0 if state is None else state.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_bim(path: Path, size: int, changed: int) -> pd.DataFrame:
    """By length and time of change too: worker processes ask for the same table with every piece of work."""
    table = _columns(path, "chromosome, variant, cM, base pairs, allele 1, allele 2", 6)
    position = positions_of(table[3], table[1], str(path))
    return variant_table(table[1].tolist(), table[0].tolist(), position, table[4].tolist(), table[5].tolist())


def check_variants(variants: pd.DataFrame, where: str, counted: str = "line") -> None:
    """
    Refuse a variant that stands there twice.

    A name may repeat (as "." does, where variants have none), if place or alleles tell the variants apart.
    """
    if variants["variant"].is_unique:
        return
    again = variants["variant"][variants.duplicated()]
    if len(again):
        i = int(again.index[0])
        row = variants.iloc[i]
        raise DataError(
            f"{where}: {len(again):,} variants stand there more than once, with the same name, place and alleles: "
            f"{shown(dict.fromkeys(again))}; first {row['variant']!r} at {row['chromosome']}:{row['position']} "
            f"({counted} {i + 1}). Name or remove them: plink2 --set-all-var-ids, --rm-dup."
        )
