"""What a newcomer is told: of doubtful fits, of misreadings, of names that are another program's."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import lmmpy as lmm

DOUBT = "doubtful fit, the data do not determine all covariance parameters: see fit.convergence"


@pytest.fixture(scope="module")
def arms() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"id": np.repeat(np.arange(40), 6), "arm": np.tile(list("ab"), 120)})
    level, slope = rng.normal(size=(2, 40))
    data["y"] = rng.normal(size=240) + level[data["id"]] + slope[data["id"]] * (data["arm"] == "a")
    return data.assign(same=data["id"].astype(str), x=rng.normal(size=240))


def doubtful(formula: str, data: pd.DataFrame, **options: object) -> tuple[lmm.LmmFit, str]:
    with pytest.warns(lmm.ConvergenceWarning, match="^Doubtful fit: the data do not determine") as caught:
        fit = lmm.lmer(formula, data, **options)
    return fit, str(caught[0].message)


# ---- doubtful fits


@pytest.mark.parametrize(
    ("random", "advice"),
    [
        (
            "(arm || id)",
            "The term (1 | id) is an intercept beside (0 + arm | id), which has an effect for each level of arm and "
            "contains it; (arm || id) means this pair, as in R. Write (0 + arm | id), or diag(0 + arm | id) for "
            "independent effects.",
        ),
        (
            "(1 | id) + (arm | id)",
            "The term (1 | id) is a special case of (arm | id), which stands beside it: take it out.",
        ),
        ("(1 | id) + (1 | id)", "The term (1 | id) stands twice: take one out."),
        ("(1 | id) + (1 | same)", "The terms (1 | id) and (1 | same) say the same: take one out."),
    ],
)
def test_a_term_that_another_contains_is_named(random: str, advice: str, arms: pd.DataFrame) -> None:
    fit, warning = doubtful(f"y ~ arm + {random}", arms)
    assert warning.endswith(advice)
    assert any(text.endswith(advice) for text in fit.convergence.advice)
    assert "Centre" not in str(fit.convergence)
    assert str(fit).endswith(DOUBT) and str(fit.summary()).endswith(DOUBT) and DOUBT in fit.summary().to_html()


def test_a_kinship_that_stands_twice_is_named() -> None:
    family = lmm.datasets.load("family")
    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    fit, warning = doubtful("bmi ~ age + kin(ped) + kin(ped)", family, relmat={"ped": ped})
    assert warning.endswith("The term kin(ped) stands twice: take one out.") and DOUBT in str(fit)


def test_a_refit_and_constraints_tell_of_doubt_too(arms: pd.DataFrame) -> None:
    fit, _ = doubtful("y ~ arm + (1 | id) + (1 | same)", arms)
    with pytest.warns(lmm.ConvergenceWarning, match="say the same: take one out"):
        assert DOUBT in str(fit.refit_ml())
    held = fit.constrain({"sd_(Intercept)|same": 0.5})
    assert DOUBT not in str(held) and held.convergence.ok


def test_of_a_fit_that_is_determined_nothing_is_said(arms: pd.DataFrame) -> None:
    for random in ("(0 + arm | id)", "diag(0 + arm | id)", "(1 | id)"):
        assert "doubtful" not in str(lmm.lmer(f"y ~ arm + {random}", arms))


# ---- text that is numbers


def with_text(n: int = 60, levels: int = 30, **others: object) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    age = pd.Series(np.arange(n) % levels + 20).astype(str).astype(object)
    return pd.DataFrame({"y": rng.normal(size=n), "g": np.arange(n) % 6, "age": age, **others})


def said(formula: str, data: object) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lmm.lmer(formula, data)
    assert all(w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught if w.category is lmm.FormulaWarning]


def test_numbers_that_a_word_made_text_are_told_of() -> None:
    data = with_text()
    data.loc[4, "age"] = "n/a"
    for frame in (data, data.astype({"age": "string"}), pl.from_pandas(data), {k: data[k].to_numpy() for k in data}):
        (text,) = said("y ~ age + (1 | g)", frame)
        assert text.startswith(
            "'age' is text, and so a factor of 31 levels; but all its values are numbers except 'n/a'."
        )
        assert "pd.to_numeric(data['age'], errors='coerce')" in text
    assert len(said("y ~ g:age + (1 | g)", data)) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda data: data,  # all are numbers: nothing but intention makes them text
        lambda data: data.replace({"age": {"24": "n/a"}}).astype({"age": "category"}),
        lambda data: data.assign(age=np.where(data["age"] < "45", "young", data["age"])),
        lambda data: data.assign(age=np.tile(["1", "2", "x"], 20)),
        lambda data: data.assign(age=np.tile([True, False], 30).astype(object)),
        lambda data: data.assign(age=np.tile(["nan", "inf", "ninf", "a"], 15)),
    ],
)
def test_what_is_meant_as_a_factor_is_one_without_a_word(make: object) -> None:
    assert said("y ~ age + (1 | g)", make(with_text())) == []


def test_groups_may_be_called_as_they_like() -> None:
    data = with_text().assign(g=lambda d: d["g"].astype(str).replace("3", "n/a"))
    data.loc[4, "age"] = "n/a"
    assert said("y ~ 1 + (1 | g)", data) == said("y ~ 1 + (1 | age)", data) == []


# ---- powers


@pytest.mark.parametrize(("term", "own"), [("x^2", "x"), ("x + x**2", "x"), ("f * (x)^3", "x"), ("exp(x)^2", "exp(x)")])
def test_a_power_that_is_none_is_told_of(term: str, own: str) -> None:
    data = with_text(x=np.linspace(0, 1, 60), f=np.tile(list("abc"), 20))
    (text,) = said(f"y ~ {term} + (1 | g)", data)
    assert f" is {own}: a power crosses terms there, as in R. Write I(" in text
    assert lmm.lformula(f"y ~ {own} + (1 | g)", data).X.shape[1] == 2


@pytest.mark.parametrize("term", ["(x + z)^2", "I(x^2)", "x^1", "f^2", "x - x^2", "z + I(x**2)", "1^2"])
def test_other_powers_are_not(term: str) -> None:
    rng = np.random.default_rng(3)
    data = with_text(x=np.linspace(0, 1, 60), z=rng.normal(size=60), f=np.tile(list("abc"), 20))
    assert said(f"y ~ {term} + (1 | g)", data) == []


# ---- the names of other programs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"REML": False}, "'REML': did you mean reml="),
        ({"family": "binomial"}, "generalised mixed models"),
        ({"random": "~ 1"}, "(x | g)"),
        ({"correlation": 1}, "residual="),
        ({"weight": "w"}, "did you mean weights="),
        ({"nonsense": 1}, "'nonsense'"),
    ],
)
def test_arguments_of_other_programs_are_refused_by_name(arguments: dict[str, object], words: str) -> None:
    for function, formula in ((lmm.lmer, "y ~ 1 + (1 | g)"), (lmm.gls, "y ~ 1")):
        with pytest.raises(TypeError) as caught:
            function(formula, with_text(), **arguments)
        assert words in str(caught.value) and f"{function.__name__}() has no argument" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("glmer", "generalised ones are not there"),
        ("allFit", "did you mean lmm.all_fit?"),
        ("VarCOrr", "did you mean lmm.VarCorr?"),
        ("fixef", "did you mean fit.fixef?"),
        ("isSingular", "did you mean fit.is_singular?"),
        ("nonsense", "has no attribute 'nonsense'"),
    ],
)
def test_functions_of_other_programs_are_told_apart(name: str, words: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(lmm, name)
    assert str(caught.value).endswith(words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("VarCorr", "did you mean fit.varcorr?"),
        ("logLik", "did you mean fit.loglik?"),
        ("AIC", "did you mean fit.aic?"),
        ("resid", "did you mean fit.residuals()?"),
        ("isREML", "did you mean fit.reml?"),
        ("params", "did you mean fit.fixef?"),
        ("nonsense", "object has no attribute 'nonsense'"),
    ],
)
def test_attributes_of_other_programs_are_told_apart(name: str, words: str) -> None:
    fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"))
    with pytest.raises(AttributeError) as caught:
        getattr(fit, name)
    assert str(caught.value).endswith(words) and not hasattr(fit, name)
    for other in (copy.copy(fit), copy.deepcopy(fit), pickle.loads(pickle.dumps(fit))):
        assert other.loglik == pytest.approx(fit.loglik)


def test_every_hint_is_something_that_a_fit_has() -> None:
    from lmmpy.model.foreign_names import _OF_FIT

    assert all(hasattr(lmm.LmmFit, hint.partition("(")[0]) or hint == "design" for hint in _OF_FIT.values())


def test_an_attribute_error_inside_a_property_is_what_is_raised() -> None:
    class Broken(lmm.LmmFit):
        @property
        def aic(self) -> float:
            return self.nowhere  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="nowhere"):
        Broken.__new__(Broken).aic  # noqa: B018


@pytest.mark.parametrize("module", ["lmmpy", "lmmpy.qtl", "lmmpy.plots"])
def test_dir_lists_what_is_public(module: str) -> None:
    code = f"import {module} as m; print(set(dir(m)) - set(m.__all__), set(m.__all__) - set(dir(m)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == ("{'__version__'} set()" if module == "lmmpy" else "set() set()")
