"""What a fit says of hypotheses about its fixed effects."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lmmpy.engines import one_blas_thread
from lmmpy.errors import ModelError, shown
from lmmpy.fitting import ConvergenceReport
from lmmpy.inference.contrasts import DDF_METHODS, Asymptotic, ContrastTests, DenominatorDf
from lmmpy.inference.kenward_roger import kenward_roger
from lmmpy.inference.satterthwaite import satterthwaite
from lmmpy.inference.variance_parameters import VarianceParameters, variance_parameters
from lmmpy.model.components import theta_names
from lmmpy.model.results import FitResults

__all__ = ["Tested", "checked_ddf"]


def checked_ddf(ddf: str) -> str:
    """
    The method that a name stands for.

    Raises
    ------
    ModelError
        For another name.
    """
    name = ddf.lower().replace("_", "-") if isinstance(ddf, str) else ddf
    if name not in DDF_METHODS:
        raise ModelError(f"ddf is one of {shown(DDF_METHODS)}, not {ddf!r}.")
    return str(name)


class Tested(FitResults):
    """What a fit says of hypotheses about its fixed effects."""

    @property
    def convergence(self) -> ConvergenceReport:
        """See `LmmFit`."""
        raise NotImplementedError

    @cached_property
    def _variance_parameters(self) -> VarianceParameters:
        """(θ, log σ) and their asymptotic covariance from the observed Hessian."""
        optimum, names = self.optimum, theta_names(self.design)
        if optimum.held:
            size = self.design.n_theta + 1
            nothing = np.zeros((size, size))
            return VarianceParameters(
                optimum.theta, self.sigma, np.zeros(size, dtype=bool), nothing, np.empty((size, 0))
            )
        hessian = self.convergence.hessian
        slopes = optimum.evaluation.log_r2_gradient
        assert slopes is not None
        free = np.isin(names, list(hessian.index))
        return variance_parameters(optimum.theta, self.sigma, hessian.to_numpy(), free, slopes, self.criterion.dof)

    def contrast_tests(self, ddf: str = "satterthwaite") -> ContrastTests:
        """
        Tests of linear hypotheses about the fixed effects.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "asymptotic"}
            Degrees of freedom of t and F tests; "asymptotic" are normal and χ² tests.

        Returns
        -------
        ContrastTests
            With `.vcov`, `.single(L)` and `.joint(L)`.

        Raises
        ------
        ModelError
            For Kenward and Roger's method with a fit by ML.
        """
        name = checked_ddf(ddf)
        if name not in self._methods:
            with one_blas_thread():
                self._methods[name] = self._method(name)
        return ContrastTests(self._solution.beta, self._methods[name])

    @cached_property
    def _methods(self) -> dict[str, DenominatorDf]:
        return {}

    def _method(self, name: str) -> DenominatorDf:
        unscaled, theta = self._solution.unscaled_vcov, self.optimum.theta
        if name == "asymptotic" or self.optimum.held or not self.design.p:
            # With known variances β̂ is exactly normal; and without β there is nothing to test.
            return Asymptotic(self.sigma**2 * unscaled)
        if name == "satterthwaite":
            return satterthwaite(self.design, self._variance_parameters, unscaled, self.criterion.operators(theta))
        if not self.reml:
            raise ModelError(
                "Kenward and Roger's method is for REML fits, and this one is by ML. Fit with reml=True, or use "
                "ddf='satterthwaite'."
            )
        return kenward_roger(self.design, theta, self.sigma, unscaled, self.criterion.operators(theta))
