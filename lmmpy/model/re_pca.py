"""Principal components of the random effects of each grouping factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg

from lmmpy.design import Design
from lmmpy.design.values import Floats

__all__ = ["PrincipalComponents", "RandomEffectsPCA", "re_pca"]


@dataclass(frozen=True, eq=False, slots=True)
class PrincipalComponents:
    """
    Principal components of the random effects of one grouping factor, all its terms together.

    Attributes
    ----------
    sdev : Series
        Standard deviations of the components, relative to sigma.
    proportion : Series
        Share of each in the sum of the variances; NaN when all of them are zero.
    rotation : DataFrame
        Effects × components, orthonormal columns.
    """

    sdev: pd.Series
    proportion: pd.Series
    rotation: pd.DataFrame

    @property
    def cumulative(self) -> pd.Series:
        """Shares of the first components together."""
        return self.proportion.cumsum().rename("cumulative")

    def to_frame(self) -> pd.DataFrame:
        """One row a component: `sdev, proportion, cumulative`."""
        return pd.DataFrame({"sdev": self.sdev, "proportion": self.proportion, "cumulative": self.cumulative})

    def __repr__(self) -> str:
        return self.to_frame().T.to_string(float_format="{:.4g}".format)


class RandomEffectsPCA(Mapping[str, PrincipalComponents]):
    """
    Principal components by grouping factor; a component without variance is one effect too many.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> pca = fit.re_pca()
    >>> list(pca)
    ['Subject']
    >>> pca["Subject"].proportion.round(3).tolist()
    [0.946, 0.054]
    """

    def __init__(self, found: Mapping[str, PrincipalComponents]) -> None:
        self._found = dict(found)

    def __getitem__(self, group: str) -> PrincipalComponents:
        return self._found[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def to_frame(self) -> pd.DataFrame:
        """
        One row a component of a grouping factor: `group, component, sdev, proportion, cumulative`.

        Returns
        -------
        DataFrame
        """
        parts = [found.to_frame().rename_axis("component").reset_index().assign(group=g) for g, found in self.items()]
        columns = ["group", "component", "sdev", "proportion", "cumulative"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    def __repr__(self) -> str:
        return "\n".join(f"{group}\n{found!r}" for group, found in self.items())

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def re_pca(design: Design, theta: Floats) -> RandomEffectsPCA:
    """
    Singular values and left vectors of the relative factors, the terms of one grouping factor side by side.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)

    Returns
    -------
    RandomEffectsPCA
    """
    factors: dict[str, list[tuple[tuple[str, ...], Floats]]] = {}
    for term, part in zip(design.random, design.split_theta(theta), strict=True):
        factors.setdefault(term.group, []).append((term.columns, term.structure.factor(part).T))
    return RandomEffectsPCA({group: _components(parts) for group, parts in factors.items()})


def _components(parts: list[tuple[tuple[str, ...], Floats]]) -> PrincipalComponents:
    U, sdev, _ = np.linalg.svd(linalg.block_diag(*(T for _, T in parts)))
    names = [f"PC{i}" for i in range(1, len(sdev) + 1)]
    total = float((sdev**2).sum())
    share = sdev**2 / total if total > 0 else np.full(len(sdev), np.nan)
    effects = [column for columns, _ in parts for column in columns]
    return PrincipalComponents(
        sdev=pd.Series(sdev, index=names, name="sdev"),
        proportion=pd.Series(share, index=names, name="proportion"),
        rotation=pd.DataFrame(U, index=effects, columns=names),
    )
