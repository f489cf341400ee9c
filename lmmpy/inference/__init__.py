"""Functions on a fit: comparisons and predictions."""

from lmmpy.inference.lrt import Comparison, compare_fits
from lmmpy.inference.prediction import chosen_terms, linear_predictor, predict_new

__all__ = ["Comparison", "chosen_terms", "compare_fits", "linear_predictor", "predict_new"]
