"""Tables of association scans in the columns of other programs, for what reads theirs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from lmmpy.errors import DataError, ModelError, shown, similar

__all__ = ["STYLES", "association_frame", "check_style", "write_association"]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was tested, and what a column `TEST` calls it."""

    test: str
    effect: str


@dataclass(frozen=True, slots=True)
class _Style:
    columns: Callable[[pd.DataFrame, _Asked], dict[str, pd.Series]]
    missing: str
    separator: str = "\t"
    names_effect: bool = False


def association_frame(
    table: pd.DataFrame, style: str = "lmmpy", test: str = "score", interaction: str | None = None
) -> pd.DataFrame:
    """
    The table of an association scan with another program's columns.

    Parameters
    ----------
    table : DataFrame
        Of one trait; columns as in `AssociationScan.table`.
    style : str
        ``"lmmpy"``, the table as it is. ``"gemma"``: `chr rs ps n_miss allele1 allele0 af beta se` and `p_wald`,
        `p_lrt`, `p_score`, those that were tested. ``"plink2"``: a ``.glm.linear`` file. ``"regenie"``: a
        ``.regenie`` file. ``"saige"``: its single-variant tests. ``"gwas-ssf"``: the GWAS catalog's standard.
        ``"metal"`` (also ``"locuszoom"``): `MarkerName Allele1 Allele2 Freq1 Effect StdErr P-value N`. Alleles are
        placed so that the effect is that of our effect allele, and frequencies are its. What another program would
        call the reference allele is our other allele; which of them is on the reference sequence, nobody checked.
    test : {"score", "wald", "lrt", "all"}
        Which it was, as the table does not say.
    interaction : str, optional
        The covariate of an interaction. The effect is that of its product with the variant, which "plink2" and
        "regenie" call ``ADDxage`` in their column `TEST`; the others have no word for it.

    Returns
    -------
    DataFrame
        One row a variant, also those without a test, in the order of `table`.

    Raises
    ------
    ModelError
        For an unknown style or test, an interaction in a style that cannot name it, and a table of several traits.
    DataError
        For columns that are not there.
    """
    chosen = check_style(style, test, interaction)
    if chosen is None:
        return table.copy()
    if interaction is None and "beta_main" in table.columns:
        raise ModelError(
            f"The table is of an interaction, and its effects are of a product: say interaction= ({style})."
        )
    if "trait" in table.columns and table["trait"].nunique() > 1:
        raise ModelError(
            f"A file of style {style!r} is of one trait, and the table has {shown(table['trait'].unique())}. Take the "
            "rows of one."
        )
    absent = [name for name in _NEEDED if name not in table.columns]
    if absent:
        raise DataError(f"The table has no column {shown(absent)}; it has {shown(map(str, table.columns), 20)}.")
    effect = "ADD" if interaction is None else "ADDx" + re.sub(r"\s+", "_", interaction)
    return pd.DataFrame(chosen.columns(table, _Asked(test, effect)), index=table.index).reset_index(drop=True)


def write_association(
    table: pd.DataFrame,
    path: str | Path,
    style: str = "lmmpy",
    test: str = "score",
    interaction: str | None = None,
) -> None:
    """
    Write the table of an association scan, with another program's columns, separator and word for missing values.

    Parameters
    ----------
    table : DataFrame
    path : path
        With ``.gz`` it is compressed.
    style, test, interaction
        See `association_frame`.

    Raises
    ------
    ModelError, DataError
        As by `association_frame`; and for a directory that is not there.
    """
    frame = association_frame(table, style, test, interaction)
    parent = Path(path).absolute().parent
    if not parent.is_dir():
        raise DataError(f"The directory {parent} is not there; make it, or write to another.")
    how = check_style(style, test, interaction)
    separator, missing = ("\t", "NA") if how is None else (how.separator, how.missing)
    frame.to_csv(path, sep=separator, na_rep=missing, index=False)


def check_style(style: str, test: str = "score", interaction: str | None = None) -> _Style | None:
    """
    See before a scan whether its table can be written in a style.

    Parameters
    ----------
    style, test, interaction
        See `association_frame`.

    Returns
    -------
    How it is written; None for our own table.

    Raises
    ------
    ModelError
    """
    if style not in STYLES:
        near = similar(str(style), STYLES)
        hint = f" Did you mean {shown(near)}?" if near else ""
        raise ModelError(f"There is no style {style!r}; there are {shown(STYLES, 20)}.{hint}")
    if test not in _TESTS:
        raise ModelError(f"test is one of {shown(_TESTS)}, not {test!r}.")
    if style == "lmmpy":
        return None
    chosen = _STYLES[style]
    if interaction is not None and not chosen.names_effect:
        able = [name for name, one in _STYLES.items() if one.names_effect]
        raise ModelError(
            f"A file of style {style!r} has no column that says that an effect is the variant's interaction with "
            f"{interaction!r}, and would pass it for the variant's own. Take {shown(able)} or 'lmmpy'."
        )
    return chosen


# ---- what the columns are

_TESTS = ("score", "wald", "lrt", "all")
_NEEDED = (
    "chromosome",
    "position",
    "variant",
    "n",
    "beta",
    "std_error",
    "p_value",
    "effect_allele",
    "other_allele",
    "frequency",
    "missing",
)


def _known(names: pd.Series) -> pd.Series:
    """Names of alleles and chromosomes; unknown ones are empty in our tables."""
    return names.where(names.astype(str) != "", np.nan)


def _gemma(table: pd.DataFrame, asked: _Asked) -> dict[str, pd.Series]:
    columns = {
        "chr": _known(table["chromosome"]),
        "rs": table["variant"],
        "ps": table["position"],
        "n_miss": table["missing"],
        "allele1": _known(table["effect_allele"]),
        "allele0": _known(table["other_allele"]),
        "af": table["frequency"],
        "beta": table["beta"],
        "se": table["std_error"],
    }
    several = {name: table[name] for name in ("p_wald", "p_lrt", "p_score") if name in table.columns}
    if asked.test == "all" and not several:
        raise DataError("The table has none of the columns p_wald, p_lrt and p_score of test='all'.")
    return columns | (several or {f"p_{asked.test}": table["p_value"]})


def _plink2(table: pd.DataFrame, asked: _Asked) -> dict[str, pd.Series]:
    return {
        "#CHROM": _known(table["chromosome"]),
        "POS": table["position"],
        "ID": table["variant"],
        "REF": _known(table["other_allele"]),
        "ALT": _known(table["effect_allele"]),
        "A1": _known(table["effect_allele"]),
        "A1_FREQ": table["frequency"],
        "TEST": _constant(table, asked.effect),
        "OBS_CT": table["n"],
        "BETA": table["beta"],
        "SE": table["std_error"],
        "T_STAT": table["beta"] / table["std_error"],
        "P": table["p_value"],
        "ERRCODE": _constant(table, "."),
    }


def _regenie(table: pd.DataFrame, asked: _Asked) -> dict[str, pd.Series]:
    p = table["p_value"].to_numpy(dtype=np.float64)
    return {
        "CHROM": _known(table["chromosome"]),
        "GENPOS": table["position"],
        "ID": table["variant"],
        "ALLELE0": _known(table["other_allele"]),
        "ALLELE1": _known(table["effect_allele"]),
        "A1FREQ": table["frequency"],
        "N": table["n"],
        "TEST": _constant(table, asked.effect),
        "BETA": table["beta"],
        "SE": table["std_error"],
        "CHISQ": pd.Series(ndtri(0.5 * p) ** 2, table.index),
        "LOG10P": pd.Series(-np.log10(np.maximum(p, 5e-324)) + 0.0, table.index),
        "EXTRA": _constant(table, np.nan),
    }


def _saige(table: pd.DataFrame, _: _Asked) -> dict[str, pd.Series]:
    information = 1.0 / table["std_error"] ** 2
    return {
        "CHR": _known(table["chromosome"]),
        "POS": table["position"],
        "MarkerID": table["variant"],
        "Allele1": _known(table["other_allele"]),
        "Allele2": _known(table["effect_allele"]),
        "AC_Allele2": 2.0 * table["n"] * table["frequency"],
        "AF_Allele2": table["frequency"],
        "MissingRate": table["missing"] / (table["n"] + table["missing"]),
        "BETA": table["beta"],
        "SE": table["std_error"],
        "Tstat": table["beta"] * information,
        "var": information,
        "p.value": table["p_value"],
        "N": table["n"],
    }


# The catalog's numbers of chromosomes that have none.
_NUMBERS = {"X": "23", "Y": "24", "MT": "25", "M": "25"}


def _gwas_ssf(table: pd.DataFrame, _: _Asked) -> dict[str, pd.Series]:
    chromosome = table["chromosome"].astype(str).str.replace("^chr", "", case=False, regex=True)
    return {
        "chromosome": _known(chromosome.map(lambda name: _NUMBERS.get(name.upper(), name))),
        "base_pair_location": table["position"],
        "effect_allele": _known(table["effect_allele"]),
        "other_allele": _known(table["other_allele"]),
        "beta": table["beta"],
        "standard_error": table["std_error"],
        "effect_allele_frequency": table["frequency"],
        "p_value": table["p_value"],
        "variant_id": table["variant"],
        "n": table["n"],
    }


def _metal(table: pd.DataFrame, _: _Asked) -> dict[str, pd.Series]:
    return {
        "MarkerName": table["variant"],
        "Allele1": _known(table["effect_allele"]),
        "Allele2": _known(table["other_allele"]),
        "Freq1": table["frequency"],
        "Effect": table["beta"],
        "StdErr": table["std_error"],
        "P-value": table["p_value"],
        "N": table["n"],
    }


def _constant(table: pd.DataFrame, value: object) -> pd.Series:
    return pd.Series([value] * len(table), index=table.index)


_STYLES = {
    "gemma": _Style(_gemma, "nan"),
    "plink2": _Style(_plink2, "NA", names_effect=True),
    "regenie": _Style(_regenie, "NA", " ", names_effect=True),
    "saige": _Style(_saige, "NA"),
    "gwas-ssf": _Style(_gwas_ssf, "#NA"),
    "metal": _Style(_metal, "NA"),
    "locuszoom": _Style(_metal, "NA"),
}

STYLES = ("lmmpy", *_STYLES)
"""What `association_frame` knows."""
