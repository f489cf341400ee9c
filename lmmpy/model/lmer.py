"""`lmer`: from a formula and data to a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lmmpy.errors import ModelError
from lmmpy.fitting import Control
from lmmpy.model.assemble import assemble_fit, warnings_from_caller
from lmmpy.model.lmm_fit import LmmFit, Request
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.model.source import Source

__all__ = ["lmer"]


def lmer(
    formula: str,
    data: Any,
    *,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Any = None,
    relmat: Mapping[str, Any] | None = None,
    varcomp: Mapping[str, Any] | None = None,
    start: Any = None,
    control: Control | None = None,
) -> LmmFit:
    """
    Fit a linear mixed model.

    Parameters
    ----------
    formula : str
        By R's rules, for example ``"Reaction ~ Days + (Days | Subject)"``. It is code and is evaluated: columns first,
        then R's functions, then the caller's variables. ``kin(A)`` is a random intercept whose levels are related as
        A says, ``kin(id, A)`` names their column, and ``(x | kin(id, A))`` has random slopes.
    data : pandas or polars DataFrame, or a mapping of arrays
    reml : bool
        Whether to maximise the restricted likelihood, else the likelihood.
    weights : str or array-like, optional
        Prior weights w > 0: the residual variance of a row is σ²/w. An expression over the columns, or one number
        a row.
    offset : str or array-like, optional
        A known part of the linear predictor, added to any ``offset()`` in the formula.
    subset : str or array-like, optional
        Rows to use: a condition over the columns, a mask, or row numbers from 0.
    na_action : {"omit", "exclude", "fail"}
        Rows that miss a value: left out; left out but given back as NaN by row-wise results; or an error.
    contrasts : str, pair of str, or mapping, optional
        ``"sum"``, ``("sum", "poly")`` for unordered and ordered factors, or ``{"f": "helmert"}`` by column.
    relmat : mapping, optional
        How the levels of random terms are related, for names that the formula uses: ``{"A": K}`` for ``kin(id, A)``,
        where K may also be a variable of that name in the caller's scope; or, by grouping factor, ``{"id": K}`` for
        ``(1 | id)``. K is a `Relatedness`, a `Pedigree`, a square DataFrame labelled by ids, or, for ``kin(A)``, an
        array with one row for each row of the data.
    varcomp : mapping, optional
        Known variance components by term and ``"Residual"``; nothing is then estimated but β (BLUE) and b (BLUP).
    start : array-like, optional
        θ at which to begin; by default estimated from the data.
    control : Control, optional
        Stopping rules and checks.

    Returns
    -------
    LmmFit

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.

    References
    ----------
    Bates, Mächler, Bolker & Walker (2015), Fitting linear mixed-effects models using lme4, J. Stat. Softw. 67(1).
    """
    scope = caller_scope()
    control = _checked_control(control)
    if not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml must be True or False, not {reml!r}.")
    request = Request(
        reml=bool(reml),
        na_action=na_action,
        control=control,
        source=Source(data, weights, offset, subset, contrasts, varcomp, relmat),
        data_name=name_of(data, scope),
        weights=_text(weights, scope),
        offset=_text(offset, scope),
        subset=_text(subset, scope),
    )
    with warnings_from_caller(stacklevel=2):
        return assemble_fit(LmmFit, formula, request, scope, start)


def _checked_control(control: Control | None) -> Control:
    if control is None:
        return Control()
    if not isinstance(control, Control):
        raise ModelError(f"control must be an lmm.Control(...), not a {type(control).__name__}.")
    return control


def _text(spec: Any, scope: Mapping[str, Any]) -> str | None:
    return spec if spec is None or isinstance(spec, str) else name_of(spec, scope) or "(values)"
