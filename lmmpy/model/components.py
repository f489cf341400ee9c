"""Variance components: from θ and σ to covariances and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.covariance import Indexed
from lmmpy.design import Design, RandomEffects, RowCovariance
from lmmpy.design.values import Floats
from lmmpy.errors import ModelError, shown
from lmmpy.inference.row_parameters import row_parameter_names, row_parameters
from lmmpy.model.row_varcorr import row_blocks
from lmmpy.report import VarCorrRow, VarCorrTable, varcorr_frame, varcorr_text

__all__ = [
    "VarCorr",
    "make_varcorr",
    "parameter_names",
    "parameter_values",
    "theta_from_components",
    "theta_names",
]

RESIDUAL = "Residual"


class VarCorr(Mapping[str, pd.DataFrame]):
    """
    Covariances of the random effects by term, and the residual variance.

    ``varcorr["Subject"]`` is a covariance matrix as a DataFrame, ``varcorr["Residual"]`` a 1 × 1 one, or that of the
    traits, strata or occasions of a structured residual.
    """

    def __init__(self, covariances: Mapping[str, pd.DataFrame], table: VarCorrTable) -> None:
        self._covariances, self.table = dict(covariances), table

    def __getitem__(self, term: str) -> pd.DataFrame:
        if term not in self._covariances:
            raise KeyError(f"no random term {term!r}; the terms are {shown(self._covariances)}")
        return self._covariances[term].copy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._covariances)

    def __len__(self) -> int:
        return len(self._covariances)

    def to_frame(self) -> pd.DataFrame:
        """
        One row a variance or covariance.

        Returns
        -------
        DataFrame
            Columns ``grp, var1, var2, vcov, sdcor``, in R's order; ``Residual`` last.
        """
        return varcorr_frame(self.table)

    def _repr_html_(self) -> str:
        return self.to_frame().to_html(index=False, na_rep="")

    def __str__(self) -> str:
        return varcorr_text(self.table)

    __repr__ = __str__


def theta_names(design: Design) -> list[str]:
    """Names of the covariance parameters, such as ``Subject.Days.(Intercept)``."""
    random = [f"{term.name}.{name}" for term in design.random for name in term.structure.names(term.columns)]
    return random + [f"{rows.name}.{name}" for rows in design.row_covariances for name in rows.structure.names()]


def parameter_names(design: Design) -> list[str]:
    """
    Names of all parameters: fixed effects, standard deviations and correlations term by term, sigma.

    Before sigma are those of random functions and of a structured residual.
    """
    names = list(design.names)
    for term in design.random:
        names += [f"sd_{column}|{term.name}" for column in term.columns]
        if term.term.structure != "diag":
            names += [f"cor_{a}.{b}|{term.name}" for j, b in enumerate(term.columns) for a in term.columns[j + 1 :]]
    return [*names, *row_parameter_names(design), "sigma"]


def parameter_values(design: Design, theta: Floats, sigma: float, beta: Floats) -> Floats:
    """The parameters of `parameter_names`; a correlation with an effect that does not vary is NaN."""
    found = [beta]
    for term, part in zip(design.random, design.split_theta(theta), strict=True):
        T = term.structure.factor(part).T
        length = np.sqrt(np.einsum("ab,ab->a", T, T))
        found.append(sigma * length)
        if term.k > 1 and term.term.structure != "diag":
            unit = np.divide(T, length[:, None], out=np.full_like(T, np.nan), where=length[:, None] > 0)
            rows, columns = np.tril_indices(term.k, -1)
            order = np.lexsort((rows, columns))
            found.append(np.clip((unit @ unit.T)[rows[order], columns[order]], -1.0, 1.0))
    return np.concatenate([*found, row_parameters(design, theta, sigma).values, [sigma]])


def make_varcorr(design: Design, theta: Floats, sigma: float) -> VarCorr:
    """
    Covariances at θ and σ.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    sigma : float

    Returns
    -------
    VarCorr
    """
    covariances, rows = {}, []
    for term, part in zip(design.random, design.split_theta(theta), strict=True):
        T = term.structure.factor(part).T
        G = sigma**2 * (T @ T.T)
        covariances[term.name] = pd.DataFrame(G, index=list(term.columns), columns=list(term.columns))
        rows += _rows(term, G)
    blocks = row_blocks(design, theta, sigma)
    covariances |= {block.name: block.matrix for block in blocks}
    rows += [row for block in blocks[:-1] for row in block.table]
    return VarCorr(covariances, VarCorrTable(tuple(rows), blocks[-1].table))


def _rows(term: RandomEffects, G: Floats) -> list[VarCorrRow]:
    sd = np.sqrt(np.diag(G))
    products = np.outer(sd, sd)
    correlation = np.divide(G, products, out=np.full_like(G, np.nan), where=products > 0)
    shows_correlation = term.term.structure != "diag"
    return [
        VarCorrRow(
            term.name,
            column,
            float(G[i, i]),
            float(sd[i]),
            tuple(np.clip(correlation[i, :i], -1.0, 1.0).tolist()) if shows_correlation else (),
        )
        for i, column in enumerate(term.columns)
    ]


def theta_from_components(design: Design, components: Mapping[str, Any]) -> tuple[Floats, float]:
    """
    θ and σ at which the variance components have given values.

    Parameters
    ----------
    design : Design
    components : mapping
        The variance (or covariance matrix) of each term by its name, and of ``"Residual"``: a matrix where it is
        structured over traits, strata or occasions; σ², by which a known covariance is multiplied.

    Returns
    -------
    theta : ndarray, shape (n_theta,)
    sigma : float

    Raises
    ------
    ModelError
        When a component is missing or unknown, or no structure gives it.
    """
    names = [term.name for term in design.random]
    unknown = [name for name in components if name not in (*names, RESIDUAL)]
    absent = [name for name in (*names, RESIDUAL) if name not in components]
    if unknown or absent:
        problem = f"does not know {shown(unknown)}" if unknown else f"lacks {shown(absent)}"
        raise ModelError(
            f"varcomp {problem}. Give the variance of each of {shown([*names, RESIDUAL], 20)} (a matrix for a term "
            "with several effects). To hold some and estimate others give constraints= instead, such as {'sigma': 1}."
        )
    if design.functions:
        raise ModelError(
            f"varcomp cannot hold {shown([rows.name for rows in design.functions])}: a random function has more "
            "parameters than a variance. Estimate them."
        )
    residual, of_rows = _residual(design.residual, components[RESIDUAL])
    parts = [_part(term, components[term.name], residual) for term in design.random]
    return np.concatenate([np.empty(0), *parts, of_rows]), float(np.sqrt(residual))


def _residual(rows: RowCovariance | None, component: Any) -> tuple[float, Floats]:
    """σ², and φ of a structured residual."""
    if rows is not None and rows.structure.n_theta:
        return _structured_residual(rows, component)
    found = _numbers(RESIDUAL, component)
    found = found.reshape(()) if found.size == 1 else found
    if found.ndim or not np.isfinite(found) or found <= 0:
        raise ModelError(f"varcomp: the residual variance must be a positive number, not {component!r}.")
    return float(found), np.empty(0)


def _structured_residual(rows: RowCovariance, component: Any) -> tuple[float, Floats]:
    structure = rows.structure
    if not isinstance(structure, Indexed):
        raise ModelError(
            "varcomp holds residuals that are independent, or that have a covariance matrix over traits, strata or "
            f"occasions; this one has the parameters {shown(structure.names())}, which no matrix gives. Estimate them."
        )
    labels = structure.labels
    if isinstance(component, pd.DataFrame):
        component = _aligned(RESIDUAL, labels, component)
    R = np.atleast_2d(_numbers(RESIDUAL, component))
    if R.shape != (len(labels), len(labels)) or not np.isfinite(R).all() or not R[0, 0] > 0:
        raise ModelError(
            f"varcomp['Residual'] must be a {len(labels)} × {len(labels)} covariance matrix for {shown(labels)}, the "
            f"first variance positive; got the shape {R.shape if R.shape != (1, 1) else '()'}."
        )
    try:
        return float(R[0, 0]), np.asarray(structure.structure.from_covariance(R / R[0, 0])[1:])
    except ValueError as error:
        raise ModelError(f"varcomp['Residual']: {error}.") from None


def _numbers(name: str, component: Any) -> Floats:
    try:
        return np.asarray(component, dtype=float)
    except (TypeError, ValueError):
        what = "the residual variance" if name == RESIDUAL else f"varcomp[{name!r}]"
        raise ModelError(f"{what} must be a variance or a matrix of numbers, not {component!r}.") from None


def _part(term: RandomEffects, component: Any, residual: float) -> Floats:
    if isinstance(component, pd.DataFrame):
        component = _aligned(term.name, term.columns, component)
    G = np.atleast_2d(_numbers(term.name, component))
    if not np.isfinite(G).all() or G.shape != (term.k, term.k):
        raise ModelError(
            f"varcomp[{term.name!r}] must be "
            f"{'a number' if term.k == 1 else f'a {term.k} × {term.k} matrix'} for the effects "
            f"{shown(term.columns)}; got the shape {G.shape if G.shape != (1, 1) else '()'}."
        )
    try:
        return term.structure.from_covariance(G / residual)
    except ValueError as error:
        raise ModelError(f"varcomp[{term.name!r}]: {error}.") from None


def _aligned(name: str, labels: Sequence[str], frame: pd.DataFrame) -> Floats:
    columns = list(labels)
    if set(frame.index) != set(columns) or set(frame.columns) != set(columns):
        raise ModelError(f"varcomp[{name!r}] must be labelled by {shown(columns)} on both sides.")
    return frame.loc[columns, columns].to_numpy(dtype=float)
