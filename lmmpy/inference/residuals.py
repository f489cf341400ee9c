"""Residuals in units of what they are without their own row."""

from __future__ import annotations

import numpy as np

from lmmpy.design.values import Floats

__all__ = ["deleted_sigma"]


def deleted_sigma(r2: float, dof: int, residual: Floats, hat: Floats) -> Floats:
    """
    σ̂ without each row, θ held: σ̂²₋ᵢ = (r² − ê²/(1 − h))/(ν − 1).

    Parameters
    ----------
    r2 : float
        The penalised weighted residual sum of squares.
    dof : int
        Its degrees of freedom ν.
    residual : ndarray, shape (n,)
        W^½(y − Xβ̂ − Zb).
    hat : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
        NaN where a row has a hat value of one.
    """
    left = np.where(hat < 1.0, 1.0 - hat, np.nan)
    return np.asarray(np.sqrt(np.maximum(r2 - residual**2 / left, 0.0) / (dof - 1)))
