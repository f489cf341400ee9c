"""Which engine computes the criterion of a design."""

from __future__ import annotations

import copyreg
from collections import defaultdict

import numpy as np

from lmmpy.design import Design
from lmmpy.engines.blocked import BlockedSystem, Schur, eliminate, meetings
from lmmpy.engines.choose_marginal import covariance_system, marginal_engine
from lmmpy.engines.choose_structured import structured_criterion
from lmmpy.engines.components import Components
from lmmpy.engines.coordinates import orthogonal_design
from lmmpy.engines.criterion import Criterion
from lmmpy.engines.crossproducts import Block, CrossProducts, cross_products, fixed_basis, with_response
from lmmpy.engines.marginal import MarginalLikelihood
from lmmpy.engines.penalized import PenalizedLeastSquares
from lmmpy.engines.penalty import Penalty
from lmmpy.engines.schur import DenseSchur, Remainder, SparseSchur
from lmmpy.engines.sparse import SparseSystem
from lmmpy.engines.system import System
from lmmpy.errors import ModelError

__all__ = ["ENGINES", "MARGINAL_ENGINES", "make_criterion"]

ENGINES = ("blocked", "blocked-dense", "blocked-sparse", "sparse")
MARGINAL_ENGINES = ("marginal", "spectral")

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
    engine : {"auto", "blocked", "blocked-dense", "blocked-sparse", "sparse", "marginal", "spectral"}
        "blocked" eliminates the grouping factor with the most random effects level by level and factorises what is
        left, densely or by CHOLMOD, as its size and its pattern suggest, or as the longer names say; where nothing is
        left all of them are "blocked". "sparse" leaves everything to CHOLMOD. "marginal" factorises the covariance of
        the rows, block by block where they fall into unrelated groups; "spectral" tridiagonalises the relatedness of
        the only random effect, once for all steps. "auto" takes "blocked", unless what is left is too large for a dense
        array and has too many pairs of levels that meet; "sparse" for related levels with a sparse precision, such as
        a pedigree's; and for other relatedness what costs least. A design with covariances between rows, or without
        random terms, goes to `structured_criterion`.

    Returns
    -------
    Criterion

    Raises
    ------
    ModelError
        When the engine that was asked for cannot take the design.
    """
    if engine not in ("auto", *ENGINES, *MARGINAL_ENGINES):
        raise ValueError(f"no engine {engine!r}; there are auto, {', '.join((*ENGINES, *MARGINAL_ENGINES))}")
    if design.row_covariances or not design.random:
        return structured_criterion(design, reml, engine)
    rows, bases = orthogonal_design(design)
    basis = with_response(design, *fixed_basis(design))
    products = cross_products(rows, basis)
    chosen, components = (engine, None) if engine in MARGINAL_ENGINES else _chosen(rows, engine)
    if chosen in MARGINAL_ENGINES:
        system, components = covariance_system(rows, chosen, components)
        return MarginalLikelihood(design, reml, rows, bases, products, basis, system, components)
    return PenalizedLeastSquares(design, reml, rows, bases, products, basis, _system(rows, products, chosen))


def _chosen(design: Design, engine: str) -> tuple[str, Components | None]:
    """The engine for relatedness where it is left to us, and what was found out about the design on the way."""
    kernels = [term.relatedness for term in design.random if not term.relatedness.is_identity]
    if not kernels:
        return engine, None
    if engine not in ("auto", "sparse"):
        name = next(term.name for term in design.random if not term.relatedness.is_identity)
        raise ModelError(
            f"control: engine {engine!r} eliminates levels one by one, but those of {name} are related. "
            "Take 'auto', 'sparse' (K must have an inverse) or 'marginal'."
        )
    if engine == "sparse" or all(kernel.is_sparse for kernel in kernels):
        return "sparse", None
    return marginal_engine(design)


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


def _recipe(criterion: PenalizedLeastSquares | MarginalLikelihood) -> tuple[object, tuple[Design, bool, str]]:
    return make_criterion, (criterion.design, criterion.reml, criterion.name)


copyreg.pickle(PenalizedLeastSquares, _recipe)  # type: ignore[arg-type]  # the stub asks for a str or a tuple of Any
copyreg.pickle(MarginalLikelihood, _recipe)  # type: ignore[arg-type]
