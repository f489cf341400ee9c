"""What a scan for association is asked: which variants, in which blocks, with which interaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.columns import Columns
from lmmpy.design.values import Categorical
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.markers import GenotypeSource
from lmmpy.model import LmmFit
from lmmpy.qtl.people import People
from lmmpy.scan import Block, blocks_of

__all__ = ["modifier", "selected_variants", "variant_blocks"]

Ints = NDArray[np.intp]

_MOST_VARIANTS = 4_096
# Columns that the tests work on at a time; whole chunks, so that the bits of a result do not depend on the memory.
_CHUNK = 256
# What the fixed effects may leave of a covariate that is among them, of its length.
_AMONG = 1e-6


def selected_variants(source: GenotypeSource, variants: Any) -> Ints:
    """
    Numbers of the variants to scan.

    Parameters
    ----------
    source : GenotypeSource
    variants : None, str, int, sequence or mask
        See `association`.

    Returns
    -------
    ndarray of int, shape (m,)
        Ascending.

    Raises
    ------
    DataError
        For names that are not there, a mask of another length, and when none is left.
    ModelError
        For what is none of these.
    """
    one = isinstance(variants, str | int | np.integer) and not isinstance(variants, bool)
    if variants is None:
        return np.arange(len(source.variants))
    try:
        asked = np.asarray([variants] if one else list(variants))
    except TypeError:
        raise ModelError(
            "variants is a chromosome, names of variants, or a mask with True for each that is to be scanned; got "
            f"{variants!r}."
        ) from None
    found = _by_mask(source, asked) if asked.dtype == bool else _by_name(source, [str(name) for name in asked.tolist()])
    if not len(found):
        raise DataError(f"variants: none of those of {source.description} is left.")
    return found.astype(np.intp)


def _by_mask(source: GenotypeSource, mask: NDArray[Any]) -> Ints:
    if mask.shape != (len(source.variants),):
        raise DataError(
            f"variants: a mask must have {len(source.variants):,} values, one a variant; it has {mask.size:,}."
        )
    return np.flatnonzero(mask)


def _by_name(source: GenotypeSource, names: list[str]) -> Ints:
    """Variants by their names, or by that of their chromosome; the names of variants come first."""
    table = source.variants
    known, chromosomes = set(table["variant"]), set(table["chromosome"])
    absent = [name for name in names if name not in known and name not in chromosomes]
    if absent:
        raise DataError(
            f"variants: {source.description} has no {shown(absent)}, neither as variants nor as a chromosome "
            f"(it has {shown(table['chromosome'].unique().tolist())})."
        )
    whole = [name for name in names if name not in known]
    return np.flatnonzero((table["variant"].isin(names) | table["chromosome"].isin(whole)).to_numpy())


def modifier(fit: LmmFit, name: Any) -> NDArray[np.float64]:
    """
    The covariate of an interaction.

    Parameters
    ----------
    fit : LmmFit
        Which has it among its fixed effects.
    name : str

    Returns
    -------
    ndarray, shape (n,)
        For the rows of the fit; of two values zero for the first, one for the second.

    Raises
    ------
    DataError
        When there is no such column, or values are missing.
    ModelError
        When it has three or more values that are no numbers, or is not in the model.
    """
    if not isinstance(name, str):
        raise ModelError(f"interaction is the name of a column, not {name!r}.")
    columns = Columns(fit.request.source.data)
    if name not in columns:
        raise DataError(f"interaction: {columns.not_found(name)}")
    value = columns[name]
    if isinstance(value, Categorical):
        levels = value.drop_unused()
        if len(levels.labels) != 2:
            raise ModelError(
                f"interaction: {name!r} has {len(levels.labels)} values, {shown(levels.labels)}; it must be numeric or "
                "have two. Of several groups make a column of zeros and ones for each that is to be asked about."
            )
        found = np.where(levels.codes < 0, np.nan, levels.codes.astype(float))
    else:
        found = np.asarray(value, dtype=float)
    own: NDArray[np.float64] = found[fit.design.rows]
    if not np.isfinite(own).all():
        raise DataError(f"interaction: {name!r} is missing in {int((~np.isfinite(own)).sum())} rows of the fit.")
    Q = np.linalg.qr(fit.design.X / np.maximum(np.linalg.norm(fit.design.X, axis=0), np.finfo(float).tiny))[0]
    left = own - Q @ (Q.T @ own)
    if not float(np.linalg.norm(left)) <= _AMONG * float(np.linalg.norm(own)):
        raise ModelError(
            f"interaction: the null model has no {name!r} among its fixed effects, without which the product would "
            f"stand for it. Add it: fit.update('. ~ . + {name}')."
        )
    return own


def variant_blocks(
    source: GenotypeSource, selected: Ints, whose: Sequence[People], memory: Any, *, by_chromosome: bool, wide: bool
) -> tuple[Block, ...]:
    """
    As many variants a block as there is memory for.

    Parameters
    ----------
    source : GenotypeSource
    selected : ndarray of int, shape (m,)
        The variants.
    whose : sequence of People
        Of each trait.
    memory : float
        Bytes for a block and its copies.
    by_chromosome : bool
        Whether a block has variants of one chromosome only.
    wide : bool
        Whether there are two columns a variant.

    Raises
    ------
    ModelError
        When the memory is not enough for 256 variants.
    """
    if isinstance(memory, bool) or not isinstance(memory, int | float | np.number) or not 0 < memory < np.inf:
        raise ModelError(f"memory is a positive number of bytes, not {memory!r}.")
    # dosages and their copy over the rows, what is solved for, and the same turned, in double precision
    each = sum(8 * (2 * len(people.ids) + (4 if wide else 2) * len(people.codes)) for people in whose)
    if memory < each * min(_CHUNK, len(selected)):
        raise ModelError(
            f"memory={memory:,.0f} bytes are too few: a block has {min(_CHUNK, len(selected))} variants at least, "
            f"which take {each * min(_CHUNK, len(selected)) / 2**20:,.1f} MiB."
        )
    size = max(min(int(memory) // each, _MOST_VARIANTS) // _CHUNK, 1) * _CHUNK
    breaks: list[int] = []
    if by_chromosome:
        chromosome = source.variants["chromosome"].to_numpy()[selected]
        breaks = (np.flatnonzero(chromosome[1:] != chromosome[:-1]) + 1).tolist()
    return blocks_of(len(selected), size, what=f"variants of {source.description}", breaks=breaks)
