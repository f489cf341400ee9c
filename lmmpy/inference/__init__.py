"""Functions on a fit: comparisons, predictions, simulation and the bootstrap."""

from lmmpy.inference.bootstrap import Bootstrap, Replicate, guarded, run_bootstrap
from lmmpy.inference.lrt import Comparison, compare_fits
from lmmpy.inference.prediction import linear_predictor
from lmmpy.inference.profile import Profile
from lmmpy.inference.simulation import draw_response, seed_sequences

__all__ = [
    "Bootstrap",
    "Comparison",
    "Profile",
    "Replicate",
    "compare_fits",
    "draw_response",
    "guarded",
    "linear_predictor",
    "run_bootstrap",
    "seed_sequences",
]
