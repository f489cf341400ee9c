"""`sex_specific`: genetic and residual variances by sex, and the genetic correlation between the sexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmmpy.design.values import Categorical, label_of
from lmmpy.errors import DataError, shown
from lmmpy.fitting import Control
from lmmpy.formula import deparse
from lmmpy.formula.syntax import Name
from lmmpy.model import LmmFit
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.qtl.analysis import FamilyAnalysis
from lmmpy.qtl.families import Families, read_families
from lmmpy.qtl.fitting import Options, fit_families, people_used
from lmmpy.qtl.hypotheses import BOUNDARY, INTERIOR, Hypothesis, constrained_loglik, loglik_without, tests_table
from lmmpy.qtl.quantities import Quantity, correlation, effects_table, estimated, quantities_table, quoted, share, total
from lmmpy.qtl.single import TraitModel, names_of_others, read_trait_model, refuse_slopes

__all__ = ["sex_specific"]

_NO_DIFFERENCE: Mapping[int, float] = {2: 0.5, 3: 0.5}


def sex_specific(
    formula: str,
    data: Any,
    pedigree: Any,
    sex: str = "sex",
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
    Estimate and test whether a trait's genetic and residual variances differ between the sexes, by maximum likelihood.

    A man's genetic effect has the variance sd_g[m]², a woman's sd_g[f]², and relatives of different sex the covariance
    rho_g·sd_g[m]·sd_g[f]·A; residuals have a variance for each sex. The same as ``lmm.lmer("trait ~ sex + (0 + sex |
    kin(id, pedigree))", data, residual="diag(0 + sex | 1)", reml=False)`` with ``fit.constrain``. Any factor of two
    levels, such as a treatment that each person had or had not, can stand for sex.

    Parameters
    ----------
    formula : str
        Trait and covariates; sex should be among them, else a difference of the means counts as variance.
    sex : str
        Column of two values.
    data, pedigree, household, transform, id, subset, na_action, interval, level, control
        See `polygenic`.

    Returns
    -------
    FamilyAnalysis
        `estimates` has, by sex, ``h2[male]``, ``c2[male]``, ``sd_g[male]``, ``sd_e[male]``, ``sd[male]``, and
        ``rho_g``. `tests` has ``sd_g`` equal and ``sd_e`` equal (χ²₁), ``rho_g = 1`` (½χ²₀ + ½χ²₁), ``rho_g = 0``
        (χ²₁), and ``no difference``, the three equalities together: the polygenic model (½χ²₂ + ½χ²₃).

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.

    References
    ----------
    Towne, Siervogel & Blangero (1997), Genet. Epidemiol. 14, 1053–1058.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> found = lmm.qtl.sex_specific("bmi ~ age + sex", family, ped)
    >>> print(f'{found.p_value("rho_g = 1"):.2f} {found.p_value("no difference"):.2f}')
    1.00 0.48
    """
    scope = caller_scope()
    options = Options.checked(data, subset, na_action, interval, level, control, scope)
    with warnings_from_caller(stacklevel=2):
        families = read_families(data, pedigree, household, id, name_of(pedigree, scope) or "")
        model = read_trait_model(families, formula, transform)
        factor = _factor(families, sex)
        fit = fit_families(
            model.formula([f"(0 + {factor} | {families.kin()})"]),
            families,
            options,
            residual=f"diag(0 + {factor} | 1)",
        )
        sexes = Sexes.of(fit, families, factor)
        return _analysis(fit, families, model, sexes, options)


def _factor(families: Families, sex: str) -> str:
    """The factor of sex in formulas."""
    if not isinstance(sex, str) or sex not in families.columns:
        raise DataError(families.columns.not_found(sex))
    values = families.columns[sex]
    if isinstance(values, Categorical):
        levels = values.drop_unused().labels
    else:
        levels = sorted({label_of(value) for value in values.tolist()} - {"nan"})
    if len(levels) != 2:
        raise DataError(f"{sex!r} has {len(levels)} values, {shown(levels)}; a sex-specific model is of two.")
    return deparse(Name(sex)) if isinstance(values, Categorical) else f"factor({deparse(Name(sex))})"


@dataclass(frozen=True, slots=True)
class Sexes:
    """Names in the fit.

    Attributes
    ----------
    labels : tuple of str, length 2
        The sexes.
    columns : tuple of str
        Columns of the genetic term.
    strata : tuple of str
        Of the residual.
    genetic : str
        The genetic term.
    others : dict of str to str
        Further terms by the names of their shares.
    """

    labels: tuple[str, ...]
    columns: tuple[str, ...]
    strata: tuple[str, ...]
    genetic: str
    others: dict[str, str]

    @classmethod
    def of(cls, fit: LmmFit, families: Families, factor: str) -> Sexes:
        """Those of a fit.

        Raises
        ------
        DataError
            For people of one sex, or of more than two.
        FormulaError
            For further terms with slopes.
        """
        genetic = families.kin()
        refuse_slopes(fit, (genetic,))
        (term,) = (term for term in fit.design.random if term.name == genetic)
        assert fit.design.residual is not None
        structure = fit.design.residual.structure
        strata = tuple(found.labels[0] for found in structure.reported(structure.start()))
        labels = tuple(column.removeprefix(factor) for column in term.columns)
        if len(labels) != 2:
            raise DataError(
                f"{factor} has {len(labels)} values among the people used, {shown(labels)}; two are needed."
            )
        return cls(labels, term.columns, strata, genetic, names_of_others(fit, families, (genetic,)))

    def variances(self, i: int) -> list[str]:
        """Components of the variance of one sex."""
        return [f"{self.genetic}.{self.columns[i]}", *self.others.values(), f"Residual.{self.strata[i]}"]


def _quantities(sexes: Sexes) -> dict[str, Quantity]:
    found: dict[str, Quantity] = {}
    for i, label in enumerate(sexes.labels):
        parts = sexes.variances(i)
        found[f"h2[{label}]"] = share(parts[0], parts)
        found |= {f"{name}[{label}]": share(term, parts) for name, term in sexes.others.items()}
        found[f"sd_g[{label}]"] = Quantity(f"sqrt({quoted(parts[0])})", (parts[0],), 0.0)
        found[f"sd_e[{label}]"] = Quantity(f"sqrt({quoted(parts[-1])})", (), 0.0)
        found[f"sd[{label}]"] = Quantity(f"sqrt({total(parts)})")
    one, other = (f"{sexes.genetic}.{column}" for column in sexes.columns)
    covariance = f"{sexes.genetic}.{sexes.columns[1]}.{sexes.columns[0]}"
    return {**found, "rho_g": correlation([covariance], [one], [other])}


def _analysis(fit: LmmFit, families: Families, model: TraitModel, sexes: Sexes, options: Options) -> FamilyAnalysis:
    quantities = _quantities(sexes)
    nil = [name for name, value in estimated(fit, quantities).items() if value == 0.0]
    notes = [f"Estimated as zero, where it has no standard error: {', '.join(nil)}."] if nil else []
    return FamilyAnalysis(
        title="Sex-specific polygenic model",
        fit=fit,
        level=options.level,
        estimates=quantities_table(fit, quantities, options.interval, options.level),
        covariates=effects_table(fit, options.level),
        tests=tests_table(fit, _tests(fit, families, model, sexes)),
        n_people=people_used(fit, families),
        n_records=fit.nobs,
        n_pedigree=families.n_pedigree,
        notes=tuple([*families.notes(), *notes]),
    )


def _tests(fit: LmmFit, families: Families, model: TraitModel, sexes: Sexes) -> list[Hypothesis]:
    g, (a, b), (r, s) = sexes.genetic, sexes.columns, sexes.strata
    one, other = sexes.labels
    rho, varies = f"cor_{b}.{a}|{g}", _varies(fit, sexes)
    equal: Sequence[tuple[str, dict[str, Any], Mapping[int, float]]] = (
        (f"sd_g[{one}] = sd_g[{other}]", {f"sd_{b}|{g}": f"sd_{a}|{g}"}, INTERIOR),
        (f"sd_e[{one}] = sd_e[{other}]", {f"sd_{s}|Residual": f"sd_{r}|Residual"}, INTERIOR),
        *([("rho_g = 1", {rho: 1.0}, BOUNDARY), ("rho_g = 0", {rho: 0.0}, INTERIOR)] if varies else []),
    )
    tests = [Hypothesis(name, constrained_loglik(fit, held), weights) for name, held, weights in equal]
    same = loglik_without(fit, model.formula([families.kin()]), residual=None)
    return [*tests, Hypothesis("no difference", same, _NO_DIFFERENCE)]


def _varies(fit: LmmFit, sexes: Sexes) -> bool:
    values = estimated(fit, _quantities(sexes))
    return all(values[f"sd_g[{label}]"] > 0.0 for label in sexes.labels)
