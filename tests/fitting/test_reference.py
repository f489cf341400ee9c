"""The stratum to which all of a residual is relative: another gives the same likelihood, and is taken where needed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.engines import make_criterion
from lmmpy.fitting.reference import theta_in, with_reference
from tests.engines.test_kronecker import design, theta_of


@pytest.mark.parametrize("structure", ["us", "diag"])
@pytest.mark.parametrize("engine", ["marginal", "spectral", "sparse"])
@pytest.mark.parametrize("place", [1, 2])
def test_likelihood_is_the_same(structure: str, engine: str, place: int) -> None:
    of = design("precision", 3, structure)
    other = with_reference(of, place)
    theta = theta_of(of)
    turned = theta_in(of, theta, other)
    one, two = make_criterion(of, True, engine), make_criterion(other, True, engine)
    assert two.evaluate(turned).value == pytest.approx(one.evaluate(theta).value, rel=1e-11)
    np.testing.assert_allclose(two.solve(turned).beta, one.solve(theta).beta, rtol=1e-9)
    np.testing.assert_allclose(two.solve(turned).b, one.solve(theta).b, rtol=1e-7, atol=1e-9)


def test_reports_keep_their_order() -> None:
    of = design("dense", 3)
    other = with_reference(of, 2)
    theta = theta_of(of)
    turned = theta_in(of, theta, other)
    assert of.residual is not None and other.residual is not None
    own = of.residual.structure.reported(of.split_rows(theta)[-1])
    again = other.residual.structure.reported(other.split_rows(turned)[-1])
    assert [(one.kind, one.labels) for one in own] == [(one.kind, one.labels) for one in again]
    reference = own[2].value
    for one, two in zip(own, again, strict=True):
        value = one.value / reference if one.kind == "sd" else one.value
        assert two.value == pytest.approx(value, rel=1e-12)


def _study(seed: int) -> tuple[pd.DataFrame, lmm.Pedigree]:
    """The first trait has no residual."""
    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    relatedness = ped.additive()
    K, rng = relatedness.dense(), np.random.default_rng(seed)
    root = np.linalg.cholesky(K + 1e-10 * np.eye(len(K)))
    g = root @ rng.normal(size=(len(K), 2)) @ np.linalg.cholesky(np.array([[1.0, 0.3], [0.3, 0.4]])).T
    g[:, 1] += np.sqrt(0.6) * rng.normal(size=len(K))
    assert relatedness.labels is not None
    return pd.DataFrame({"ID": [int(i) for i in relatedness.labels], "a": g[:, 0], "b": g[:, 1]}), ped


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_trait_without_residual_is_found() -> None:
    data, ped = _study(3)
    first = lmm.lmer("cbind(a, b) ~ kin(ped)", data, reml=False, relmat={"ped": ped})
    second = lmm.lmer("cbind(b, a) ~ kin(ped)", data, reml=False, relmat={"ped": ped})
    structure = first.design.residual.structure
    assert structure.order == (1, 0) and structure.labels == ("b", "a")
    assert first.optimum.converged
    assert first.loglik == pytest.approx(second.loglik, abs=1e-8)
    for name in ("kin(ped)", "Residual"):
        mine, other = first.varcorr[name], second.varcorr[name]
        assert list(mine.index) == ["a", "b"]
        np.testing.assert_allclose(mine, other.loc[["a", "b"], ["a", "b"]], rtol=1e-4, atol=1e-5)
    assert first.heritability(method="wald").set_index("trait")["estimate"]["a"] > 0.99


@pytest.mark.filterwarnings("ignore::lmmpy.SingularFitWarning")
def test_constraints_turn_to_another_reference_too() -> None:
    data, ped = _study(3)
    free = lmm.lmer("cbind(a, b) ~ kin(ped)", data, reml=False, relmat={"ped": ped})
    held = {"cor_b.a|Residual": 0}
    once, later = free.update(constraints=held), free.constrain(held)
    assert once.optimum.converged
    assert once.loglik == pytest.approx(later.loglik, abs=1e-5)
    with pytest.raises(lmm.ModelError, match=r"sigma is the residual standard deviation of 'b' .* 'sd_b\|Residual'"):
        free.constrain({"sigma": 1.0})
