"""What identifies a null model, so that a scan is continued with the same one only."""

from __future__ import annotations

import numpy as np

from lmmpy.model import LmmFit
from lmmpy.relatedness import Relatedness
from lmmpy.scan import digest

__all__ = ["kernel_digest", "null_digest"]


def null_digest(fit: LmmFit) -> str:
    """
    A digest of data, relatedness and estimates.

    Data count bit for bit; estimates and products with K to 7 digits, which the number of threads does not change.

    Parameters
    ----------
    fit : LmmFit
    """
    design = fit.design
    parts: list[object] = [
        design.y,
        design.X,
        design.names,
        fit.reml,
        _rounded(fit.optimum.theta),
        _rounded([fit.sigma]),
    ]
    parts += [x for x in (design.weights, design.offset) if x is not None]
    for term in design.random:
        parts += [term.name, term.columns, term.values, term.codes]
        if not term.relatedness.is_identity:
            parts.append(kernel_digest(term.relatedness))
    for between in design.row_covariances:
        parts += [between.name, between.groups]
    return digest(*parts)


def kernel_digest(relatedness: Relatedness) -> str:
    """A digest of a relatedness by a product with it, to 7 digits."""
    # quasi-random, so that no two kernels agree on it
    probe = np.modf(0.6180339887498949 * np.arange(1.0, relatedness.size + 1.0))[0] - 0.5
    return digest(relatedness.labels, _rounded(relatedness.times(probe[:, None])[:, 0]))


def _rounded(values: object) -> tuple[str, ...]:
    """To 7 significant digits of the largest."""
    array = np.asarray(values, dtype=float).ravel()
    size = float(np.abs(array).max(initial=0.0)) or 1.0
    return (*(f"{x:.6f}" for x in array / size + 0.0), f"{size:.6e}")
