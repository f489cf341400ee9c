"""`maternal_effects`: direct and maternal genetic effects, their covariance, and what else a mother gives."""

from __future__ import annotations

from typing import Any

from lmmpy.errors import DataError, ModelError
from lmmpy.fitting import Control
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.qtl.families import read_families
from lmmpy.qtl.fitting import Options, fit_families, people_used
from lmmpy.qtl.hypotheses import BOUNDARY, INTERIOR, TWO_OF_WHICH_ONE, Hypothesis, tests_table
from lmmpy.qtl.maternal_result import MaternalEffects, MaternalFit
from lmmpy.qtl.mothers import Mothers, read_mothers
from lmmpy.qtl.quantities import Quantity, effects_table, estimated, quantities_table, quoted
from lmmpy.qtl.single import TraitModel, names_of_others, read_trait_model, refuse_slopes
from lmmpy.relatedness import Pedigree

__all__ = ["maternal_effects"]


def maternal_effects(
    formula: str,
    data: Any,
    pedigree: Pedigree,
    dam: str | None = None,
    household: str | None = None,
    *,
    permanent: bool = True,
    transform: str | None = None,
    id: str | None = None,
    subset: Any = None,
    na_action: str = "omit",
    interval: str = "wald",
    level: float = 0.95,
    control: Control | None = None,
) -> MaternalEffects:
    """
    Estimate direct and maternal genetic effects of a trait and their covariance, by maximum likelihood, and test them.

    The trait of i, reared by the mother d, is Xβ + a_i + m_d + p_d + e_i. Each individual has the effect a of its genes
    on itself and the effect m of its genes on its children, Cov(a, m) = G ⊗ A with a covariance G_am; p is what the
    mother gives besides, the same to all her children. Without p, a covariance and mothers of several children,
    ``lmm.lmer("trait ~ x + kin(id, ped) + kin(dam, ped)", data, reml=False)`` is the same.

    Parameters
    ----------
    formula : str
        Trait and covariates; further random intercepts get a share each.
    pedigree : Pedigree
        Of everybody in `data`. Who has no known mother there has one of his own, a founder.
    dam : str, optional
        Column that says who reared each; by default the mothers in the pedigree. Missing or 0 is somebody unrelated.
    permanent : bool
        Whether mothers have an effect p that is not genetic.
    data, household, transform, id, subset, na_action, interval, level, control
        See `polygenic`.

    Returns
    -------
    MaternalEffects
        `estimates` has shares of the variance of somebody not inbred, G_aa + G_mm + G_am + σ_p² + σ_e²: ``h2`` of
        direct effects, ``m2`` of maternal, ``pe2`` of permanent ones, ``c2``, ``e2``; ``rho_am``, ``sd``; ``h2_total``,
        (G_aa + 1.5 G_am + 0.5 G_mm) over the variance (Willham 1972). `tests` has ``rho_am = 0`` (χ²₁), ``m2 = 0`` and
        ``h2 = 0``, each with its covariance (½χ²₁ + ½χ²₂), and ``pe2 = 0`` (½χ²₀ + ½χ²₁).

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.

    Notes
    -----
    Relationships are used as a dense matrix, family by family: not for tens of thousands of related animals.

    References
    ----------
    Willham (1963), Biometrics 19, 18–27; Willham (1972), J. Anim. Sci. 35, 1288–1293.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> found = lmm.qtl.maternal_effects("bmi ~ age + sex", family, ped)
    >>> found.estimates.set_index("parameter")["estimate"].round(2).head(3).to_dict()
    {'h2': 0.7, 'm2': 0.0, 'rho_am': 1.0}
    """
    scope = caller_scope()
    options = Options.checked(data, subset, na_action, interval, level, control, scope)
    if not isinstance(pedigree, Pedigree):
        raise DataError(f"Who the mothers are is known of a Pedigree, not of a {type(pedigree).__name__}.")
    if not isinstance(permanent, bool):
        raise ModelError(f"permanent must be True or False, not {permanent!r}.")
    with warnings_from_caller(stacklevel=2):
        families = read_families(data, pedigree, household, id, name_of(pedigree, scope) or "")
        model = read_trait_model(families, formula, transform)
        mothers = read_mothers(families, dam)
        return _Analysis(model, mothers, options, permanent).result()


class _Analysis:
    """The fits of an analysis, all of the rows of the first."""

    def __init__(self, model: TraitModel, mothers: Mothers, options: Options, permanent: bool) -> None:
        self.model, self.mothers, self.options, self.permanent = model, mothers, options, permanent
        # Without maternal genes; its design has all but the joint effects.
        self.direct = self._plain(mothers.direct, permanent)
        refuse_slopes(self.direct, (mothers.direct, mothers.term))
        self.full = self._joint(permanent)

    def _plain(self, kin: str, permanent: bool) -> Any:
        families = self.mothers.families
        terms = [kin, *([f"(1 | {self.mothers.term})"] if permanent else [])]
        return fit_families(
            self.model.formula(terms), families, self.options, {self.mothers.name: self.mothers.relatedness}
        )

    def _joint(self, permanent: bool, covaries: bool = True) -> MaternalFit:
        base = self.direct if permanent == self.permanent else self._plain(self.mothers.direct, permanent)
        return MaternalFit.of(base, self.mothers, covaries)

    def result(self) -> MaternalEffects:
        """Everything that is asked for."""
        fit, families = self.full, self.mothers.families
        quantities = self._quantities()
        nil = [name for name, value in estimated(fit, quantities).items() if value == 0.0 and name != "rho_am"]
        notes = [f"Estimated as zero, where it has no standard error: {', '.join(nil)}."] if nil else []
        if self.mothers.unknown:
            notes.append(f"{self.mothers.unknown} people have no known mother; each has one of his own.")
        return MaternalEffects(
            title="Model of direct and maternal effects",
            fit=fit,
            level=self.options.level,
            estimates=quantities_table(fit, quantities, self.options.interval, self.options.level),
            covariates=effects_table(fit, self.options.level),
            tests=tests_table(fit, self._tests()),
            n_people=people_used(fit, families),
            n_records=fit.nobs,
            n_pedigree=families.n_pedigree,
            notes=tuple([*families.notes(), *notes]),
            mothers=self.mothers,
        )

    def _quantities(self) -> dict[str, Quantity]:
        joint = self.mothers.direct
        a, m = quoted(f"{joint}.direct"), quoted(f"{joint}.maternal")
        both = f"{quoted(f'{joint}.relative.maternal.direct')} * {quoted('Residual')}"
        own = (joint, self.mothers.term)
        others = {"pe2": self.mothers.term} if self.permanent else {}
        others |= names_of_others(self.full, self.mothers.families, own)
        parts = [a, m, both, *map(quoted, others.values()), quoted("Residual")]
        whole = " + ".join(parts)
        names = f"{joint}.direct", f"{joint}.maternal"
        found = {
            "h2": Quantity(f"{a} / ({whole})", names[:1], 0.0),
            "m2": Quantity(f"{m} / ({whole})", names[1:], 0.0),
            "rho_am": Quantity(f"{both} / sqrt({a} * {m})", names, -1.0, 1.0),
        }
        found |= {name: Quantity(f"{quoted(term)} / ({whole})", (term,), 0.0) for name, term in others.items()}
        return {
            **found,
            "e2": Quantity(f"{quoted('Residual')} / ({whole})", (), 0.0),
            "sd": Quantity(f"sqrt({whole})", (), 0.0),
            "h2_total": Quantity(f"({a} + 1.5 * {both} + 0.5 * {m}) / ({whole})"),
        }

    def _tests(self) -> list[Hypothesis]:
        tests = [
            Hypothesis("rho_am = 0", self._joint(self.permanent, covaries=False).loglik, INTERIOR),
            Hypothesis("m2 = 0", self.direct.loglik, TWO_OF_WHICH_ONE),
            Hypothesis("h2 = 0", self._plain(self.mothers.maternal, self.permanent).loglik, TWO_OF_WHICH_ONE),
        ]
        if self.permanent:
            tests.append(Hypothesis("pe2 = 0", self._joint(permanent=False).loglik, BOUNDARY))
        return tests
