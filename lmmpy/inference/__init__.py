"""Functions on a fit: comparisons and predictions."""

from lmmpy.inference.lrt import Comparison, compare_fits
from lmmpy.inference.prediction import chosen_terms, predict_new

__all__ = ["Comparison", "chosen_terms", "compare_fits", "predict_new"]
