"""Association scans against dense V, ordinary fits, SOLAR, and the table's own rules."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmpy as lmm
from lmmpy import qtl
from lmmpy.errors import DataError, ModelError
from lmmpy.markers import as_genotypes
from tests.naive import Dense, factors_at
from tests.qtl.family import pedigree, people, solar

SNPS = [f"snp{i}" for i in range(1, 61)]
NULLS = {
    "polygenic": "bmi ~ age + sex + kin(ID, ped)",
    "household": "bmi ~ age + sex + (1 | HHID) + kin(ID, ped)",
    "slope": "bmi ~ age + sex + (1 + age || HHID) + kin(ID, ped)",
    "unrelated": "bmi ~ age + sex + (1 | HHID)",
}


@cache
def genotypes() -> pd.DataFrame:
    return lmm.datasets.load("family_genotypes").set_index("ID")


def data() -> pd.DataFrame:
    return people().drop(columns=["snp1", "snp7"])


@cache
def null(name: str, reml: bool = True) -> lmm.LmmFit:
    ped = pedigree()  # noqa: F841  # by the formula
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        return lmm.lmer(NULLS[name], data(), reml=reml)


@cache
def repeated() -> tuple[lmm.LmmFit, pd.DataFrame]:
    """Two records of most people, with a permanent environment, and what they are records of."""
    rng = np.random.default_rng(5)
    once = data()
    twice = pd.concat([once, once.sample(300, random_state=1)], ignore_index=True)
    twice["bmi"] += rng.normal(scale=0.7, size=len(twice))
    twice = twice.sample(frac=1.0, random_state=2).reset_index(drop=True)
    ped = pedigree()  # noqa: F841
    return lmm.lmer("bmi ~ age + sex + (1 | ID) + kin(ID, ped)", twice), twice


def columns(fit: lmm.LmmFit, frame: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Dosages of the rows of a fit, missing ones at the mean of the people that it has."""
    ids = frame["ID"].to_numpy()[fit.design.rows]
    once = genotypes().loc[pd.unique(ids), names]
    return once.fillna(once.mean()).loc[ids].to_numpy(dtype=float)


def dense_P(fit: lmm.LmmFit) -> tuple[np.ndarray, np.ndarray, float]:
    """P y, P and r² of the null model, V relative to σ²."""
    design = fit.design
    V = Dense(design, [f.T for f in factors_at(design, fit.optimum.theta)], fit.reml).V
    Vi = np.linalg.inv(V)
    X = design.X
    P = Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)
    Py = P @ design.y
    return Py, P, float(design.y @ Py)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", NULLS)
def test_tests_at_the_variances_of_the_null_model_are_those_of_dense_algebra(name, reml):
    fit, names = null(name, reml), SNPS[:12]
    X, (Py, P, r2) = columns(fit, data(), names), dense_P(fit)
    n, p = fit.design.X.shape
    U, information = X.T @ Py, np.einsum("ij,ij->j", X, P @ X)
    dof = n - p if reml else n
    score = U**2 / information / (r2 / dof)
    table = qtl.association(fit, genotypes()[names], id="ID").table
    np.testing.assert_allclose(table["statistic"], score, rtol=1e-7)
    np.testing.assert_allclose(table["beta"], U / information, rtol=1e-7)
    np.testing.assert_allclose(table["std_error"], np.sqrt(r2 / dof / information), rtol=1e-7)
    np.testing.assert_allclose(table["p_value"], stats.f.sf(score, 1, n - p - 1), rtol=1e-7)
    left = (r2 - U**2 / information) / (n - p - 1)
    wald = qtl.association(fit, genotypes()[names], test="wald", id="ID").table
    np.testing.assert_allclose(wald["statistic"], U**2 / information / left, rtol=1e-7)
    np.testing.assert_allclose(wald["p_value"], stats.f.sf(U**2 / information / left, 1, n - p - 1), rtol=1e-7)
    lrt = qtl.association(fit, genotypes()[names], test="lrt", id="ID").table
    np.testing.assert_allclose(lrt["statistic"], n * np.log(r2 / (r2 - U**2 / information)), rtol=1e-7)
    np.testing.assert_allclose(lrt["p_value"], stats.chi2.sf(lrt["statistic"], 1), rtol=1e-9)


def test_repeated_records_count_each_person_once():
    fit, frame = repeated()
    X, (Py, P, r2) = columns(fit, frame, SNPS[:5]), dense_P(fit)
    n, p = fit.design.X.shape
    U, information = X.T @ Py, np.einsum("ij,ij->j", X, P @ X)
    table = qtl.association(fit, genotypes()[SNPS[:5]]).table
    np.testing.assert_allclose(table["statistic"], U**2 / information / (r2 / (n - p)), rtol=1e-7)
    ids = pd.unique(frame["ID"].to_numpy()[fit.design.rows])
    once = genotypes().loc[ids, SNPS[:5]]
    assert (table["n"] == once.notna().sum().to_numpy()).all()
    np.testing.assert_allclose(table["frequency"], once.mean() / 2.0)


@pytest.mark.parametrize("name", ["polygenic", "household", "slope", "unrelated"])
def test_exact_tests_are_those_of_ordinary_fits(name):
    names = ["snp7", "snp1", "snp30"]
    fit = null(name)
    table = qtl.association(fit, genotypes()[names], test="all", exact=True, id="ID").table.set_index("variant")
    ped = pedigree()  # noqa: F841
    whole = data().join(genotypes().loc[data()["ID"].to_numpy()].reset_index(drop=True)[names])
    for snp in names:
        whole[snp] = whole[snp].fillna(whole.loc[fit.design.rows, snp].mean())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lmm.SingularFitWarning)
            larger = lmm.lmer(NULLS[name].replace("sex", f"sex + {snp}"), whole)
            by_ml = larger.refit_ml()
        row, df = table.loc[snp], fit.nobs - fit.design.p - 1
        assert row["beta"] == pytest.approx(larger.fixef[snp], abs=1e-6 * larger.se[snp])
        assert row["std_error"] == pytest.approx(larger.se[snp], rel=1e-5)
        wald = (larger.fixef[snp] / larger.se[snp]) ** 2
        assert row["p_wald"] == pytest.approx(stats.f.sf(wald, 1, df), rel=1e-4)
        chisq = 2.0 * (by_ml.loglik - fit.refit_ml().loglik)
        assert row["p_lrt"] == pytest.approx(stats.chi2.sf(chisq, 1), rel=1e-4)


@pytest.mark.parametrize("snp", ["snp1", "snp7"])
def test_the_likelihood_ratio_is_solar_s(snp):
    fit, known = null("polygenic", reml=False), solar()["snp7"]
    row = qtl.association(fit, genotypes()[[snp]], test="lrt", exact=True).table.iloc[0]
    beta, std_error = known[snp][f"b{snp}"]
    assert row["statistic"] == pytest.approx(2.0 * (known[snp]["loglike"] - known["null"]["loglike"]), abs=2e-5)
    assert row["beta"] == pytest.approx(beta, rel=1e-4)
    # SOLAR's are from the information of all parameters together
    assert row["std_error"] == pytest.approx(std_error, rel=1e-2)


def test_an_interaction_is_that_of_an_ordinary_fit():
    fit = null("household")
    table = qtl.association(fit, genotypes()[["snp7"]], test="wald", exact=True, interaction="age").table.iloc[0]
    ped = pedigree()  # noqa: F841
    whole = data().assign(snp7=genotypes().loc[data()["ID"].to_numpy(), "snp7"].to_numpy())
    larger = lmm.lmer("bmi ~ age + sex + snp7 + snp7:age + (1 | HHID) + kin(ID, ped)", whole)
    name = next(term for term in larger.fixef.index if ":" in term)
    assert table["beta"] == pytest.approx(larger.fixef[name], rel=1e-5)
    assert table["std_error"] == pytest.approx(larger.se[name], rel=1e-5)
    assert table["beta_main"] == pytest.approx(larger.fixef["snp7"], rel=1e-5)
    assert table["std_error_main"] == pytest.approx(larger.se["snp7"], rel=1e-5)
    df = fit.nobs - fit.design.p - 2
    wald = (larger.fixef[name] / larger.se[name]) ** 2
    assert table["p_value"] == pytest.approx(stats.f.sf(wald, 1, df), rel=1e-4)
    both = larger.vcov().loc[["snp7", name], ["snp7", name]].to_numpy()
    beta = larger.fixef[["snp7", name]].to_numpy()
    joint = beta @ np.linalg.solve(both, beta) / 2.0
    assert table["p_joint"] == pytest.approx(stats.f.sf(joint, 2, df), rel=1e-4)


def test_several_traits_in_one_pass_are_the_scans_of_each():
    ped = pedigree()  # noqa: F841
    fits = {"bmi": null("household"), "fvii": lmm.lmer("fvii ~ age + kin(ID, ped)", data())}
    both = qtl.association(fits, genotypes()[SNPS[:8]])
    assert list(both.table["trait"][:4]) == ["bmi", "fvii", "bmi", "fvii"]
    for name, fit in fits.items():
        alone = qtl.association(fit, genotypes()[SNPS[:8]]).table
        own = both.table[both.table["trait"] == name].drop(columns="trait").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone, rtol=1e-12)
    assert set(both.lambda_gc) == {"bmi", "fvii"}


def test_what_is_not_tested_says_why_and_stays_in_the_table():
    fit = null("polygenic")
    G = genotypes()[SNPS[:4]].astype(float).copy()
    G["same"], G["rare"] = 1.0, 0.0
    G.iloc[3, 5] = 1.0
    G["twin"] = (data().set_index("ID")["sex"] == "female").reindex(G.index).astype(float)
    G["unknown"] = np.nan
    G.loc[G.index[:200], "snp2"] = np.nan
    found = qtl.association(fit, G, min_maf=0.01, max_missing=0.3, test="all").table.set_index("variant")
    assert found["note"].to_dict() == {
        "snp1": "",
        "snp2": "missing",
        "snp3": "",
        "snp4": "",
        "same": "monomorphic",
        "rare": "maf",
        "twin": "collinear",
        "unknown": "all missing",
    }
    untested = found["note"] != ""
    assert found.loc[untested, ["beta", "std_error", "statistic", "p_value", "p_lrt"]].isna().all().all()
    assert found.loc[~untested, ["beta", "p_lrt", "p_score"]].notna().all().all()


def many() -> pd.DataFrame:
    """The genotypes eleven times, in other orders of the people: 660 variants."""
    rng = np.random.default_rng(6)
    parts = [genotypes().to_numpy()[rng.permutation(len(genotypes()))] for _ in range(11)]
    return pd.DataFrame(np.hstack(parts), index=genotypes().index, columns=[f"v{j}" for j in range(660)])


@pytest.mark.parametrize(("exact", "precision"), [(False, "auto"), (False, "single"), (True, "auto")])
def test_the_bits_do_not_depend_on_blocks_or_processes(exact, precision):
    pytest.importorskip("joblib")
    fit = null("household")
    asked = {"test": "all", "exact": exact, "precision": precision}
    whole = qtl.association(fit, many(), **asked).table
    for options in ({"memory": 4_000_000}, {"n_jobs": 2, "memory": 4_000_000}):
        again = qtl.association(fit, many(), **asked, **options).table
        pd.testing.assert_frame_equal(again, whole, rtol=0, atol=0)


@cache
def three_chromosomes():
    """Genotypes of unrelated people on three chromosomes, and a trait with effects on all of them."""
    rng = np.random.default_rng(8)
    n, m = 150, 90
    G = rng.binomial(2, 0.3, size=(n, m)).astype(float)
    ids, names = [f"i{i}" for i in range(n)], [f"v{j}" for j in range(m)]
    known = pd.DataFrame({"variant": names, "chromosome": np.repeat(["1", "2", "X"], 30)})
    frame = pd.DataFrame({"id": ids, "y": G @ (rng.normal(size=m) * 0.2) + rng.normal(size=n)})
    return as_genotypes(G, people=ids, variants=known), frame.assign(z=frame["y"] ** 2)


@pytest.mark.parametrize("exact", [False, True])
def test_a_chromosome_is_left_out_of_its_own_null_model(exact):
    source, frame = three_chromosomes()
    kernels = qtl.grm(source, loco=True)
    K = qtl.grm(source)
    fit = lmm.lmer("y ~ 1 + kin(id, K)", frame)
    found = {kind: qtl.association(fit, source, "wald", exact, loco=kind) for kind in (True, "standardized")}
    given = qtl.association(fit, source, "wald", exact, loco=kernels)
    assert given.loco == "given"
    frames = {one: kernel.to_frame() for one, kernel in kernels.items()}
    pd.testing.assert_frame_equal(
        qtl.association(fit, source, "wald", exact, loco=frames).table, given.table, rtol=1e-7
    )
    for scan in found.values():
        pd.testing.assert_frame_equal(scan.table, given.table, rtol=1e-7)
    for one in ("1", "2", "X"):
        K = kernels[one]  # by the formula
        own = qtl.association(lmm.lmer("y ~ 1 + kin(id, K)", frame), source, "wald", exact, variants=one).table
        mine = given.table[given.table["chromosome"] == one].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, own, rtol=1e-6)
    centred = qtl.association(fit, source, "wald", exact, loco="centered")
    K = qtl.grm(source, leave_out="2", method="centered")  # noqa: F841
    own = qtl.association(lmm.lmer("y ~ 1 + kin(id, K)", frame), source, "wald", exact, variants=2).table
    mine = centred.table[centred.table["chromosome"] == "2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, own, rtol=1e-6)


def test_leaving_chromosomes_out_does_not_depend_on_processes_or_company():
    pytest.importorskip("joblib")
    source, frame = three_chromosomes()
    K = qtl.grm(source)  # noqa: F841
    fits = []
    for trait in ("y", "z"):
        fits.append(lmm.lmer(f"{trait} ~ 1 + kin(id, K)", frame))
    both = qtl.association(fits, source, loco=True).table
    pd.testing.assert_frame_equal(qtl.association(fits, source, loco=True, n_jobs=2).table, both, rtol=0, atol=0)
    for fit, trait in zip(fits, ("y", "z"), strict=True):
        alone = qtl.association(fit, source, loco=True).table
        own = both[both["trait"] == trait].drop(columns="trait").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone, rtol=0, atol=0)


class Interrupted:
    """Genotypes whose third block is not read: somebody presses Ctrl-C."""

    def __init__(self, source):
        self._source, self.reads = source, 0
        self.people, self.variants, self.description = source.people, source.variants, source.description
        self.fingerprint = source.fingerprint

    def __reduce__(self):
        return Interrupted, (self._source,)

    def read(self, start, stop, rows=None, dtype=np.float64):
        self.reads += 1
        if self.reads == 3:
            raise KeyboardInterrupt
        return self._source.read(start, stop, rows=rows, dtype=dtype)


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_an_interrupted_scan_keeps_what_is_done_and_goes_on(tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    fit, source, where = null("household"), as_genotypes(many()), tmp_path / f"scan.{suffix}"
    whole = qtl.association(fit, source).table
    with pytest.warns(lmm.LmmpyWarning, match="resume"):
        part = qtl.association(fit, Interrupted(source), memory=4_000_000, resume=where)
    assert not part.complete
    assert len(part.table) == 512
    pd.testing.assert_frame_equal(part.table, whole.iloc[:512], rtol=0, atol=0)
    assert "Interrupted: 512 of 660 variants" in str(part)
    again = qtl.association(fit, source, resume=where)
    assert again.complete
    pd.testing.assert_frame_equal(again.table, whole, rtol=0, atol=0)


def test_a_scan_interrupted_at_once_is_an_empty_table():
    source = Interrupted(as_genotypes(genotypes()))
    source.reads = 2
    type(source).__reduce__ = object.__reduce__
    try:
        with pytest.warns(lmm.LmmpyWarning):
            part = qtl.association(null("household"), source, test="all")
    finally:
        type(source).__reduce__ = lambda self: (Interrupted, (self._source,))
    assert part.table.empty
    assert {"note", "p_value", "p_lrt"} <= set(part.table.columns)
    assert "0 of 60 variants" in str(part)
    assert part.peaks().empty


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", NULLS)
def test_a_block_of_which_nothing_is_tested_is_told_and_passed(name, exact):
    G = genotypes()[SNPS[:5]] * 0.0
    table = qtl.association(null(name), G, test="all", exact=exact, interaction="age", id="ID").table
    assert (table["note"] == "monomorphic").all()
    assert table[["beta", "p_value", "p_joint"]].isna().all().all()


def test_single_precision_is_for_solvers_that_use_it():
    G = 1.9995 + 0.0004 * np.random.default_rng(0).random((len(genotypes()), 3))
    frame = pd.DataFrame(G, index=genotypes().index)
    held = [qtl.association(null("household"), frame, test="wald", precision=p).table for p in ("auto", "double")]
    pd.testing.assert_frame_equal(*held, rtol=1e-9)


def test_exact_score_tests_are_at_the_ratio_by_ml():
    by_ml = qtl.association(null("household", reml=False), genotypes()[SNPS[:5]]).table
    for test in ("score", "all"):
        found = qtl.association(null("household"), genotypes()[SNPS[:5]], test=test, exact=True).table
        p = found["p_value" if test == "score" else "p_score"]
        np.testing.assert_allclose(p, by_ml["p_value"], rtol=1e-5)


def test_a_scan_goes_on_with_the_same_people_and_names_only(tmp_path):
    data_ = data().assign(other=lambda d: d["ID"].to_numpy()[::-1])
    fit = lmm.lmer("bmi ~ age + sex + (1 | HHID)", data_)
    where = tmp_path / "scan.tsv"
    first = qtl.association(fit, genotypes(), id="ID", resume=where).table
    pd.testing.assert_frame_equal(qtl.association(fit, genotypes(), id="ID", resume=where).table, first)
    with pytest.raises(DataError, match="people"):
        qtl.association(fit, genotypes(), id="other", resume=where)
    with pytest.raises(DataError, match="people"):
        qtl.association({"mass": fit}, genotypes(), id="ID", resume=where)
    with pytest.raises(DataError, match="test"):
        qtl.association(fit, genotypes(), id="ID", test="wald", resume=where)
    with pytest.raises(DataError, match="null model"):
        qtl.association(fit.refit_ml(), genotypes(), id="ID", resume=where)


def test_strongest_come_first_where_p_underflows():
    fit = null("polygenic")
    scan = qtl.association(fit, genotypes()[SNPS[:4]])
    scan.table["p_value"] = [0.0, 0.0, 1e-3, np.nan]
    scan.table["beta"], scan.table["std_error"] = [4.0, -5.0, 1.0, 1.0], 0.1
    assert list(scan.top(3)["variant"]) == ["snp2", "snp1", "snp3"]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"test": "t"}, ModelError, "'score', 'wald', 'lrt', 'all'"),
        ({"exact": 1}, ModelError, "exact must be True or False"),
        ({"min_maf": 0.7}, ModelError, "min_maf"),
        ({"precision": "half"}, ModelError, "'auto', 'double' or 'single'"),
        ({"interaction": "HHID"}, ModelError, "without which the product"),
        ({"interaction": "bmmi"}, DataError, "bmmi"),
        ({"variants": ["snp1", "snp99"]}, DataError, "snp99"),
        ({"loco": True}, DataError, "needs the chromosome of every variant"),
        ({"memory": -1}, ModelError, "memory"),
        ({"memory": 1000}, ModelError, "too few"),
        ({"memory": np.inf}, ModelError, "memory"),
        ({"test": ["wald"]}, ModelError, "test is one of"),
        ({"interaction": ["age"]}, ModelError, "name of a column"),
        ({"id": 3}, ModelError, "name of a column"),
        ({"variants": 2}, DataError, "no '2'"),
        ({"variants": 2.5j}, ModelError, "variants is"),
        ({"loco": "yes"}, ModelError, "'standardized', 'centered'"),
        ({"id": "person"}, DataError, "person"),
    ],
)
def test_wrong_arguments_are_told(change, error, words):
    with pytest.raises(error, match=words):
        qtl.association(null("polygenic"), genotypes()[SNPS[:3]], **change)


def test_people_without_genotypes_are_named():
    with pytest.raises(DataError, match=r"lack 2 of the .* people of the null fit, by column 'ID': .*Fit the null"):
        used = data()["ID"].to_numpy()[null("polygenic").design.rows]
        qtl.association(null("polygenic"), genotypes()[SNPS[:3]].drop(index=used[[4, 9]]))


def test_a_report_counts_what_was_done():
    text = str(qtl.association(null("polygenic"), genotypes()))
    assert "60 variants tested" in text
    assert "Genomic control" in text
    assert "snp49" in text  # the smallest p-value
