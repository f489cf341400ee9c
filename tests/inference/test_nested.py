"""Which random parts are special cases of others, against covariances of the response formed in full."""

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.inference.nested import random_not_nested


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    n = 120
    g, h, f = rng.integers(0, 6, n), rng.integers(0, 5, n), rng.integers(0, 3, n)
    frame = {"y": rng.normal(size=n), "x": rng.normal(size=n), "z": rng.normal(size=n)}
    frame |= {"g": [f"g{i}" for i in g], "g2": [f"k{9 - i}" for i in g], "h": [f"h{i}" for i in h]}
    return pd.DataFrame({**frame, "f": np.array(list("uvw"))[f], "e": np.array(list("uvw"))[g % 3]})


def design(random, data):
    return lmm.lformula(f"y ~ 1 + {random}", data).design


NESTED = [
    ("(1 | g)", "(x | g)"),
    ("(1 | g)", "(1 | g2) + (1 | h)"),
    ("(0 + x | g)", "(x | g)"),
    ("(x || g)", "(x | g)"),
    ("diag(x | g)", "(x || g)"),
    ("(x || g)", "diag(x | g)"),
    ("diag(x | g)", "(x | g)"),
    ("(I(2 * x + 3) | g)", "(x | g)"),
    ("(x | g)", "(x + z | g) + (1 | h)"),
    ("(1 | g)", "(0 + f | g)"),
    ("(f | g)", "(0 + f | g)"),
    ("(0 + e | g)", "(e | g)"),
    ("cs(0 + f | g)", "(0 + f | g)"),
    ("cs(0 + f | g, hom = TRUE)", "cs(0 + f | g)"),
    ("diag(0 + f | g)", "cs(0 + f | g)"),
    ("diag(0 + f | g, hom = TRUE)", "cs(0 + f | g, hom = TRUE)"),
    ("ar1(0 + f | g)", "(0 + f | g)"),
    ("diag(0 + f | g, hom = TRUE)", "ar1(0 + f | g)"),
    ("ar1(0 + f | g)", "ar1(0 + f | g, hom = FALSE)"),
    ("(1 | g)", "cs(0 + f | g, hom = TRUE)"),
    ("(x | g)", "cs(x | g)"),
    ("(1 | g) + (1 | g:f)", "(1 | g) + (0 + f | g)"),
    ("(1 | g:f)", "(f | g)"),
    ("(x | g:f)", "(f * x | g)"),
]
NOT_NESTED = [
    ("(1 | h)", "(x | g)", "(1 | h)"),
    ("(x | g)", "(x || g)", "(x | g)"),
    ("(x | g)", "(1 | g) + (1 | h)", "(x | g)"),
    ("(1 | g) + (0 + z | g)", "(x | g)", "(0 + z | g)"),
    ("(I(2 * x + 3) || g)", "diag(x | g)", "(0 + I(2 * x + 3) | g)"),
    ("cs(0 + f | g)", "diag(0 + f | g)", "cs(0 + f | g)"),
    ("(1 | g)", "diag(0 + f | g)", "(1 | g)"),
    ("ar1(0 + f | g)", "cs(0 + f | g)", "ar1(0 + f | g)"),
    ("cs(0 + f | g)", "ar1(0 + f | g, hom = FALSE)", "cs(0 + f | g)"),
    ("diag(0 + f | g)", "ar1(0 + f | g)", "diag(0 + f | g)"),
    ("(1 | g)", "(1 | g:f)", "(1 | g)"),
    ("(1 | g:f)", "(x | g)", "(1 | g:f)"),
    ("(x | g:f)", "(f + x | g)", "(x | g:f)"),
    ("(1 | g:f)", "(1 | g) + (1 | h)", "(1 | g:f)"),
]


@pytest.mark.parametrize(("small", "large"), NESTED)
def test_nested(data, small, large):
    assert random_not_nested(design(small, data), design(large, data)) is None


@pytest.mark.parametrize(("small", "large", "stray"), NOT_NESTED)
def test_not_nested(data, small, large, stray):
    assert random_not_nested(design(small, data), design(large, data)) == stray


def _covariances(design, rng):
    """Covariance of the response, dense, at drawn parameters."""
    V = 0.0
    for term in design.random:
        start = term.structure.start(rng.uniform(0.5, 2.0, term.k))
        lower, upper = (np.asarray(x, dtype=float) for x in (start * 0.5, start * 1.5))
        T = term.structure.factor(rng.uniform(np.minimum(lower, upper), np.maximum(lower, upper))).T
        V = V + (term.Z @ np.kron(np.eye(term.n_levels), T @ T.T)) @ term.Z.T
    return V


@pytest.mark.parametrize(("small", "large"), [pair for pair in NESTED if not any(s in pair[1] for s in ("cs", "ar1"))])
def test_the_nested_ones_have_the_covariances_of_the_smaller(data, small, large):
    """V of the smaller is a combination of the V of the larger at many of its parameters."""
    rng, small, large = np.random.default_rng(1), design(small, data), design(large, data)
    basis = []
    for term in large.random:
        for i in range(term.k):
            for j in range(i + 1 if term.term.structure == "us" else 0):
                S = np.zeros((term.k, term.k))
                S[i, j] = S[j, i] = 1.0
                basis.append(((term.Z @ np.kron(np.eye(term.n_levels), S)) @ term.Z.T).ravel())
            if term.term.structure == "diag":
                S = np.zeros((term.k, term.k))
                S[i, i] = 1.0
                basis.append(((term.Z @ np.kron(np.eye(term.n_levels), S)) @ term.Z.T).ravel())
    V = _covariances(small, rng).ravel()
    A = np.column_stack(basis)
    assert np.linalg.norm(V - A @ np.linalg.lstsq(A, V, rcond=None)[0]) < 1e-9 * np.linalg.norm(V)
