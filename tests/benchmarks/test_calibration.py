"""The machinery of the calibration study, on a few data sets; the study itself is stored."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.random import SeedSequence, default_rng

import benchmarks.calibration.run as study_run
from benchmarks.calibration import __main__ as command
from benchmarks.calibration.bootstrap import exceedances
from benchmarks.calibration.designs import DESIGNS, seed_of
from benchmarks.calibration.likelihood import _deviance, _least, _second_held, zeta_of_deviation
from benchmarks.calibration.plot import draw, panels
from benchmarks.calibration.report import BEGIN, PAGE, rate, tables
from benchmarks.calibration.run import PARTS, Record, Study, record_of
from benchmarks.calibration.store import RESULTS, add, counts, read_records
from benchmarks.pages import page_with
from lmmpy.errors import ModelError
from lmmpy.model.bootstrap_lrt import parametric_bootstrap_lrt

N = 20


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(DESIGNS["unbalanced"])


@pytest.fixture(scope="module")
def records(study: Study) -> Iterator[list[Record]]:
    """Of one coefficient that is tested, so that its intervals and tests must agree."""
    checked = dict(study_run.CHECKED)
    study_run.CHECKED.update(profile=1, bootstrap=1, ranova=1, vpredict=1)
    parts = ("fixed", "restricted", "random")
    yield [{k: v for part in parts for k, v in record_of(study, part, i).items()} for i in range(N)]
    study_run.CHECKED.update(checked)


@pytest.fixture(scope="module")
def stored() -> dict[str, dict[str, dict[str, object]]]:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


# ---- the designs


@pytest.mark.parametrize("design", DESIGNS.values(), ids=list(DESIGNS))
def test_responses_have_the_covariance_of_the_model(design) -> None:
    generator = default_rng(1)
    Y = np.array([design.draw(generator) for _ in range(1500)])[:, :12]
    same = design.codes[:12, None] == design.codes[None, :12]
    Z = np.column_stack([np.ones(12), design.frame["x"][:12]])[:, : len(design.covariance)]
    V = same * (Z @ design.covariance @ Z.T) + np.eye(12)
    error = np.sqrt((np.outer(np.diag(V), np.diag(V)) + V**2) / len(Y))
    assert (np.abs(Y.T @ Y / len(Y) - V) < 5.0 * error).all()


@pytest.mark.parametrize("design", DESIGNS.values(), ids=list(DESIGNS))
def test_theta_is_the_factor_of_the_covariance(design) -> None:
    structure = Study(design).reml.design.random[0].structure
    T = structure.factor(design.theta).T
    np.testing.assert_allclose(T @ T.T, design.covariance, atol=1e-14)


def test_without_the_term_its_variance_is_zero() -> None:
    design = DESIGNS["small-slopes"]
    Y = np.array([design.draw_without_term(default_rng(i)) for i in range(1500)])
    first = np.flatnonzero(design.codes == 0)
    ends = first[[0, -1]]
    # x = −1 and 1: their difference has no part of the intercept, and the slope is gone
    assert np.var(Y[:, ends[1]] - Y[:, ends[0]]) == pytest.approx(2.0, rel=0.1)
    assert np.mean(Y[:, ends[0]] * Y[:, ends[1]]) == pytest.approx(0.49, abs=0.1)


def test_seeds_differ_and_stay() -> None:
    draws = [default_rng(seed_of(*key)).random() for key in [("small", "fixed", 0), ("small", "fixed", 0)]]
    others = [("small", "fixed", 1), ("small", "random", 0), ("medium", "fixed", 0), ("small", "bootstrap", 0)]
    assert draws[0] == draws[1]
    assert len({default_rng(seed_of(*key)).random() for key in others} | {draws[0]}) == 5


# ---- what is measured


def test_a_data_set_has_the_same_record_whatever_ran_before(study: Study, records: list[Record]) -> None:
    again = record_of(Study(study.design), "fixed", 7)
    assert {name: records[7][name] for name in again if not name.startswith("flag")} == pytest.approx(
        {name: value for name, value in again.items() if not name.startswith("flag")}, rel=1e-6
    )


def test_an_interval_covers_zero_when_its_test_does_not_reject(records: list[Record]) -> None:
    pairs = {"satterthwaite": "satterthwaite", "kenward-roger": "kenward-roger", "profile": "lrt"}
    for method, test in pairs.items():
        covers = [record[f"cover/between/{method}"] for record in records]
        assert covers == [record[f"p/{test}"] > 0.05 for record in records]
    assert {record["cover/between/profile"] for record in records} == {True, False}


def test_a_t_interval_covers_whatever_the_normal_one_does(records: list[Record]) -> None:
    for kind in ("within", "between"):
        for method in ("satterthwaite", "kenward-roger"):
            widths = [
                (r[f"estimate/width of {kind}/{method}"], r[f"estimate/width of {kind}/asymptotic"]) for r in records
            ]
            assert all(t >= z for t, z in widths)
            assert all(r[f"cover/{kind}/{method}"] >= r[f"cover/{kind}/asymptotic"] for r in records)


def test_the_mixture_halves_the_naive_p_value(records: list[Record]) -> None:
    for record in records:
        if not record["flag/statistic of the random term zero"]:
            assert record["p/mixture"] == pytest.approx(0.5 * record["p/naive"])


def test_short_cuts_agree_with_the_public_calls(records: list[Record]) -> None:
    checks = {name: value for name, value in records[0].items() if name.startswith("check/")}
    assert len(checks) == 8
    assert all(checks.values())
    assert not any(name.startswith("check/") for name in records[1])


def test_the_deviance_is_that_of_the_normal_density() -> None:
    study = Study(DESIGNS["small-slopes"])
    criterion, design = study.ml.criterion, study.design
    x = np.array([0.8, 0.2, 0.5, 0.1])
    T, Z = np.array([[0.8, 0.0], [0.2, 0.5]]), np.column_stack([np.ones(len(design.frame)), design.frame["x"]])
    same = design.codes[:, None] == design.codes[None, :]
    V = np.exp(2 * x[-1]) * (np.eye(len(Z)) + same * (Z @ T @ T.T @ Z.T))
    X, y, W = criterion.design.X, criterion.design.y, np.linalg.inv(V)
    e = y - X @ np.linalg.solve(X.T @ W @ X, X.T @ W @ y)
    value, gradient = _deviance(criterion, x)
    assert value == pytest.approx(len(y) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + e @ W @ e, rel=1e-10)
    for i, step in enumerate(1e-5 * np.eye(4)):
        slope = (_deviance(criterion, x + step)[0] - _deviance(criterion, x - step)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("name", ["medium", "unbalanced"])
def test_zeta_is_the_quantile_at_the_limits_of_an_interval(name: str) -> None:
    study = Study(DESIGNS[name])
    limits = study.ml.confint(list(study.design.sd), method="profile").to_numpy()
    variance = study.reml.vpredict({"v": study_run._component(study, "sd_(Intercept)|g")}, interval="profile")
    for place, row in zip([*range(len(limits) - 1), -1], limits, strict=True):
        for value in row:
            assert zeta_of_deviation(study.ml, place, float(value)) == pytest.approx(study_run.Z, abs=1e-3)
    for value in np.sqrt(variance.loc["v", ["conf_low", "conf_high"]].astype(float)):
        assert zeta_of_deviation(study.reml, 0, value) == pytest.approx(study_run.Z, abs=1e-3)


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
def test_zeta_leaves_the_ridge_of_a_perfect_correlation() -> None:
    """Data set 38, whose slopes are estimated as nearly nothing and perfectly correlated: there are two valleys."""
    study = Study(DESIGNS["small-slopes"])
    ml = study.ml.refit(study.response("fixed", 38))
    zeta = zeta_of_deviation(ml, 1, 0.7)
    charts = [np.array([a, b, c]) for a in (0.1, 1.0) for b in (0.3, 1.0, 2.0, 2.9) for c in (-0.3, 0.3)]
    least = min(_least(ml.criterion, _second_held(0.7), start) for start in charts)
    assert zeta == pytest.approx(np.sqrt(least - ml.optimum.evaluation.value), abs=1e-4)


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")  # small data sets are meant to
@pytest.mark.parametrize("name", ["small", "small-slopes"])
def test_the_bootstrap_counts_as_the_public_one(name: str) -> None:
    study = Study(DESIGNS[name])
    for replicate in (3, 4):
        y, seed = study.response("fixed", replicate), SeedSequence(replicate)
        small, large = study.ml_without_between.refit(y), study.ml.refit(y)
        own = parametric_bootstrap_lrt(small, large, 30, seed=seed, stop_at=5)
        found = exceedances(small, large, study.design.theta, 30, 5, seed)
        assert found == (own.exceeding, len(own.reference))


def test_a_refusal_is_recorded(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(study: Study, replicate: int) -> Record:
        raise ModelError("no")

    monkeypatch.setitem(PARTS, "fixed", refuse)
    found = counts([record_of(study, "fixed", 0)])["failed"]
    assert found == {"n": 1, "hits": 1, "first": ["ModelError: no"]}


# ---- counts


def test_coverage_of_a_toy_with_known_truth() -> None:
    """The mean of normal variables with known variance: its interval covers in 95 %, its test rejects in 5 and 1 %."""
    n = 4000
    z = default_rng(3).standard_normal(n)
    p = 2.0 * study_run.stats.norm.sf(np.abs(z))
    toy = [
        {"cover/mean/z": bool(abs(value) <= study_run.Z), "p/z": float(q), "estimate/z": float(value)}
        for value, q in zip(z, p, strict=True)
    ]
    found = counts(toy)
    coverage, error = rate(found["cover/mean/z"])
    assert error == pytest.approx(100.0 * np.sqrt(0.95 * 0.05 / n), rel=0.1)
    assert coverage == pytest.approx(95.0, abs=3.0 * error)
    assert found["p/z"]["hits at 0.05"] == n - found["cover/mean/z"]["hits"]
    assert rate(found["p/z"], "hits at 0.01")[0] == pytest.approx(1.0, abs=0.5)
    assert found["estimate/z"]["mean"] == pytest.approx(z.mean(), rel=1e-6)


def test_what_does_not_exist_is_counted_and_is_no_hit() -> None:
    found = counts([{"cover/a/b": True}, {"cover/a/b": None}, {"cover/a/b": False}, {"failed": "no"}])
    assert found["cover/a/b"] == {"n": 3, "undefined": 1, "hits": 1}
    assert rate(found["cover/a/b"])[0] == pytest.approx(100.0 / 3.0)
    assert found["failed"]["hits"] == 1


def test_rejections_in_singular_fits_are_counted_apart() -> None:
    made = [(0.01, True), (0.5, True), (0.02, False), (None, True)]
    found = counts([{"p/t": p, "flag/REML fit singular": on} for p, on in made])["p/t"]
    assert found["in singular fits"] == {"n": 3, "hits": 1}
    assert found["hits at 0.05"] == 2


def test_counts_stay_within_their_bounds(records: list[Record]) -> None:
    for name, measure in counts(records).items():
        hits = [value for key, value in measure.items() if key.startswith("hits")]
        assert all(0 <= value <= measure["n"] - measure.get("undefined", 0) for value in hits), name
        assert measure["n"] == (1 if name.startswith("check/") else N), name


def test_records_survive_the_disk(tmp_path: Path, records: list[Record]) -> None:
    add(tmp_path, "unbalanced", "fixed", records[:3])
    add(tmp_path, "unbalanced", "fixed", records[3:])
    assert read_records(tmp_path, "unbalanced", "fixed") == records


def test_a_run_goes_on_where_it_was_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def note(study: Study, part: str, replicate: int) -> Record:
        asked.append((part, replicate))
        return {"p/x": replicate / 10}

    monkeypatch.setattr(command, "record_of", note)
    monkeypatch.setattr(command, "CHUNK", 2)
    command.simulate(tmp_path, ["small"], 3)
    command.simulate(tmp_path, ["small"], 5)
    for part in PARTS:
        assert [replicate for name, replicate in asked if name == part] == list(range(5))


# ---- the page


def test_the_page_has_the_tables_of_the_stored_counts(stored) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with(text, tables(stored), BEGIN) == text


def test_the_stored_study_is_of_these_designs(stored) -> None:
    assert list(stored["designs"]) == list(DESIGNS)
    for name, parts in stored["designs"].items():
        assert stored["setting"]["designs"][name]["truth"] == DESIGNS[name].sd
        assert all(parts[part]["failed"]["n"] > 0 for part in PARTS)


def test_the_report_simulates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "simulate", lambda *_: pytest.fail("it simulates"))
    assert command.main(["--report", "--page", str(tmp_path / "page.md")]) == 0
    assert "Kenward–Roger t" in (tmp_path / "page.md").read_text(encoding="utf-8")
    ET.parse(tmp_path / "page.svg")


def test_a_page_without_a_place_for_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        page_with("# Calibration\n", "tables", BEGIN)
    with pytest.raises(ValueError, match="needs the lines"):
        page_with(f"# Calibration\n{BEGIN}\n", "tables", BEGIN)


def test_the_plot_shows_every_design_in_every_panel(stored, tmp_path: Path) -> None:
    for _, nominal, rows in panels(stored):
        assert nominal in {95.0, 5.0}
        assert {label.partition(":")[0] for label, _ in rows} == set(DESIGNS)
    draw(stored, tmp_path / "a.svg")
    draw(stored, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
