"""The table of the variants of a source, made from names and from what else is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown, similar
from lmmpy.relatedness.labels import as_labels

__all__ = ["COLUMNS", "annotated", "positions_of", "variant_table"]

COLUMNS = ("chromosome", "position", "variant", "effect_allele", "other_allele")


def variant_table(
    variant: Sequence[str],
    chromosome: Sequence[str] | None = None,
    position: Any = None,
    effect_allele: Sequence[str] | None = None,
    other_allele: Sequence[str] | None = None,
) -> pd.DataFrame:
    """
    The columns that every source has, "" and 0 for what is not known.

    Parameters
    ----------
    variant, chromosome, effect_allele, other_allele : sequence of str
    position : array of int, optional

    Returns
    -------
    DataFrame
        As in `GenotypeSource`.
    """
    m = len(variant)

    def text(values: Sequence[str] | None) -> pd.Series:
        return pd.Series([""] * m if values is None else list(values), dtype="str")

    return pd.DataFrame(
        {
            "chromosome": text(chromosome),
            "position": np.zeros(m, np.int64) if position is None else np.asarray(position, dtype=np.int64),
            "variant": text(variant),
            "effect_allele": text(effect_allele),
            "other_allele": text(other_allele),
        }
    )


def positions_of(texts: pd.Series, variants: pd.Series, where: str) -> np.ndarray:
    """Base pairs as int64 from text or numbers; names the first that is none."""
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~(np.trunc(numbers) == numbers) | (np.abs(numbers) > 2**53))
    if len(wrong):
        i = int(wrong[0])
        raise DataError(
            f"{where}: positions are whole base pairs; {len(wrong)} are not, first {texts.iloc[i]!r} of variant "
            f"{variants.iloc[i]!r} (number {i + 1})."
        )
    return numbers.astype(np.int64)


def annotated(names: tuple[str, ...], given: pd.DataFrame, where: str) -> pd.DataFrame:
    """
    The table of variants that a user's frame describes.

    Parameters
    ----------
    names : tuple of str
        Of the variants, as the genotypes have them.
    given : DataFrame
        A column ``variant`` (or the index) and any of the others of `COLUMNS`; rows in any order, and of more variants.
    where : str
        What has the genotypes, for messages.

    Raises
    ------
    DataError
        When a column is not known, or a variant is not described or described twice.
    """
    table = given if "variant" in given.columns else given.rename_axis("variant").reset_index()
    unknown = [str(name) for name in table.columns if name not in COLUMNS]
    if unknown:
        close = similar(unknown[0], COLUMNS)
        hint = f" Was {close[0]!r} meant?" if close else ""
        raise DataError(f"variants= has columns {shown(unknown)}; it may have {', '.join(COLUMNS)}.{hint}")
    described = as_labels(table["variant"].tolist(), "variants=")
    place = {name: i for i, name in enumerate(described)}
    lacking = [name for name in names if name not in place]
    if lacking:
        raise DataError(f"variants= does not describe {len(lacking)} of the variants of {where}: {shown(lacking)}.")
    own = table.iloc[[place[name] for name in names]].reset_index(drop=True)
    parts: dict[str, Any] = {name: own[name].astype(str).tolist() for name in own.columns if name != "position"}
    for name in parts:
        if own[name].isna().any():
            raise DataError(f'variants=: {name!r} is missing for some variants; write "" where it is not known.')
    if "chromosome" in parts:
        parts["chromosome"] = list(_texts(own["chromosome"]))
    if "position" in own.columns:
        parts["position"] = positions_of(own["position"], own["variant"], "variants=")
    return variant_table(**{**parts, "variant": names})


def _texts(values: pd.Series) -> tuple[str, ...]:
    """Chromosomes as text: 1, 1.0 and "1" are the same."""
    kinds = values.drop_duplicates()
    texts = dict(zip(kinds.tolist(), as_labels(kinds.tolist(), "chromosomes"), strict=True))
    return tuple(texts[value] for value in values.tolist())
