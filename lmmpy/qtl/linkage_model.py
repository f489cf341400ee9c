"""A null model with the sharing at a position added: the design, the fit, and the shares of the variance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmmpy.covariance import Diagonal, Indexed, Unstructured
from lmmpy.design import Design, RandomEffects
from lmmpy.design.values import Categorical
from lmmpy.engines import Criterion, make_criterion
from lmmpy.errors import DataError
from lmmpy.fitting import Control, fit_by_reference, fit_theta
from lmmpy.formula import RandomTerm
from lmmpy.inference.variance_parameters import components
from lmmpy.qtl.linkage_sharing import PeoplePairs

__all__ = ["LinkageModel", "PositionFit", "has_shares", "share_columns"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# The least standard deviation of locus and polygenes at the start, in typical sizes.
_LEAST = 0.2
# A likelihood that is lower than the null model's by less has the locus at zero.
_SLACK = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class PositionFit:
    """The model with one position.

    Attributes
    ----------
    value : float
        −2 log-likelihood, restricted where the null model's is.
    shares : dict of str to float
        See `share_columns`.
    converged : bool
    """

    value: float
    shares: dict[str, float]
    converged: bool


@dataclass(frozen=True, eq=False, slots=True)
class LinkageModel:
    """
    A null model to which positions are added one at a time; pickles.

    Attributes
    ----------
    null : Design
        Of the null model.
    reml : bool
    theta : ndarray, shape (n_theta,)
        Its estimates.
    value : float
        −2 log-likelihood there.
    ids : tuple of str
        The people.
    codes : ndarray of int, shape (n,)
        Whose each row is.
    term : RandomTerm
        What the formula says of the locus.
    labels : tuple of str
        What the share of each random term is called, in their order, the locus's last.
    polygenic : int or None
        Number of the term whose variance a locus takes from.
    independent : bool
        With several traits: whether ρ_q is held at zero.
    """

    null: Design
    reml: bool
    theta: Floats
    value: float
    ids: tuple[str, ...]
    codes: Ints
    term: RandomTerm
    labels: tuple[str, ...]
    polygenic: int | None
    independent: bool = False

    def fit(self, pairs: PeoplePairs) -> PositionFit:
        """
        Estimate all variances with a position in the model, whatever kind of model it is.

        The search begins where the locus has half of the genetic variance, goes on from other starts if it ends at the
        edge, and begins again from the data if it does not end well. The null model is a part of this one: where
        nothing better is found it is the answer.

        Parameters
        ----------
        pairs : PeoplePairs

        Raises
        ------
        DataError
            When the sharing cannot be a covariance.
        """
        control = Control(progress=False)
        try:
            criterion = make_criterion(self.design(pairs), self.reml)
        except DataError as error:
            raise pairs.explained(error) from error
        optimum = fit_theta(criterion, control, near=self._near(criterion))
        if not optimum.converged or optimum.adrift or optimum.value > self.value + _SLACK:
            criterion, optimum = fit_by_reference(criterion, control, None, "auto")
        locus = criterion.design.split_theta(optimum.theta)[-1]
        if not optimum.value < self.value or not locus.any():
            return PositionFit(self.value, self.null_shares(), optimum.converged)
        return PositionFit(
            optimum.value, share_columns(criterion.design, optimum.theta, self.labels), optimum.converged
        )

    def design(self, pairs: PeoplePairs) -> Design:
        """
        The null model's design with the effects of a position as the last random term.

        Parameters
        ----------
        pairs : PeoplePairs
        """
        null = self.null
        columns: tuple[str, ...] = ("(Intercept)",)
        values = np.ones((null.n, 1))
        if null.traits is not None:
            columns, values = null.traits.names, np.eye(len(null.traits.names))[null.traits.trait]
        kind = Diagonal if self.independent else Unstructured
        locus = RandomEffects(
            term=self.term,
            name=self.term.grouping.label,
            columns=columns,
            values=values,
            grouping=Categorical(self.codes, np.array(self.ids, dtype=object)),
            structure=kind(len(columns)),
            relatedness=pairs.relatedness(self.ids),
        )
        return replace(null, random=(*null.random, locus))

    def null_shares(self) -> dict[str, float]:
        """The shares where the locus has none."""
        everybody = np.arange(len(self.ids))
        design = self.design(PeoplePairs(str, everybody, everybody, np.ones(len(everybody))))
        theta = self._joined(np.zeros(design.random[-1].structure.n_theta))
        return share_columns(design, theta, self.labels)

    def _joined(self, locus: Floats, theta: Floats | None = None) -> Floats:
        """θ of the null model with that of the locus behind the random terms."""
        theta = self.theta if theta is None else theta
        m = self.null.n_theta_random
        return np.concatenate([theta[:m], locus, theta[m:]])

    def _near(self, criterion: Criterion) -> Floats:
        """Half of the genetic variance is the locus's, and neither part is next to nothing."""
        null, unit, place = self.null, criterion.units, self.polygenic
        structure = criterion.design.random[-1].structure
        parts = null.split_theta(self.theta)
        if place is None or null.random[place].k != structure.k:
            return self._joined(structure.start(_LEAST * unit[-1]))
        own = null.random[place].structure
        T = own.factor(parts[place]).T
        half = 0.5 * T @ T.T
        parts[place] = own.nearest(half + np.diag((_LEAST * unit[place]) ** 2))
        share = np.diag(np.diag(half)) if self.independent else half
        locus = structure.nearest(share + np.diag((_LEAST * unit[-1]) ** 2))
        return self._joined(locus, np.concatenate([*parts, self.theta[null.n_theta_random :]]))


def has_shares(design: Design) -> bool:
    """
    Whether the variance of a row is a sum of one component a term, the same in all rows (of one trait).

    Parameters
    ----------
    design : Design
    """
    if design.functions:
        return False
    if design.traits is None:
        return design.residual is None and all(term.columns == ("(Intercept)",) for term in design.random)
    by_trait = design.residual is not None and isinstance(design.residual.structure, Indexed)
    return by_trait and all(set(term.columns) <= set(design.traits.names) for term in design.random)


def share_columns(design: Design, theta: Floats, labels: tuple[str, ...]) -> dict[str, float]:
    """
    Shares of the variance that covariates leave, term by term, and of the residual.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    labels : tuple of str
        What each term's share is called, in their order; the last is the locus's.

    Returns
    -------
    dict of str to float
        With several traits of each of them, ``h2q[bmi]``, and ``rho_q``, the correlation of the locus's effects. NaN
        where `has_shares` says no.
    """
    traits = (None,) if design.traits is None else design.traits.names
    variances = {label: _variances(design, theta, t) for t, label in enumerate(labels)} | {"e2": {}}
    if not has_shares(design):
        return {_of(label, trait): np.nan for label in variances for trait in traits}
    known = components(design, theta, 1.0)
    by_name = dict(zip(known.names, known.values, strict=True))
    variances["e2"] = {trait: 1.0 if trait is None else float(by_name[f"Residual.{trait}"]) for trait in traits}
    total = {trait: sum(own.get(trait, 0.0) for own in variances.values()) for trait in traits}
    shares = {
        _of(label, trait): own.get(trait, 0.0) / total[trait] for label, own in variances.items() for trait in traits
    }
    return shares | _correlations(design, theta)


def _of(label: str, trait: str | None) -> str:
    return label if trait is None else f"{label}[{trait}]"


def _covariance(design: Design, theta: Floats, t: int) -> Floats:
    T = design.random[t].structure.factor(design.split_theta(theta)[t]).T
    return np.asarray(T @ T.T)


def _variances(design: Design, theta: Floats, t: int) -> dict[str | None, float]:
    """The variance of one term's effects by trait, relative to σ²."""
    diagonal = np.diag(_covariance(design, theta, t)).tolist()
    return dict(zip((None,) if design.traits is None else design.random[t].columns, diagonal, strict=False))


def _correlations(design: Design, theta: Floats) -> dict[str, float]:
    """Between the locus's effects on pairs of traits; NaN where one has none."""
    names = () if design.traits is None else design.traits.names
    if len(names) < 2:
        return {}
    C = _covariance(design, theta, len(design.random) - 1)
    found = {}
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            size = float(np.sqrt(C[i, i] * C[j, j]))
            label = "rho_q" if len(names) == 2 else f"rho_q[{names[i]}, {names[j]}]"
            found[label] = float(np.clip(C[i, j] / size, -1.0, 1.0)) if size > 0.0 else np.nan
    return found
