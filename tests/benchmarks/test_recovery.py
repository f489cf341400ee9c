"""The machinery of the recovery study, on a few family studies; the study itself is stored."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.random import default_rng

import benchmarks.recovery.run as study_run
from benchmarks.calibration.report import rate
from benchmarks.pages import page_with
from benchmarks.recovery import __main__ as command
from benchmarks.recovery.designs import MISSING, SETTINGS, TOTAL_SD, TRAITS, draw_effects, draw_study
from benchmarks.recovery.likelihood import QUANTITIES, coordinates, statistic, theta_of
from benchmarks.recovery.report import BEGIN, PAGE, RESULTS, TRUE, tables
from benchmarks.recovery.run import REFERENCES, TERM, TESTED, Analysis, Record, p_values, record_of
from benchmarks.recovery.store import BOUNDARY, counts
from lmmpy.errors import ModelError
from lmmpy.qtl.held_function import loglik_with

# A study in which both pairs of twins have all traits.
COMPLETE = 2
U = np.array([0.7, 0.5, -0.3, 0.4, 0.2])


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return Analysis(SETTINGS["base"], draw_study(SETTINGS["base"], COMPLETE))


@pytest.fixture(scope="module")
def record() -> Record:
    """With the public calls."""
    return record_of("no rho_e", 0)


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


# ---- what is drawn


def test_a_study_is_that_of_its_number() -> None:
    setting = SETTINGS["base"]
    one, again, other = (draw_study(setting, number) for number in (3, 3, 4))
    pd.testing.assert_frame_equal(one.frame, again.frame)
    assert not one.frame["age"].equals(other.frame["age"])
    assert not draw_study(SETTINGS["no rho_g"], 3).frame["age"].equals(one.frame["age"])


def test_a_study_is_like_the_family_study() -> None:
    study = draw_study(SETTINGS["base"], 1)
    assert len(study.frame) == len(study.pedigree) == 398
    assert (study.pedigree.families().value_counts() > 1).sum() == 21  # and spouses without children
    assert study.frame[list(TRAITS)].isna().sum().tolist() == list(MISSING)
    assert study.twins.value_counts().tolist() == [2, 2]
    assert study.pedigree.additive().dense().shape == (396, 396)  # identical twins are one genetic level


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_effects_have_the_covariance_of_the_setting(setting) -> None:
    A, generator = np.array([[1.0, 0.5], [0.5, 1.0]]), default_rng(1)
    drawn = np.array([draw_effects(setting, A, generator).ravel() for _ in range(1000)])
    V = np.kron(A, setting.genetic) + np.kron(np.eye(2), setting.residual)
    error = np.sqrt((np.outer(np.diag(V), np.diag(V)) + V**2) / len(drawn))
    assert (np.abs(drawn.T @ drawn / len(drawn) - V) < 4.5 * error).all()


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_the_truth_is_that_of_the_covariances(setting) -> None:
    total = setting.genetic + setting.residual
    np.testing.assert_allclose(np.diag(total), TOTAL_SD**2)
    np.testing.assert_allclose(np.diag(setting.genetic) / np.diag(total), setting.h2)
    assert setting.truth["rho_p"] == pytest.approx(total[0, 1] / np.sqrt(total[0, 0] * total[1, 1]))
    assert ("rho_g" in setting.truth) == (setting.name != "no h2")


# ---- the likelihood in other coordinates


def test_coordinates_are_what_they_are_called() -> None:
    theta, _ = theta_of(U)
    T, E = np.array([[theta[0], 0.0], theta[1:3]]), np.array([[1.0, 0.0], theta[3:]])
    G, R = T @ T.T, E @ E.T
    V = G + R
    np.testing.assert_allclose(np.diag(G) / np.diag(V), np.sin(U[:2]) ** 2)
    assert G[0, 1] / np.sqrt(G[0, 0] * G[1, 1]) == pytest.approx(np.sin(U[2]))
    assert R[0, 1] / np.sqrt(R[0, 0] * R[1, 1]) == pytest.approx(np.sin(U[3]))
    assert 0.5 * np.log(V[1, 1] / V[0, 0]) == pytest.approx(U[4])
    np.testing.assert_allclose(coordinates(theta), U)


def test_derivatives_of_theta() -> None:
    steps = 1e-6 * np.eye(5)
    slopes = np.array([(theta_of(U + step)[0] - theta_of(U - step)[0]) / 2e-6 for step in steps]).T
    np.testing.assert_allclose(theta_of(U)[1], slopes, atol=1e-8)


@pytest.mark.parametrize("name", QUANTITIES)
def test_what_is_lost_is_what_the_package_says(analysis: Analysis, name: str) -> None:
    truth, fit = SETTINGS["base"].truth[name], analysis.ml
    if name in ("rho_g", "rho_e"):
        held = fit.constrain({f"cor_y2.y1|{TERM if name == 'rho_g' else 'Residual'}": truth}).loglik
    else:
        held = loglik_with(fit, analysis.quantities[name], truth)
    assert statistic(fit, name, truth) == pytest.approx(2.0 * (fit.loglik - held), abs=1e-6)


@pytest.mark.parametrize("name", QUANTITIES)
def test_nothing_is_lost_at_the_estimate(analysis: Analysis, name: str) -> None:
    estimate = float(analysis.tables["ML"].loc[name, "estimate"])
    assert statistic(analysis.ml, name, estimate) == pytest.approx(0.0, abs=1e-6)


# ---- records


def test_short_cuts_agree_with_the_public_calls(record: Record) -> None:
    checks = {name: value for name, value in record.items() if name.startswith("check/")}
    assert len(checks) == 6
    assert all(checks.values())


def test_a_test_and_an_interval_of_one_statistic_agree(record: Record) -> None:
    assert record["cover/rho_e/profile"] == (record["p/rho_e = 0/chi2(1)"] > 0.05)


def test_p_values_by_their_references() -> None:
    found = p_values("|rho_g| = 1", 2.705543, REFERENCES["|rho_g| = 1"])
    assert found["p/|rho_g| = 1/mixture 0:1"] == pytest.approx(0.05, abs=1e-6)
    assert found["p/|rho_g| = 1/chi2(1)"] == pytest.approx(0.10, abs=1e-6)
    found = p_values("h2[y2] = 0", 5.138, REFERENCES["h2[y2] = 0"])
    assert found["p/h2[y2] = 0/mixture 1:2"] == pytest.approx(0.05, abs=1e-3)
    assert set(p_values("rho_g = 0", np.nan, REFERENCES["rho_g = 0"]).values()) == {None}


def test_true_hypotheses_are_tested() -> None:
    for name, hypotheses in TRUE.items():
        assert set(hypotheses) <= set(TESTED[name])
    for name, setting in SETTINGS.items():
        for rho in {"rho_g", "rho_e"} & set(setting.truth):
            assert (f"{rho} = 0" in TRUE.get(name, ())) == (setting.truth[rho] == 0.0)


def test_a_refusal_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(analysis: Analysis) -> Record:
        raise ModelError("no")

    monkeypatch.setattr(study_run, "_fitted", refuse)
    found = counts([record_of("base", 0)])["failed"]
    assert (found["n"], found["hits"], found["first"]) == (1, 1, ["ModelError: no"])


# ---- counts


def test_counts_of_a_toy_with_known_truth() -> None:
    n = 4000
    z = default_rng(3).standard_normal(n)
    p = 2.0 * study_run.stats.norm.sf(np.abs(z))
    toy: list[Record] = [
        {
            "cover/m/z": bool(abs(value) <= study_run.Z),
            "p/m = 0/z": float(q),
            "estimate/m": float(value),
            BOUNDARY: False,
        }
        for value, q in zip(z, p, strict=True)
    ]
    found = counts(toy)
    coverage, error = rate(found["cover/m/z"])
    assert coverage == pytest.approx(95.0, abs=3.0 * error)
    assert found["p/m = 0/z"]["hits at 0.05"] == n - found["cover/m/z"]["hits"]
    assert found["estimate/m"]["high"] == pytest.approx(1.96, abs=0.1)
    assert found["estimate/m"]["sd"] == pytest.approx(z.std(ddof=1), rel=1e-5)


def test_what_does_not_exist_is_counted_and_is_no_hit() -> None:
    made = [(True, True), (None, True), (False, False)]
    found = counts([*({"cover/a/b": cover, BOUNDARY: on} for cover, on in made), {"failed": "no"}])
    assert found["cover/a/b"] == {
        "n": 3,
        "undefined": 1,
        "hits": 1,
        "on a boundary": {"n": 2, "undefined": 1, "hits": 1},
    }
    assert (found["failed"]["n"], found["failed"]["hits"]) == (4, 1)


def test_a_run_goes_on_where_it_was_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def note(setting: str, number: int) -> Record:
        asked.append(number)
        return {"p/x": number / 10}

    monkeypatch.setattr(command, "record_of", note)
    monkeypatch.setattr(command, "CHUNK", 2)
    command.simulate(tmp_path, ["base"], 3)
    command.simulate(tmp_path, ["base"], 5)
    assert asked == list(range(5))


# ---- the page


def test_the_page_has_the_tables_of_the_stored_counts(stored) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with(text, tables(stored), BEGIN) == text


def test_the_stored_study_is_of_these_settings(stored) -> None:
    assert list(stored["settings"]) == list(SETTINGS)
    for name, setting in SETTINGS.items():
        assert stored["setting"]["settings"][name]["truth"] == pytest.approx(setting.truth, abs=1e-6)


def test_the_first_study_is_what_was_stored(stored, record: Record) -> None:
    first = stored["first studies"]["no rho_e"]
    estimates = {name: value for name, value in record.items() if name.startswith(("estimate/", "error/"))}
    assert len(estimates) > 20
    assert estimates == pytest.approx({name: first[name] for name in estimates}, rel=1e-3)


def test_the_report_simulates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "simulate", lambda *_: pytest.fail("it simulates"))
    assert command.main(["--report", "--page", str(tmp_path / "page.md")]) == 0
    assert "½χ²₀ + ½χ²₁" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_a_page_without_a_place_for_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        page_with(f"# Recovery\n{BEGIN}\n", "tables", BEGIN)
