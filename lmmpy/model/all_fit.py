"""`all_fit`: the same model by every optimiser and from several starts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lmmpy.design.values import Floats
from lmmpy.engines import one_blas_thread
from lmmpy.errors import ModelError
from lmmpy.fitting import Optimum, fit_theta, own_theta, start_values
from lmmpy.model.components import parameter_names, parameter_values
from lmmpy.model.constraints import refuse_constrained
from lmmpy.model.lmm_fit import LmmFit

__all__ = ["AllFit", "all_fit"]

_SAME = 1e-4


@dataclass(frozen=True, eq=False)
class AllFit:
    """
    One model by several searches.

    Attributes
    ----------
    table : DataFrame
        One row a search: `criterion`, `above` (how much above the best), `converged`, `evaluations`, `seconds`.
    parameters : DataFrame
        One row a search: fixed effects, standard deviations and correlations, sigma.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> found = lmm.all_fit(fit)
    >>> found.agree
    True
    """

    table: pd.DataFrame
    parameters: pd.DataFrame

    @property
    def agree(self) -> bool:
        """Whether all searches found the same criterion, within 1e-4."""
        return bool((self.table["above"] < _SAME).all())

    def __repr__(self) -> str:
        verdict = "All searches agree." if self.agree else "The searches disagree: trust the lowest, and look closer."
        formats = {"criterion": "{:.6f}".format, "above": "{:.1e}".format, "seconds": "{:.3f}".format}
        return f"{self.table.to_string(formatters=formats)}\n{verdict}"


def all_fit(fit: LmmFit) -> AllFit:
    """
    Fit a model again in every way there is, to see whether the optimum depends on it.

    Newton's method starts from the moments of the data (row `newton`, which is what `lmer` does, further starts
    included where those are worth it) and from each of the further starts alone; COBYQA asks for values only and so
    shares nothing with it but the criterion. With many parameters it takes long.

    Parameters
    ----------
    fit : LmmFit

    Returns
    -------
    AllFit

    Raises
    ------
    ModelError
        When nothing was estimated, or the argument is no fit.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> lmm.all_fit(fit).agree
    True
    """
    if not isinstance(fit, LmmFit):
        raise ModelError(f"all_fit takes a fit, not a {type(fit).__name__}.")
    if fit.optimum.held:
        raise ModelError("The variance components of this fit were given, so that there is nothing to search for.")
    instead = "fit.update(start=…) searches from another θ, fit.update(constraints=None) without them."
    refuse_constrained(fit, "all_fit", instead)
    criterion, control = fit.criterion, fit.request.control
    inner = criterion.orthogonal()
    others = [own_theta(criterion, other) for other in start_values(inner)[1]]
    searches: list[tuple[str, str, Floats | None]] = [("newton", "newton", None)]
    searches += [(f"newton, start {i}", "newton", other) for i, other in enumerate(others, 2)]
    searches += [("cobyqa", "cobyqa", None)]
    found, seconds = {}, []
    for name, optimizer, start in searches:
        began = time.perf_counter()
        with one_blas_thread():
            found[name] = fit_theta(criterion, replace(control, optimizer=optimizer, max_evaluations=None), start)
        seconds.append(time.perf_counter() - began)
    return AllFit(_table(found, seconds), _parameters(fit, found))


def _table(found: dict[str, Optimum], seconds: list[float]) -> pd.DataFrame:
    values = np.array([optimum.evaluation.value for optimum in found.values()])
    columns = {
        "criterion": values,
        "above": values - values.min(),
        "converged": [optimum.converged for optimum in found.values()],
        "evaluations": [optimum.evaluations for optimum in found.values()],
        "seconds": seconds,
    }
    return pd.DataFrame(columns, index=list(found))


def _parameters(fit: LmmFit, found: dict[str, Optimum]) -> pd.DataFrame:
    solutions = [(optimum.theta, fit.criterion.solve(optimum.theta)) for optimum in found.values()]
    rows = [parameter_values(fit.design, theta, solution.sigma, solution.beta) for theta, solution in solutions]
    return pd.DataFrame(rows, index=list(found), columns=parameter_names(fit.design))
