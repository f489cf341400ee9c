"""F tests of the terms of one fit: R's anova table of types I, II and III."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmpy.design import ModelMatrix
from lmmpy.design.contrasts import Contrasts
from lmmpy.design.rank import independent_columns
from lmmpy.design.values import Floats
from lmmpy.errors import ModelError
from lmmpy.formula import Node, deparse
from lmmpy.inference.contrasts import FTest
from lmmpy.inference.hypotheses import Coding, sequential, type_2, type_3
from lmmpy.report import AnovaTable

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["f_table", "term_contrasts", "type_table"]

_TYPES: Mapping[object, int] = {1: 1, 2: 2, 3: 3, "I": 1, "II": 2, "III": 3, "1": 1, "2": 2, "3": 3}


def type_table(fit: LmmFit, type: object, ddf: str) -> AnovaTable:
    """
    Test each term of the fixed part.

    Parameters
    ----------
    fit : LmmFit
    type : {1, 2, 3, "I", "II", "III"}
    ddf : str
        See `LmmFit.contrast_tests`.

    Returns
    -------
    AnovaTable

    Raises
    ------
    ModelError
        For an unknown type.
    """
    number = _TYPES.get(type) if isinstance(type, int | str) else None
    if number is None:
        raise ModelError(f"type is 1, 2 or 3, not {type!r}.")
    tests = fit.contrast_tests(ddf)
    contrasts = term_contrasts(fit, number)
    table = f_table({label: tests.joint(L) for label, L in contrasts.items()}, fit.sigma)
    headings = [f"Type {'I' * number} Analysis of Variance Table with {tests.method.title} method"]
    empty = _incomplete(fit) if number == 3 else []
    if empty:
        headings.append(
            f"Some combinations of levels in {', '.join(empty)} have no data; what type III says of the terms that "
            "these contain depends on which ones."
        )
    return AnovaTable.under(tuple(headings), table)


def f_table(tests: Mapping[str, FTest], sigma: float) -> pd.DataFrame:
    """
    Lay out F tests as R does.

    Parameters
    ----------
    tests : mapping
        By name of the row.
    sigma : float
        The residual standard deviation; a mean square is F, before any scaling, times its square.

    Returns
    -------
    DataFrame
        Columns `Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F)`.
    """
    found = list(tests.values())
    mean = np.array([test.statistic / test.scaling * sigma**2 for test in found])
    num = np.array([test.num_df for test in found], dtype=float)
    return pd.DataFrame(
        {
            "Sum Sq": mean * num,
            "Mean Sq": mean,
            "NumDF": num,
            "DenDF": [test.den_df for test in found],
            "F value": [test.statistic for test in found],
            "Pr(>F)": [test.p_value for test in found],
        },
        index=list(tests),
        dtype=float,
    )


def term_contrasts(fit: LmmFit, type: int) -> dict[str, Floats]:
    """
    The hypothesis about each term.

    Parameters
    ----------
    fit : LmmFit
    type : {1, 2, 3}

    Returns
    -------
    dict of str to ndarray, shape (rank, p)
        By R's label of the term; a term of which no column is left has no rows.
    """
    design = fit.design
    # A term alone has one hypothesis, whatever the type; lmerTest takes the contrasts of type I for it.
    if type == 1 or len(fit.blueprint.parsed.fixed.terms) == 1:
        found = sequential(design.X, design.assign)
    elif type == 2:
        found = type_2(design.X, design.assign, _containing(fit))
    else:
        found = _type_3(fit)
    nothing = np.empty((0, design.p))
    labels = [term.label for term in fit.blueprint.parsed.fixed.terms]
    return {label: found.get(place, nothing) for place, label in enumerate(labels, 1)}


def _type_3(fit: LmmFit) -> dict[int, Floats]:
    blueprint, full = fit.blueprint, _indicators(fit)
    contrasts = Contrasts.read(("treatment", "treatment"))
    treatment = blueprint.matrix(blueprint.parsed.fixed, fit.evaluator(), contrasts)
    kept = independent_columns(treatment.X).tolist()
    try:
        return type_3(
            fit.design.X,
            Coding(treatment.X[:, kept], *(tuple(x[i] for i in kept) for x in (treatment.names, treatment.assign))),
            Coding(full.X, full.names, full.assign),
            _containing(fit),
        )
    except ValueError:
        raise ModelError(
            "The data of this fit have changed since it was made: their fixed effects are not those that were fitted. "
            "Fit again."
        ) from None


def _indicators(fit: LmmFit) -> ModelMatrix:
    """The fixed part with one indicator for each level of each factor."""
    blueprint, terms = fit.blueprint, fit.blueprint.parsed.fixed
    indicators = tuple(replace(t, by_contrasts=(False,) * len(t.variables)) for t in terms.terms)
    return blueprint.matrix(replace(terms, terms=indicators), fit.evaluator(), blueprint.contrasts)


def _containing(fit: LmmFit) -> dict[int, tuple[int, ...]]:
    """For each term those with the same numeric variables, its factors, and more."""
    terms = fit.blueprint.parsed.fixed
    is_factor = [_is_factor(fit, node) for node in terms.variables]
    factors = [frozenset(v for v in term.variables if is_factor[v]) for term in terms.terms]
    numbers = [frozenset(v for v in term.variables if not is_factor[v]) for term in terms.terms]
    return {
        i: tuple(j for j, other in enumerate(factors, 1) if own < other and numbers[i - 1] == numbers[j - 1])
        for i, own in enumerate(factors, 1)
    }


def _is_factor(fit: LmmFit, variable: Node) -> bool:
    return deparse(variable) in fit.blueprint.levels


def _incomplete(fit: LmmFit) -> list[str]:
    """Interactions of factors of which some combinations of levels have no data."""
    if not fit.design.dropped:
        return []
    full, terms = _indicators(fit), fit.blueprint.parsed.fixed.terms
    empty = {place for place, column in zip(full.assign, full.X.T, strict=True) if place and not column.any()}
    return [terms[place - 1].label for place in sorted(empty)]
