"""Predictions of relatives: recorded, known to the relatedness only, newborn, or unknown; against dense V."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.errors import DataError, ModelError
from lmmpy.inference import prediction_uncertainty
from lmmpy.relatedness import Pedigree, Relatedness
from tests.model.made import quiet
from tests.model.related import FORMULAS, A, Everybody, data, fitted, pedigree, rows

CASES = [(name, kind) for name in FORMULAS for kind in ("pedigree", "matrix")]
RECORDED, LINK, LEAF, TWIN = "i20", "i12", "i41", "i45"


def new() -> pd.DataFrame:
    """Recorded, ancestor of others, without descendants, and twin of a recorded one; the last twice."""
    ids = [RECORDED, LINK, LEAF, "i40", "i30", TWIN, "i44", LEAF]
    x = np.linspace(-1.0, 2.0, len(ids))
    return pd.DataFrame({"id": ids, "x": x, "o": x**2, "w": 1.0 + np.arange(len(ids)) / 4, "h": "h3"})


def columns(fit: lmm.LmmFit, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, offset and the columns left of the bars, side by side."""
    one, x = np.ones(len(frame)), frame["x"].to_numpy()
    X = np.column_stack([one, x])[:, : fit.design.p]
    offset = frame["o"].to_numpy() if fit.design.offset is not None else 0.0 * one
    return X, offset, np.column_stack([one, x])


def dense_rows(fit: lmm.LmmFit, frame: pd.DataFrame, all_ids: Everybody, keep: str = "") -> np.ndarray:
    """Z of new rows over everybody; only of terms whose group has `keep` in it."""
    both, parts = columns(fit, frame)[2], []
    for place, term in enumerate(fit.design.random):
        values = both[:, [["(Intercept)", "x"].index(c) for c in term.columns]]
        parts.append(all_ids.Z(place, frame, values) * (keep in term.group))
    return np.hstack(parts)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_relatives_are_predicted_with_the_error_of_dense_algebra(name: str, kind: str) -> None:
    fit, frame = fitted(name, kind), new()
    everybody = Everybody(fit, A())
    X, offset, _ = columns(fit, frame)
    Z = dense_rows(fit, frame, everybody)
    found = fit.predict(frame, interval="prediction", allow_new_levels=name == "environment")
    np.testing.assert_allclose(found["prediction"], X @ everybody.beta + offset + Z @ everybody.b, rtol=1e-9)
    variance = np.diag(everybody.variance(X, Z))
    if name == "environment":  # the permanent effect of an id without records is new
        place = next(i for i, term in enumerate(fit.design.random) if term.group == "id")
        unseen = ~frame["id"].isin(fit.design.random[place].levels).to_numpy()
        assert unseen.any()
        variance = variance + fit.sigma**2 * everybody.Cs[place][0, 0] * unseen
    np.testing.assert_allclose(found["std_error"], np.sqrt(variance), rtol=1e-8)
    reach = 1.959963984540054 * np.sqrt(variance + fit.sigma**2 / frame["w"])
    np.testing.assert_allclose(found["conf_high"] - found["prediction"], reach, rtol=1e-8)


@pytest.mark.parametrize("kind", ["pedigree", "matrix"])
def test_without_relatives_a_new_observation_varies_by_the_diagonal_of_K(kind: str) -> None:
    fit, frame = fitted("slopes", kind), new()
    everybody, (X, _, both) = Everybody(fit, A()), columns(fit, frame)
    own = np.diag(A().loc[frame["id"], frame["id"]])
    assert own.max() > 1.04
    found = fit.predict(frame, re_form="none", interval="prediction")
    np.testing.assert_allclose(found["prediction"], X @ everybody.beta, rtol=1e-10)
    kin, house = everybody.Cs if fit.design.random[0].k == 2 else everybody.Cs[::-1]
    variance = np.einsum("mp,pq,mq->m", X, everybody.vcov, X) + own * np.einsum("ma,ab,mb->m", both, kin, both)
    variance += house[0, 0] + 1.0 / frame["w"].to_numpy()
    reach = (found["conf_high"] - found["prediction"]) / 1.959963984540054
    np.testing.assert_allclose(reach, fit.sigma * np.sqrt(variance), rtol=1e-9)
    # The ids are read where they are, and not asked for.
    blind = fit.predict(frame.drop(columns="id"), re_form="none", interval="prediction")
    reach = (blind["conf_high"] - blind["prediction"]) / 1.959963984540054
    variance += (1.0 - own) * np.einsum("ma,ab,mb->m", both, kin, both)
    np.testing.assert_allclose(reach, fit.sigma * np.sqrt(variance), rtol=1e-9)


def test_the_rows_of_the_fit_have_the_diagonal_of_K_too() -> None:
    fit = fitted("intercepts")
    own = np.diag(A().loc[data()["id"], data()["id"]])
    everybody = Everybody(fit, A())
    found = fit.predict(re_form="none", interval="prediction")
    X = fit.design.X
    variance = np.einsum("mp,pq,mq->m", X, everybody.vcov, X) + own * everybody.Cs[0][0, 0] + 1.0 / data()["w"]
    reach = (found["conf_high"] - found["prediction"]) / 1.959963984540054
    np.testing.assert_allclose(reach, fit.sigma * np.sqrt(variance), rtol=1e-9)


@pytest.mark.parametrize("keep", ["kin", "h"])
def test_re_form_keeps_some_of_the_terms(keep: str) -> None:
    fit, frame = fitted("household"), new()
    everybody, (X, offset, _) = Everybody(fit, A()), columns(fit, frame)
    name = next(term.name for term in fit.design.random if (keep == "kin") == ("kin" in term.group))
    Z = dense_rows(fit, frame, everybody, "kin" if keep == "kin" else name)
    Z = Z if keep == "kin" else Z * (np.abs(Z).sum(axis=0) > 0)
    found = fit.predict(frame, re_form=[name], se=True)
    np.testing.assert_allclose(found["prediction"], X @ everybody.beta + offset + Z @ everybody.b, rtol=1e-9)
    np.testing.assert_allclose(found["std_error"], np.sqrt(np.diag(everybody.variance(X, Z))), rtol=1e-8)


def test_some_effects_of_a_term() -> None:
    fit, frame = fitted("slopes"), new()
    everybody, (X, _, both) = Everybody(fit, A()), columns(fit, frame)
    place = 0 if fit.design.random[0].k == 2 else 1
    parts = [np.zeros((len(frame), len(everybody.levels(t)) * term.k)) for t, term in enumerate(fit.design.random)]
    parts[place] = everybody.Z(place, frame, both * [1.0, 0.0])
    Z = np.hstack(parts)
    found = fit.predict(frame, re_form="~ (1 | kin(id, A))", interval="prediction")
    np.testing.assert_allclose(found["prediction"], X @ everybody.beta + Z @ everybody.b, rtol=1e-9)
    variance = np.diag(everybody.variance(X, Z)) / fit.sigma**2
    np.testing.assert_allclose(found["std_error"], fit.sigma * np.sqrt(variance), rtol=1e-8)
    own = np.diag(A().loc[frame["id"], frame["id"]])
    more = own * frame["x"] ** 2 * everybody.Cs[place][1, 1] + everybody.Cs[1 - place][0, 0] + 1.0 / frame["w"]
    reach = (found["conf_high"] - found["prediction"]) / 1.959963984540054
    np.testing.assert_allclose(reach, fit.sigma * np.sqrt(variance + more), rtol=1e-8)


def test_many_relatives_take_the_way_by_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.concat([new(), new().assign(id=list(rows()["id"][8:16]))], ignore_index=True)
    expected = fitted("slopes").predict(frame, se=True)
    monkeypatch.setattr(prediction_uncertainty, "_BLOCK", 200)
    np.testing.assert_allclose(fitted("slopes").predict(frame, se=True), expected, rtol=1e-9)


def test_an_id_that_is_nowhere_is_a_level_that_was_not_seen() -> None:
    fit, frame = fitted("household"), new().assign(id="stranger")
    with pytest.raises(DataError, match=r"ids that its relatedness does not have: 'stranger'\. Give it with relmat="):
        fit.predict(frame)
    found = fit.predict(frame, se=True, allow_new_levels=True)
    everybody, (X, offset, _) = Everybody(fit, A()), columns(fit, frame)
    Z = dense_rows(fit, frame, everybody)
    np.testing.assert_allclose(found["prediction"], X @ everybody.beta + offset + Z @ everybody.b, rtol=1e-9)
    place = next(i for i, term in enumerate(fit.design.random) if "kin" in term.group)
    variance = np.diag(everybody.variance(X, Z)) + fit.sigma**2 * everybody.Cs[place][0, 0]
    np.testing.assert_allclose(found["std_error"], np.sqrt(variance), rtol=1e-8)


def test_a_missing_id_is_said_or_allowed() -> None:
    fit, frame = fitted("intercepts"), new()
    frame.loc[1, "id"] = None
    with pytest.raises(DataError, match="missing values"):
        fit.predict(frame)
    found = fit.predict(frame, allow_new_levels=True)
    assert found[1] == pytest.approx(float(fit.fixef.to_numpy() @ [1.0, frame.loc[1, "x"]]))
    np.testing.assert_allclose(found[[0, 2, 3]], fit.predict(new())[[0, 2, 3]], rtol=1e-10)


# ---- newborn ones, in a larger relatedness

BORN = pd.DataFrame({"id": ["n1", "n2", "n3"], "father": ["i40", "i20", "n1"], "mother": ["i41", "i45", "n2"]})


def larger() -> Pedigree:
    more = pd.concat([rows(), BORN.assign(twin="")], ignore_index=True)
    return Pedigree.from_frame(more, "id", "father", "mother", twin="twin")


def larger_matrix() -> pd.DataFrame:
    """Everybody and the newborn ones, by the tabular method."""
    K = A().copy()
    for one, father, mother in BORN.itertuples(index=False):
        row = 0.5 * (K[father] + K[mother])
        own = 1.0 + 0.5 * K.loc[father, mother]
        K[one] = row
        K.loc[one] = K[one]
        K.loc[one, one] = own
    return K.loc[K.columns]


@pytest.mark.parametrize("fit_kind", ["pedigree", "matrix"])
@pytest.mark.parametrize("given", [larger, larger_matrix], ids=["pedigree", "matrix"])
def test_newborn_relatives_of_a_larger_relatedness(fit_kind: str, given: object) -> None:
    fit = fitted("slopes", fit_kind)
    frame = pd.concat([new(), pd.DataFrame({"id": BORN["id"], "x": [0.5, 1.5, -0.5], "w": 1.0, "h": "h1"})])
    everybody = Everybody(fit, larger_matrix())
    X, Z = columns(fit, frame)[0], dense_rows(fit, frame, everybody)
    found = fit.predict(frame, se=True, relmat={"A": given()})
    np.testing.assert_allclose(found["prediction"], X @ everybody.beta + Z @ everybody.b, rtol=1e-9)
    np.testing.assert_allclose(found["std_error"], np.sqrt(np.diag(everybody.variance(X, Z))), rtol=1e-8)
    with pytest.raises(DataError, match="does not have: 'n1', 'n2', 'n3'"):
        fit.predict(frame)


def test_a_relatedness_by_grouping_factor() -> None:
    fit = quiet("y ~ x + (1 | id)", data(), weights="w", relmat={"id": pedigree()})
    frame = pd.DataFrame({"id": BORN["id"], "x": 1.0})
    same = fitted("intercepts").predict(frame, relmat={"A": larger()})
    np.testing.assert_allclose(fit.predict(frame, relmat={"id": larger()}), same, rtol=1e-6)


def test_a_relatedness_by_the_name_of_the_term() -> None:
    fit, frame = fitted("intercepts"), pd.DataFrame({"id": BORN["id"], "x": 1.0, "h": "h1"})
    named = fit.predict(frame, relmat={"kin(id, A)": larger()})
    np.testing.assert_array_equal(named, fit.predict(frame, relmat={"A": larger()}))
    with pytest.raises(
        ModelError, match=r"relmat holds 'A', which is no .* 'kin\(id, A\)'; a key is one of these names"
    ):
        fit.predict(frame, relmat={"kin(id, A)": larger(), "A": larger()})


def test_a_larger_relatedness_must_be_that_of_the_fit() -> None:
    fit, frame = fitted("intercepts"), pd.DataFrame({"id": ["n1"], "x": 1.0})
    other = larger_matrix()
    other.loc["i20", "i21"] += 0.01
    other.loc["i21", "i20"] += 0.01
    there, here = other.loc["i20", "i21"], A().loc["i20", "i21"]
    message = r"not that of the fit for 2 of its ids: 'i20', 'i21'\. 'i2[01]' and 'i2[01]' have "
    message += f"{there:.6g} there, {here:.6g} in"
    with pytest.raises(DataError, match=message):
        fit.predict(frame, relmat={"A": other})
    fewer = larger_matrix().drop(index="i20", columns="i20")
    with pytest.raises(DataError, match="lacks 1 of the 38 ids of the fit: 'i20'"):
        fit.predict(frame, relmat={"A": fewer})
    with pytest.raises(DataError, match="no labels"):
        fit.predict(frame, relmat={"A": Relatedness(larger_matrix().to_numpy())})
    with pytest.raises(ModelError, match=r"relmat holds 'B', which is no relatedness of the fit.*kin\(id, A\)"):
        fit.predict(frame, relmat={"A": larger(), "B": larger()})
    with pytest.raises(ModelError, match="must map names"):
        fit.predict(frame, relmat=larger())
    with pytest.raises(ModelError, match="relmat is for relatives in newdata"):
        fit.predict(relmat={"A": larger()})


# ---- what is left out counts as the new relatedness has it


def markers(n: int) -> pd.DataFrame:
    """GGᵀ/m of everybody and the newborn ones, of markers with means: a diagonal far from one."""
    ids = [*A().index, *BORN["id"]]
    G = np.random.default_rng(3).normal(size=(len(ids), 80)) * np.linspace(0.6, 2.2, len(ids))[:, None] + 0.2
    return pd.DataFrame(G @ G.T / 80, index=ids, columns=ids).iloc[:n, :n]


LARGER = {"pedigree": (larger, larger_matrix), "matrix": (larger_matrix, larger_matrix)}
LEFT_OUT = [
    ("intercepts", []),
    ("household", []),
    ("household", ["h"]),
    ("household", ["kin(id, A)"]),
    ("environment", ["kin(id, A)"]),
    ("environment", []),
    ("slopes", []),
    ("slopes", ["h"]),
    ("separate", []),
    ("separate", ["kin(id, A).1"]),
    ("no fixed", []),
]


def variance_of_new(fit: lmm.LmmFit, frame: pd.DataFrame, everybody: Everybody, kept: list[str]) -> np.ndarray:
    """Of a new observation less its prediction: the kept terms by their joint distribution, the others as new ones."""
    X, _, both = columns(fit, frame)
    Z, variance = [], fit.sigma**2 / frame["w"].to_numpy()
    own = np.diag(everybody.K.loc[frame["id"], frame["id"]])
    for place, term in enumerate(fit.design.random):
        values = both[:, [["(Intercept)", "x"].index(c) for c in term.columns]]
        is_kept = term.name in kept
        Z.append(everybody.Z(place, frame, values) * is_kept)
        if not is_kept:
            alone = np.einsum("ma,ab,mb->m", values, everybody.Cs[place], values)
            variance = variance + fit.sigma**2 * alone * (own if "kin" in term.group else 1.0)
    return variance + np.diag(everybody.variance(X, np.hstack(Z)))


def with_newborn() -> pd.DataFrame:
    born = pd.DataFrame({"id": BORN["id"], "x": [0.5, 1.5, -0.5], "o": 0.3, "w": [1.0, 2.0, 0.5], "h": "h1"})
    return pd.concat([new(), born], ignore_index=True)


def half_width(found: pd.DataFrame) -> np.ndarray:
    return (found["conf_high"] - found["conf_low"]).to_numpy() / (2 * 1.959963984540054)


@pytest.mark.parametrize("kind", ["pedigree", "matrix", "markers"])
@pytest.mark.parametrize(("name", "kept"), LEFT_OUT)
def test_a_term_left_out_counts_newborn_ones_by_their_own_K(name: str, kept: list[str], kind: str) -> None:
    if kind == "markers":
        K, given = markers(len(A()) + 3), markers(len(A()) + 3)
        fit = quiet(FORMULAS[name], data(), weights="w", relmat={"A": markers(len(A()))})
    else:
        K, given, fit = larger_matrix(), LARGER[kind][0](), fitted(name, kind)
    frame, everybody = with_newborn(), Everybody(fit, K)
    own = np.diag(K)
    assert abs(own[-3:] - 1.0).max() > (1.0 if kind == "markers" else 0.1)
    found = fit.predict(frame, re_form=kept or "none", interval="prediction", relmat={"A": given})
    np.testing.assert_allclose(half_width(found) ** 2, variance_of_new(fit, frame, everybody, kept), rtol=1e-8)


def test_a_newborn_one_is_as_in_a_fit_with_the_larger_pedigree() -> None:
    known = {"kin(id, A)": 2.0, "h": 0.5, "Residual": 1.0}
    formula, frame = "y ~ x + kin(id, A) + (1 | h)", with_newborn().tail(3)
    fit, same = (lmm.lmer(formula, data(), varcomp=known, relmat={"A": one}) for one in (pedigree(), larger()))
    for re_form in ("none", "~ (1 | h)", "all"):
        found = fit.predict(frame, re_form=re_form, interval="prediction", relmat={"A": larger()})
        np.testing.assert_allclose(found, same.predict(frame, re_form=re_form, interval="prediction"), rtol=1e-9)


def test_ids_that_only_the_relatedness_of_the_fit_has_count_by_that_one() -> None:
    fit, frame = fitted("household"), new()
    leaves = ["i40", "i41"]  # without records and descendants, not in what is given
    fewer = larger_matrix().drop(index=leaves, columns=leaves)
    some = frame[frame["id"].isin(leaves)]
    assert np.diag(A().loc[leaves, leaves]).max() > 1.01
    found = fit.predict(some, re_form="none", interval="prediction", relmat={"A": fewer})
    everybody = Everybody(fit, A())
    np.testing.assert_allclose(half_width(found) ** 2, variance_of_new(fit, some, everybody, []), rtol=1e-8)


def test_a_stranger_to_both_counts_once() -> None:
    fit, frame = fitted("intercepts"), with_newborn().tail(1)
    everybody = Everybody(fit, larger_matrix())
    own = larger_matrix().loc["n3", "n3"]
    found = fit.predict(frame.assign(id="nobody"), re_form="none", interval="prediction", relmat={"A": larger()})
    expected = variance_of_new(fit, frame, everybody, []) - (own - 1.0) * fit.sigma**2 * everybody.Cs[0][0, 0]
    np.testing.assert_allclose(half_width(found) ** 2, expected, rtol=1e-8)


# ---- what else a fit says of its levels


@pytest.mark.parametrize("name", list(FORMULAS))
def test_ranef_has_all_levels_of_the_model_and_their_variances(name: str) -> None:
    fit = fitted(name)
    everybody, ranef = Everybody(fit, A()), fit.ranef(cond_var=True)
    start = 0
    V, G, Zy = everybody.V, everybody.G, everybody.Zy
    given_beta = fit.sigma**2 * (G - G @ Zy.T @ np.linalg.solve(V, Zy @ G))
    for place, term in enumerate(fit.design.random):
        levels, k = everybody.levels(place), term.k
        at = start + np.concatenate([np.arange(k) + k * levels.index(one) for one in term.levels])
        frame = ranef[term.name]
        assert list(frame.index) == list(term.levels) and frame.index.name == term.group
        np.testing.assert_allclose(frame.to_numpy().ravel(), everybody.b[at], rtol=1e-8, atol=1e-10)
        blocks = np.array([given_beta[np.ix_(part, part)] for part in at.reshape(-1, k)])
        np.testing.assert_allclose(ranef.cond_var[term.name], blocks, rtol=1e-7, atol=1e-10)
        start += len(levels) * k
    kin = fit.design.random[0] if "kin" in fit.design.random[0].group else fit.design.random[1]
    assert not kin.recorded.all()  # who links others is there
    np.testing.assert_allclose(
        fit.fitted(), fit.design.X @ everybody.beta + Zy @ everybody.b + (data()["o"] if "offset" in fit.formula else 0)
    )


def test_coef_adds_the_fixed_effects_for_all_levels() -> None:
    fit = fitted("slopes")
    name = next(term.name for term in fit.design.random if term.k == 2)
    coef, ranef = fit.coef()[name], fit.ranef()[name]
    np.testing.assert_allclose(coef[["(Intercept)", "x"]], ranef + fit.fixef.to_numpy(), rtol=1e-12)
    assert coef.index.equals(ranef.index)
