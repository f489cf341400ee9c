"""What a fit says of hypotheses about its fixed effects."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lmmpy.design.values import Floats
from lmmpy.engines import Criterion, one_blas_thread
from lmmpy.errors import ModelError, shown
from lmmpy.fitting import ConvergenceReport, Optimum, in_coordinates_of_search, observed_curvature
from lmmpy.inference.constrained_parameters import constrained_parameters
from lmmpy.inference.contrasts import DDF_METHODS, Asymptotic, ContrastTests, DenominatorDf
from lmmpy.inference.kenward_roger import kenward_roger
from lmmpy.inference.satterthwaite import satterthwaite
from lmmpy.inference.variance_parameters import VarianceParameters, variance_parameters
from lmmpy.model.components import theta_names
from lmmpy.model.constraints import constraint_of, refuse_constrained
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
        """(θ, log σ) of the search and their asymptotic covariance from the observed Hessian."""
        criterion, optimum = in_coordinates_of_search(self.criterion, self.optimum)
        design, bases = criterion.design, self.criterion.bases if optimum is not self.optimum else self._own_bases
        if optimum.held:
            size = design.n_theta + 1
            none, nothing = np.zeros(size, dtype=bool), np.zeros((size, size))
            return VarianceParameters(design, bases, optimum.theta, self.sigma, none, nothing, np.empty((size, 0)))
        constraint = constraint_of(self)
        if constraint is not None:
            hessian = self.convergence.hessian.to_numpy()
            return constrained_parameters(design, optimum.theta, self.sigma, constraint, hessian)
        with one_blas_thread():
            free, hessian = self._curvature(criterion, optimum)
        slopes = optimum.evaluation.log_r2_gradient
        assert slopes is not None
        return variance_parameters(design, bases, optimum.theta, self.sigma, hessian, free, slopes, criterion.dof)

    @property
    def _own_bases(self) -> tuple[None, ...]:
        return (None,) * len(self.design.random)

    def _curvature(self, criterion: Criterion, optimum: Optimum) -> tuple[NDArray[np.bool_], Floats]:
        """Which parameters are free, and the Hessian over them: that of the report where it is in these coordinates."""
        if optimum is not self.optimum:
            return observed_curvature(criterion, optimum)
        hessian = self.convergence.hessian
        return np.isin(theta_names(self.design), list(hessian.index)), hessian.to_numpy()

    def contrast_tests(self, ddf: str = "satterthwaite") -> ContrastTests:
        """
        Tests of linear hypotheses about the fixed effects.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "asymptotic"}
            Degrees of freedom of t and F tests; "asymptotic" are normal and χ² tests, which are exact, and taken
            whatever is asked for, when the variance components are known.

        Returns
        -------
        ContrastTests
            With `.vcov`, `.single(L)` and `.joint(L)`.

        Raises
        ------
        ModelError
            For Kenward and Roger's method with a fit by ML, with covariances between rows (several traits, a
            structured residual), or where the residual variance is zero.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
        >>> import numpy as np
        >>> tests = fit.contrast_tests("kenward-roger")
        >>> found = tests.single(np.array([[0.0, 1.0]]))
        >>> found.df.round(1).tolist()
        [161.0]
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
        criterion, optimum = in_coordinates_of_search(self.criterion, self.optimum)
        operators = criterion.operators(optimum.theta)
        if name == "asymptotic" or self.optimum.held or not self.design.p:
            # With known variances β̂ is exactly normal; and without β there is nothing to test.
            inverse = np.asarray(np.linalg.inv(operators.QtVQ), dtype=float)
            return Asymptotic(operators.products.R, self.sigma**2 * inverse)
        if name == "satterthwaite":
            return satterthwaite(self._variance_parameters, operators)
        if not self.reml:
            raise ModelError(
                "Kenward and Roger's method is for REML fits, and this one is by ML. Fit with reml=True, or use "
                "ddf='satterthwaite'."
            )
        if self.design.row_covariances:
            raise ModelError(
                "Kenward and Roger's method is not there for several traits, a structured residual or random "
                "functions. Use ddf='satterthwaite'."
            )
        refuse_constrained(self, "Kenward and Roger's method", "Use ddf='satterthwaite', which does.")
        if self.optimum.saturated:
            raise ModelError(
                "Kenward and Roger's method needs to know how well the residual variance is estimated, and here it is "
                "zero, on the boundary. Use ddf='satterthwaite', which takes it as zero."
            )
        return kenward_roger(criterion.design, optimum.theta, self.sigma, operators)
