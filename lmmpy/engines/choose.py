"""Which engine computes the criterion of a design."""

from __future__ import annotations

import copyreg
from collections import defaultdict

import numpy as np

from lmmpy.design import Design
from lmmpy.engines.blocked import BlockedSystem, Schur, eliminate, meetings
from lmmpy.engines.coordinates import orthogonal_design
from lmmpy.engines.criterion import Criterion
from lmmpy.engines.crossproducts import Block, CrossProducts, cross_products, fixed_basis, with_response
from lmmpy.engines.penalized import PenalizedLeastSquares
from lmmpy.engines.penalty import Penalty
from lmmpy.engines.schur import DenseSchur, Remainder, SparseSchur
from lmmpy.engines.sparse import SparseSystem
from lmmpy.engines.system import System

__all__ = ["ENGINES", "make_criterion"]

ENGINES = ("blocked", "blocked-dense", "blocked-sparse", "sparse")

# Up to so many effects left, a dense factorisation takes no time; above so many, no room (four arrays of 500 MB).
_SMALL, _LARGEST_DENSE = 400, 8_000
# Pairs of effects that meet in a level are listed for a sparse complement; above so many they take more room than it.
_MOST_PAIRS = 20_000_000
# A multiplication takes so much longer in sparse storage than in a dense product.
_SPARSE_IS_SLOWER = 20.0


def make_criterion(design: Design, reml: bool, engine: str = "auto") -> Criterion:
    """
    The criterion of a design by the engine that suits it.

    Parameters
    ----------
    design : Design
    reml : bool
    engine : {"auto", "blocked", "blocked-dense", "blocked-sparse", "sparse"}
        "blocked" eliminates the grouping factor with the most random effects level by level and factorises what is
        left, densely or by CHOLMOD, as its size and its pattern suggest, or as the longer names say; where nothing is
        left all of them are "blocked". "sparse" leaves everything to CHOLMOD. "auto" takes "blocked", unless what is
        left is too large for a dense array and has too many pairs of levels that meet.

    Returns
    -------
    Criterion
    """
    if engine not in ("auto", *ENGINES):
        raise ValueError(f"no engine {engine!r}; there are auto, {', '.join(ENGINES)}")
    related = any(not term.relatedness.is_identity for term in design.random)
    rows, bases = orthogonal_design(design)
    basis = with_response(design, *fixed_basis(design))
    products = cross_products(rows, basis)
    return PenalizedLeastSquares(design, reml, rows, bases, products, basis, _system(rows, products, "sparse" if related else engine))


def _system(design: Design, products: CrossProducts, engine: str) -> System:
    if engine == "sparse":
        return SparseSystem(products, Penalty(design.random))
    eliminated = eliminate(products, _largest(design))
    rest = tuple(t for t in range(len(design.random)) if t not in eliminated.terms)
    if not rest:
        return BlockedSystem(products, eliminated)
    remainder = Remainder(
        sizes=tuple(products.sizes[t] for t in rest),
        starts=tuple(np.cumsum([0, *(design.random[t].q for t in rest)]).tolist()),
        blocks=tuple(_renumbered(b, rest) for b in products.blocks if b.t in rest and b.s in rest),
        meetings=tuple(meetings(products, eliminated, rest)),
        levels=eliminated.levels,
        k=eliminated.k,
    )
    schur = _schur(remainder, engine.removeprefix("blocked").removeprefix("-"))
    if schur is None:
        return SparseSystem(products, Penalty(design.random))
    G = schur.G if isinstance(schur, DenseSchur) and schur.G is not None else remainder.matrix()
    return BlockedSystem(products, eliminated, schur, G)


def _largest(design: Design) -> tuple[int, ...]:
    """The terms of the grouping factor with the most random effects."""
    by_grouping = defaultdict(list)
    for t, term in enumerate(design.random):
        by_grouping[id(term.grouping)].append(t)
    return max((tuple(terms) for terms in by_grouping.values()), key=lambda ts: sum(design.random[t].q for t in ts))


def _renumbered(block: Block, rest: tuple[int, ...]) -> Block:
    t, s = rest.index(block.t), rest.index(block.s)
    return Block(t, s, block.rows, block.columns, block.values, block.diagonal)


def _schur(remainder: Remainder, kind: str) -> Schur | None:
    """The Schur complement, dense or sparse by cost unless `kind` says it; None when "auto" had better take neither."""
    if kind == "sparse":
        return SparseSchur(remainder)
    r, pairs = remainder.r, float((remainder.counts().astype(float) ** 2).sum())
    if kind == "dense" or r <= _SMALL or (pairs > 0.5 * r**2 and r <= _LARGEST_DENSE):
        return DenseSchur(remainder, remainder.matrix())
    if pairs > _MOST_PAIRS:
        if r <= _LARGEST_DENSE:
            return DenseSchur(remainder, remainder.matrix())
        if kind == "auto":
            return None
    thin = SparseSchur(remainder)
    if r <= _LARGEST_DENSE and _SPARSE_IS_SLOWER * thin.matrix.flops() > float(r) ** 3:
        return DenseSchur(remainder, remainder.matrix())
    return thin


def _recipe(criterion: PenalizedLeastSquares) -> tuple[object, tuple[Design, bool, str]]:
    return make_criterion, (criterion.design, criterion.reml, criterion.name)


copyreg.pickle(PenalizedLeastSquares, _recipe)  # type: ignore[arg-type]  # the stub asks for a str or a tuple of Any
