"""`association`: tests of genotypes beside the fixed effects of a null model, one variant at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import DataError, ModelError, shown
from lmmpy.markers import GenotypeSource, as_genotypes
from lmmpy.markers.loco_kernels import LocoKernels
from lmmpy.model import LmmFit
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.qtl.association_input import modifier, selected_variants, variant_blocks
from lmmpy.qtl.association_scan import AssociationScan
from lmmpy.qtl.association_task import AssociationTask, Filters, Scanners, TraitScan
from lmmpy.qtl.loco import LocoScanners, loco_kind, replaced_relatedness
from lmmpy.qtl.null_digest import kernel_digest, null_digest
from lmmpy.qtl.people import People, null_fit, people_of
from lmmpy.qtl.scan_tests import OneScanner, ScanTests
from lmmpy.relatedness import as_relatedness
from lmmpy.scan import digest, run_scan

__all__ = ["association"]

Ints = NDArray[np.intp]

# Bytes of genotypes in a block, with the copies that are made of it, unless the caller says it.
_MEMORY = 1 << 30
# Bytes for relatedness by chromosome.
_KERNEL_MEMORY = 8 << 30


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
        Those to scan: chromosomes or names, one or several, or True for each that is to be. Default all.
    min_maf, max_missing : float
        Variants with a minor allele frequency below, or a part of missing genotypes above, are not tested; they are in
        the table with a `note`. Frequencies are those among the people of the fit.
    precision : {"auto", "double", "single"}
        Of the quadratic forms xᵀV⁻¹x of large families or dense relatedness at the null's variances: "auto" is single
        where it is quicker, checked against double in each block.
    memory : float
        Bytes that a block of genotypes and its copies may take, in each process; 1 GiB. At least 256 variants.
    resume : path, optional
        A file (``.tsv`` or ``.parquet``) to which the results are written as the scan goes, and from which it goes on
        if it was interrupted; see `run_scan`.
    n_jobs : int, optional
        Processes, by joblib; None: this one, whose threads use all cores already, or what ``joblib.parallel_config``
        says, so that a Dask cluster can work. Several processes pay where the exact tests of a block take minutes.
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

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> fit = lmm.lmer("bmi ~ age + sex + kin(ped)", family)
    >>> genotypes = lmm.datasets.load("family_genotypes").set_index("ID")
    >>> scan = lmm.qtl.association(fit, genotypes, id="ID")
    >>> scan.top(2)[["variant", "beta", "std_error"]].round(3)
      variant   beta  std_error
    0   snp28 -0.385      0.147
    1   snp41  0.381      0.168
    """
    names, fits = _named_nulls(null)
    tests, filters = ScanTests.checked(test, exact, precision), Filters.checked(min_maf, max_missing)
    kind, source = loco_kind(loco), as_genotypes(genotypes, people=people)
    selected = selected_variants(source, variants)
    whose = [people_of(fit, id) for fit in fits]
    places = [one.places(source.people, f"The genotypes ({source.description})") for one in whose]
    modifiers = [None if interaction is None else modifier(fit, interaction) for fit in fits]
    blocks = variant_blocks(source, selected, whose, memory, by_chromosome=bool(kind), wide=interaction is not None)
    with warnings_from_caller(stacklevel=2):
        scanners = _scanners(fits, whose, source, loco, selected, tests, progress)
    traits = tuple(map(TraitScan, names, whose, places, scanners, modifiers))
    task = AssociationTask(source, selected, traits, filters, tests.names)
    fingerprint = {} if resume is None else _fingerprint(fits, task, tests, interaction, kind, loco)
    outcome = run_scan(
        task, blocks, fingerprint=fingerprint, what="association", resume=resume, n_jobs=n_jobs, progress=progress
    )
    return AssociationScan(
        table=outcome.table if len(outcome.table.columns) else task.nothing(),
        fits=dict(zip(names, fits, strict=True)),
        test=test,
        exact=exact,
        interaction=interaction,
        loco=kind,
        genotypes=source.description,
        people={trait.name: len(trait.people.ids) for trait in traits},
        method={trait.name: trait.scanners.method for trait in traits},
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


def _scanners(
    fits: Sequence[LmmFit],
    whose: Sequence[People],
    source: GenotypeSource,
    loco: Any,
    selected: Ints,
    tests: ScanTests,
    progress: bool | None,
) -> list[Scanners]:
    """The tests of each trait; traits of the same people share what their relatedness is made of."""
    kind = loco_kind(loco)
    if not kind:
        return [OneScanner(tests.scanner(fit)) for fit in fits]
    chromosomes = source.variants["chromosome"].iloc[selected].unique().tolist()
    made: dict[tuple[str, ...], LocoKernels] = {}
    found: list[Scanners] = []
    for fit, people in zip(fits, whose, strict=True):
        name = replaced_relatedness(fit)
        if kind == "given":
            kernels: Any = {str(chromosome): as_relatedness(kernel) for chromosome, kernel in loco.items()}
            absent = [chromosome for chromosome in chromosomes if chromosome not in kernels]
            if absent:
                raise DataError(
                    f"loco: there is no relatedness for the chromosomes {shown(absent)}; it has {shown(kernels)}."
                )
        else:
            method: Literal["standardized", "centered"] = "centered" if kind == "centered" else "standardized"
            if people.ids not in made:
                made[people.ids] = LocoKernels(source, people.ids, method, _KERNEL_MEMORY, progress)
            kernels = made[people.ids]
        found.append(LocoScanners(fit, name, kernels, tests))
    return found


def _fingerprint(
    fits: Sequence[LmmFit], task: AssociationTask, tests: ScanTests, interaction: str | None, kind: str, loco: Any
) -> dict[str, str]:
    """What a scan must agree in to be continued."""
    who = [part for trait in task.traits for part in (trait.name, trait.people.ids, trait.people.codes)]
    return {
        "null model": digest(*(null_digest(fit) for fit in fits)),
        "traits and people": digest(*who),
        "genotypes": digest(task.source.fingerprint(), task.selected),
        "test": ", ".join(tests.names) + ", exact" * tests.exact,
        "interaction": interaction or "none",
        "precision": tests.precision,
        "min_maf": f"{task.filters.min_maf!r}",
        "max_missing": f"{task.filters.max_missing!r}",
        "relatedness without a chromosome": digest(kind, *_kernel_digests(loco)),
    }


def _kernel_digests(loco: Any) -> list[str]:
    """Of relatedness that is given."""
    if not isinstance(loco, Mapping):
        return []
    return [digest(str(chromosome), kernel_digest(as_relatedness(kernel))) for chromosome, kernel in loco.items()]
