"""The pieces of the blocked engine against dense linear algebra, whichever factor is eliminated."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from scipy import linalg, sparse

from lmmpy.covariance import Factor
from lmmpy.design import Design, build_design
from lmmpy.engines import schur as schur_module
from lmmpy.engines.blocked import BlockedSystem, Eliminated, eliminate, meetings
from lmmpy.engines.cholmod import NotPositiveDefiniteError
from lmmpy.engines.crossproducts import Block, CrossProducts, cross_products, fixed_basis, with_response
from lmmpy.engines.schur import DenseSchur, Remainder, SparseSchur

# |T| and the condition of a level's cross-products stay below 1e2: eleven digits on both sides.
CLOSE = {"rtol": 1e-10, "atol": 1e-11}
N = 70

RANDOM = {
    "one": "(1 | g)",
    "slopes": "(x + z | g)",
    "crossed": "(1 | g) + (1 | h)",
    "merged": "(1 | g) + (0 + x | g) + (1 | h)",
    "merged, not side by side": "(x | g) + (z | h) + (0 + z | g) + (1 | b)",
    "nested": "(x | g) + (1 | g:b)",
    "three": "(1 | b) + (x | h) + (z | g)",
    "a slope that is constant in each level": "(c | g) + (1 | h) + (0 + x | h)",
    "a slope that is zero": "(0 + zero + x | g) + (1 | h)",
}


@cache
def design_of(random: str, weights: bool) -> Design:
    """g has levels with one and two rows; h, as large, and b cross it, so that some pairs of levels never meet."""
    rng = np.random.default_rng(5)
    g = np.concatenate([np.repeat(np.arange(8), 8), [8, 9, 9, 10, 11, 11]])
    data = {name: rng.normal(size=N) for name in ("x", "z", "y")}
    data |= {
        "g": g.astype(str),
        "h": np.concatenate([np.arange(12), rng.integers(0, 12, N - 12)]).astype(str),
        "b": rng.integers(0, 3, N).astype(str),
    }
    data |= {"c": (g % 5 - 1.0), "zero": np.where(g % 2, data["z"], 0.0), "w": 10.0 ** rng.uniform(-1, 1, N)}
    return build_design(f"y ~ 1 + {random}", data, weights="w" if weights else None)[0]


def groupings(design: Design) -> list[tuple[int, ...]]:
    """Terms by grouping factor."""
    names = [term.group for term in design.random]
    return [tuple(t for t, other in enumerate(names) if other == name) for name in dict.fromkeys(names)]


def cases() -> list[object]:
    """Every factor of every design eliminated, with weights for every second one."""
    found = []
    for label, random in RANDOM.items():
        for terms in groupings(design_of(random, False)):
            weights = len(found) % 2 == 1
            name = f"{label}{', weights' * weights}, {'+'.join(map(str, terms))} eliminated"
            found.append(pytest.param((random, weights, terms), id=name))
    return found


each_case = pytest.mark.parametrize("case", cases())


class Reference:
    """Everything from Z and W by textbook formulas."""

    def __init__(self, design: Design, Ts: Sequence[np.ndarray]) -> None:
        self.design, self.starts = design, design.starts
        w = np.ones(design.n) if design.weights is None else design.weights
        Z = design.Z
        self.Z = (Z.toarray() if sparse.issparse(Z) else np.asarray(Z)) * np.sqrt(w)[:, None]
        self.Lambda = linalg.block_diag(
            *(np.kron(np.eye(t.n_levels), T) for t, T in zip(design.random, Ts, strict=True))
        )
        ZL = self.Z @ self.Lambda
        self.M = np.eye(design.q) + ZL.T @ ZL
        self.V = np.eye(design.n) + ZL @ ZL.T

    def blocks(self, A: np.ndarray) -> list[np.ndarray]:
        found = []
        for term, start in zip(self.design.random, self.starts[:-1], strict=True):
            cuts = range(start, start + term.q, term.k)
            found.append(np.array([A[i : i + term.k, i : i + term.k] for i in cuts]))
        return found

    def traces(self) -> list[np.ndarray]:
        return [b.sum(axis=0) for b in self.blocks(self.Z.T @ np.linalg.solve(self.V, self.Z))]

    def slopes(self, Ts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """½ ∂log|M|/∂T by a complex step along every entry, without P T."""
        found = []
        for t, T in enumerate(Ts):
            slope = np.zeros(T.shape)
            for a, b in np.ndindex(T.shape):
                E = np.zeros(T.shape)
                E[a, b] = 1.0
                steps = [
                    np.kron(np.eye(r.n_levels), E if s == t else 0 * Ts[s]) for s, r in enumerate(self.design.random)
                ]
                ZL = self.Z @ (self.Lambda + 1e-30j * linalg.block_diag(*steps))
                sign, _ = np.linalg.slogdet(np.eye(self.design.n) + ZL @ ZL.T)
                slope[a, b] = 0.5 * np.log(sign).imag / 1e-30
            found.append(slope)
        return found

    def variances(self) -> list[np.ndarray]:
        return self.blocks(self.Lambda @ np.linalg.solve(self.M, self.Lambda.T))

    def places(self, terms: Sequence[int]) -> np.ndarray:
        """Of the effects of some terms of one factor among all q: (levels, k)."""
        found = []
        for t in terms:
            found.append(np.arange(self.starts[t], self.starts[t + 1]).reshape(-1, self.design.random[t].k))
        return np.concatenate(found, axis=1)


def products_of(design: Design) -> CrossProducts:
    return cross_products(design, with_response(design, *fixed_basis(design)))


def remainder_of(design: Design, products: CrossProducts, eliminated: Eliminated) -> Remainder | None:
    rest = [t for t in range(len(design.random)) if t not in eliminated.terms]
    if not rest:
        return None
    blocks = [b for b in products.blocks if b.t in rest and b.s in rest]
    return Remainder(
        sizes=tuple(products.sizes[t] for t in rest),
        starts=(0, *np.cumsum([design.random[t].q for t in rest]).tolist()),
        blocks=tuple(Block(rest.index(b.t), rest.index(b.s), b.rows, b.columns, b.values, b.diagonal) for b in blocks),
        meetings=tuple(meetings(products, eliminated, rest)),
        levels=eliminated.levels,
        k=eliminated.k,
    )


def schur_of(kind: str, remainder: Remainder) -> DenseSchur | SparseSchur:
    return DenseSchur(remainder, remainder.matrix()) if kind == "dense" else SparseSchur(remainder)


def factors_of(Ts: Sequence[np.ndarray]) -> list[Factor]:
    return [Factor(T, np.empty((0, *T.shape))) for T in Ts]


def assert_each(actual, expected, scale=1.0):
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=scale * 1e-10)


@pytest.fixture(params=["G dense", "G sparse"])
def crowded(request, monkeypatch):
    """Whether few or many levels meet: both ways of going through G at any design."""
    monkeypatch.setattr(schur_module, "_CROWDED", -1.0 if request.param == "G dense" else 2.0)
    return request.param == "G dense"


@pytest.fixture(params=["dense", "sparse"])
def kind(request):
    return request.param


@cache
def prepared(case):
    random, weights, terms = case
    design = design_of(random, weights)
    products = products_of(design)
    eliminated = eliminate(products, terms)
    return design, products, eliminated, remainder_of(design, products, eliminated)


def system_of(case, kind) -> BlockedSystem:
    _, products, eliminated, remainder = prepared(case)
    if remainder is None:
        return BlockedSystem(products, eliminated)
    return BlockedSystem(products, eliminated, schur_of(kind, remainder), remainder.matrix())


def matrices(design: Design, how: str) -> list[np.ndarray]:
    """T of every term: regular; without its last column; without its first row; none at all; one term only."""
    rng = np.random.default_rng(8)
    Ts = [np.tril(rng.normal(size=(t.k, t.k))) + np.eye(t.k) for t in design.random]
    for i, T in enumerate(Ts):
        if how == "square":
            T[np.triu_indices(len(T), 1)] = 0.3
        if how == "zero column":
            T[:, -1] = 0.0
        if how == "zero row":
            T[0] = 0.0
        if how == "zero" or (how == "last zero" and i == len(Ts) - 1) or (how == "first zero" and i == 0):
            T[:] = 0.0
        if how == "mixed":
            T[:, 0 if i % 2 else -1] = 0.0
            T[:] = T * (30.0 if i % 2 else 0.03)
    return Ts


# ---- the eliminated factor


@each_case
def test_the_factor_of_each_level(case):
    """CᵀC = Z_lᵀWZ_l for levels of any rank; what a level lacks has a zero row in C and a zero column in C⁻¹."""
    design, _, eliminated, _ = prepared(case)
    reference = Reference(design, matrices(design, "regular"))
    for places, C, inverse in zip(reference.places(case[2]), eliminated.C, eliminated.inverse, strict=True):
        Z = reference.Z[:, places]
        np.testing.assert_allclose(C.T @ C, Z.T @ Z, **CLOSE)
        np.testing.assert_array_equal(C, np.triu(C))
        np.testing.assert_array_equal(inverse, np.triu(inverse))
        there = np.diag(C) > 0
        assert there.sum() == np.linalg.matrix_rank(Z, tol=1e-9)
        assert not C[~there].any()
        assert not inverse[:, ~there].any()
        basis = Z @ inverse
        np.testing.assert_allclose(basis.T @ basis, np.diag(there.astype(float)), **CLOSE)
        np.testing.assert_allclose(basis @ C, Z, **CLOSE)


def test_the_designs_are_what_their_names_say():
    assert groupings(design_of(RANDOM["merged"], False)) == [(0, 1), (2,)]
    assert groupings(design_of(RANDOM["merged, not side by side"], False))[0] == (0, 2)
    ranks = {}
    for label, terms in [
        ("slopes", (0,)),
        ("a slope that is constant in each level", (0,)),
        ("a slope that is zero", (0,)),
    ]:
        C = prepared((RANDOM[label], False, terms))[2].C
        ranks[label] = set(np.count_nonzero(np.einsum("laa->la", C), axis=1).tolist())
    assert list(ranks.values()) == [{1, 2, 3}, {1}, {1, 2}]


def test_a_level_without_any_data():
    """A predictor of zeros in one level: no direction at all."""
    data = {"y": np.arange(6.0) ** 2, "x": [0.0, 0.0, 1.0, 2.0, 3.0, 5.0], "g": list("aabbcc")}
    design, _ = build_design("y ~ 1 + (0 + x | g)", data)
    eliminated = eliminate(products_of(design), (0,))
    assert eliminated.C[0, 0, 0] == eliminated.inverse[0, 0, 0] == 0.0
    factored = BlockedSystem(products_of(design), eliminated).factorize(factors_of([np.array([[2.0]])]))
    assert_each(factored.variances(), Reference(design, [np.array([[2.0]])]).variances())
    assert factored.variances()[0][0, 0, 0] == 4.0


@each_case
def test_take_and_put(case):
    """By level and back; nothing else is touched."""
    design, _, eliminated, _ = prepared(case)
    values = np.random.default_rng(0).normal(size=(design.q, 3))
    places = Reference(design, matrices(design, "regular")).places(case[2])
    np.testing.assert_array_equal(eliminated.take(values), values[places])
    out = np.full(values.shape, 7.0)
    eliminated.put(eliminated.take(values), out)
    np.testing.assert_array_equal(out[places], values[places])
    assert np.all(np.delete(out, places.ravel(), axis=0) == 7.0)


@each_case
def test_G(case, crowded):
    """C_lᵀG_l = Z_lᵀWZ_r and G_l has no direction that the level lacks; both forms are the same matrix."""
    design, _, eliminated, remainder = prepared(case)
    if remainder is None:
        return
    G = remainder.matrix()
    assert isinstance(G, np.ndarray) == crowded
    reference = Reference(design, matrices(design, "regular"))
    eliminated_places = reference.places(case[2])
    rest = np.setdiff1d(np.arange(design.q), eliminated_places)
    dense = (G if crowded else G.toarray()).reshape(eliminated.levels, eliminated.k, -1)
    for places, C, inverse, G_l in zip(eliminated_places, eliminated.C, eliminated.inverse, dense, strict=True):
        np.testing.assert_allclose(C.T @ G_l, reference.Z[:, places].T @ reference.Z[:, rest], **CLOSE)
        assert not G_l[~inverse.any(axis=0)].any()
    met = np.array([np.count_nonzero(np.abs(G_l).sum(axis=0) > 1e-12) for G_l in dense])
    assert np.all(remainder.counts() >= met)
    levels, columns, _ = remainder.entries()
    assert np.all(np.diff(levels * remainder.r + columns) > 0)


# ---- what is left


@each_case
def test_H(case, kind, crowded):
    """H = Z_rᵀV_0⁻¹Z_r: at T = 1, (1 + H)⁻¹ is what `effects` makes of the unit matrix."""
    design, _, eliminated, remainder = prepared(case)
    if remainder is None:
        return
    Ts = matrices(design, "regular")
    reference = Reference(design, Ts)
    places = reference.places(case[2])
    rest = np.setdiff1d(np.arange(design.q), places)
    ZL = reference.Z @ reference.Lambda[:, places.ravel()]
    Zr = reference.Z[:, rest]
    H = Zr.T @ np.linalg.solve(np.eye(design.n) + ZL @ ZL.T, Zr)
    CT = eliminated.C @ eliminated.factor(factors_of(Ts))
    R = np.linalg.inv(np.eye(eliminated.k) + CT @ CT.transpose(0, 2, 1))
    inner = schur_of(kind, remainder).factorize(R, factors_of([np.eye(k) for k in remainder.sizes]))
    S = np.eye(remainder.r) + H
    np.testing.assert_allclose(inner.effects(np.eye(remainder.r)), np.linalg.inv(S), **CLOSE)
    assert inner.logdet == pytest.approx(np.linalg.slogdet(S)[1], rel=1e-11)
    G = remainder.matrix()
    dense = (G if crowded else G.toarray()).reshape(eliminated.levels, eliminated.k, -1)
    np.testing.assert_allclose(inner.forms(), dense @ np.linalg.inv(S) @ dense.transpose(0, 2, 1), **CLOSE)


@pytest.mark.parametrize(
    "how", ["regular", "square", "zero column", "zero row", "zero", "first zero", "last zero", "mixed"]
)
@each_case
def test_the_system(case, kind, crowded, how):
    """log|M|, effects, traces, slopes and variances, wherever T is singular."""
    Ts, logdet, c, effects, traces, variances = expected_of(case, how)
    factored = system_of(case, kind).factorize(factors_of(Ts))
    assert factored.logdet == pytest.approx(logdet, rel=1e-10, abs=1e-11)
    np.testing.assert_allclose(factored.effects(c), effects, rtol=1e-9, atol=1e-10)
    scale = max(1.0, *(np.abs(t).max() for t in traces))
    assert_each(factored.traces(), traces, scale=scale)
    assert_each(factored.slopes(), [P @ T for P, T in zip(traces, Ts, strict=True)], scale=scale)
    assert_each(factored.variances(), variances)


@cache
def expected_of(case, how):
    """By dense algebra, once for every way of going about it."""
    design = prepared(case)[0]
    Ts = matrices(design, how)
    reference = Reference(design, Ts)
    c = reference.Z.T @ np.random.default_rng(1).normal(size=(design.n, 3))
    effects = np.linalg.solve(reference.M, reference.Lambda.T @ c)
    logdet = np.linalg.slogdet(reference.M)[1]
    return Ts, logdet, c, effects, reference.traces(), reference.variances()


@pytest.mark.parametrize("how", ["regular", "square", "zero column", "first zero"])
@pytest.mark.parametrize("label", ["slopes", "merged, not side by side"])
def test_slopes_are_the_derivative_of_the_log_determinant(label, kind, how):
    design = design_of(RANDOM[label], True)
    Ts = matrices(design, how)
    expected = Reference(design, Ts).slopes(Ts)
    for terms in groupings(design):
        factored = system_of((RANDOM[label], True, terms), kind).factorize(factors_of(Ts))
        assert_each(factored.slopes(), expected, scale=max(1.0, *(np.abs(s).max() for s in expected)))


@pytest.mark.parametrize("how", ["square", "mixed"])
@each_case
def test_slopes_and_traces_of_what_is_left(case, kind, crowded, how):
    """S alone, as a system of the terms that are left: H Λ S⁻¹ by blocks, and H − HΛS⁻¹ΛᵀH."""
    design, _, eliminated, remainder = prepared(case)
    if remainder is None:
        return
    Ts = matrices(design, how)
    reference = Reference(design, Ts)
    places = reference.places(case[2])
    rest = np.setdiff1d(np.arange(design.q), places)
    ZL, Zr = reference.Z @ reference.Lambda[:, places.ravel()], reference.Z[:, rest]
    H = Zr.T @ np.linalg.solve(np.eye(design.n) + ZL @ ZL.T, Zr)
    Lambda = reference.Lambda[np.ix_(rest, rest)]
    P = H - H @ Lambda @ np.linalg.solve(np.eye(len(rest)) + Lambda.T @ H @ Lambda, Lambda.T @ H)
    CT = eliminated.C @ eliminated.factor(factors_of(Ts))
    R = np.linalg.inv(np.eye(eliminated.k) + CT @ CT.transpose(0, 2, 1))
    left = [T for t, T in enumerate(Ts) if t not in case[2]]
    inner = schur_of(kind, remainder).factorize(R, factors_of(left))
    cuts = zip(remainder.starts[:-1], remainder.starts[1:], remainder.sizes, strict=True)
    traces = [sum(P[i : i + k, i : i + k] for i in range(start, end, k)) for start, end, k in cuts]
    scale = max(1.0, *(np.abs(H).sum(axis=1)))
    assert_each(inner.traces(), traces, scale=scale)
    assert_each(inner.slopes(), [P @ T for P, T in zip(traces, left, strict=True)], scale=scale)


@each_case
def test_effects_leave_their_argument_alone(case, kind):
    design = prepared(case)[0]
    Ts = matrices(design, "regular")
    factored = system_of(case, kind).factorize(factors_of(Ts))
    c = Reference(design, Ts).Z.T @ np.ones((design.n, 2))
    before = c.copy()
    first = factored.effects(c)
    np.testing.assert_array_equal(c, before)
    np.testing.assert_array_equal(factored.effects(c), first)


def test_a_system_does_not_remember_an_earlier_theta(kind):
    case = (RANDOM["merged, not side by side"], True, (0, 2))
    system, design = system_of(case, kind), prepared(case)[0]
    found = []
    for how in ("regular", "zero", "mixed", "regular"):
        factored = system.factorize(factors_of(matrices(design, how)))
        found.append([factored.logdet, *factored.slopes(), *factored.traces(), *factored.variances()])
    for a, b in zip(found[0], found[-1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("term", [0, 2])
def test_a_factor_of_an_impossible_size(kind, term, bad):
    """In the eliminated terms and in the others."""
    case = (RANDOM["merged"], False, (0, 1))
    Ts = [np.eye(1) for _ in range(3)]
    Ts[term] = np.array([[bad]])
    with np.errstate(all="ignore"), pytest.raises(NotPositiveDefiniteError):
        system_of(case, kind).factorize(factors_of(Ts))


def test_descriptions(kind):
    assert system_of((RANDOM["one"], False, (0,)), kind).description == ("12 levels of 1 effects eliminated one by one")
    assert system_of((RANDOM["merged"], False, (0, 1)), kind).description == (
        f"12 levels of 2 effects eliminated one by one, the other 12 by a {kind} Cholesky factorisation"
    )
