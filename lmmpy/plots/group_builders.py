"""The numbers of plots of random effects and of groups, as frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from scipy.special import ndtri

from lmmpy.design import RandomEffects
from lmmpy.design.values import Floats
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.formula.syntax import Name, walk
from lmmpy.plots.protocols import PlottedFit
from lmmpy.plots.quantiles import checked_level, qq_frame

__all__ = [
    "caterpillar_frame",
    "default_x",
    "groups_frame",
    "one_term",
    "qq_ranef_frame",
    "shrinkage_frame",
    "spread_levels",
]

# The standard deviation that an effect adds to the response, over sigma, below which its variance counts as zero.
_ZERO = 1e-6


# ---- which effects


def one_term(fit: PlottedFit, term: str | None) -> RandomEffects:
    """
    A random term by its name; the first one by default.

    Raises
    ------
    ModelError
        When there is no such term.
    """
    terms = {found.name: found for found in fit.design.random}
    if not terms:
        raise ModelError("The model has no random term, so that there are no effects of levels to show.")
    if term is None:
        return fit.design.random[0]
    if term not in terms:
        raise ModelError(f"The model has no random term {term!r}; it has {shown(terms, 20)}.")
    return terms[term]


def _require_one_response(fit: PlottedFit, plot: str) -> None:
    """Refuse what is drawn for one response, whose random effects are those of the terms alone."""
    if fit.design.traits is not None or fit.design.functions:
        what = "several traits at once" if fit.design.traits is not None else "random functions"
        raise ModelError(f"The plot {plot!r} is not there for {what}. predict, ranef and coef have the numbers.")


def _chosen(fit: PlottedFit, term: str | None, effect: str | None) -> Iterator[tuple[RandomEffects, int]]:
    """Terms, and places of effects in them; all of them when there is no choice."""
    terms = (one_term(fit, term),) if term is not None or not fit.design.random else fit.design.random
    found = [(t, a) for t in terms for a, column in enumerate(t.columns) if effect in (None, column)]
    if not found:
        known = shown(dict.fromkeys(column for t in terms for column in t.columns), 20)
        if term is None:
            raise ModelError(f"No random term has an effect {effect!r}; there are {known}.")
        raise ModelError(f"The random term {term!r} has no effect {effect!r}; it has {known}.")
    yield from found


def _does_not_vary(fit: PlottedFit, term: RandomEffects, place: int) -> bool:
    """Whether the variance of an effect is estimated as zero."""
    sd = float(np.sqrt(fit.varcorr[term.name].to_numpy()[place, place]))
    return sd * float(np.sqrt(np.mean(term.values[:, place] ** 2))) <= _ZERO * fit.sigma


# ---- conditional modes


def caterpillar_frame(
    fit: PlottedFit, term: str | None = None, effect: str | None = None, level: float = 0.95
) -> pd.DataFrame:
    """
    Conditional modes of random effects with intervals, mode ± z · conditional standard deviation.

    Parameters
    ----------
    fit : fit
    term : str, optional
        Name of a random term; default all.
    effect : str, optional
        Such as ``"(Intercept)"``; default all.
    level : float
        Of the intervals, given θ and β.

    Returns
    -------
    DataFrame
        Columns `term, effect, level, estimate, std_error, conf_low, conf_high`; `recorded`, whether the data have the
        level; and `varies`, whether the effect's variance is not estimated as zero. Rows as in `ranef`.

    Raises
    ------
    ModelError
        For a term or an effect that the model does not have.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> frame = plots.caterpillar_frame(fit, effect="Days")
    >>> frame[["level", "estimate", "conf_low", "conf_high"]].head(2).round(2)
      level  estimate  conf_low  conf_high
    0   308      9.20      4.68      13.72
    1   309     -8.62    -13.14      -4.10
    """
    modes, z = fit.ranef(cond_var=True), float(ndtri(0.5 + 0.5 * checked_level(level)))
    assert modes.cond_var is not None
    parts = []
    for found, a in _chosen(fit, term, effect):
        estimate = modes[found.name].to_numpy()[:, a]
        sd = np.sqrt(np.maximum(modes.cond_var[found.name][:, a, a], 0.0))
        columns: dict[str, Any] = {"term": found.name, "effect": found.columns[a], "level": found.levels}
        columns |= {
            "estimate": estimate,
            "std_error": sd,
            "conf_low": estimate - z * sd,
            "conf_high": estimate + z * sd,
            "recorded": found.recorded,
        }
        parts.append(pd.DataFrame(columns | {"varies": not _does_not_vary(fit, found, a)}))
    return pd.concat(parts, ignore_index=True)


def qq_ranef_frame(
    fit: PlottedFit, term: str | None = None, effect: str | None = None, level: float = 0.95
) -> pd.DataFrame:
    """
    Conditional modes against normal quantiles, each over its standard deviation.

    Levels with few rows have modes nearer to zero. What they would have in common if the model holds is the
    distribution of b̂/√(G − Var(b | y)), where G is the variance of the effect, that of its level where levels are
    related.

    Parameters
    ----------
    fit : fit
    term, effect : str, optional
        As in `caterpillar_frame`.
    level : float
        Of the pointwise band.

    Returns
    -------
    DataFrame
        Columns `term, effect, level`, those of `qq_frame`, and `varies`. The sample value of a level about which the
        data say nothing or that has no rows (such as an ancestor in a pedigree, whose mode is made of those of others),
        and of all levels when the variance is estimated as zero, is NaN.

    Raises
    ------
    ModelError
        For a term or an effect that the model does not have.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> frame = plots.qq_ranef_frame(fit, effect="Days")
    >>> frame[["level", "theoretical", "sample"]].head(2).round(2)
      level  theoretical  sample
    0   335        -1.91   -1.97
    1   309        -1.38   -1.58
    """
    modes, level = fit.ranef(cond_var=True), checked_level(level)
    assert modes.cond_var is not None
    parts = []
    for found, a in _chosen(fit, term, effect):
        prior, varies = float(fit.varcorr[found.name].to_numpy()[a, a]), not _does_not_vary(fit, found, a)
        own = prior * found.relatedness.diagonal()
        variance = own - modes.cond_var[found.name][:, a, a]
        known = (variance > 1e-6 * own) & found.recorded & varies
        standard = np.full(found.n_levels, np.nan)
        standard[known] = modes[found.name].to_numpy()[known, a] / np.sqrt(variance[known])
        frame = qq_frame(pd.Series(standard, index=pd.Index(found.levels, name="level")), level).reset_index()
        frame.insert(0, "term", found.name)
        frame.insert(1, "effect", found.columns[a])
        parts.append(frame.assign(varies=varies))
    return pd.concat(parts, ignore_index=True)


# ---- with and without pooling


def shrinkage_frame(fit: PlottedFit, term: str | None = None) -> pd.DataFrame:
    """
    Coefficients of each group by least squares within it and by the mixed model.

    Least squares are of the response less the rest of the model (the other fixed effects and the random effects of
    other grouping factors, at their estimates) on the columns of all terms of the grouping factor, with the prior
    weights. Where these have all predictors of the model, this is the regression of the group by itself.

    Parameters
    ----------
    fit : fit
    term : str, optional
        Name of a random term, the first one by default. Terms with the same grouping factor, as ``(x || g)`` makes
        them, are taken together.

    Returns
    -------
    DataFrame
        Columns `level, effect, unpooled, pooled, population`: within the group, by the mixed model (as in `coef`), and
        the fixed effect (zero where there is none); and `varies`, whether the effect's variance is not estimated as
        zero. `unpooled` is NaN in a group whose rows do not determine it.

    Raises
    ------
    ModelError
        For a term that the model does not have.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.shrinkage_frame(fit).head(2).round(2)
      level       effect  unpooled  pooled  population  varies
    0   308  (Intercept)    244.19  253.66      251.41    True
    1   308         Days     21.76   19.67       10.47    True
    """
    chosen = one_term(fit, term)
    _require_one_response(fit, "shrinkage")
    own = [t for t in fit.design.random if t.group == chosen.group]
    columns = {name: t.values[:, a] for t in own for a, name in enumerate(t.columns)}
    varies = {name: not _does_not_vary(fit, t, a) for t in own for a, name in enumerate(t.columns)}
    names, Z = list(columns), np.column_stack(list(columns.values()))
    population = np.array([float(fit.fixef.get(name, 0.0)) for name in names])
    deviation = _within_groups(Z, _less_the_rest(fit, chosen.group), fit.design.weights, chosen)
    pooled = fit.coef()[chosen.group][names].to_numpy()
    m, k = deviation.shape
    return pd.DataFrame(
        {
            "level": np.repeat(np.array(chosen.levels, dtype=object), k),
            "effect": names * m,
            "unpooled": (population + deviation).ravel(),
            "pooled": pooled.ravel(),
            "population": np.tile(population, m),
            "varies": list(varies.values()) * m,
        }
    )


def _less_the_rest(fit: PlottedFit, group: str) -> Floats:
    """The response less Xβ̂, the offset and the random effects of other grouping factors."""
    design, modes = fit.design, fit.ranef()
    rest: Floats = design.y - design.X @ fit.fixef.to_numpy()
    rest = rest if design.offset is None else rest - design.offset
    for t in design.random:
        if t.group != group:
            rest = rest - np.einsum("nk,nk->n", t.values, modes[t.name].to_numpy()[t.codes])
    return rest


def _within_groups(Z: Floats, y: Floats, weights: Floats | None, term: RandomEffects) -> Floats:
    """Least squares of y on Z in each level, shape (levels, k)."""
    root = np.ones(len(y)) if weights is None else np.sqrt(weights)
    ZW, yw, found = root[:, None] * Z, root * y, np.full((term.n_levels, Z.shape[1]), np.nan)
    order = np.argsort(term.codes, kind="stable")
    for i, rows in enumerate(np.split(order, np.searchsorted(term.codes[order], np.arange(1, term.n_levels)))):
        solution, _, rank, _ = np.linalg.lstsq(ZW[rows], yw[rows], rcond=None)
        if rank == Z.shape[1]:
            found[i] = solution
    return found


# ---- groups


def default_x(fit: PlottedFit, term: RandomEffects) -> str:
    """
    The predictor to draw a group's rows over: the term's own, else a fixed one; numbers before factors.

    Raises
    ------
    ModelError
        When the model has no predictor that is a column of its data.
    """
    _require_one_response(fit, "groups")
    frame = fit.frame()
    nodes = (*term.term.lhs.variables, *fit.blueprint.parsed.fixed.variables)
    names = dict.fromkeys(part.id for node in nodes for part in walk(node) if isinstance(part, Name))
    known = [name for name in names if name in frame.columns]
    numbers = [name for name in known if _is_number(frame[name])]
    if not known:
        raise ModelError(
            f"The model has no predictor to draw the rows of {term.group!r} over. Give x=, a column of the data: "
            f"{shown(frame.columns, 20)}."
        )
    return (numbers or known)[0]


def _is_number(column: pd.Series) -> bool:
    return is_numeric_dtype(column) and not is_bool_dtype(column)


def spread_levels(fit: PlottedFit, term: RandomEffects, n: int) -> list[str]:
    """
    Levels of a term that rows have, all or `n` at even steps of the order of their first effect; in their own order.

    Raises
    ------
    ModelError
        When n is no positive integer.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"n must be a positive number of groups; got {n!r}.")
    recorded, m = np.flatnonzero(term.recorded), term.n_recorded
    if n >= m:
        return [term.levels[i] for i in recorded]
    order = recorded[np.argsort(fit.ranef()[term.name].to_numpy()[recorded, 0], kind="stable")]
    places = np.round(np.linspace(0, m - 1, n)).astype(int) if n > 1 else [m // 2]
    return [term.levels[i] for i in np.sort(order[places])]


def groups_frame(
    fit: PlottedFit, x: str | None = None, term: str | None = None, levels: Sequence[str] | None = None
) -> pd.DataFrame:
    """
    The rows of each group with what the model makes of them.

    Parameters
    ----------
    fit : fit
    x : str, optional
        A column of the data. By default the first predictor of the term, else of the fixed part, that is a number;
        else the first that is a factor.
    term : str, optional
        Name of the random term whose grouping factor makes the groups; the first one by default.
    levels : sequence of str, optional
        Which groups; default all.

    Returns
    -------
    DataFrame
        By group and x: `level`; the column `x`, numbers or an ordered categorical; `response`, as the model sees it;
        `fitted`; `population`, the prediction without random effects.

    Raises
    ------
    ModelError
        For a term or a level that the model does not have.
    DataError
        For a column that the data do not have, or that misses values.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> from lmmpy import plots
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", lmm.datasets.load("sleepstudy"))
    >>> plots.groups_frame(fit).head(2).round(1)
      level    x  response  fitted  population
    0   308  0.0     249.6   253.7       251.4
    1   308  1.0     258.7   273.3       261.9
    """
    found = one_term(fit, term)
    _require_one_response(fit, "groups")
    x = default_x(fit, found) if x is None else x
    fitted = fit.fitted().to_numpy()
    used = np.isfinite(fitted)
    frame = pd.DataFrame(
        {
            "level": pd.Categorical.from_codes(found.codes, categories=pd.Index(found.levels)),
            "x": _column(fit, x),
            "response": fit.design.y,
            "fitted": fitted[used],
            "population": np.asarray(fit.predict(re_form="none"), dtype=float)[used],
        }
    )
    if levels is not None:
        unknown = [level for level in levels if level not in found.levels]
        if unknown:
            raise ModelError(f"{found.group} has no level {shown(unknown)}; it has {shown(found.levels)}.")
        seen = {level for level, recorded in zip(found.levels, found.recorded, strict=True) if recorded}
        empty = [level for level in levels if level not in seen]
        if empty:
            raise ModelError(f"No row of the data has the level {shown(empty)} of {found.group}: nothing to draw.")
        frame = frame[frame["level"].isin(levels)].assign(
            level=lambda rows: rows["level"].cat.set_categories(list(dict.fromkeys(levels)))
        )
    return frame.sort_values(["level", "x"], kind="stable", ignore_index=True)


def _column(fit: PlottedFit, x: str) -> Any:
    """Numbers as they are; anything else as a categorical, its levels in their order."""
    frame = fit.frame()
    if x not in frame.columns:
        raise DataError(f"The data have no column {x!r} to draw groups over; they have {shown(frame.columns, 20)}.")
    column = frame[x]
    if column.isna().any():
        rows = frame.index[column.isna()]
        raise DataError(f"The column {x!r} is missing in {len(rows)} rows of the fit ({shown(rows)}).")
    if _is_number(column):
        return column.to_numpy(dtype=float)
    column = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category")
    return column.cat.remove_unused_categories().cat.as_ordered().array
