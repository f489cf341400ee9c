"""The spectral path of several traits: the numbers of the marginal engine, and of the dense reference."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from lmmpy.covariance import Diagonal, Indexed, Unstructured
from lmmpy.design import Design, RowCovariance, build_design
from lmmpy.engines import Criterion, make_criterion
from lmmpy.engines.components import connected_components
from lmmpy.engines.coordinates import with_typical_weights
from lmmpy.engines.kronecker import takes
from lmmpy.fitting.reference import with_reference
from tests import naive
from tests.engines.test_kin_contract import kernel

PEOPLE = 15
SIZES = {2: np.array([1.0, 40.0]), 3: np.array([1.0, 40.0, 0.2])}
KERNELS = ("dense", "families", "twins", "genotypes", "precision")
CASES = [(kind, singular) for kind in KERNELS for singular in ("", "effects")]
CASES += [(kind, "residual") for kind in ("dense", "families", "precision")]  # with the others V is singular


@cache
def design(kind: str, d: int, structure: str = "us", weights: bool = False, shuffled: bool = True) -> Design:
    """Traits of people, complete, in no order; covariates by trait, so that X is no Kronecker product."""
    rng = np.random.default_rng(PEOPLE + d)
    frame = pd.DataFrame({"id": np.repeat(np.arange(PEOPLE), d), "t": np.tile(np.arange(d), PEOPLE)})
    frame["x"], frame["v"] = rng.normal(size=PEOPLE)[frame["id"]], rng.normal(size=len(frame))
    frame["w"] = 10.0 ** rng.uniform(-0.5, 0.5, PEOPLE)[frame["id"]]
    size = SIZES[d][frame["t"]]
    frame["y"] = size * (2.0 + frame["x"] + rng.normal(size=PEOPLE)[frame["id"]] + rng.normal(size=len(frame)))
    frame["f"] = frame["t"].map(lambda t: f"t{t}")
    frame["ID"] = [f"i{i:02}" for i in frame["id"]]
    if shuffled:
        frame = frame.sample(frac=1.0, random_state=1).reset_index(drop=True)
    base, _ = build_design(
        f"y ~ 0 + f + f:x + v + {structure}(0 + f | kin(ID, K))",
        frame,
        relmat={"K": kernel(kind, PEOPLE)},
        weights="w" if weights else None,
    )
    codes = frame["t"].to_numpy()
    residual = Unstructured(d) if structure == "us" else Diagonal(d, False)
    rows = Indexed(residual, codes, tuple(f"t{i}" for i in range(d)), SIZES[d])
    return replace(base, residual=RowCovariance("Residual", frame["id"].to_numpy(), rows, SIZES[d][codes]))


def theta_of(of: Design, singular: str = "") -> np.ndarray:
    """A θ inside, or with a singular covariance of the effects, the residual, or both."""
    (term,), rng = of.random, np.random.default_rng(3)
    k = term.k
    T, E = (np.tril(rng.normal(size=(k, k))) * 0.3 + np.eye(k) for _ in range(2))
    if "effects" in singular:
        T[:, -1] = 0.0
    if "residual" in singular:
        E[-1, -1] = 0.0
    T, E = SIZES[k][:, None] * T, SIZES[k][:, None] * E / E[0, 0]
    columns, rows = np.triu_indices(k)
    if isinstance(term.structure, Diagonal):
        return np.concatenate([np.diag(T), np.diag(E)[1:]])
    return np.concatenate([T[rows, columns], E[rows, columns][1:]])


def both(of: Design, reml: bool) -> tuple[Criterion, Criterion]:
    return make_criterion(of, reml, "spectral"), make_criterion(of, reml, "marginal")


def close(a: object, b: object, rtol: float = 1e-9) -> None:
    b = np.asarray(b, dtype=float)
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * float(np.abs(b).max(initial=0.0)))


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize(("kind", "singular"), CASES)
def test_evaluations_agree(kind: str, d: int, reml: bool, singular: str) -> None:
    of = design(kind, d)
    fast, slow = both(of, reml)
    theta = theta_of(of, singular)
    found, wanted = fast.evaluate(theta, 2), slow.evaluate(theta, 2)
    for name in ("value", "r2", "gradient", "information", "bend", "log_r2_gradient", "balance", "row_bends"):
        close(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize("structure", ["us", "diag"])
@pytest.mark.parametrize("weights", [False, True])
def test_solutions_and_operators_agree(structure: str, weights: bool) -> None:
    of = design("dense", 2, structure, weights)
    theta, columns = theta_of(of), np.random.default_rng(1).normal(size=(of.q, 3))
    fast, slow = both(of, True)
    close(fast.evaluate(theta, 1).gradient, slow.evaluate(theta, 1).gradient)
    for name in ("beta", "unscaled_vcov", "u", "b", "sigma", "r2"):
        close(getattr(fast.solve(theta), name), getattr(slow.solve(theta), name), 1e-8)
    for a, b in zip(fast.conditional_variances(theta), slow.conditional_variances(theta), strict=True):
        close(a, b, 1e-8)
    quick, dense = fast.operators(theta), slow.operators(theta)
    close(quick.traces(), dense.traces())
    close(quick.ZtVZ(columns), dense.ZtVZ(columns))
    close(quick.conditional_covariance(columns), dense.conditional_covariance(columns), 1e-8)
    close(quick.squares(), dense.squares())
    y = of.y + np.sin(np.arange(of.n))
    close(fast.with_response(y).evaluate(theta, 1).gradient, slow.with_response(y).evaluate(theta, 1).gradient)
    close(pickle.loads(pickle.dumps(fast)).evaluate(theta).value, slow.evaluate(theta).value)


def test_value_is_that_of_the_dense_reference() -> None:
    of = design("dense", 3)
    theta = theta_of(of)
    for reml in (True, False):
        close(make_criterion(of, reml, "spectral").evaluate(theta).value, naive.dense(of, theta, reml).value, 1e-10)


def test_what_is_taken() -> None:
    def taken(of: Design) -> bool:
        internal = with_typical_weights(of)
        return takes(internal, connected_components(internal))

    of = design("dense", 2)
    assert taken(of)
    assert make_criterion(of, True).name == "spectral"
    assert of.residual is not None
    structure = of.residual.structure
    assert isinstance(structure, Indexed)
    apart = replace(of.residual, groups=np.arange(of.n))
    assert not taken(replace(of, residual=apart))
    elsewhere = replace(structure, places=np.where(of.random[0].codes == 0, 1 - structure.places, structure.places))
    assert not taken(replace(of, residual=replace(of.residual, structure=elsewhere)))
    assert taken(with_reference(of, 1))
    assert not taken(replace(of, weights=np.linspace(1.0, 2.0, of.n)))
    some = np.arange(of.n) > 0
    (term,) = of.random
    fewer = replace(
        of,
        y=of.y[some],
        X=of.X[some],
        random=(replace(term, values=term.values[some], grouping=replace(term.grouping, codes=term.codes[some])),),
        residual=RowCovariance(
            "Residual",
            of.residual.groups[some],
            replace(structure, places=structure.places[some]),
            of.residual.typical[some],
        ),
        rows=some,
    )
    assert not taken(fewer)
