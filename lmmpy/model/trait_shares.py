"""Heritabilities and correlations by trait, and heritabilities where the residual has a structure."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from lmmpy.covariance import Diagonal, Unstructured
from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Floats
from lmmpy.engines import make_criterion
from lmmpy.errors import ConvergenceWarning, ModelError, shown
from lmmpy.fitting import fit_theta, in_coordinates_of_search
from lmmpy.inference.heritability import boundary_weights
from lmmpy.inference.intervals import checked_level, wald_limits
from lmmpy.inference.likelihood_region import profile_limits
from lmmpy.inference.lrt import likelihood_ratio, mixture_p_value, regression_loglik
from lmmpy.inference.mean_covariances import MeanCorrelation, MeanCovariances, MeanShare, mean_covariances
from lmmpy.inference.trait_columns import trait_of_columns
from lmmpy.model.constraints import refuse_constrained
from lmmpy.model.region_intervals import perfect_if_nearly

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["correlations", "structured_heritability"]

Ints = NDArray[np.intp]

PHENOTYPIC = "phenotypic"
# A share of less is none; and so is a standard error.
_NIL, _FIXED = 1e-8, 1e-9


class OfParameters(Protocol):
    """A function of (θ, log σ)."""

    def __call__(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient."""

    def vanishes(self, x: Floats) -> bool:
        """Whether there is no standard error at x."""


@dataclass(frozen=True, eq=False, slots=True)
class _Averages:
    """What makes averages over rows of a fit, in the coordinates of the search."""

    fit: LmmFit
    values: tuple[Floats, ...]

    def between(self, i: Ints, j: Ints) -> MeanCovariances:
        at = self.fit._variance_parameters
        return mean_covariances(at.design, self.values, at.bases, i, j)


def structured_heritability(fit: LmmFit, level: float, method: str, columns: Sequence[Floats]) -> pd.DataFrame:
    """
    See `LmmFit.heritability`; of each trait where there are several.

    Parameters
    ----------
    fit : LmmFit
    level : float
    method : {"profile", "wald"}
    columns : sequence of ndarray, shape (n, k)
        Left of each bar.
    """
    averages = _Averages(fit, tuple(columns))
    shares, tests = {}, []
    for trait, rows in _rows_of_traits(fit.design).items():
        variances = averages.between(rows, rows)
        for source, name in _related(fit).items():
            if fit.design.traits is None or _speaks_of(fit, source, trait):
                shares[name, trait] = MeanShare(variances, source)
                tests.append((np.nan, np.nan) if fit.optimum.held else _test(fit, source, trait))
    found = _estimated(fit, shares, level, method, "beta")
    within = np.where(found[:, 2:] < _NIL, 0.0, np.where(found[:, 2:] > 1.0 - _NIL, 1.0, found[:, 2:]))
    found[:, 2:] = within if method == "profile" else found[:, 2:]
    frame = _frame([*shares], ["term", "trait"], found).assign(
        chisq=[test[0] for test in tests], p_value=[test[1] for test in tests]
    )
    order = {name: i for i, name in enumerate(_related(fit).values())}
    frame = frame.sort_values("term", key=lambda terms: terms.map(order), kind="stable", ignore_index=True)
    return frame.drop(columns="trait") if fit.design.traits is None else frame


def correlations(fit: LmmFit, level: float, method: str) -> pd.DataFrame:
    """See `LmmFit.correlations`."""
    level, traits = checked_level(level), fit.design.traits
    if method not in ("profile", "wald"):
        raise ModelError(f"method is 'profile' or 'wald', not {method!r}.")
    if traits is None:
        raise ModelError(
            "correlations() is of several traits, cbind(a, b) ~ …; this fit has one. fit.parameters() has the "
            "correlations of its random effects."
        )
    if method == "profile":
        refuse_constrained(fit, "A profile", "method='wald' does.")
    averages = _Averages(fit, tuple(term.values for term in fit.design.random))
    found: dict[tuple[str, str, str], OfParameters] = {}
    for a, b in combinations(range(len(traits.names)), 2):
        i, j = _shared_rows(fit.design, a, b)
        parts = (averages.between(i, i), averages.between(j, j), averages.between(i, j))
        met = len(np.intersect1d(traits.row[traits.trait == a], traits.row[traits.trait == b])) > 0
        for source, name in _correlated(fit, a, b, met):
            found[name, traits.names[a], traits.names[b]] = MeanCorrelation(*parts, source)
    values = _estimated(fit, found, level, method, "cor")
    values[:, 2:] = [[perfect_if_nearly(end) for end in ends] for ends in values[:, 2:].tolist()]
    frame = _frame([*found], ["term", "trait1", "trait2"], values)
    order = {name: i for i, name in enumerate([*(t.name for t in fit.design.random), "Residual", PHENOTYPIC])}
    return frame.sort_values("term", key=lambda terms: terms.map(order), kind="stable", ignore_index=True)


# ---- which rows and which sources


def _rows_of_traits(design: Design) -> dict[str, Ints]:
    traits = design.traits
    if traits is None:
        return {"": np.arange(design.n)}
    return {name: np.flatnonzero(traits.trait == t) for t, name in enumerate(traits.names)}


def _shared_rows(design: Design, a: int, b: int) -> tuple[Ints, Ints]:
    """Rows of trait a and of trait b with the same row of the data; one of each when there is none."""
    traits = design.traits
    assert traits is not None
    first, second = np.flatnonzero(traits.trait == a), np.flatnonzero(traits.trait == b)
    _, i, j = np.intersect1d(traits.row[first], traits.row[second], return_indices=True)
    return (first[i], second[j]) if len(i) else (first[:1], second[:1])


def _related(fit: LmmFit) -> dict[int, str]:
    """The sources whose levels are related, by their place among all."""
    known, design = fit.blueprint.relatedness, fit.design
    found = {place: term.name for place, term in enumerate(design.random) if term.group in known}
    for place, rows in enumerate(design.functions, len(design.random)):
        if rows.relatedness is not None and not rows.relatedness.is_identity:
            found[place] = rows.name
    if not found:
        raise ModelError(
            f"heritability is for random terms whose levels are related, and {fit.formula} has none. Write kin(A), or "
            "kin(id, A) to name the column of ids, with a pedigree or another relatedness A."
        )
    return found


def _columns_of(fit: LmmFit, source: int, trait: str) -> list[int]:
    """Places of the effects of a trait in a random term."""
    traits, term = fit.design.traits, fit.design.random[source]
    if traits is None:
        return list(range(term.k))
    return [c for c, t in enumerate(trait_of_columns(term.values, traits)) if traits.names[t] == trait]


def _speaks_of(fit: LmmFit, source: int, trait: str) -> bool:
    return source >= len(fit.design.random) or bool(_columns_of(fit, source, trait))


def _correlated(fit: LmmFit, a: int, b: int, met: bool) -> list[tuple[slice, str]]:
    """The sources that may correlate two traits, and all together; without rows of both no more than the terms."""
    traits, design = fit.design.traits, fit.design
    assert traits is not None
    found = []
    for place, term in enumerate(design.random):
        both = {a, b} <= set(trait_of_columns(term.values, traits))
        if both and not isinstance(term.structure, Diagonal):
            found.append((slice(place, place + 1), term.name))
    last = len(design.random) + len(design.functions)
    if met and design.residual is not None and not isinstance(_inner(design), Diagonal):
        found.append((slice(last, last + 1), "Residual"))
    if met:
        found.append((slice(0, last + 1), PHENOTYPIC))
    return found


def _inner(design: Design) -> Any:
    assert design.residual is not None
    return getattr(design.residual.structure, "structure", design.residual.structure)


# ---- estimates and intervals


def _estimated(fit: LmmFit, functions: Mapping[Any, OfParameters], level: float, method: str, kind: str) -> Floats:
    """Estimate, standard error and limits of each function, shape (m, 4)."""
    at = fit._variance_parameters
    x = np.append(at.theta, np.log(at.sigma))
    found = np.full((len(functions), 4), np.nan)
    for row, function in zip(found, functions.values(), strict=True):
        row[0], gradient = function(x)
        if not fit.optimum.held and not function.vanishes(x):
            variance = at.variance_of(gradient[None])[0, 0]
            # Constraints may leave no freedom to it.
            row[1] = np.sqrt(variance) if variance > _FIXED**2 else np.nan
    if fit.optimum.held:
        return found
    if method == "wald":
        found[:, 2:] = wald_limits(found[:, 0], found[:, 1], [kind] * len(found), level)
    else:
        found[:, 2:] = _profiled(fit, functions, float(norm.ppf(0.5 + 0.5 * level)))
    return found


def _profiled(fit: LmmFit, functions: Mapping[Any, OfParameters], z: float) -> Floats:
    at = fit._variance_parameters
    criterion, _ = in_coordinates_of_search(fit.criterion, fit.optimum)
    limits = np.array([profile_limits(criterion, at.theta, at.sigma, function, z) for function in functions.values()])
    lost = [" ".join(filter(None, key)) for key, ends in zip(functions, limits, strict=True) if np.isnan(ends).any()]
    if lost:
        warnings.warn(
            f"The search for a profile limit of {shown(lost)} failed; it is NaN. method='wald' has limits.",
            ConvergenceWarning,
            stacklevel=6,
        )
    return limits.reshape(len(functions), 2)


def _frame(keys: Sequence[tuple[str, ...]], names: Sequence[str], values: Floats) -> pd.DataFrame:
    frame = pd.DataFrame([list(key) for key in keys], columns=list(names))
    for name, column in zip(("estimate", "std_error", "conf_low", "conf_high"), values.T, strict=True):
        frame[name] = column
    return frame


# ---- tests


def _test(fit: LmmFit, source: int, trait: str) -> tuple[float, float]:
    """Twice what the log-likelihood loses without the effects of a trait in a source, and its p-value."""
    smaller, weights = _without(fit, source, trait)
    if smaller is None:
        return np.nan, np.nan
    chisq = float(likelihood_ratio(fit.loglik, _loglik(fit, smaller)))
    return chisq, np.nan if weights is None else mixture_p_value(chisq, weights)


def _loglik(fit: LmmFit, design: Design) -> float:
    if not design.random and not design.row_covariances:
        return regression_loglik(design, fit.reml)
    criterion = make_criterion(design, fit.reml, fit.request.control.engine)
    return -0.5 * fit_theta(criterion, fit.request.control).evaluation.value


def _without(fit: LmmFit, source: int, trait: str) -> tuple[Design | None, dict[int, float] | None]:
    """
    The design without them, and the mixture of χ² distributions (Self & Liang 1987; Stram & Lee 1994).

    None for a structure in which they cannot go alone; and a mixture of None where no closed form is known.
    """
    design = fit.design
    if source >= len(design.random):
        place = source - len(design.random)
        return replace(design, functions=design.functions[:place] + design.functions[place + 1 :]), None
    term, gone = design.random[source], _columns_of(fit, source, trait)
    before, after = design.random[:source], design.random[source + 1 :]
    if len(gone) == term.k:
        return replace(design, random=before + after), boundary_weights(term.k, term.term.structure)
    left = _less(term, gone)
    if left is None:
        return None, None
    weights = {term.k - 1: 0.5, term.k: 0.5} if len(gone) == 1 else None
    if isinstance(term.structure, Diagonal):
        weights = boundary_weights(len(gone), "diag")
    return replace(design, random=(*before, left, *after)), weights


def _less(term: RandomEffects, gone: Sequence[int]) -> RandomEffects | None:
    """The term without some of its effects, where that is a special case of it."""
    kept = [c for c in range(term.k) if c not in gone]
    make: Callable[[int], Unstructured | Diagonal]
    if isinstance(term.structure, Unstructured):
        make = Unstructured
    elif isinstance(term.structure, Diagonal) and not term.structure.homogeneous:
        make = Diagonal
    else:
        return None
    columns = tuple(term.columns[c] for c in kept)
    return replace(term, columns=columns, values=np.ascontiguousarray(term.values[:, kept]), structure=make(len(kept)))
