"""`decompose`: one trait's variance in shares of several relatednesses; and `parent_of_origin`, which is one such."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lmmpy.errors import DataError, ModelError, shown
from lmmpy.fitting import Control
from lmmpy.inference.lrt import regression_loglik
from lmmpy.model import LmmFit
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.qtl.analysis import FamilyAnalysis
from lmmpy.qtl.families import Families, own_name, read_families
from lmmpy.qtl.fitting import Options, fit_families, people_used
from lmmpy.qtl.hypotheses import BOUNDARY, INTERIOR, Hypothesis, constrained_loglik, loglik_without, tests_table
from lmmpy.qtl.quantities import Quantity, effects_table, estimated, quantities_table, share, total
from lmmpy.qtl.single import TraitModel, names_of_others, read_trait_model, refuse_slopes
from lmmpy.relatedness import Pedigree, Relatedness
from lmmpy.relatedness.convert import as_relatedness

__all__ = ["decompose", "parent_of_origin"]

_KERNELS = ("additive", "dominance", "x_linked", "maternal", "paternal")
_SHARES = {"additive": "h2", "dominance": "d2", "x_linked": "x2", "maternal": "m2", "paternal": "p2"}


def decompose(
    formula: str,
    data: Any,
    pedigree: Any,
    effects: Iterable[str] | Mapping[str, Any] = ("additive", "dominance"),
    household: str | None = None,
    *,
    transform: str | None = None,
    id: str | None = None,
    subset: Any = None,
    na_action: str = "omit",
    interval: str = "wald",
    level: float = 0.95,
    control: Control | None = None,
) -> FamilyAnalysis:
    """
    Part the variance of a trait among several kinds of genetic effects, by maximum likelihood, and test each.

    The covariance of the trait, given the covariates, is Σ_k σ_k² K_k + σ_c² H + σ_e² I. The K_k are relatednesses of a
    pedigree, entrywise products of them for interactions between loci, or others that are given. The same as
    ``lmm.lmer("trait ~ covariates + kin(id, A) + kin(id, D)", data, reml=False)`` with ``A = pedigree.additive()``,
    ``D = pedigree.dominance()``, ``AA = A * A``.

    Dominance, and epistasis even more, look like a shared environment of sibs; name the household.

    Parameters
    ----------
    formula : str
        Trait and covariates; further random intercepts get a share each.
    data : pandas or polars DataFrame, or a mapping of arrays
    pedigree : Pedigree, Relatedness or square labelled DataFrame
        Of everybody in `data`. Anything but a Pedigree has additive effects and their products alone.
    effects : sequence of str, or mapping from str to relatedness
        Of ``"additive"``, ``"dominance"``, ``"x_linked"``, ``"maternal"``, ``"paternal"``; with a colon the product of
        two: ``"additive:additive"``, ``"additive:dominance"``. A mapping gives each relatedness by the name of its
        share; None in it stands for the one of that name.
    household, transform, id, subset, na_action, interval, level, control
        See `polygenic`.

    Returns
    -------
    FamilyAnalysis
        `estimates` has the shares, ``h2`` of additive effects, ``d2`` of dominance, ``x2``, ``m2``, ``p2``,
        ``additive:additive`` and so on, ``c2``, ``e2``, and ``sd``, the root of the sum of the variances; `tests` has
        each for zero, by ½χ²₀ + ½χ²₁ against the model without it.

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.

    References
    ----------
    Cockerham (1954), Genetics 39, 859–882; Kempthorne (1954), Proc. R. Soc. B 143, 103–113.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> found = lmm.qtl.decompose("bmi ~ age + sex", family, ped, ["additive", "dominance"])
    >>> found.estimates.set_index("parameter")["estimate"].round(2).head(3).to_dict()
    {'h2': 0.74, 'd2': 0.0, 'e2': 0.26}
    """
    scope = caller_scope()
    options = Options.checked(data, subset, na_action, interval, level, control, scope)
    with warnings_from_caller(stacklevel=2):
        families = read_families(data, pedigree, household, id, name_of(pedigree, scope) or "")
        model = read_trait_model(families, formula, transform)
        kernels = Kernels.of(families, effects)
        found = fit_families(model.formula(kernels.terms), families, options, kernels.relmat)
        return _analysis("Variance decomposition", found, families, model, kernels, options)


def parent_of_origin(
    formula: str,
    data: Any,
    pedigree: Pedigree,
    household: str | None = None,
    *,
    additive: bool = False,
    transform: str | None = None,
    id: str | None = None,
    subset: Any = None,
    na_action: str = "omit",
    interval: str = "wald",
    level: float = 0.95,
    control: Control | None = None,
) -> FamilyAnalysis:
    """
    Estimate how much of a trait's variance alleles account for that came from the mother, and from the father.

    The covariance is σ_m² M + σ_p² P + σ_c² H + σ_e² I, M_ij the probability that i's allele from the mother and j's
    from the mother are identical by descent, P the same of fathers (see `Pedigree.maternal`). Imprinted genes are
    expressed from one of the two only. The same as ``lmm.lmer("trait ~ covariates + kin(id, M) + kin(id, P)",
    data, reml=False)``, and ``fit.constrain`` with the one standard deviation tied to the other.

    Parameters
    ----------
    formula, data, household, transform, id, subset, na_action, interval, level, control
        See `polygenic`.
    pedigree : Pedigree
    additive : bool
        Whether genes that are expressed from both alleles have a share as well, by A.

    Returns
    -------
    FamilyAnalysis
        `estimates` has ``m2``, ``p2``, ``h2`` with `additive`, ``c2``, ``e2`` and ``sd``. `tests` has each for zero
        (½χ²₀ + ½χ²₁), and ``m2 = p2`` (χ²₁).

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.

    References
    ----------
    Shete, Zhou & Amos (2003), Am. J. Hum. Genet. 73, 933–938.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> found = lmm.qtl.parent_of_origin("bmi ~ age + sex", family, ped)
    >>> found.estimates.set_index("parameter")["estimate"].round(2).head(3).to_dict()
    {'m2': 0.55, 'p2': 0.15, 'e2': 0.29}
    """
    scope = caller_scope()
    options = Options.checked(data, subset, na_action, interval, level, control, scope)
    if not isinstance(pedigree, Pedigree):
        raise DataError(f"Who an allele came from is known of a Pedigree, not of a {type(pedigree).__name__}.")
    with warnings_from_caller(stacklevel=2):
        families = read_families(data, pedigree, household, id, name_of(pedigree, scope) or "")
        model = read_trait_model(families, formula, transform)
        kernels = Kernels.of(families, ("maternal", "paternal", *(("additive",) if additive else ())))
        fit = fit_families(model.formula(kernels.terms), families, options, kernels.relmat)
        tied = {f"sd_(Intercept)|{kernels.terms[0]}": f"sd_(Intercept)|{kernels.terms[1]}"}
        equal = Hypothesis("m2 = p2", constrained_loglik(fit, tied), INTERIOR)
        return _analysis("Parent-of-origin model", fit, families, model, kernels, options, (equal,))


@dataclass(frozen=True, eq=False, slots=True)
class Kernels:
    """The relatednesses of a decomposition.

    Attributes
    ----------
    shares : tuple of str
        What each share is called.
    terms : tuple of str
        The terms in the formula, which are also their names in the fit.
    relmat : dict of str to Relatedness
    """

    shares: tuple[str, ...]
    terms: tuple[str, ...]
    relmat: dict[str, Relatedness]

    @classmethod
    def of(cls, families: Families, effects: Any) -> Kernels:
        """Read `effects`; see `decompose`."""
        given = dict(effects) if isinstance(effects, Mapping) else _by_name(effects)
        if not given:
            raise ModelError(f"effects names none. There are {shown(_KERNELS)} and products, as additive:additive.")
        relmat: dict[str, Relatedness] = {}
        for effect, kernel in given.items():
            name = own_name(effect.replace(":", "_by_"), families.columns, f"kernel{len(relmat) + 1}")
            while name in relmat:
                name += "_"
            relmat[name] = _kernel(families, effect) if kernel is None else as_relatedness(kernel)
        terms = tuple(families.kin(name) for name in relmat)
        return cls(tuple(_SHARES.get(effect, effect) for effect in given), terms, relmat)


def _by_name(effects: Any) -> dict[str, None]:
    names = [effects] if isinstance(effects, str) else list(effects)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice or not all(isinstance(name, str) for name in names):
        raise ModelError(f"effects holds {shown(twice or names)}; name each kind of effect once, as text.")
    return dict.fromkeys(names)


def _kernel(families: Families, effect: str) -> Relatedness:
    """The relatedness of a kind of effect, or the product of two."""
    parts = effect.split(":")
    unknown = [part for part in parts if part not in _KERNELS]
    if unknown or len(parts) > 2:
        raise ModelError(
            f"effects: {effect!r} is not understood. There are {shown(_KERNELS)}, and with a colon products of two; "
            "a mapping from names to relatednesses has any others."
        )
    if parts != ["additive"] * len(parts) and families.pedigree is None:
        raise DataError(f"effects: {effect!r} needs a Pedigree; from a matrix there are additive effects alone.")
    kernels = [families.relatedness if part == "additive" else getattr(families.pedigree, part)() for part in parts]
    return kernels[0] if len(kernels) == 1 else kernels[0].hadamard(kernels[1])


def _analysis(
    title: str,
    fit: LmmFit,
    families: Families,
    model: TraitModel,
    kernels: Kernels,
    options: Options,
    more: tuple[Hypothesis, ...] = (),
) -> FamilyAnalysis:
    refuse_slopes(fit, kernels.terms)
    names = dict(zip(kernels.shares, kernels.terms, strict=True)) | names_of_others(fit, families, kernels.terms)
    quantities = _shares(names)
    return FamilyAnalysis(
        title=title,
        fit=fit,
        level=options.level,
        estimates=quantities_table(fit, quantities, options.interval, options.level),
        covariates=effects_table(fit, options.level),
        tests=tests_table(fit, [*_each_absent(fit, model, kernels), *more]),
        n_people=people_used(fit, families),
        n_records=fit.nobs,
        n_pedigree=families.n_pedigree,
        notes=tuple([*families.notes(), *_notes(fit, quantities)]),
    )


def _shares(names: Mapping[str, str]) -> dict[str, Quantity]:
    parts = [*names.values(), "Residual"]
    found = {name: share(part, parts) for name, part in names.items()}
    return {**found, "e2": share("Residual", parts), "sd": Quantity(f"sqrt({total(parts)})")}


def _each_absent(fit: LmmFit, model: TraitModel, kernels: Kernels) -> list[Hypothesis]:
    """The model without each of the relatednesses, and without the household."""
    tests = []
    for name, term in zip(kernels.shares, kernels.terms, strict=True):
        left = [other for other in kernels.terms if other != term]
        if left or model.others:
            loglik = loglik_without(fit, model.formula(left))
        else:
            loglik = regression_loglik(fit.design, reml=False)
        tests.append(Hypothesis(f"{name} = 0", loglik, BOUNDARY))
    if model.household is not None:
        alone = loglik_without(fit, model.formula(kernels.terms, household=False))
        tests.append(Hypothesis("c2 = 0", alone, BOUNDARY))
    return tests


def _notes(fit: LmmFit, quantities: Mapping[str, Quantity]) -> list[str]:
    nil = [name for name, value in estimated(fit, quantities).items() if value == 0.0]
    if not nil:
        return []
    return [f"Estimated as zero, where a share has no standard error: {', '.join(nil)}; interval='profile' bounds it."]
