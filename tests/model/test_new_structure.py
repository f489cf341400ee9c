"""A structure that is new: another class with the mathematics of a known one is served as that, an opaque one never."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy import ConvergenceWarning, ModelError
from lmmpy.covariance import Autoregressive, CompoundSymmetry, CovarianceStructure, Unstructured, make_structure
from lmmpy.covariance.correlated import OneCorrelation
from lmmpy.errors import SingularFitWarning
from lmmpy.model.ranova import ranova

HOOKS = sorted(OneCorrelation.__abstractmethods__)
PROPERTIES = [name for name in HOOKS if isinstance(getattr(OneCorrelation, name), property)]
A, B, C = (f"sd_Machine{x}|Worker" for x in "ABC")
BA, CA = (f"cor_Machine{x}.MachineA|Worker" for x in "BC")


def clone(of: type[OneCorrelation]) -> type[OneCorrelation]:
    """Another class that asks for all that a structure must say."""

    def asked(name: str) -> Any:
        def hook(self: OneCorrelation, *arguments: Any) -> Any:
            return getattr(of(self.k, self.homogeneous), name)(*arguments)

        def value(self: OneCorrelation) -> Any:
            return getattr(of(self.k, self.homogeneous), name)

        return property(value) if name in PROPERTIES else hook

    return type("Clone", (OneCorrelation,), {name: asked(name) for name in [*HOOKS, "angle_at"]})


LIKE_CS, LIKE_AR1 = clone(CompoundSymmetry), clone(Autoregressive)


class Opaque:
    """Unstructured, but of another class, which nothing is known of but the contract of all structures."""

    def __init__(self, k: int) -> None:
        self._own = Unstructured(k)

    def __getattr__(self, name: str) -> Any:
        if name == "_own":
            raise AttributeError(name)
        return getattr(self._own, name)


def made(name: str, k: int, homogeneous: bool | None = None) -> CovarianceStructure:
    """Those that the package has, and three more."""
    if name == "opaque":
        return Opaque(k)
    if name == "like_cs":
        return LIKE_CS(k, bool(homogeneous))
    if name == "like_ar1":
        return LIKE_AR1(k, homogeneous is None or homogeneous)
    return make_structure(name, k, homogeneous)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmmpy.design.random_effects.make_structure", made)
    monkeypatch.setattr("lmmpy.formula.parsed.STRUCTURES", ("us", "diag", "cs", "ar1", "like_cs", "like_ar1", "opaque"))


@pytest.fixture(scope="module")
def machines() -> pd.DataFrame:
    return lmm.datasets.load("Machines")


def fitted(structure: str, data: pd.DataFrame, how: str = "", **options: Any) -> lmm.LmmFit:
    return lmm.lmer(f"score ~ Machine + {structure}(0 + Machine | Worker{how})", data, **options)


KINDS = [("cs", ""), ("cs", ", hom = TRUE"), ("ar1", ""), ("ar1", ", hom = FALSE")]


@pytest.mark.parametrize(("kind", "how"), KINDS)
def test_a_clone_is_served_as_the_original(kind: str, how: str, machines: pd.DataFrame) -> None:
    one, other = fitted(kind, machines, how), fitted(f"like_{kind}", machines, how)
    assert not isinstance(other.design.random[0].structure, CompoundSymmetry | Autoregressive)
    assert other.loglik == one.loglik
    np.testing.assert_array_equal(other.theta, one.theta)
    assert str(other.summary()).replace("like_", "") == str(one.summary())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pd.testing.assert_frame_equal(other.confint(method="profile"), one.confint(method="profile"))
    pd.testing.assert_frame_equal(other.confint(method="wald"), one.confint(method="wald"))
    tests = [lmm.anova(fit, ddf="Kenward-Roger").to_numpy() for fit in (one, other)]
    np.testing.assert_array_equal(*tests)
    whole = ranova(other)
    assert whole.index[-1] == f"like_{kind}(0 + Machine | Worker{how})"  # no columns of it go
    np.testing.assert_array_equal(whole.to_numpy(), ranova(one).to_numpy())


@pytest.mark.parametrize(
    ("kind", "how", "constraints"),
    [
        ("cs", "", {BA: 0.2}),
        ("cs", "", {BA: -0.5}),
        ("cs", "", {A: B}),
        ("cs", "", {A: C, BA: 1.0}),
        ("cs", ", hom = TRUE", {CA: 0.2}),
        ("ar1", "", {BA: -1.0}),
        ("ar1", ", hom = FALSE", {BA: 0.4}),
    ],
)
def test_a_clone_is_constrained_as_the_original(
    kind: str, how: str, constraints: dict[str, Any], machines: pd.DataFrame
) -> None:
    tables = []
    for structure in (kind, f"like_{kind}"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            small = fitted(structure, machines, how, constraints=constraints)
            tables.append(lmm.anova(small, fitted(structure, machines, how), refit=False))
    np.testing.assert_array_equal(*[table.to_numpy(dtype=float) for table in tables])


def test_ties_of_a_correlation_with_another(machines: pd.DataFrame) -> None:
    """Of which the angle is a function that only the structure knows."""
    halves = machines.assign(half=machines["Worker"].astype(str) + "." + (np.arange(len(machines)) % 2).astype(str))
    tie, logliks = {BA: "cor_MachineB.MachineA|half"}, []
    for kind in ("cs", "like_cs"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            formula = f"score ~ 1 + {kind}(0 + Machine | Worker) + (0 + Machine | half)"
            logliks.append(lmm.lmer(formula, halves, constraints=tie).loglik)
    assert logliks[0] == logliks[1]


def test_a_clone_is_refused_as_the_original(machines: pd.DataFrame) -> None:
    with pytest.raises(ModelError, match=r"is -0.6; a correlation lies between -0.5 and 1 here"):
        fitted("like_cs", machines, constraints={BA: -0.6})
    with pytest.raises(ModelError, match=r"is a power of the correlation between neighbours"):
        fitted("like_ar1", machines, constraints={CA: 0.3})
    once = machines.drop_duplicates(["Worker", "Machine"])
    with pytest.raises(ModelError, match="cannot be told apart"):
        fitted("like_cs", once)
    with pytest.warns(SingularFitWarning):
        fitted("like_ar1", once)  # the decay of its correlations determines it


def test_what_a_clone_contains(machines: pd.DataFrame) -> None:
    """Independent effects, one common effect, and itself."""
    large = fitted("like_cs", machines, reml=False)
    for random in ("diag(0 + Machine | Worker)", "(1 | Worker)"):
        small = lmm.lmer(f"score ~ Machine + {random}", machines, reml=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isfinite(lmm.anova(small, large)["Chisq"].iloc[1])
    assert np.isfinite(lmm.anova(lmm.lmer(f"score ~ 1 + {large.design.random[0].term.text}", machines, reml=False),
                                 large)["Chisq"].iloc[1])  # fmt: skip


def test_of_an_opaque_structure_nothing_is_guessed(machines: pd.DataFrame) -> None:
    fit, same = fitted("opaque", machines, reml=False), fitted("us", machines, reml=False)
    assert fit.loglik == pytest.approx(same.loglik, rel=1e-9)
    with pytest.raises(ModelError, match=r"parameters of opaque\(\) in opaque\(0 \+ Machine \| Worker\) have no prof"):
        fit.confint(method="profile")
    with pytest.raises(ModelError, match=r"'sd_MachineA\|Worker' cannot be constrained: how the structure of"):
        fitted("opaque", machines, constraints={A: B})
    assert list(ranova(fit).index[1:]) == ["opaque(0 + Machine | Worker)"]
    smaller = lmm.lmer("score ~ 1 + opaque(0 + Machine | Worker)", machines, reml=False)
    assert np.isfinite(lmm.anova(smaller, fit)["Chisq"].iloc[1])
