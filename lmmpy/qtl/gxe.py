"""`gene_by_environment`: genetic variances and correlations that change with an environment, such as age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design.values import Categorical, Floats
from lmmpy.errors import DataError, ModelError
from lmmpy.fitting import Control
from lmmpy.formula import deparse
from lmmpy.formula.syntax import Name
from lmmpy.model import LmmFit
from lmmpy.model.assemble import warnings_from_caller
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.qtl.analysis import FamilyAnalysis
from lmmpy.qtl.families import Families, read_families
from lmmpy.qtl.fitting import Options, fit_families, people_used
from lmmpy.qtl.hypotheses import (
    BOUNDARY,
    INTERIOR,
    TWO_OF_WHICH_ONE,
    Hypothesis,
    constrained_loglik,
    loglik_without,
    tests_table,
)
from lmmpy.qtl.quantities import Quantity, effects_table, estimated, quantities_table, quoted
from lmmpy.qtl.single import TraitModel, names_of_others, read_trait_model, refuse_slopes

__all__ = ["gene_by_environment"]

_QUANTILES = (0.1, 0.5, 0.9)


def gene_by_environment(
    formula: str,
    data: Any,
    pedigree: Any,
    environment: str,
    household: str | None = None,
    *,
    form: str = "exponential",
    residual: str | Sequence[float] = "exponential",
    at: Sequence[float] | None = None,
    transform: str | None = None,
    id: str | None = None,
    subset: Any = None,
    na_action: str = "omit",
    interval: str = "wald",
    level: float = 0.95,
    control: Control | None = None,
) -> FamilyAnalysis:
    """
    Estimate and test how a trait's genetic variance and correlation change with age or another environment, by ML.

    With ``form="exponential"`` people at the environments a and b have the genetic covariance √(v(a)v(b))·ρ(a, b)·A,
    v(a) = sd_g² exp(gamma_g (a − ā)), ``ρ(a, b) = exp(−lambda |a − b|)``, ā the mean; with ``"linear"`` each person has
    a genetic intercept and slope. The same as ``lmm.lmer("trait ~ age + exp(age | kin(id, pedigree))", data,
    residual="varexp(age)", reml=False)``, and with ``(age | kin(id, pedigree))``.

    Parameters
    ----------
    formula : str
        Trait and covariates; the environment should be among them.
    environment : str
        Column of numbers.
    form : {"exponential", "linear"}
    residual : {"exponential", "constant"} or sequence of float
        Whether the residual variance is sd_e² exp(gamma_e (a − ā)), or the same everywhere, or, below, between and
        above the numbers of a sequence, that of the stratum.
    at : sequence of float, optional
        Environments for which to report variances, heritabilities and genetic correlations; by default the first,
        fifth and ninth deciles.
    data, pedigree, household, transform, id, subset, na_action, interval, level, control
        See `polygenic`.

    Returns
    -------
    FamilyAnalysis
        `estimates` has of the exponential form ``sd_g``, ``gamma_g``, ``lambda``; of the residual ``sd_e`` at ā,
        ``gamma_e``; then ``sd_g[a]``, ``sd_e[a]``, ``h2[a]`` and ``rho_g[a, b]``. `tests` has ``gamma_g = 0`` (χ²₁),
        ``lambda = 0`` (½χ²₀ + ½χ²₁) and ``no interaction``, both (½χ²₁ + ½χ²₂); of the linear form ``|rho_g| = 1``, a
        perfect correlation of all environments (½χ²₀ + ½χ²₁), and ``no interaction``, no slope (½χ²₁ + ½χ²₂); and
        ``gamma_e = 0`` (χ²₁), or equal strata.

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.

    References
    ----------
    Blangero (2009), Hum. Biol. 81, 525–546; Diego, Almasy, Dyer, Soler & Blangero (2003), BMC Genet. 4, S34.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> found = lmm.qtl.gene_by_environment("fvii ~ age + sex", family, ped, "age", at=[20, 60])
    >>> print(f'{found.p_value("gamma_e = 0"):.4f}')
    0.0481
    """
    scope = caller_scope()
    options = Options.checked(data, subset, na_action, interval, level, control, scope)
    if form not in ("exponential", "linear"):
        raise ModelError(f"form is 'exponential' or 'linear', not {form!r}.")
    with warnings_from_caller(stacklevel=2):
        families = read_families(data, pedigree, household, id, name_of(pedigree, scope) or "")
        model = read_trait_model(families, formula, transform)
        _check_environment(families, environment)
        spread = _spread(families, environment, residual)
        e = deparse(Name(environment))
        term = f"exp({e} | {families.kin()})" if form == "exponential" else f"({e} | {families.kin()})"
        fit = fit_families(model.formula([term]), families, options, residual=spread.text)
        there = _environments(families.frame.loc[fit.design.rows, environment].to_numpy(dtype=float), at)
        parts = (
            _Exponential.of(fit, families, e, spread) if form == "exponential" else _Linear.of(fit, families, e, spread)
        )
        return _analysis(fit, families, model, parts, there, options)


def _check_environment(families: Families, environment: Any) -> None:
    if not isinstance(environment, str) or environment not in families.columns:
        raise DataError(families.columns.not_found(environment))
    values = families.columns[environment]
    if isinstance(values, Categorical) or values.dtype.kind not in "iuf":
        raise DataError(f"{environment!r} holds no numbers. Of an environment with two values see qtl.sex_specific.")


def _environments(values: Floats, at: Any) -> list[float]:
    if at is None:
        return sorted({float(f"{q:.3g}") for q in np.quantile(values, _QUANTILES)})
    found = [float(a) for a in np.atleast_1d(np.asarray(at, dtype=float))]
    if not found or not np.isfinite(found).all():
        raise ModelError(f"at is a sequence of numbers, environments to report, not {at!r}.")
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class _Spread:
    """
    How the residual variance changes with the environment.

    Attributes
    ----------
    text : str or None
        As `lmer` takes it.
    kind : {"exponential", "constant", "strata"}
    bounds : tuple of float
        Between strata.
    labels : tuple of str
        Of the strata.
    """

    text: str | None
    kind: str
    bounds: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()

    def at(self, a: float) -> str:
        """The residual variance at an environment."""
        if self.kind == "constant":
            return quoted("Residual")
        if self.kind == "exponential":
            return f"{quoted('Residual')} * exp(2 * {quoted('Residual.rate')} * {_number(a)})"
        return quoted(f"Residual.{self.labels[int(np.searchsorted(self.bounds, a, side='right'))]}")


def _spread(families: Families, environment: str, residual: Any) -> _Spread:
    """Read `residual`; adds the strata to the families' frame."""
    if isinstance(residual, str):
        if residual not in ("exponential", "constant"):
            raise ModelError(f"residual is 'exponential', 'constant' or the bounds of strata, not {residual!r}.")
        text = f"varexp({deparse(Name(environment))})" if residual == "exponential" else None
        return _Spread(text, residual)
    try:
        bounds = np.unique(np.asarray(residual, dtype=float).ravel())
    except (TypeError, ValueError):
        bounds = np.empty(0)
    if not len(bounds) or not np.isfinite(bounds).all():
        raise ModelError(f"residual is 'exponential', 'constant' or the bounds of strata, not {residual!r}.")
    name = f"{environment}_stratum"
    if name in families.columns:
        raise DataError(f"There already is a column {name!r}, in which the strata would be. Rename it.")
    values = families.frame[environment].to_numpy(dtype=float, na_value=np.nan)
    ends = [f"{bound:g}" for bound in bounds]
    labels = (f"below_{ends[0]}", *(f"from_{end}" for end in ends))
    codes = np.where(np.isnan(values), -1, np.searchsorted(bounds, values, side="right"))
    families.frame[name] = pd.Categorical.from_codes(codes.tolist(), pd.Index(labels))
    return _Spread(f"diag(0 + {deparse(Name(name))} | 1)", "strata", tuple(bounds.tolist()), labels)


def _number(a: float) -> str:
    return f"({float(a)!r})"


@dataclass(frozen=True, slots=True)
class _Model:
    """What both forms share.

    Attributes
    ----------
    term : str
        Of the genetic effects, as the fit names it.
    environment : str
        As formulas have it.
    mean : float
        Of the environment.
    spread : _Spread
    others : dict of str to str
        Further terms by the names of their shares.
    """

    term: str
    environment: str
    mean: float
    spread: _Spread
    others: dict[str, str]

    def covariance(self, a: float, b: float) -> str:
        """The genetic covariance of one person's trait at two environments."""
        raise NotImplementedError

    def own(self) -> dict[str, Quantity]:
        """The parameters of the form."""
        raise NotImplementedError

    def own_tests(self, fit: LmmFit) -> list[Hypothesis]:
        """Hypotheses about them."""
        raise NotImplementedError

    def quantities(self, there: Sequence[float]) -> dict[str, Quantity]:
        """All that is estimated."""
        found = {**self.own(), "sd_e": Quantity(f"sqrt({self.spread.at(self.mean)})", (), 0.0)}
        if self.spread.kind == "exponential":
            found["gamma_e"] = Quantity(f"2 * {quoted('Residual.rate')}")
        for a in there:
            g, e = self.covariance(a, a), self.spread.at(a)
            all_parts = " + ".join([g, *map(quoted, self.others.values()), e])
            found[f"sd_g[{a:g}]"] = Quantity(f"sqrt({g})", (), 0.0)
            found[f"sd_e[{a:g}]"] = Quantity(f"sqrt({e})", (), 0.0)
            found[f"h2[{a:g}]"] = Quantity(f"({g}) / ({all_parts})", (), 0.0, 1.0)
        for a, b in combinations(there, 2):
            text = f"({self.covariance(a, b)}) / sqrt(({self.covariance(a, a)}) * ({self.covariance(b, b)}))"
            found[f"rho_g[{a:g}, {b:g}]"] = Quantity(text, (), -1.0, 1.0)
        return found


class _Exponential(_Model):
    __slots__ = ()

    @classmethod
    def of(cls, fit: LmmFit, families: Families, environment: str, spread: _Spread) -> _Exponential:
        (function,) = fit.design.functions
        refuse_slopes(fit, ())
        others = names_of_others(fit, families, ())
        return cls(function.name, environment, float(function.structure.centre), spread, others)  # type: ignore[attr-defined]

    def covariance(self, a: float, b: float) -> str:
        rate, decay = quoted(f"{self.term}.rate"), quoted(f"{self.term}.decay")
        apart = f" - {decay} * {_number(abs(a - b))}" if a != b else ""
        return f"{quoted(self.term)} * exp({rate} * {_number(0.5 * (a + b) - self.mean)}{apart})"

    def own(self) -> dict[str, Quantity]:
        return {
            "sd_g": Quantity(f"sqrt({quoted(self.term)})", (self.term,), 0.0),
            "gamma_g": Quantity(quoted(f"{self.term}.rate"), (self.term,)),
            "lambda": Quantity(quoted(f"{self.term}.decay"), (self.term,), 0.0),
        }

    def own_tests(self, fit: LmmFit) -> list[Hypothesis]:
        nil = estimated(fit, self.own())["sd_g"] == 0.0
        tests = (("gamma_g", "rate", INTERIOR), ("lambda", "decay", BOUNDARY))
        return [
            Hypothesis(f"{name} = 0", np.nan if nil else constrained_loglik(fit, {f"{key}|{self.term}": 0.0}), weights)
            for name, key, weights in tests
        ]


class _Linear(_Model):
    __slots__ = ()

    @classmethod
    def of(cls, fit: LmmFit, families: Families, environment: str, spread: _Spread) -> _Linear:
        own = (families.kin(),)
        refuse_slopes(fit, own)
        (term,) = (term for term in fit.design.random if term.name == families.kin())
        mean = float(term.values[:, 1].mean())
        return cls(families.kin(), environment, mean, spread, names_of_others(fit, families, own))

    def covariance(self, a: float, b: float) -> str:
        base, slope = f"{self.term}.(Intercept)", f"{self.term}.{self.environment}"
        both = f"{self.term}.{self.environment}.(Intercept)"
        return f"{quoted(base)} + {_number(a + b)} * {quoted(both)} + {_number(a * b)} * {quoted(slope)}"

    def own(self) -> dict[str, Quantity]:
        return {"sd_g": Quantity(f"sqrt({self.covariance(self.mean, self.mean)})", (), 0.0)}

    def own_tests(self, fit: LmmFit) -> list[Hypothesis]:
        name = f"cor_{self.environment}.(Intercept)|{self.term}"
        loglik = max(constrained_loglik(fit, {name: end}) for end in (1.0, -1.0))
        return [Hypothesis("|rho_g| = 1", loglik, BOUNDARY)]


def _analysis(
    fit: LmmFit, families: Families, model: TraitModel, parts: _Model, there: Sequence[float], options: Options
) -> FamilyAnalysis:
    quantities = parts.quantities(there)
    kin = families.kin()
    tests = parts.own_tests(fit)
    tests.append(Hypothesis("no interaction", loglik_without(fit, model.formula([kin])), TWO_OF_WHICH_ONE))
    if parts.spread.text is not None:
        same = loglik_without(fit, fit.formula, residual=None)
        strata = len(parts.spread.labels) - 1
        tests.append(
            Hypothesis("equal strata", same, {strata: 1.0}) if strata > 0 else Hypothesis("gamma_e = 0", same, INTERIOR)
        )
    notes = [f"The mean of {parts.environment} is {parts.mean:.6g}; sd_g and sd_e are there."]
    return FamilyAnalysis(
        title="Gene-by-environment model",
        fit=fit,
        level=options.level,
        estimates=quantities_table(fit, quantities, options.interval, options.level),
        covariates=effects_table(fit, options.level),
        tests=tests_table(fit, tests),
        n_people=people_used(fit, families),
        n_records=fit.nobs,
        n_pedigree=families.n_pedigree,
        notes=tuple([*families.notes(), *notes]),
    )
