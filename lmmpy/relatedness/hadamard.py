"""The entrywise product of two relatednesses: how interactions of their effects are related."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from lmmpy.errors import DataError, shown
from lmmpy.relatedness.components import members
from lmmpy.relatedness.covariance import Dense, SparseCovariance, sorted_csc
from lmmpy.relatedness.form import Form, Identity, refuse_dense
from lmmpy.relatedness.labels import Ints

if TYPE_CHECKING:
    from lmmpy.relatedness.relatedness import Relatedness

__all__ = ["hadamard_product"]


def hadamard_product(one: Relatedness, other: Relatedness) -> tuple[Form, dict[str, str]]:
    """
    K₁ ∘ K₂ of the same ids, group by group of those that are related by both.

    Parameters
    ----------
    one, other : Relatedness

    Returns
    -------
    Form
        Identity where both are, sparse where groups are small, else dense; levels in the order of `one`.
    dict
        Further ids of levels: of identical twins for whom both have one level.

    Raises
    ------
    DataError
        When they do not know the same ids, or without labels differ in size.
    """
    first, second, labels, aliases = _matched(one, other)
    if one.is_identity and other.is_identity:
        return Identity(len(first), labels), aliases
    groups = members(_common(one.components()[first], other.components()[second]))
    entries = sum(len(group) ** 2 for group in groups)
    refuse_dense("product", int(np.sqrt(entries)))
    blocks = [one.block(first[group], first[group]) * other.block(second[group], second[group]) for group in groups]
    if 2 * entries > len(first) ** 2:
        K = np.zeros((len(first), len(first)))
        for group, block in zip(groups, blocks, strict=True):
            K[np.ix_(group, group)] = block
        return Dense(K, labels), aliases
    order = np.concatenate(groups)
    back = np.argsort(order)
    return SparseCovariance(sorted_csc(sparse.block_diag(blocks, format="csc")[back][:, back]), labels), aliases


def _common(one: Ints, other: Ints) -> Ints:
    """Number of the group of each level when only those of one group by both stay together."""
    pairs = np.column_stack([one, other])
    return np.unique(pairs, axis=0, return_inverse=True)[1].ravel().astype(np.intp)


def _matched(one: Relatedness, other: Relatedness) -> tuple[Ints, Ints, tuple[str, ...] | None, dict[str, str]]:
    """Numbers of the levels of the product in both, its labels, and further ids of them."""
    if one.labels is None and other.labels is None:
        if one.size != other.size:
            raise DataError(
                f"Only relatednesses of the same levels have a product; these have {one.size} and {other.size} levels."
            )
        every = np.arange(one.size)
        return every, every, None, {}
    if one.labels is None or other.labels is None:
        raise DataError("One of the relatednesses has no labels, so that their levels cannot be matched. Give it some.")
    ids, others = one.ids, set(other.ids)
    only, extra = [id for id in ids if id not in others], sorted(others - set(ids))
    if only or extra:
        raise DataError(
            "Only relatednesses of the same ids have a product. "
            + (f"The first alone has {shown(only)}. " if only else "")
            + (f"The second alone has {shown(extra)}. " if extra else "")
            + "Take those that both have: .subset(ids)."
        )
    # Twins are one level where both have them as one; elsewhere one of the two tells them apart.
    names: dict[tuple[int, int], str] = {}
    aliases = {}
    for id, level in zip(
        ids, zip(one.positions(ids).tolist(), other.positions(ids).tolist(), strict=True), strict=True
    ):
        if names.setdefault(level, id) != id:
            aliases[id] = names[level]
    labels = tuple(names.values())
    return one.positions(labels), other.positions(labels), labels, aliases
