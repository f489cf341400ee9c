"""Genomic relatedness from genotypes, in blocks of variants."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from lmmpy.engines.threads import all_blas_threads
from lmmpy.errors import DataError, LmmpyWarning, ModelError, shown, similar
from lmmpy.markers.genotypes import as_genotypes, is_bimbam
from lmmpy.markers.source import GenotypeSource
from lmmpy.markers.summaries import VariantSummary, standardise, summarise
from lmmpy.relatedness import Relatedness
from lmmpy.relatedness.labels import as_labels, positions
from lmmpy.scan import Block, Progress, blocks_of

__all__ = [
    "Method",
    "Sum",
    "add_variants",
    "grm",
    "kernel_block_size",
    "relatedness_of",
    "sums_of",
    "variants_by_chromosome",
]

Floats: TypeAlias = NDArray[np.float64]
Method: TypeAlias = Literal["standardized", "centered"]

# More columns than this at once make dsyrk no quicker.
_MOST_AT_ONCE = 2_048
_FEWEST_AT_ONCE = 16


@overload
def grm(
    genotypes: Any,
    *,
    people: Sequence[Any] | None = ...,
    loco: Literal[False] = ...,
    leave_out: str | Sequence[str] = ...,
    method: Method = ...,
    min_maf: float = ...,
    block_size: int | None = ...,
    memory: int = ...,
    progress: bool | None = ...,
) -> Relatedness: ...
@overload
def grm(
    genotypes: Any,
    *,
    people: Sequence[Any] | None = ...,
    loco: Literal[True],
    leave_out: str | Sequence[str] = ...,
    method: Method = ...,
    min_maf: float = ...,
    block_size: int | None = ...,
    memory: int = ...,
    progress: bool | None = ...,
) -> dict[str, Relatedness]: ...
def grm(
    genotypes: Any,
    *,
    people: Sequence[Any] | None = None,
    loco: bool = False,
    leave_out: str | Sequence[str] = (),
    method: Method = "standardized",
    min_maf: float = 0.0,
    block_size: int | None = None,
    memory: int = 8 * 2**30,
    progress: bool | None = None,
) -> Relatedness | dict[str, Relatedness]:
    """
    Genomic relatedness: K = (1/m) Σ z zᵀ over m variants.

    Parameters
    ----------
    genotypes : GenotypeSource or what `as_genotypes` takes
    people : sequence, optional
        Ids of those whose relatedness is wanted, in this order; means and variances are theirs. By default all. Of an
        array or a BIMBAM file, which have no ids: those of its rows (columns).
    loco : bool
        Whether to make one relatedness for each chromosome, from all variants but its own.
    leave_out : str or sequence of str
        Chromosomes whose variants are in no relatedness ("X").
    method : {"standardized", "centered"}
        "standardized": z = (x − x̄)/s, with s² = Σ(x − x̄)²/n (GEMMA's ``-gk 2``). "centered": z = x − x̄
        (``-gk 1``). Dosages x that are missing are at x̄, and s² is after that.
    min_maf : float
        Variants with a smaller minor allele frequency are left out.
    block_size : int, optional
        Variants that are read at once; by default as many as memory allows, at most 2,048.
    memory : int
        Bytes that may be taken: by n × n numbers of double precision, one array for the relatedness of n people (with
        ``loco`` one a chromosome and one more), and by blocks.
    progress : bool, optional
        Whether to tell how far it is; by default after 5 seconds in a terminal.

    Returns
    -------
    Relatedness or dict of str to Relatedness
        Labelled by ids. With ``loco``, for every chromosome of the genotypes, in their order.

    Warns
    -----
    LmmpyWarning
        When variants are left out that are the same in all people (or known of none).

    Raises
    ------
    DataError
        When people or chromosomes are not there, or no variant is left.
    ModelError
        When the memory does not suffice, or an option is not known.

    Notes
    -----
    Sums are in double precision. K has zero sums over its rows, so that it is singular; that is no hindrance.
    The relatedness without a chromosome is the whole sum less the chromosome's own, which costs at most the digits by
    which the chromosome's share exceeds that of the others.

    References
    ----------
    VanRaden (2008); Zhou & Stephens (2012); Yang et al. (2014) for leaving a chromosome out.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> genotypes = lmm.datasets.load("family_genotypes").set_index("ID")
    >>> K = lmm.qtl.grm(genotypes)
    >>> K.size, round(float(K.diagonal().mean()), 2)
    (398, 1.0)
    """
    _check_options(method, min_maf, block_size)
    source, rows = _people_of(genotypes, people)
    ids = source.people if rows is None else tuple(source.people[i] for i in rows.tolist())
    chromosomes = _chromosomes(source, loco, leave_out)
    size = _block_size(len(ids), 1 + len(set(chromosomes) - {""}) if loco else 1, block_size, memory, loco)
    sums = _sums(source, rows, _Plan(chromosomes, loco, method, min_maf, size), len(ids), progress)
    if not loco:
        return relatedness_of(sums[_ALL], ids)
    return _without_each(sums, source, ids)


_ALL = "all"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which variants are used and how: `chromosomes` has one text a variant, "" where it is left out."""

    chromosomes: NDArray[np.str_]
    loco: bool
    method: Method
    min_maf: float
    size: int


@dataclass(slots=True)
class Sum:
    """Lower triangle of Σ z zᵀ, in Fortran order, and the number of variants."""

    K: Floats
    count: int = 0


def _check_options(method: str, min_maf: float, block_size: int | None) -> None:
    if method not in {"standardized", "centered"}:
        raise ModelError(f"method is 'standardized' or 'centered'; got {method!r}.")
    if not 0.0 <= min_maf < 0.5:
        raise ModelError(f"min_maf is a frequency from 0 to less than 0.5; got {min_maf!r}.")
    if block_size is not None and (isinstance(block_size, bool) or block_size < 1):
        raise ModelError(f"block_size counts variants, 1 or more; got {block_size!r}.")


def _people_of(genotypes: Any, people: Sequence[Any] | None) -> tuple[GenotypeSource, NDArray[np.intp] | None]:
    """The source, and the numbers of the people asked for; None where that is all, in order."""
    if isinstance(genotypes, np.ndarray) or is_bimbam(genotypes):
        return as_genotypes(genotypes, people=people), None
    source = as_genotypes(genotypes)
    if people is None:
        return source, None
    ids = as_labels(people, "people")
    if not ids:
        raise DataError("people= is empty: a relatedness needs people.")
    return source, positions({one: i for i, one in enumerate(source.people)}, ids, source.description)


# ---- what is used


def _chromosomes(source: GenotypeSource, loco: bool, leave_out: str | Sequence[str]) -> NDArray[np.str_]:
    """The chromosome of each variant that is used, "" of those that are not; all one where that does not matter."""
    own = source.variants["chromosome"].to_numpy(dtype=object).astype(str)
    known = list(dict.fromkeys(own.tolist()))
    out = [leave_out] if isinstance(leave_out, str) else [str(one) for one in leave_out]
    for one in out:
        if one not in known:
            close = similar(one, known)
            raise DataError(
                f"leave_out: chromosome {one!r} is not in {source.description}; it has {shown(known, 30)}."
                + (f" Was {close[0]!r} meant?" if close else "")
            )
    if loco:
        _check_loco(source, own, [one for one in known if one not in out])
    used = ~np.isin(own, out)
    return np.where(used, own if loco else _ALL, "")


def _check_loco(source: GenotypeSource, own: NDArray[np.str_], used: list[str]) -> None:
    unknown = np.flatnonzero(np.isin(own, ["", "0"]))
    if len(unknown):
        names = source.variants["variant"].iloc[unknown].tolist()
        raise DataError(
            f"loco=True needs the chromosome of every variant; it is not known of {len(names):,}: {shown(names)}. Give "
            "them with as_genotypes(…, variants=frame), or remove those variants (plink2 --not-chr 0)."
        )
    if len(used) < 2:
        raise DataError(
            f"loco=True leaves one chromosome out of several; {source.description}, of chromosome {shown(used)} only."
        )


def _block_size(n: int, arrays: int, block_size: int | None, memory: int, loco: bool) -> int:
    """Variants at once: what memory leaves beside the n × n arrays, each variant taken twice (read, and in work)."""
    needed = arrays * 8 * n**2
    rest = int(memory) - needed
    fewest = block_size or _FEWEST_AT_ONCE
    if rest < 16 * n * fewest:
        hint = (
            " Or make the relatedness of one chromosome after the other, grm(…, leave_out=chromosome): one array each."
            if loco
            else " Or ask for fewer people=."
        )
        raise ModelError(
            f"The relatedness of {n:,} people takes {arrays} arrays of {n:,} × {n:,} numbers, "
            f"{needed / 2**30:,.1f} GiB, and blocks of {fewest} variants {16 * n * fewest / 2**30:,.2f} GiB; memory= "
            f"allows {memory / 2**30:,.1f} GiB. Give more, if the machine has it." + hint
        )
    return block_size or int(min(_MOST_AT_ONCE, rest // (16 * n)))


# ---- sums


def _sums(
    source: GenotypeSource, rows: NDArray[np.intp] | None, plan: _Plan, n: int, progress: bool | None
) -> dict[str, Sum]:
    """Σ z zᵀ by chromosome, or of all."""
    sums: dict[str, Sum] = {}
    same: list[int] = []
    rare = 0
    told = Progress(len(plan.chromosomes), "variants", progress, what="genomic relatedness")
    for block in _blocks(plan.chromosomes, plan.size):
        chromosome = str(plan.chromosomes[block.start])
        if chromosome:
            G = cast(Floats, source.read(block.start, block.stop, rows))
            summary = summarise(G)
            kept = summary.varies & (np.fmax(summary.maf, 0.0) >= plan.min_maf)
            same.extend((block.start + np.flatnonzero(~summary.varies)).tolist())
            rare += int((summary.varies & ~kept).sum())
            if chromosome not in sums:
                sums[chromosome] = Sum(np.zeros((n, n), order="F"))
            add_variants(sums[chromosome], G, summary, kept, plan.method)
        told.advance(block.stop - block.start)
    told.close()
    _tell_left_out(source, same, n)
    if not any(one.count for one in sums.values()):
        raise DataError(
            f"No variant is left for a relatedness: {source.description}; {len(same):,} are the same in all {n:,} "
            f"people and {rare:,} have a minor allele frequency below {plan.min_maf:g}."
        )
    return sums


def _blocks(chromosomes: NDArray[np.str_], size: int) -> Iterator[Block]:
    breaks = (np.flatnonzero(chromosomes[1:] != chromosomes[:-1]) + 1).tolist()
    return iter(blocks_of(len(chromosomes), size, "variants", breaks))


def add_variants(target: Sum, G: Floats, summary: VariantSummary, kept: NDArray[np.bool_], method: Method) -> None:
    """Add the variants that are kept; the others become columns of zeros."""
    scale = np.zeros(len(kept))
    scale[kept] = 1.0 if method == "centered" else 1.0 / np.sqrt(summary.variance[kept])
    standardise(G, np.nan_to_num(summary.mean), scale)
    target.count += int(kept.sum())
    with all_blas_threads():
        dsyrk(1.0, G, beta=1.0, c=target.K, lower=1, overwrite_c=1)


def _tell_left_out(source: GenotypeSource, same: list[int], n: int) -> None:
    if same:
        names = source.variants["variant"].iloc[same].tolist()
        warnings.warn(
            f"{len(same):,} of {len(source.variants):,} variants are the same in all {n:,} people, or known of none, "
            f"and were left out of the relatedness: {shown(names)}.",
            LmmpyWarning,
            stacklevel=4,
        )


def sums_of(source: GenotypeSource, rows: NDArray[np.intp], method: Method, size: int, progress: bool | None) -> Sum:
    """Σ z zᵀ of all variants, by blocks of a size."""
    plan = _Plan(np.full(len(source.variants), _ALL), False, method, 0.0, size)
    return _sums(source, rows, plan, len(rows), progress)[_ALL]


def variants_by_chromosome(source: GenotypeSource) -> NDArray[np.str_]:
    """The chromosome of each variant; refuses what cannot be left out by chromosome."""
    return _chromosomes(source, True, ())


def kernel_block_size(n: int, arrays: int, memory: int) -> int:
    """Variants at once beside some n × n arrays; refuses when the memory does not suffice."""
    return _block_size(n, arrays, None, memory, False)


# ---- results


def relatedness_of(total: Sum, ids: tuple[str, ...]) -> Relatedness:
    """The mean of a sum, which is changed."""
    K = total.K
    K /= total.count
    _mirror(K)
    return Relatedness(K.T, ids)


def _mirror(K: Floats, at_once: int = 512) -> None:
    """Copy the lower triangle to the upper, in place."""
    for start in range(0, len(K), at_once):
        stop = min(start + at_once, len(K))
        own = K[start:stop, start:stop]
        own[...] = np.tril(own) + np.tril(own, -1).T
        K[start:stop, stop:] = K[stop:, start:stop].T


def _without_each(sums: dict[str, Sum], source: GenotypeSource, ids: tuple[str, ...]) -> dict[str, Relatedness]:
    """For each chromosome the whole less its own, in its place; of those that are left out of all, the whole."""
    n = len(ids)
    whole = Sum(np.zeros((n, n), order="F"))
    for one in sums.values():
        if one.count:
            whole.K += one.K
            whole.count += one.count
    alone = [name for name, one in sums.items() if one.count == whole.count]
    if alone:
        raise DataError(f"loco=True: only chromosome {alone[0]!r} has variants that vary; nothing is left without it.")
    made: dict[str, Relatedness] = {}
    lacking: list[str] = []
    for chromosome in source.variants["chromosome"].drop_duplicates().tolist():
        own = sums.get(chromosome)
        if own is None or own.count == 0:
            lacking.append(chromosome)
            continue
        np.subtract(whole.K, own.K, out=own.K)
        own.count = whole.count - own.count
        made[chromosome] = relatedness_of(own, ids)
    if lacking:
        shared = relatedness_of(whole, ids)
        made.update(dict.fromkeys(lacking, shared))
    return {one: made[one] for one in source.variants["chromosome"].drop_duplicates().tolist()}
