"""One trait of families in a formula, for the analyses whose relatedness terms are their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lmmpy.errors import FormulaError, shown
from lmmpy.formula import Terms, deparse, parse_formula
from lmmpy.formula.syntax import Name, Node
from lmmpy.formula.update import formula_text, random_text
from lmmpy.model import LmmFit
from lmmpy.qtl.families import Families, check_household, check_trait, transformed

__all__ = ["TraitModel", "names_of_others", "read_trait_model", "refuse_slopes"]


@dataclass(frozen=True, eq=False, slots=True)
class TraitModel:
    """Trait, covariates, and random terms that all models of an analysis have.

    Attributes
    ----------
    trait : str
    response : Node
    fixed : Terms
    others : tuple of str
        Further random terms, the household among them.
    household : str or None
        Its term.
    """

    trait: str
    response: Node
    fixed: Terms
    others: tuple[str, ...]
    household: str | None

    def formula(self, terms: Sequence[str], household: bool = True) -> str:
        """The model with some terms besides.

        Parameters
        ----------
        terms : sequence of str
        household : bool
            Whether it has the household, if there is one.
        """
        others = [term for term in self.others if household or term != self.household]
        return formula_text(self.response, self.fixed, [*terms, *others])


def read_trait_model(families: Families, formula: str, transform: str | None) -> TraitModel:
    """
    Read a formula of trait and covariates; adds a transformed trait to the families' frame.

    Parameters
    ----------
    families : Families
    formula : str
    transform : {None, "inormal"}

    Raises
    ------
    FormulaError, DataError, ModelError
        For a formula without trait, or with a relatedness of its own; for a discrete trait.
    """
    if isinstance(formula, str) and "~" not in formula:
        raise FormulaError(f"{formula!r} has no '~'. Write 'trait ~ age + sex', or 'trait ~ 1' without covariates.")
    parsed = parse_formula(formula)
    if parsed.response is None:
        raise FormulaError(f"{formula!r} has no trait. Write it on the left: 'trait ~ age + sex'.")
    if parsed.traits:
        raise FormulaError(f"{formula!r} has several traits; they are what qtl.bivariate and qtl.multivariate analyse.")
    kin = [random_text(term) for term in parsed.random if term.grouping.kin is not None]
    kin += [term.text for term in parsed.functions]
    if kin:
        raise FormulaError(
            f"{shown(kin)} stands in the formula, but the relatedness of this model is the argument pedigree. Leave "
            "the term out, or fit the model you mean with lmm.lmer."
        )
    others, household = [random_text(term) for term in parsed.random], None
    if families.household is not None:
        check_household(families.columns, families.household, families.id, parsed.random)
        household = f"(1 | {families.household_term})"
        others.append(household)
    response, trait = parsed.response, deparse(parsed.response)
    if isinstance(response, Name) and response.id in families.columns:
        check_trait(response.id, families.columns[response.id])
    if transform is not None:
        response = transformed(families.frame, families.columns, response, transform)
    return TraitModel(trait, response, parsed.fixed, tuple(others), household)


def refuse_slopes(fit: LmmFit, own: Sequence[str]) -> None:
    """
    Refuse random slopes of terms that the user added, with which shares differ from person to person.

    Parameters
    ----------
    fit : LmmFit
    own : sequence of str
        Names of the terms that the analysis itself added.

    Raises
    ------
    FormulaError
    """
    slopes = [t.term.text for t in fit.design.random if t.name not in own and t.columns != ("(Intercept)",)]
    if slopes:
        raise FormulaError(f"({slopes[0]}) has random slopes. Use random intercepts here, and lmm.lmer for slopes.")


def names_of_others(fit: LmmFit, families: Families, own: Sequence[str]) -> dict[str, str]:
    """
    The further random terms by what their shares are called: ``c2`` for the household.

    Parameters
    ----------
    fit : LmmFit
    families : Families
    own : sequence of str
    """
    found: dict[str, Any] = {}
    for term in fit.design.random:
        if term.name not in own:
            found["c2" if term.name == families.household_term else term.name] = term.name
    return {name: found[name] for name in sorted(found, key=lambda name: name != "c2")}
