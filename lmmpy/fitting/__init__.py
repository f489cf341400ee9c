"""Fitting: start values, trust-region Newton, the boundary, and the convergence report."""

from lmmpy.fitting.constrained_fit import Constraint, fit_constrained, names_sigma
from lmmpy.fitting.control import Control
from lmmpy.fitting.convergence import (
    ConvergenceReport,
    convergence_report,
    flat_directions,
    in_coordinates_of_search,
    observed_curvature,
    warn_if_doubtful,
)
from lmmpy.fitting.fit import Optimum, fit_theta, hold_theta, own_theta, refit_theta
from lmmpy.fitting.reference import fit_by_reference
from lmmpy.fitting.start import start_values

__all__ = [
    "Constraint",
    "Control",
    "ConvergenceReport",
    "Optimum",
    "convergence_report",
    "fit_by_reference",
    "fit_constrained",
    "fit_theta",
    "flat_directions",
    "hold_theta",
    "in_coordinates_of_search",
    "names_sigma",
    "observed_curvature",
    "own_theta",
    "refit_theta",
    "start_values",
    "warn_if_doubtful",
]
