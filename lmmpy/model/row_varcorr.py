"""Covariance matrices of what varies between rows: random functions and the residual, as `varcorr` shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmmpy.covariance import Reported
from lmmpy.design import Design, RowCovariance
from lmmpy.design.values import Floats
from lmmpy.inference.row_parameters import covariance_of_places
from lmmpy.report import VarCorrRow

__all__ = ["RowBlock", "row_blocks"]

_RESIDUAL = "Residual"


@dataclass(frozen=True, eq=False, slots=True)
class RowBlock:
    """One of them.

    Attributes
    ----------
    name : str
    matrix : DataFrame
        Over traits, strata or occasions; else 1 × 1.
    table : tuple of VarCorrRow
        As it is printed.
    """

    name: str
    matrix: pd.DataFrame
    table: tuple[VarCorrRow, ...]


def row_blocks(design: Design, theta: Floats, sigma: float) -> tuple[RowBlock, ...]:
    """
    The random functions, and the residual last.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    sigma : float
    """
    pairs = zip(design.row_covariances, design.split_rows(theta), strict=True)
    found = [_block(rows, phi, sigma) for rows, phi in pairs]
    return tuple(found) if design.residual is not None else (*found, _plain(_RESIDUAL, sigma))


def _plain(name: str, sd: float) -> RowBlock:
    matrix = pd.DataFrame([[sd**2]], index=[""], columns=[""])
    return RowBlock(name, matrix, (VarCorrRow(name, "", sd**2, sd),))


def _block(rows: RowCovariance, phi: Floats, sigma: float) -> RowBlock:
    reported = rows.structure.reported(phi)
    sds = {found.labels[-1]: sigma * found.value for found in reported if found.kind == "sd"}
    if rows.codes is not None:
        return _plain(rows.name, next(iter(sds.values()), sigma))
    places = covariance_of_places(rows, phi)
    correlations = _correlations(reported, list(sds)) if places is not None else {}
    table = tuple(_row(rows.name, label, sd, correlations, list(sds)[:i]) for i, (label, sd) in enumerate(sds.items()))
    if places is not None:
        labels, C, _ = places
        matrix = pd.DataFrame(sigma**2 * C, index=list(labels), columns=list(labels))
    elif sds and all(found.kind == "sd" for found in reported):
        matrix = pd.DataFrame(np.diag(np.square(list(sds.values()))), index=list(sds), columns=list(sds))
    else:
        matrix = _plain(rows.name, sigma).matrix
    return RowBlock(rows.name, matrix, table or _plain(rows.name, sigma).table)


def _correlations(reported: list[Reported], labels: list[str]) -> dict[tuple[str, str], float]:
    """Those between strata that have a standard deviation of their own."""
    cor = {(found.labels[0], found.labels[1]): found.value for found in reported if found.kind == "cor"}
    return {pair: value for pair, value in cor.items() if set(pair) <= set(labels)}


def _row(name: str, label: str, sd: float, correlations: dict[tuple[str, str], float], before: list[str]) -> VarCorrRow:
    found = tuple(correlations.get((label, other), np.nan) for other in before) if correlations else ()
    return VarCorrRow(name, label, sd**2, sd, found)
