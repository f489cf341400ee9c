"""What those who come from R or statsmodels write, and what lmmpy calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lmmpy.errors import similar

__all__ = ["attribute_hint", "name_hint", "refuse_arguments"]

_RANDOM = "random terms stand in the formula, such as + (x | g)"
_RESIDUAL = "covariances and variances of residuals are residual='…', such as 'ar1(t | g) * varident(f)'"
_ARGUMENTS = {
    "REML": "did you mean reml=?",
    "method": "write reml=True or reml=False.",
    "family": "the response is Gaussian; generalised mixed models (R's glmer) are not there.",
    "random": f"{_RANDOM}.",
    "groups": f"{_RANDOM}.",
    "re_formula": f"{_RANDOM}.",
    "correlation": f"{_RESIDUAL}.",
}
_GENERALISED = ("glm", "glmer", "glmmTMB", "nlmer")
_OF_FIT = {
    "resid": "residuals()",
    "REMLcrit": "reml_criterion",
    "refitML": "refit_ml()",
    "isREML": "reml",
    "bootMer": "bootstrap()",
    "getME": "design",
    "df_residual": "df_resid",
    "params": "fixef",
    "fe_params": "fixef",
    "bse": "se",
    "cov_params": "vcov()",
    "llf": "loglik",
    "random_effects": "ranef()",
    "cov_re": "varcorr",
    "scale": "sigma",
    "conf_int": "confint()",
    "pvalues": "summary(ddf='satterthwaite').to_frame()",
}


def refuse_arguments(function: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """
    Refuse arguments that a function has not, with the name that it has for them.

    Parameters
    ----------
    function : str
    given : mapping
    known : iterable of str
        The arguments that it has.

    Raises
    ------
    TypeError
    """
    for name in given:
        close = similar(name, known, 1)
        hint = _ARGUMENTS.get(name) or (f"did you mean {close[0]}=?" if close else "see its help.")
        raise TypeError(f"{function}() has no argument {name!r}: {hint}")


def attribute_hint(name: str, kind: type) -> str | None:
    """
    What a fit calls something of which the name is R's or statsmodels'; None for any other name, and for its own.

    Parameters
    ----------
    name : str
    kind : type
        Of the fit.
    """
    if name.startswith("_") or hasattr(kind, name):
        return None
    return _OF_FIT.get(name) or _alike(name, (own for own in dir(kind) if not own.startswith("_")))


def name_hint(name: str, known: Iterable[str], kind: type) -> str:
    """
    The end of a message on a name that the package has not.

    Parameters
    ----------
    name : str
    known : iterable of str
        The names that it has.
    kind : type
        Of a fit, whose attributes are functions in R.
    """
    if name in _GENERALISED:
        return ": it fits linear mixed models, and generalised ones are not there"
    own = _alike(name, known)
    if own is not None:
        return f": did you mean lmm.{own}?"
    of_fit = name if not name.startswith("_") and hasattr(kind, name) else attribute_hint(name, kind)
    return "" if of_fit is None else f": did you mean fit.{of_fit}?"


def _alike(name: str, known: Iterable[str]) -> str | None:
    functions_first = sorted(known, key=lambda own: own[:1].isupper())
    return next((own for own in functions_first if _squeezed(own) == _squeezed(name)), None)


def _squeezed(name: str) -> str:
    return name.replace("_", "").replace(".", "").casefold()
