"""What is said of a fit as soon as it is there: an error when it is none, a warning when it is doubtful or singular."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from lmmpy.errors import SingularFitWarning
from lmmpy.fitting import warn_if_doubtful
from lmmpy.model.checks import check_residual
from lmmpy.model.components import theta_names
from lmmpy.model.redundant import redundant_terms

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["judge"]


def judge(fit: LmmFit, stacklevel: int, response: str) -> None:
    """
    Refuse or comment on a fit whose variance components were estimated.

    Parameters
    ----------
    fit : LmmFit
    stacklevel : int
        As in `warnings.warn`, counted from the caller of this function.
    response : str
        What to call it in a message.

    Raises
    ------
    ModelError
        When the random effects reproduce the response.

    Warns
    -----
    ConvergenceWarning, SingularFitWarning
    """
    if fit.optimum.held:
        return
    check_residual(fit.design, response, fit.sigma, fit.criterion.products.scale)
    names = theta_names(fit.design)
    warn_if_doubtful(fit.criterion, fit.optimum, names, stacklevel=stacklevel + 1, causes=redundant_terms)
    if fit.optimum.saturated:
        warnings.warn(
            "Boundary fit: the residual variance is estimated as zero, so that the random terms take all of the "
            "variance. The fit is valid; repeated records, or more distant relatives, would tell the two apart. See "
            "fit.convergence.",
            SingularFitWarning,
            stacklevel=stacklevel + 1,
        )
    asked_for = fit.optimum.constraint is not None and not fit.optimum.at_boundary
    if fit.optimum.converged and fit.is_singular() and not asked_for:
        between = fit.optimum.on_boundary.any() and not fit.optimum.on_boundary[: fit.design.n_theta_random].any()
        what = "the covariances between rows say more" if between else "the random terms say more"
        on = [name for name, there in zip(names, fit.optimum.on_boundary, strict=True) if there]
        warnings.warn(
            "Boundary (singular) fit: a variance of zero or a perfect correlation in "
            f"{', '.join(on) or 'a random term'}. The fit is valid; {what} than the data can support. See "
            "fit.convergence.",
            SingularFitWarning,
            stacklevel=stacklevel + 1,
        )
