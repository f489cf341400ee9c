"""`association`: tests of genotypes beside the fixed effects of a null model, one variant at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.columns import Columns
from lmmpy.design.values import Categorical
from lmmpy.engines import one_blas_thread
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.inference.column_scanner import ColumnScanner, column_scanner
from lmmpy.markers import GenotypeSource, as_genotypes
from lmmpy.model import LmmFit
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.qtl.association_scan import AssociationScan
from lmmpy.qtl.association_task import AssociationTask, Filters, TraitScan
from lmmpy.qtl.loco import fits_without
from lmmpy.qtl.null_digest import null_digest
from lmmpy.qtl.people import null_fit, people_of
from lmmpy.scan import Block, blocks_of, digest, run_scan

__all__ = ["association"]

Ints = NDArray[np.intp]

_TESTS = {"score": ("score",), "wald": ("wald",), "lrt": ("lrt",), "all": ("wald", "lrt", "score")}
# Bytes of genotypes in a block, with the copies that are made of it, unless the caller says it.
_MEMORY = 1 << 30
_MOST_VARIANTS = 4_096
# Columns that the tests work on at a time.
_CHUNK = 256


def association(
    null: Any,
    genotypes: Any,
    test: str = "score",
    exact: bool = False,
    *,
    interaction: str | None = None,
    loco: Any = None,
    id: str | None = None,
    people: Sequence[Any] | None = None,
    variants: Any = None,
    min_maf: float = 0.0,
    max_missing: float = 1.0,
    precision: str = "auto",
    memory: float = _MEMORY,
    resume: str | Path | None = None,
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> AssociationScan:
    """
    Test every variant as a further covariate of a mixed model.

    The null model is an ordinary fit, with whatever random terms it has: one relatedness or several, households,
    repeated records, a pedigree of 100,000. Each variant x is added to its fixed effects, as the number of copies of
    the effect allele, and β = 0 is tested.

    Parameters
    ----------
    null : LmmFit or an analysis with a ``fit``, or several
        The model without the variant. A sequence, or a mapping from names to fits, tests several traits in one pass
        over the genotypes; each fit has its own people.
    genotypes : str, DataFrame, array or GenotypeSource
        A PLINK prefix (``"study"`` for study.bed, study.bim, study.fam), a file of dosages, a frame (index = ids,
        columns = variants), an array with `people`; see `as_genotypes`.
    test : {"score", "wald", "lrt", "all"}
        "score": from the null model alone; "wald": β/SE with the variant in the model; "lrt": twice the difference of
        the log-likelihoods, by ML; "all" has the three of them.
    exact : bool
        Whether the variances are estimated anew with each variant, as GEMMA's ``-lmm`` does: by REML for "wald", by ML
        for "lrt". Else their ratios are those of the null model (EMMAX, P3D), which is much quicker and differs for
        variants of large effect only. The score test estimates nothing anew; exact, its ratios are those of the null
        model by ML, which is GEMMA's.
    interaction : str, optional
        A covariate, numeric or with two values, that the null model has: x and x × covariate are added. The columns
        `beta` to `p_value` are then those of the product, `beta_main`, `std_error_main` those of x where the covariate
        is zero (of two values: the first), and `p_joint` tests both.
    loco : True, "standardized", "centered", or mapping from chromosome to Relatedness, optional
        Leave one chromosome out: variants of a chromosome are tested beside a null model in which the relatedness,
        of which there must be one, is replaced by that from the genotypes of all others. True is "standardized"; see
        `grm`, whose ``grm(genotypes, loco=True, leave_out=["X", "MT"])`` makes a mapping without sex chromosomes.
    id : str, optional
        Column of the data of the null model that has the ids of `genotypes`; by default that of its relatedness.
    people : sequence, optional
        Ids of the rows of an array of genotypes.
    variants : str, sequence of str, or mask, optional
        Those to scan: a chromosome (also as a number), names, or True for each that is to be. Default all.
    min_maf, max_missing : float
        Variants with a minor allele frequency below, or a part of missing genotypes above, are not tested; they are in
        the table with a `note`. Frequencies are those among the people of the fit.
    precision : {"auto", "double", "single"}
        Of the quadratic forms xᵀV⁻¹x of large families or dense relatedness at the null's variances: "auto" is single
        where it is quicker, checked against double in each block.
    memory : float
        Bytes that a block of genotypes and its copies may take, in each process; 1 GiB.
    resume : path, optional
        A file (``.tsv`` or ``.parquet``) to which the results are written as the scan goes, and from which it goes on
        if it was interrupted; see `run_scan`.
    n_jobs : int, optional
        Processes, by joblib; None: this one, or what ``joblib.parallel_config`` says, so that a Dask cluster can work.
    progress : bool, optional
        Whether to tell on the standard error stream how far the scan is; by default in a terminal, after 5 seconds.

    Returns
    -------
    AssociationScan
        With `.table`, a row a variant: `chromosome, position, variant, n, maf, beta, std_error, statistic, p_value`
        and what else is known of it.

    Raises
    ------
    DataError
        For people of the fit whom the genotypes do not have, unreadable genotypes, a wrong `resume` file.
    ModelError
        For what cannot be asked of the null model, and wrong options.

    Notes
    -----
    With V = V(θ̂) of the null model, P = V⁻¹ − V⁻¹X(XᵀV⁻¹X)⁻¹XᵀV⁻¹ and σ̂² its scale, the score is U = xᵀPy, its
    variance σ̂²I with I = xᵀPx, β = U/I and the statistic U²/(σ̂²I), against F(1, n − p − 1). Wald's has the σ² that is
    left with x in the model. Missing genotypes are replaced by the mean of the others, which leaves β unbiased when
    they are missing at random; `missing` counts them.

    References
    ----------
    Kang et al. (2010), Nat. Genet. 42, 348–354 (EMMAX); Zhou & Stephens (2012), Nat. Genet. 44, 821–824 (GEMMA);
    Yang et al. (2014), Nat. Genet. 46, 100–106 (leaving chromosomes out).
    """
    names, fits = _named_nulls(null)
    tests = _checked(test, exact, precision, min_maf, max_missing)
    source = as_genotypes(genotypes, people=people)
    selected = _selected(source, variants)
    if interaction is not None and not isinstance(interaction, str):
        raise ModelError(f"interaction is the name of a column, not {interaction!r}.")
    with warnings_from_caller(stacklevel=2), one_blas_thread():
        models = [_by_chromosome(fit, source, loco, id, selected) for fit in fits]
        traits = tuple(
            _trait(name, models_of, source, id, interaction, tests, exact, precision)
            for name, models_of in zip(names, models, strict=True)
        )
    blocks = _blocks(source, selected, traits, bool(loco), memory)
    single = all(scanner.single for trait in traits for scanner in trait.scanners.values())
    task = AssociationTask(source, selected, traits, Filters(float(min_maf), float(max_missing)), tests, single)
    fingerprint = {
        "null model": digest(*(null_digest(fit) for fit in fits)),
        "people": digest(*(part for t in traits for part in (t.name, t.people.ids, t.people.codes))),
        "genotypes": digest(source.fingerprint(), selected),
        "test": digest(tests, exact, interaction or ""),
        "filters": digest(float(min_maf), float(max_missing)),
        "precision": digest(precision),
        "relatedness without a chromosome": _loco_digest(models),
    }
    outcome = run_scan(
        task, blocks, fingerprint=fingerprint, what="association", resume=resume, n_jobs=n_jobs, progress=progress
    )
    return AssociationScan(
        table=outcome.table if len(outcome.table.columns) else task.nothing(),
        fits=dict(zip(names, fits, strict=True)),
        test=test,
        exact=exact,
        interaction=interaction,
        loco="" if not loco else loco if isinstance(loco, str) else "given" if loco is not True else "standardized",
        genotypes=source.description,
        people={trait.name: len(trait.people.ids) for trait in traits},
        method={trait.name: next(iter(trait.scanners.values())).method for trait in traits},
        n_variants=len(selected),
        complete=outcome.complete,
        seconds=outcome.seconds,
    )


def _named_nulls(null: Any) -> tuple[list[str], list[LmmFit]]:
    """Names of the traits, and their fits."""
    if isinstance(null, Mapping):
        given = {str(name): null_fit(one) for name, one in null.items()}
    elif isinstance(null, list | tuple):
        fits = [null_fit(one) for one in null]
        traits = [fit.blueprint.response_text for fit in fits]
        if len(set(traits)) < len(traits):
            raise ModelError(f"The null models are of the traits {shown(traits)}; give a mapping from names to fits.")
        given = dict(zip(traits, fits, strict=True))
    else:
        fit = null_fit(null)
        given = {fit.blueprint.response_text: fit}
    if not given:
        raise ModelError("There is no null model.")
    for name, fit in given.items():
        if fit.design.traits is not None:
            raise ModelError(
                f"The null model of {name!r} has several traits. Fit each of them alone and give the fits as a list, "
                "which tests them in one pass."
            )
    return list(given), list(given.values())


def _checked(test: Any, exact: Any, precision: Any, min_maf: Any, max_missing: Any) -> tuple[str, ...]:
    if not isinstance(test, str) or test not in _TESTS:
        raise ModelError(f"test is one of {shown(_TESTS)}, not {test!r}.")
    if not isinstance(exact, bool | np.bool_):
        raise ModelError(f"exact must be True or False, not {exact!r}.")
    if not isinstance(precision, str) or precision not in ("auto", "double", "single"):
        raise ModelError(f"precision is 'auto', 'double' or 'single', not {precision!r}.")
    for name, value, most in (("min_maf", min_maf, 0.5), ("max_missing", max_missing, 1.0)):
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not 0.0 <= value <= most:
            raise ModelError(f"{name} must be a number from 0 to {most:g}, not {value!r}.")
    return _TESTS[test]


def _selected(source: GenotypeSource, variants: Any) -> Ints:
    """Numbers of the variants to scan."""
    table = source.variants
    one = isinstance(variants, str | int | np.integer) and not isinstance(variants, bool)
    if variants is None:
        found = np.arange(len(table))
    elif one and (table["chromosome"] == str(variants)).any():
        found = np.flatnonzero(table["chromosome"] == str(variants))
    else:
        try:
            asked = np.asarray([variants] if one else list(variants))
        except TypeError:
            raise ModelError(
                "variants is a chromosome, names of variants, or a mask with True for each that is to be scanned; got "
                f"{variants!r}."
            ) from None
        if asked.dtype == bool:
            if asked.shape != (len(table),):
                raise DataError(
                    f"variants: a mask must have {len(table):,} values, one a variant; it has {asked.size:,}."
                )
            found = np.flatnonzero(asked)
        else:
            found = _by_name(source, [str(name) for name in asked.tolist()])
    if not len(found):
        raise DataError(f"variants: none of those of {source.description} is left.")
    return found.astype(np.intp)


def _by_name(source: GenotypeSource, names: list[str]) -> Ints:
    known = source.variants["variant"]
    absent = sorted(set(names) - set(known))
    if absent:
        chromosomes = source.variants["chromosome"].unique().tolist()
        raise DataError(
            f"variants: {source.description} has no {shown(absent)}, neither as variants nor as a chromosome "
            f"(it has {shown(chromosomes)})."
        )
    return np.flatnonzero(known.isin(names))


def _by_chromosome(fit: LmmFit, source: GenotypeSource, loco: Any, id: str | None, selected: Ints) -> dict[str, LmmFit]:
    """The fit by chromosome; under "" the one of all others."""
    if loco is None or loco is False:
        return {"": fit}
    chromosomes = source.variants["chromosome"].iloc[selected].unique().tolist()
    return fits_without(fit, source, loco, people_of(fit, id), chromosomes)


def _trait(
    name: str,
    models: Mapping[str, LmmFit],
    source: GenotypeSource,
    id: str | None,
    interaction: str | None,
    tests: tuple[str, ...],
    exact: bool,
    precision: str,
) -> TraitScan:
    fit = next(iter(models.values()))
    who = people_of(fit, id)
    scanners: dict[str, ColumnScanner] = {
        chromosome: column_scanner(
            model.criterion, model.optimum, tests, exact=exact, precision=precision, control=model.request.control
        )
        for chromosome, model in models.items()
    }
    modifier = None if interaction is None else _modifier(fit, interaction)
    return TraitScan(name, who, who.places(source.people, f"The genotypes ({source.description})"), scanners, modifier)


def _modifier(fit: LmmFit, name: str) -> NDArray[np.float64]:
    """The covariate of an interaction, for the rows of the fit."""
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
    own = found[fit.design.rows]
    if not np.isfinite(own).all():
        raise DataError(f"interaction: {name!r} is missing in {int((~np.isfinite(own)).sum())} rows of the fit.")
    X = fit.design.X
    left = own - X @ np.linalg.lstsq(X, own, rcond=None)[0]
    if not float(np.linalg.norm(left)) <= 1e-6 * float(np.linalg.norm(own)):
        raise ModelError(
            f"interaction: the null model has no {name!r} among its fixed effects, without which the product would "
            f"stand for it. Add it: fit.update('. ~ . + {name}')."
        )
    return own


def _blocks(
    source: GenotypeSource, selected: Ints, traits: Iterable[TraitScan], by_chromosome: bool, memory: float
) -> tuple[Block, ...]:
    """As many variants as there is memory for; of one chromosome each where these have models of their own."""
    if isinstance(memory, bool) or not isinstance(memory, int | float | np.number) or not 0 < memory < np.inf:
        raise ModelError(f"memory is a positive number of bytes, not {memory!r}.")
    # dosages, their copy over the rows, what is solved for, and the same turned, in double precision
    row = sum(8 * (2 * len(t.places) + (2 if t.modifier is None else 4) * len(t.people.codes)) for t in traits)
    size = min(max(int(memory) // row, 1), _MOST_VARIANTS)
    if size > _CHUNK:  # whole chunks, so that the bits of a result do not depend on the memory
        size -= size % _CHUNK
    breaks: list[int] = []
    if by_chromosome:
        chromosome = source.variants["chromosome"].to_numpy()[selected]
        breaks = (np.flatnonzero(chromosome[1:] != chromosome[:-1]) + 1).tolist()
    return blocks_of(len(selected), size, what=f"variants of {source.description}", breaks=breaks)


def _loco_digest(models: Sequence[Mapping[str, LmmFit]]) -> str:
    return digest(*(f"{key} {null_digest(fit)}" for one in models for key, fit in one.items() if key))
