"""Breeding values of everybody, recorded or not, against Henderson's equations inverted and against dense V."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.errors import ModelError
from lmmpy.relatedness import Pedigree, Relatedness
from tests.model.made import quiet
from tests.model.related import FORMULAS, TWINS, A, Everybody, data, fitted, pedigree, rows

KINDS = ["pedigree", "matrix"]
CASES = [(name, kind) for name in FORMULAS for kind in KINDS]


def of_term(fit: lmm.LmmFit, place: int) -> pd.DataFrame:
    found = fit.breeding_values(fit.design.random[place].name)
    return found.set_index(["id", "effect"] if "effect" in found else "id")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_estimates_and_their_errors_are_those_of_dense_algebra(name: str, kind: str) -> None:
    fit = fitted(name, kind)
    everybody = Everybody(fit, A())
    start = 0
    for place, term in enumerate(fit.design.random):
        m = len(everybody.levels(place)) * term.k
        if "kin" in term.group:
            b = everybody.b[start : start + m]
            Z = np.eye(len(everybody.b))[start : start + m]
            error = np.sqrt(np.diag(everybody.variance(np.zeros((m, fit.design.p)), Z)))
            prior = fit.sigma**2 * np.diag(everybody.G)[start : start + m]
            found = of_term(fit, place)
            index = [(one, c) for one in everybody.ids for c in term.columns] if term.k > 1 else everybody.ids
            if found.index.nlevels > 1 and term.k == 1:
                found = found.droplevel("effect")
            found = found.loc[index]
            assert len(found) == m
            np.testing.assert_allclose(found["estimate"], b, rtol=1e-9, atol=1e-10)
            np.testing.assert_allclose(found["std_error"], error, rtol=1e-8)
            np.testing.assert_allclose(found["accuracy"], np.sqrt(1 - error**2 / prior), rtol=1e-7, atol=1e-9)
        start += m


def test_the_errors_are_the_block_of_the_inverse_of_hendersons_equations() -> None:
    fit = fitted("household")
    levels = list(pedigree().labels)  # one twin, so that A has an inverse
    X, w = fit.design.X, fit.prior_weights.to_numpy()
    kin, house = fit.design.random if "kin" in fit.design.random[0].name else fit.design.random[::-1]
    Z = np.array([[float(one == level) for level in levels] for one in fit.frame()["id"]])
    W = np.hstack([X, Z, house.Z.toarray()])
    M = W.T @ (w[:, None] * W)
    variances = {t.name: v for t, v in zip(fit.design.random, fit.theta.to_numpy() ** 2, strict=True)}
    p, q = X.shape[1], len(levels)
    M[p : p + q, p : p + q] += np.linalg.inv(A().loc[levels, levels]) / variances[kin.name]
    M[p + q :, p + q :] += np.eye(house.q) / variances[house.name]
    C22 = fit.sigma**2 * np.linalg.inv(M)[p : p + q, p : p + q]
    found = fit.breeding_values().set_index("id").loc[levels]
    np.testing.assert_allclose(found["std_error"], np.sqrt(np.diag(C22)), rtol=1e-8)


def test_the_variance_given_beta_alone_is_smaller() -> None:
    fit = fitted("intercepts")
    term = fit.design.random[0]
    given_beta = np.sqrt(fit.ranef(cond_var=True).cond_var[term.name][:, 0, 0])
    found = fit.breeding_values().set_index("id").loc[term.levels, "std_error"].to_numpy()
    assert (found > given_beta * (1 + 1e-6)).all()


def test_everybody_of_the_pedigree_is_there_both_twins_included() -> None:
    found = fitted("intercepts").breeding_values()
    assert list(found.columns) == ["id", "estimate", "std_error", "accuracy", "recorded", "inbreeding"]
    assert sorted(found["id"]) == sorted(rows()["id"])
    by_id = found.set_index("id")
    first, second = (by_id.loc[one] for one in TWINS)
    assert first["recorded"] and not second["recorded"]
    numbers = ["estimate", "std_error", "accuracy", "inbreeding"]
    assert list(first[numbers]) == list(second[numbers])
    assert set(by_id.index[by_id["recorded"]]) == set(data()["id"])


def test_inbreeding_is_that_of_the_diagonal_and_of_an_additive_pedigree_only() -> None:
    found = fitted("intercepts").breeding_values().set_index("id")
    F = np.diag(A()) - 1.0
    assert F.max() > 0.1
    np.testing.assert_allclose(found.loc[list(A().index), "inbreeding"], F, atol=1e-12)
    assert "inbreeding" not in fitted("intercepts", "matrix").breeding_values()
    sexes = pd.Series(np.where(np.arange(len(rows())) % 2, "F", "M"))
    sexes.iloc[-1] = sexes.iloc[-2]
    X = Pedigree(rows()["id"], rows()["father"], rows()["mother"], sexes, rows()["twin"]).x_linked()
    assert "inbreeding" not in quiet("y ~ x + kin(id, X)", data(), relmat={"X": X}).breeding_values()


def test_those_with_records_have_what_ranef_says() -> None:
    fit = fitted("slopes")
    name = fit.design.random[0].name
    found = fit.breeding_values().pivot(index="id", columns="effect", values="estimate")
    ranef = fit.ranef()[name]
    np.testing.assert_allclose(found.loc[ranef.index, list(ranef.columns)], ranef, rtol=1e-9, atol=1e-11)
    assert list(fit.breeding_values()["effect"][:2]) == ["(Intercept)", "x"]


def test_genotypes_of_fewer_markers_than_animals() -> None:
    rng = np.random.default_rng(4)
    G = rng.normal(size=(len(rows()), 12))
    K = Relatedness.from_genotypes(G, labels=list(rows()["id"]))
    fit = quiet("y ~ x + kin(id, K)", data(), relmat={"K": K})
    everybody = Everybody(fit, pd.DataFrame(G @ G.T / 12, A().index, A().index))
    found = fit.breeding_values().set_index("id").loc[everybody.ids]
    np.testing.assert_allclose(found["estimate"], everybody.b, rtol=1e-8, atol=1e-9)
    variance = np.diag(everybody.variance(np.zeros((len(G), 2)), np.eye(len(G))))
    np.testing.assert_allclose(found["std_error"], np.sqrt(variance), rtol=1e-7)


def test_a_precision_has_everybody_in_the_model_already() -> None:
    labels = list(pedigree().labels)
    P = Relatedness.from_precision(np.linalg.inv(A().loc[labels, labels]), labels=labels)
    fit = quiet("y ~ x + kin(id, A)", data(), weights="w", relmat={"A": P})
    expected = fitted("intercepts").breeding_values().set_index("id").loc[labels]
    found = fit.breeding_values().set_index("id").loc[labels]
    numbers = ["estimate", "std_error", "accuracy"]
    np.testing.assert_allclose(found[numbers], expected[numbers], rtol=1e-5, atol=1e-7)  # optima of two searches


def test_known_variances_give_the_textbook_answer() -> None:
    """Mrode (2005), Linear Models for the Prediction of Animal Breeding Values, example 3.1: h² = 1/3."""
    calves = pd.DataFrame({"id": [4, 5, 6, 7, 8], "sex": ["m", "f", "f", "m", "m"], "y": [4.5, 2.9, 3.9, 3.5, 5.0]})
    ped = Pedigree(list(range(1, 9)), [0, 0, 0, 1, 3, 1, 4, 3], [0, 0, 0, 0, 2, 2, 5, 6])
    fit = quiet("y ~ 0 + sex + kin(id, ped)", calves, relmat={"ped": ped}, varcomp={"kin(id, ped)": 20, "Residual": 40})
    found = fit.breeding_values().set_index("id").loc[range(1, 9)]
    expected = [0.098, -0.019, -0.041, -0.009, -0.186, 0.177, -0.249, 0.183]
    np.testing.assert_allclose(found["estimate"], expected, atol=6e-4)
    expected = [0.471, 0.492, 0.456, 0.428, 0.428, 0.442, 0.442, 0.422]
    np.testing.assert_allclose(found["std_error"] ** 2 / 40, expected, atol=6e-4)


def test_ids_are_numbers_where_those_of_the_data_are_and_all_can_be() -> None:
    ids, varcomp = np.arange(1, 11), {"kin(id, P)": 1, "Residual": 1}
    frame = pd.DataFrame({"id": np.repeat(ids, 2), "y": np.random.default_rng(3).normal(size=20)})

    def found(data: pd.DataFrame, last: object = 11) -> pd.DataFrame:
        P = Pedigree([*ids, last], [0] * 9 + [1, 3], [0] * 9 + [2, 4])
        return lmm.lmer("y ~ kin(id, P)", data, varcomp=varcomp, relmat={"P": P}).breeding_values()

    assert found(frame)["id"].to_list() == [*range(1, 12)] and found(frame)["id"].dtype == np.int64
    assert len(frame.merge(found(frame), on="id")) == 20
    of_floats = found(frame.astype({"id": float}))
    assert len(frame.astype({"id": float}).merge(of_floats, on="id")) == 20
    for text in (found(frame.astype({"id": str})), found(frame, "new"), found(frame, "011")):
        assert all(isinstance(one, str) for one in text["id"]) and text["id"][0] == "1"
    assert len(frame.astype({"id": str}).merge(found(frame.astype({"id": str})), on="id")) == 20


def test_a_variance_of_zero_predicts_zero_with_no_accuracy() -> None:
    y = data().assign(y=np.random.default_rng(2).normal(size=len(data())))
    fit = quiet("y ~ x + kin(id, A)", y, relmat={"A": pedigree()})
    assert fit.theta.iloc[0] == 0.0
    found = fit.breeding_values()
    assert (found["estimate"] == 0.0).all() and (found["std_error"] == 0.0).all() and found["accuracy"].isna().all()


def test_what_it_asks_for_is_said() -> None:
    with pytest.raises(ModelError, match=r"none\. Write kin\(A\)"):
        quiet("y ~ x + (1 | h)", data()).breeding_values()
    with pytest.raises(ModelError, match=r"'kin\(id, A\)', 'kin\(id, A\)\.1' have a relatedness each\. Choose one"):
        fitted("separate").breeding_values()
    with pytest.raises(ModelError, match=r"'h' is no random term with a relatedness; 'kin\(id, A\)' are"):
        fitted("household").breeding_values("h")
