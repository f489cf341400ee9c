"""
Plots of a fit: data builders (frames), and drawings of frames on matplotlib axes.

A plot is made in two steps that can be had apart: a builder reads a fit and returns a frame with all numbers of the
picture, a drawing puts such a frame on an Axes. ``fit.plot`` does both. Only drawings need matplotlib.
"""

from lmmpy.plots.accessor import FitPlots
from lmmpy.plots.builders import (
    forest_frame,
    influence_frame,
    profile_frame,
    profile_limits_frame,
    qq_residual_frame,
    residual_frame,
    scale_location_frame,
)
from lmmpy.plots.drawings import (
    draw_forest,
    draw_influence,
    draw_profile,
    draw_qq,
    draw_residuals,
    draw_scale_location,
)
from lmmpy.plots.group_builders import caterpillar_frame, groups_frame, qq_ranef_frame, shrinkage_frame
from lmmpy.plots.group_drawings import draw_caterpillar, draw_group, draw_shrinkage, draw_shrinkage_pair
from lmmpy.plots.pedigree import draw_pedigree
from lmmpy.plots.quantiles import qq_frame
from lmmpy.plots.scan_builders import lod_frame, manhattan_frame, qq_p_frame, regional_frame
from lmmpy.plots.scan_drawings import lod_curves, manhattan, qq, regional
from lmmpy.plots.style import COLOURS, use_style

__all__ = [
    "COLOURS",
    "FitPlots",
    "caterpillar_frame",
    "draw_caterpillar",
    "draw_forest",
    "draw_group",
    "draw_influence",
    "draw_pedigree",
    "draw_profile",
    "draw_qq",
    "draw_residuals",
    "draw_scale_location",
    "draw_shrinkage",
    "draw_shrinkage_pair",
    "forest_frame",
    "groups_frame",
    "influence_frame",
    "lod_curves",
    "lod_frame",
    "manhattan",
    "manhattan_frame",
    "profile_frame",
    "profile_limits_frame",
    "qq",
    "qq_frame",
    "qq_p_frame",
    "qq_ranef_frame",
    "qq_residual_frame",
    "regional",
    "regional_frame",
    "residual_frame",
    "scale_location_frame",
    "shrinkage_frame",
    "use_style",
]


def __dir__() -> list[str]:
    return __all__
