"""F tests of the terms of one fit: R's anova table of types I, II and III."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design import ModelMatrix
from lmmpy.design.contrasts import Contrasts
from lmmpy.design.rank import independent_columns
from lmmpy.design.values import Floats
from lmmpy.errors import ModelError
from lmmpy.formula import Node, Terms, deparse
from lmmpy.inference.contrasts import FTest
from lmmpy.inference.hypotheses import Coding, sequential, type_2, type_3
from lmmpy.inference.trait_columns import trait_of_columns
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
    scale = None if fit.design.row_covariances else fit.sigma
    table = f_table({label: tests.joint(L) for label, L in contrasts.items()}, scale)
    headings = [f"Type {'I' * number} Analysis of Variance Table with {tests.method.title} method"]
    empty = _incomplete(fit) if number == 3 else []
    if empty:
        headings.append(
            f"Some combinations of levels in {', '.join(empty)} have no data; what type III says of the terms that "
            "these contain depends on which ones."
        )
    return AnovaTable.under(tuple(headings), table)


def f_table(tests: Mapping[str, FTest], sigma: float | None) -> pd.DataFrame:
    """
    Lay out F tests as R does.

    Parameters
    ----------
    tests : mapping
        By name of the row.
    sigma : float or None
        The residual standard deviation; a mean square is F, before any scaling, times its square. None where residuals
        have several.

    Returns
    -------
    DataFrame
        Columns `Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F)`, the first two not without `sigma`.
    """
    found = list(tests.values())
    num = np.array([test.num_df for test in found], dtype=float)
    squares = {}
    if sigma is not None:
        mean = np.array([test.statistic / test.scaling * sigma**2 for test in found])
        squares = {"Sum Sq": mean * num, "Mean Sq": mean}
    return pd.DataFrame(
        {
            **squares,
            "NumDF": num,
            "DenDF": [test.den_df for test in found],
            "F value": [test.statistic for test in found],
            "Pr(>F)": [test.p_value for test in found],
        },
        index=list(tests),
        dtype=float,
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """
    The fixed part of one response.

    Attributes
    ----------
    fit : LmmFit
    terms : Terms
    X : ndarray, shape (n_rows, p)
        On the rows of the data that have the response.
    assign : tuple of int, length p
    columns : ndarray of int, shape (p,)
        Places among the columns of the design.
    rows : ndarray of bool
        Those rows among all of the data.
    prefix : str
        Of the terms' labels.
    """

    fit: LmmFit
    terms: Terms
    X: Floats
    assign: tuple[int, ...]
    columns: NDArray[np.intp]
    rows: NDArray[np.bool_]
    prefix: str

    def matrix(self, terms: Terms, contrasts: Contrasts) -> ModelMatrix:
        """The columns of some terms in the rows."""
        return self.fit.blueprint.matrix(terms, self.fit.evaluator(self.rows), contrasts)

    def is_factor(self, variable: Node) -> bool:
        return deparse(variable) in self.fit.blueprint.levels

    def label(self, place: int) -> str:
        """R's label of a term, after the response where there are several."""
        return f"{self.prefix}{self.terms.terms[place].label}"


def _parts(fit: LmmFit) -> list[_Part]:
    design, parsed, traits = fit.design, fit.blueprint.parsed, fit.design.traits
    if traits is None:
        return [_Part(fit, parsed.fixed, design.X, design.assign, np.arange(design.p), design.rows, "")]
    found, before, used = [], 0, np.flatnonzero(design.rows)
    owners = np.array(trait_of_columns(design.X, traits), dtype=np.intp)
    for t, (name, terms) in enumerate(zip(traits.names, parsed.by_trait, strict=True)):
        columns, own = np.flatnonzero(owners == t), traits.trait == t
        assign = tuple(design.assign[c] - before if design.assign[c] else 0 for c in columns)
        rows = np.zeros(len(design.rows), dtype=bool)
        rows[used[traits.row[own]]] = True
        found.append(_Part(fit, terms, design.X[np.ix_(own, columns)], assign, columns, rows, f"{name}:"))
        before += len(terms.terms)
    return found


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
        By R's label of the term, after that of the response where there are several; a term of which no column is left
        has no rows.
    """
    found: dict[str, Floats] = {}
    for part in _parts(fit):
        own = _hypotheses(part, type)
        for place in range(len(part.terms.terms)):
            L = own.get(place + 1, np.empty((0, len(part.columns))))
            found[part.label(place)] = np.zeros((len(L), fit.design.p))
            found[part.label(place)][:, part.columns] = L
    return found


def _hypotheses(part: _Part, type: int) -> dict[int, Floats]:
    # A term alone has one hypothesis, whatever the type; lmerTest takes the contrasts of type I for it.
    if type == 1 or len(part.terms.terms) == 1:
        return sequential(part.X, part.assign)
    if type == 2:
        return type_2(part.X, part.assign, _containing(part))
    return _type_3(part)


def _type_3(part: _Part) -> dict[int, Floats]:
    full = _indicators(part)
    treatment = part.matrix(part.terms, Contrasts.read(("treatment", "treatment")))
    kept = independent_columns(treatment.X).tolist()
    try:
        return type_3(
            part.X,
            Coding(treatment.X[:, kept], *(tuple(x[i] for i in kept) for x in (treatment.names, treatment.assign))),
            Coding(full.X, full.names, full.assign),
            _containing(part),
        )
    except ValueError:
        raise ModelError(
            "The data of this fit have changed since it was made: their fixed effects are not those that were fitted. "
            "Fit again."
        ) from None


def _indicators(part: _Part) -> ModelMatrix:
    """The fixed part with one indicator for each level of each factor."""
    indicators = tuple(replace(t, by_contrasts=(False,) * len(t.variables)) for t in part.terms.terms)
    return part.matrix(replace(part.terms, terms=indicators), part.fit.blueprint.contrasts)


def _containing(part: _Part) -> dict[int, tuple[int, ...]]:
    """For each term those with the same numeric variables, its factors, and more."""
    terms = part.terms
    is_factor = [part.is_factor(node) for node in terms.variables]
    factors = [frozenset(v for v in term.variables if is_factor[v]) for term in terms.terms]
    numbers = [frozenset(v for v in term.variables if not is_factor[v]) for term in terms.terms]
    return {
        i: tuple(j for j, other in enumerate(factors, 1) if own < other and numbers[i - 1] == numbers[j - 1])
        for i, own in enumerate(factors, 1)
    }


def _incomplete(fit: LmmFit) -> list[str]:
    """Interactions of factors of which some combinations of levels have no data."""
    if not fit.design.dropped:
        return []
    found = []
    for part in _parts(fit):
        full = _indicators(part)
        empty = {place for place, column in zip(full.assign, full.X.T, strict=True) if place and not column.any()}
        found += [part.label(place - 1) for place in sorted(empty)]
    return found
