"""The criterion for many responses at once is the criterion of each."""

from __future__ import annotations

import numpy as np
import pytest

from lmmpy.design import Design
from lmmpy.engines import make_criterion
from lmmpy.engines.batched import BatchedCriterion, batched_criterion
from lmmpy.engines.crossproducts import fixed_basis
from tests.engines.test_contract import LAYOUTS, design_of, layout

MODELS = [
    (layout(kind, structure, k), p, weights, offset)
    for kind in LAYOUTS
    for structure, k, p, weights, offset in (
        ("us", 1, 1, False, False),
        ("us", 2, 4, True, True),
        ("diag", 3, 0, True, False),
    )
    if not (kind == "twice")  # has a cs term
]


@pytest.fixture(params=MODELS, ids=lambda model: "-".join(map(str, model)))
def design(request: pytest.FixtureRequest) -> Design:
    return design_of(*request.param)


def made(design: Design, reml: bool) -> BatchedCriterion:
    batched = batched_criterion(make_criterion(design, reml).orthogonal())
    assert batched is not None
    return batched


@pytest.mark.parametrize("reml", [True, False])
def test_each_response_has_its_own_criterion(design: Design, reml: bool) -> None:
    rng = np.random.default_rng(4)
    responses = list(rng.normal(size=(4, design.n)) + design.y)
    theta = rng.normal(size=(4, design.n_theta))
    batched = made(design, reml)
    found = batched.evaluate(theta, batched.batch(responses, *fixed_basis(design)))
    criterion = make_criterion(design, reml).orthogonal()
    for i, y in enumerate(responses):
        own = criterion.with_response(y)
        expected, solution = own.evaluate(theta[i], 2), own.solve(theta[i])
        assert expected.gradient is not None and expected.information is not None and expected.bend is not None
        size = np.abs(expected.information).max()
        assert found.value[i] == pytest.approx(expected.value, rel=1e-10)
        np.testing.assert_allclose(found.gradient[i], expected.gradient, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(
            found.curvature[i], expected.information + expected.bend, rtol=1e-7, atol=1e-8 * size
        )
        np.testing.assert_allclose(found.beta[i], solution.beta, rtol=1e-8, atol=1e-9)
        assert found.sigma[i] == pytest.approx(solution.sigma, rel=1e-9)


def test_a_response_gives_the_same_bits_in_any_company() -> None:
    design = design_of(layout("crossed", "us", 2), 4, False, False)
    rng = np.random.default_rng(2)
    responses, theta = list(rng.normal(size=(5, design.n))), rng.normal(size=(5, design.n_theta))
    batched = made(design, True)
    batch = batched.batch(responses, *fixed_basis(design))
    together = batched.evaluate(theta, batch)
    for i in range(5):
        places = np.array([i])
        alone = batched.evaluate(theta[places], batch.take(places))
        assert alone.value[0] == together.value[i]
        assert np.array_equal(alone.curvature[0], together.curvature[i])


def test_other_models_are_left_to_their_engine() -> None:
    assert batched_criterion(make_criterion(design_of(layout("one", "ar1", 2), 1, False, False), True)) is None
    assert batched_criterion(make_criterion(design_of(layout("one", "cs", 2), 1, False, False), True)) is None
