"""`lmer` and `gls`: from a formula and data to a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Never

import numpy as np

from lmmpy.errors import FormulaError, ModelError
from lmmpy.fitting import Control
from lmmpy.formula import INDEPENDENT, parse_formula
from lmmpy.model.assemble import assemble_fit, warnings_from_caller
from lmmpy.model.foreign_names import refuse_arguments
from lmmpy.model.lmm_fit import LmmFit, Request
from lmmpy.model.scope import caller_scope, name_of
from lmmpy.model.source import Source

__all__ = ["gls", "lmer"]


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
    residual: str | None = None,
    varcomp: Mapping[str, Any] | None = None,
    constraints: Mapping[str, Any] | None = None,
    start: Any = None,
    control: Control | None = None,
    **others: Never,
) -> LmmFit:
    """
    Fit a linear mixed model.

    Parameters
    ----------
    formula : str
        By R's rules, for example ``"Reaction ~ Days + (Days | Subject)"``. It is code and is evaluated: columns first,
        then R's functions, then the caller's variables. ``kin(A)`` is a random intercept whose levels are related as
        A says, ``kin(id, A)`` names their column, ``(x | kin(id, A))`` has random slopes, and ``exp(x | kin(id, A))``
        effects whose variance changes exponentially with x and whose correlation falls with the difference in x.
        ``cbind(a, b)`` left of ``~`` fits several traits at once: every fixed effect is by trait, random terms covary
        over traits, and rows may miss traits. ``at(a, x + (1 | g))`` adds terms of the trait a only.
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
    residual : str, optional
        How residuals covary between rows and differ in variance; independent and equal by default, with several traits
        unstructured over the traits of a row. One correlation and any variances, joined by ``*``: ``us(0 + f | g)``,
        ``cs(1 | g)``, ``ar1(t | g)``, ``car1(t | g)``, ``arma11(t | g)`` between the rows of each g, by the levels of f
        or the times t (1 is the order of the rows; `cs` and `ar1` also by 0 + f, ``hom = TRUE`` is one variance);
        a known covariance ``kin(id, R)``; a variance for each level, ``diag(0 + f | 1)`` or ``varident(f)``; a power of
        a covariate ``varpower(x)`` or of the mean ``varpower()``, ``sd ∝ |x|^δ``; ``varexp(x)``, sd ∝ exp(δx). With
        several traits ``"us"``, ``"diag"``, ``"cs"`` or ``"ar1"`` alone are over the traits of a row, and `trait` and
        `row` are factors, as in ``us(0 + trait | row)``. σ is then the standard deviation of the first level, or of
        x = 1 or 0. A function of the mean takes fitted values, random effects included, as its covariate, fit after
        fit until nothing changes; the likelihood is that given this covariate.
    varcomp : mapping, optional
        Known variance components by term and ``"Residual"``; nothing is then estimated but β (BLUE) and b (BLUP).
    constraints : mapping, optional
        Covariance parameters by their names in ``fit.parameters()``: a number to hold one at, or the name of another
        to be equal to; see `LmmFit.constrain`.
    start : array-like, optional
        θ at which to begin; by default estimated from the data.
    control : Control, optional
        Stopping rules and checks.
    **others
        None; what R calls otherwise, such as ``REML``, is refused with the name that it has here.

    Returns
    -------
    LmmFit

    Raises
    ------
    FormulaError, DataError, ModelError
        Each names what is wrong and says what to do.
    TypeError
        For an argument that is none.

    References
    ----------
    Bates, Mächler, Bolker & Walker (2015), Fitting linear mixed-effects models using lme4, J. Stat. Softw. 67(1).

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> fit.fixef.round(2).to_dict()
    {'(Intercept)': 251.41, 'Days': 10.47}
    >>> print(fit.varcorr)
     Groups   Name        Std.Dev. Corr
     Subject  (Intercept) 24.7405
              Days         5.9221  0.066
     Residual             25.5918
    """
    refuse_arguments("lmer", others, lmer.__annotations__)
    scope = caller_scope()
    with warnings_from_caller(stacklevel=2):
        request = _request(
            reml,
            na_action,
            control,
            Source(data, weights, offset, subset, contrasts, varcomp, relmat, residual, constraints),
            scope,
        )
        return assemble_fit(LmmFit, formula, request, scope, start)


def gls(
    formula: str,
    data: Any,
    *,
    residual: str | None = None,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: str = "omit",
    contrasts: Any = None,
    relmat: Mapping[str, Any] | None = None,
    constraints: Mapping[str, Any] | None = None,
    start: Any = None,
    control: Control | None = None,
    **others: Never,
) -> LmmFit:
    """
    Fit a linear model by generalised least squares: residuals have a structure, and there are no random terms.

    Parameters
    ----------
    formula : str
        Without random terms, for example ``"distance ~ age * Sex"``; see `lmer`.
    data : pandas or polars DataFrame, or a mapping of arrays
    residual : str, optional
        How residuals covary and differ in variance, for example ``"ar1(t | id) * varident(sex)"`` or ``"kin(id, R)"``;
        see `lmer`. By default they are independent.
    reml, weights, offset, subset, na_action, contrasts, relmat, constraints, start, control
        See `lmer`.
    **others
        None, as of `lmer`.

    Returns
    -------
    LmmFit

    Raises
    ------
    FormulaError, DataError, ModelError

    References
    ----------
    Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, chapter 5.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> Orthodont = lmm.datasets.load("Orthodont")
    >>> fit = lmm.gls("distance ~ age * Sex", Orthodont, residual="ar1(1 | Subject)")
    >>> fit.parameters()["estimate"].round(2).to_dict()
    {'(Intercept)': 16.6, 'age': 0.77, 'SexFemale': 0.72, 'age:SexFemale': -0.29, 'rho|Residual': 0.62, 'sigma': 2.28}
    """
    refuse_arguments("gls", others, gls.__annotations__)
    scope = caller_scope()
    parsed = parse_formula(formula) if isinstance(formula, str) else None
    if parsed is not None and parsed.all_random:
        raise FormulaError(
            f"gls() has no random terms, and the formula has ({parsed.all_random[0].text}). Use lmer(), which takes "
            "residual= as well."
        )
    if residual is None and parsed is not None and not parsed.traits:
        residual = INDEPENDENT
    with warnings_from_caller(stacklevel=2):
        request = _request(
            reml,
            na_action,
            control,
            Source(data, weights, offset, subset, contrasts, None, relmat, residual, constraints),
            scope,
        )
        return assemble_fit(LmmFit, formula, request, scope, start)


def _request(reml: bool, na_action: str, control: Control | None, source: Source, scope: Mapping[str, Any]) -> Request:
    if not isinstance(reml, bool | np.bool_):
        raise ModelError(f"reml must be True or False, not {reml!r}.")
    return Request(
        reml=bool(reml),
        na_action=na_action,
        control=_checked_control(control),
        source=source,
        data_name=name_of(source.data, scope),
        weights=_text(source.weights, scope),
        offset=_text(source.offset, scope),
        subset=_text(source.subset, scope),
    )


def _checked_control(control: Control | None) -> Control:
    if control is None:
        return Control()
    if not isinstance(control, Control):
        raise ModelError(f"control must be an lmm.Control(...), not a {type(control).__name__}.")
    return control


def _text(spec: Any, scope: Mapping[str, Any]) -> str | None:
    return spec if spec is None or isinstance(spec, str) else name_of(spec, scope) or "(values)"
