"""Several traits of families as `lmer` reads them: the formula, and the names of the components of its fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lmmpy.errors import FormulaError, ModelError, shown
from lmmpy.formula import Terms, deparse, parse_formula
from lmmpy.formula.syntax import Name
from lmmpy.formula.update import fixed_text, random_text
from lmmpy.model import LmmFit
from lmmpy.qtl.families import Families, check_trait, transformed
from lmmpy.qtl.quantities import Quantity, correlation, quoted, share

__all__ = ["Parts", "TraitStudy", "read_traits_of", "trait_quantities"]

_RESIDUAL = "Residual"


@dataclass(frozen=True, eq=False, slots=True)
class TraitStudy:
    """Traits, and the model of them.

    Attributes
    ----------
    names : tuple of str, length d
    formula : str
    """

    names: tuple[str, ...]
    formula: str


def read_traits_of(families: Families, traits: Any, covariates: Any, transform: Any) -> TraitStudy:
    """
    Read the traits and their covariates; adds transformed traits to the families' frame.

    Parameters
    ----------
    families : Families
    traits : sequence of str
        Columns, or expressions over columns.
    covariates : str or mapping from trait to str
    transform : str, None, or mapping from trait to either

    Returns
    -------
    TraitStudy

    Raises
    ------
    FormulaError, ModelError, DataError
        For fewer than two traits, one twice, a discrete one; for what covariates or transform do not understand.
    """
    if isinstance(traits, str) or not isinstance(traits, Iterable):
        raise FormulaError(f"traits is a list of two or more, such as ['bmi', 'fvii'], not {traits!r}.")
    texts = list(traits)
    wrong = [text for text in texts if not isinstance(text, str)]
    if wrong:
        raise FormulaError(f"traits are names of columns, or expressions as text; {wrong[0]!r} is neither.")
    if len(texts) < 2:
        raise FormulaError(f"traits holds {len(texts)}; an analysis of one trait is qtl.polygenic.")
    names, written = [], []
    for text in texts:
        name, argument = _trait(families, text, _by_trait(transform, text, texts, "transform"))
        names.append(name)
        written.append(argument)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise FormulaError(f"traits has {shown(twice)} twice. Name each trait once.")
    right = _fixed(covariates, names)
    terms = [families.kin()] + ([] if families.household is None else [f"(1 | {families.household_term})"])
    return TraitStudy(tuple(names), f"cbind({', '.join(written)}) ~ {' + '.join([right, *terms])}")


def _trait(families: Families, text: str, transform: str | None) -> tuple[str, str]:
    """A trait's name, and how it stands in cbind()."""
    column = Name(text) if text in families.columns else None
    response = column or (parse_formula(f"{text} ~ 1").response if "~" not in text else None)
    if response is None:
        raise FormulaError(f"{text!r} is no trait. Covariates are an argument of their own.")
    name = response.id if isinstance(response, Name) else deparse(response)
    if isinstance(response, Name) and response.id in families.columns:
        check_trait(response.id, families.columns[response.id])
    if transform is None:
        return name, deparse(response)
    new = transformed(families.frame, families.columns, response, transform)
    return name, f"{deparse(response)} = {deparse(new)}"


def _by_trait(given: Any, trait: str, traits: Sequence[str], what: str) -> Any:
    if not isinstance(given, Mapping):
        return given
    unknown = [key for key in given if key not in traits]
    if unknown:
        raise ModelError(
            f"{what} has {shown(unknown)}, which {'is' if len(unknown) == 1 else 'are'} none of the traits."
        )
    return given.get(trait)


def _fixed(covariates: Any, names: Sequence[str]) -> str:
    """The fixed part: the same covariates for all traits, or each trait's own."""
    if not isinstance(covariates, Mapping):
        fixed, others = _read(covariates, "covariates")
        return " + ".join([fixed_text(fixed), *others])
    parts = ["1"]
    _by_trait(covariates, "", names, "covariates")
    for name in names:
        fixed, others = _read(covariates.get(name, "1"), f"covariates[{name!r}]")
        if others or not fixed.intercept:
            raise FormulaError(
                f"covariates[{name!r}] holds {shown(others) if others else 'no intercept'}; random terms are of all "
                "traits, and each trait has an intercept. Give covariates as one text, or fit the model with lmm.lmer."
            )
        if fixed.terms or fixed.offsets:
            parts.append(f"at({deparse(Name(name))}, {fixed_text(fixed)})")
    return " + ".join(parts)


def _read(text: Any, what: str) -> tuple[Terms, list[str]]:
    if not isinstance(text, str):
        raise FormulaError(f"{what} must be text such as 'age + sex', or '1' for none, not {text!r}.")
    if "~" in text.strip()[1:]:
        raise FormulaError(f"{what} is {text!r}; it takes the right side alone, such as 'age + sex'.")
    parsed = parse_formula("~ " + text.strip().removeprefix("~"))
    kin = [random_text(term) for term in parsed.random if term.grouping.kin is not None]
    if kin:
        raise FormulaError(
            f"{shown(kin)} stands in {what}, but the relatedness is the argument pedigree. Leave it out."
        )
    return parsed.fixed, [random_text(term) for term in parsed.random]


@dataclass(frozen=True, slots=True)
class Parts:
    """The random terms and the residual of a fit of traits.

    Attributes
    ----------
    genetic : str
        The term of the relatedness.
    household : str or None
    others : tuple of str
    """

    genetic: str
    household: str | None
    others: tuple[str, ...]

    @classmethod
    def of(cls, fit: LmmFit, families: Families) -> Parts:
        """Those of a fit.

        Raises
        ------
        FormulaError
            For random slopes, with which shares differ from person to person.
        """
        d = 0 if fit.design.traits is None else len(fit.design.traits.names)
        slopes = [term.term.text for term in fit.design.random if term.k > d]
        if slopes:
            raise FormulaError(f"({slopes[0]}) has random slopes. Use random intercepts here, and lmm.lmer for slopes.")
        names = [term.name for term in fit.design.random]
        known = (families.kin(), families.household_term)
        return cls(families.kin(), families.household_term, tuple(name for name in names if name not in known))

    @property
    def all(self) -> tuple[str, ...]:
        """Names of all, the residual last."""
        house = () if self.household is None else (self.household,)
        return (self.genetic, *house, *self.others, _RESIDUAL)

    @property
    def letters(self) -> dict[str, str]:
        """What the share and the correlation of each are called by: "g", "c", "e"."""
        letters = {self.genetic: "g", _RESIDUAL: "e"} | dict.fromkeys(self.others, "")
        letters |= {} if self.household is None else {self.household: "c"}
        return {part: letters[part] or part for part in self.all}

    def variances(self, trait: str) -> list[str]:
        """Components of a trait's variance."""
        return [f"{part}.{trait}" for part in self.all]

    def covariances(self, one: str, other: str) -> list[str]:
        """Components of two traits' covariance, the earlier first."""
        return [f"{part}.{other}.{one}" for part in self.all]


def trait_quantities(parts: Parts, traits: Sequence[str]) -> dict[str, Quantity]:
    """
    Shares by trait, total standard deviations, correlations by part, and the phenotypic ones.

    Parameters
    ----------
    parts : Parts
    traits : sequence of str

    Returns
    -------
    dict
        ``h2[bmi]``, ``c2[bmi]``, ``e2[bmi]``, ``sd[bmi]``, …; ``rho_g``, ``rho_c``, ``rho_e``, ``rho_p`` of two traits,
        ``rho_g[bmi, fvii]`` of more.
    """
    found = {}
    for part, letter in parts.letters.items():
        name = {"g": "h2", "c": "c2", "e": "e2"}.get(letter, letter)
        for trait in traits:
            found[f"{name}[{trait}]"] = share(f"{part}.{trait}", parts.variances(trait))
    for trait in traits:
        variance = " + ".join(map(quoted, parts.variances(trait)))
        found[f"sd[{trait}]"] = Quantity(f"sqrt({variance})")
    for letter in (*parts.letters.values(), "p"):
        for one, other in combinations(traits, 2):
            found[_rho(letter, one, other, len(traits))] = _correlation(parts, letter, one, other)
    return found


def _rho(letter: str, one: str, other: str, d: int) -> str:
    return f"rho_{letter}" if d == 2 else f"rho_{letter}[{one}, {other}]"


def _correlation(parts: Parts, letter: str, one: str, other: str) -> Quantity:
    sums = parts.covariances(one, other), parts.variances(one), parts.variances(other)
    if letter == "p":
        return correlation(*sums)
    place = list(parts.letters.values()).index(letter)
    return correlation(*([column[place]] for column in sums))
