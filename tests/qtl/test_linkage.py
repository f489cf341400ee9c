"""`linkage` against SOLAR 8.5.1, dense likelihoods, and `lmer` with the sharing as a further relatedness."""

import pickle

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.errors import DataError, LmmpyWarning, ModelError
from lmmpy.qtl import linkage_run
from lmmpy.qtl.bivariate import bivariate
from lmmpy.qtl.linkage import linkage
from lmmpy.qtl.linkage_families import PeopleRows
from lmmpy.qtl.linkage_null import selected_positions
from lmmpy.qtl.linkage_relatives import close_relatives
from lmmpy.qtl.linkage_sharing import PeoplePairs, nearest_sharing
from lmmpy.qtl.linkage_task import LinkageTask
from lmmpy.qtl.people import people_of
from lmmpy.qtl.polygenic import polygenic
from lmmpy.relatedness import Relatedness
from lmmpy.scan import blocks_of
from tests.qtl import dense
from tests.qtl.family import pedigree, people
from tests.qtl.linkage_study import best_loglik, ibd, null, relatedness, sharing, small, solar_lods

LN10 = np.log(10.0)


def related(position):
    """A further relatedness for `lmer`, not by way of the map."""
    return Relatedness(sharing(position, range(1, 399)), labels=range(1, 399))


def test_lods_likelihoods_and_shares_are_solars():
    """It prints LODs to four decimals, log-likelihoods to three, shares to six."""
    found, theirs = linkage(null(), ibd()).lod, solar_lods()
    assert list(found["position"]) == list(theirs["pos"])
    constant = 0.5 * 376 * np.log(2.0 * np.pi)
    np.testing.assert_allclose(found["lod"], theirs["lod"], rtol=0, atol=5.1e-5)
    np.testing.assert_allclose(found["loglik"] + constant, theirs["loglike"], rtol=0, atol=5.1e-4)
    np.testing.assert_allclose(found["h2"], theirs["h2r"], rtol=0, atol=2e-6)
    np.testing.assert_allclose(found["h2q"], theirs["h2q1"], rtol=0, atol=2e-6)


def test_columns_are_those_of_the_interface():
    scan = linkage(null(), ibd(), positions=[("1", 40.0)])
    assert list(scan.lod) == ["chromosome", "position", "lod", "loglik", "h2", "h2q", "e2", "p_value", "note"]
    row = scan.lod.iloc[0]
    assert row["chromosome"] == "1"
    assert row[["h2", "h2q", "e2"]].sum() == pytest.approx(1.0, abs=1e-12)
    assert row["p_value"] == pytest.approx(0.5 * 7.2e-6 / 1.1, rel=0.02)  # half of chi-square of 2 ln 10 LOD
    assert scan.complete


def test_small_families_with_households_against_a_dense_likelihood():
    frame = small()
    y, X = frame.bmi.to_numpy(), np.column_stack([np.ones(len(frame)), frame.age])
    A, H = relatedness(frame), dense.same(frame.HHID)
    fit = lmm.lmer("bmi ~ age + kin(ID, ped) + (1 | HHID)", frame, relmat={"ped": pedigree()}, reml=False)
    without = best_loglik(y, X, [A, H])
    scan = linkage(fit, ibd(), positions=[("1", at) for at in (0.0, 40.0, 85.0)])
    assert "HHID" in scan.lod
    for row in scan.lod.itertuples():
        loglik = best_loglik(y, X, [A, H, sharing(row.position, frame.ID)])
        assert row.loglik == pytest.approx(loglik, abs=2e-5)
        assert row.lod == pytest.approx(max(0.0, (loglik - without) / LN10), abs=2e-5)


NULLS = {
    "kin": ("bmi ~ age + sex + kin(ID, ped)", {}),
    "REML": ("bmi ~ age + sex + kin(ID, ped)", {"reml": True}),
    "household": ("bmi ~ age + sex + kin(ID, ped) + (1 | HHID)", {}),
    "weights": ("bmi ~ age + kin(ID, ped) + (1 | HHID)", {"weights": "age"}),
    "no polygenes": ("bmi ~ age + (1 | HHID)", {}),
}


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
@pytest.mark.filterwarnings("ignore:The null model has no relatedness")
@pytest.mark.parametrize("case", NULLS)
def test_both_lanes_and_lmer_agree(case):
    formula, options = NULLS[case]
    kin = {"ped": pedigree()} if "ped" in formula else {}
    options = {"reml": False, **options}
    fit = lmm.lmer(formula, people(), relmat=kin or None, **options)
    where = {"positions": [("1", at) for at in (20.0, 40.0, 70.0)], "id": "ID"}
    fast, slow = linkage(fit, ibd(), **where), linkage(fit, ibd(), engine="general", **where)
    assert fast.passes[0].method != slow.passes[0].method
    np.testing.assert_allclose(fast.lod["loglik"], slow.lod["loglik"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(fast.lod["h2q"], slow.lod["h2q"], rtol=0, atol=1e-4)
    again = lmm.lmer(f"{formula} + kin(ID, Q)", people(), relmat={**kin, "Q": related(40.0)}, **options)
    assert fast.lod["loglik"][1] == pytest.approx(again.loglik, abs=1e-6)
    assert fast.lod["lod"][1] == pytest.approx((again.loglik - fit.loglik) / LN10, abs=1e-6)


def repeated():
    """Two or three records of each person in six families."""
    frame, rng = people(), np.random.default_rng(5)
    frame = frame[(frame.ID <= 114) & frame.bmi.notna()]
    frame = frame.loc[frame.index.repeat(rng.integers(1, 4, len(frame)))]
    frame = frame.assign(bmi=frame.bmi + rng.normal(0, 0.5, len(frame)), x=rng.normal(size=len(frame)))
    return frame.sample(frac=1.0, random_state=2).reset_index(drop=True)


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
@pytest.mark.parametrize("slope", [False, True])
def test_repeated_records_and_random_slopes(slope):
    """Slopes go by the general lane, where shares of the variance are not defined."""
    formula = f"bmi ~ age + x + kin(ID, ped) + {'(x | HHID)' if slope else '(1 | ID)'}"
    fit = lmm.lmer(formula, repeated(), relmat={"ped": pedigree()}, reml=False)
    scan = linkage(fit, ibd(), positions=[("1", 40.0), ("1", 45.0)])
    again = lmm.lmer(f"{formula} + kin(ID, Q)", repeated(), relmat={"ped": pedigree(), "Q": related(40.0)}, reml=False)
    assert scan.lod["loglik"][0] == pytest.approx(again.loglik, abs=1e-6)
    assert scan.lod["h2q"].isna().all() == slope
    if not slope:
        assert scan.lod.iloc[0][["h2", "h2q", "ID", "e2"]].sum() == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
@pytest.mark.parametrize("rho_q", [None, 0])
def test_two_traits_against_lmer(rho_q):
    analysis = bivariate(["bmi", "fvii"], "age + sex", people(), pedigree())
    scan = linkage(analysis, ibd(), positions=[("1", 40.0), ("1", 100.0)], rho_q=rho_q)
    row = scan.lod.iloc[0]
    term = "kin(ID, Q)" if rho_q is None else "diag(1 | kin(ID, Q))"
    formula = f"cbind(bmi, fvii) ~ age + sex + kin(ID, ped) + {term}"
    fit = lmm.lmer(formula, people(), relmat={"ped": pedigree(), "Q": related(40.0)}, reml=False)
    assert row["loglik"] == pytest.approx(fit.loglik, abs=1e-6)
    assert row["lod_raw"] == pytest.approx((fit.loglik - analysis.loglik) / LN10, abs=1e-6)
    assert row["lod"] < row["lod_raw"]
    for trait in ("bmi", "fvii"):
        assert row[[f"h2[{trait}]", f"h2q[{trait}]", f"e2[{trait}]"]].sum() == pytest.approx(1.0)
    C = fit.varcorr["kin(ID, Q)"].to_numpy()
    total = sum(fit.varcorr[name].to_numpy()[0, 0] for name in ("kin(ID, ped)", "kin(ID, Q)", "Residual"))
    assert row["h2q[bmi]"] == pytest.approx(C[0, 0] / total, abs=1e-4)
    assert np.isnan(row["rho_q"]) if rho_q == 0 else abs(row["rho_q"]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
def test_a_second_pass_conditions_on_the_best_locus():
    scan = linkage(null(), ibd(), passes=3, thresholds=(3.0, 5.0))
    assert [own.number for own in scan.passes] == [1, 2]  # no LOD of the second reaches 5
    second = scan.passes[1]
    assert [(locus.chromosome, locus.position) for locus in second.conditions] == [("1", 40.0)]
    both = {"ped": pedigree(), "Q": related(40.0)}
    first = lmm.lmer("bmi ~ age + sex + kin(ID, ped) + kin(ID, Q)", people(), relmat=both, reml=False)
    formula = "bmi ~ age + sex + kin(ID, ped) + kin(ID, Q) + kin(ID, R)"
    fit = lmm.lmer(formula, people(), relmat={**both, "R": related(100.0)}, reml=False)
    row = second.lod.set_index("position").loc[100.0]
    assert row["loglik"] == pytest.approx(fit.loglik, abs=1e-6)
    assert row["lod"] == pytest.approx((fit.loglik - first.loglik) / LN10, abs=1e-6)
    assert row[["h2", "h2q", "h2q[1:40]", "e2"]].sum() == pytest.approx(1.0)
    at = second.lod.set_index("position").loc[40.0]
    assert (at["lod"], at["note"]) == (0.0, "in the null model")
    assert list(scan.to_frame()["pass"].unique()) == [1, 2]
    assert "given 1:40" in str(scan)


def test_the_fit_at_a_position_is_an_ordinary_one():
    scan = linkage(null(), ibd())
    fit = scan.fit_at(40)
    assert fit.formula == "bmi ~ age + sex + kin(ID, pedigree) + kin(ID, ibd_1_40)"
    assert fit.loglik == pytest.approx(scan.best["loglik"], abs=1e-8)
    assert fit.heritability().set_index("term").loc["kin(ID, ibd_1_40)", "estimate"] == pytest.approx(
        scan.best["h2q"], abs=1e-5
    )
    with pytest.raises(DataError, match="No positions at 41 cM"):
        scan.fit_at(41)


def test_a_finer_map_is_scanned_near_the_peaks():
    coarse = linkage(null(), ibd(), positions=[("1", at) for at in (0.0, 20.0, 40.0, 60.0, 80.0)])
    fine = coarse.fine(ibd(), drop=2.0)
    assert list(fine.lod["position"]) == [30.0, 35.0, 40.0, 45.0]  # 29.5 to 49.3
    assert list(coarse.fine(ibd(), distance=10.0).lod["position"]) == [30.0, 35.0, 40.0, 45.0, 50.0]
    assert fine.best["lod"] == pytest.approx(coarse.best["lod"], abs=1e-12)
    with pytest.raises(DataError, match=r"No LOD of pass 1 reaches 9; its best is 4\.41"):
        coarse.fine(ibd(), lod=9.0)


def test_who_is_related_to_nobody_need_not_be_in_the_map():
    frame = people()
    frame = frame[frame.bmi.notna()].assign(ID=frame.ID.astype(str))
    stranger = frame.iloc[[0]].assign(ID="stranger", bmi=14.0)
    more = pd.concat([frame, stranger], ignore_index=True)
    kin = pedigree().additive().to_frame()
    K = pd.DataFrame(0.0, index=[*kin.index, "stranger"], columns=[*kin.index, "stranger"])
    K.loc[kin.index, kin.index] = kin
    K.loc["stranger", "stranger"] = 1.0
    fit = lmm.lmer("bmi ~ age + kin(ID, K)", more, relmat={"K": K}, reml=False)
    scan = linkage(fit, ibd(), positions=[("1", 40.0)])
    rest = ibd().relatedness(8).to_frame()
    Q = pd.DataFrame(np.eye(len(rest) + 1), index=[*rest.index, "stranger"], columns=[*rest.index, "stranger"])
    Q.loc[rest.index, rest.index] = rest
    again = lmm.lmer("bmi ~ age + kin(ID, K) + kin(ID, Q)", more, relmat={"K": K, "Q": Q}, reml=False)
    assert scan.lod["loglik"][0] == pytest.approx(again.loglik, abs=1e-6)


def test_relatives_who_are_not_in_the_map_are_named():
    rows = lmm.datasets.load("family_ibd")
    rows = rows[(rows.id1 != 7) & (rows.id2 != 7) & (rows.id1 != 9) & (rows.id2 != 9)]
    with pytest.raises(DataError, match=r"2 people of the null model have relatives .* '7', '9'"):
        linkage(null(), rows)
    with pytest.raises(DataError, match="none of the people of the null model is there"):
        linkage(null(), rows.assign(id1="p" + rows.id1.astype(str), id2="p" + rows.id2.astype(str)))


def test_what_cannot_be_is_refused():
    fit = lmm.lmer("bmi ~ age + kin(ID, ped)", people(), relmat={"ped": pedigree()}, reml=False)
    held = lmm.lmer(
        "bmi ~ age + kin(ID, ped)",
        people(),
        relmat={"ped": pedigree()},
        varcomp={"kin(ID, ped)": 2.0, "Residual": 1.0},
    )
    with pytest.raises(ModelError, match="known variances"):
        linkage(held, ibd())
    with pytest.raises(ModelError, match="has constraints"):
        linkage(fit.constrain({"sigma": 1.0}), ibd())
    for wrong, message in [
        ({"passes": 0}, "passes must be"),
        ({"thresholds": [3.0, "a"]}, "thresholds must be"),
        ({"mixture": "half"}, "mixture is one of"),
        ({"engine": "fast"}, "engine is"),
        ({"rho_q": 0}, "has one trait"),
        ({"name": "a b"}, "name must be"),
    ]:
        with pytest.raises(ModelError, match=message):
            linkage(fit, ibd(), **wrong)
    with pytest.raises(DataError, match="no chromosome '2'"):
        linkage(fit, ibd(), positions="2")
    with pytest.raises(DataError, match="no position 41 on chromosome '1'"):
        linkage(fit, ibd(), positions=[("1", 41)])
    with pytest.raises(ModelError, match="The null model is a str"):
        linkage("bmi", ibd())


def test_more_that_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"A position is a number of cM, such as 40\.0, not 'x'"):
        linkage(null(), ibd(), positions=[("1", "x")])
    with pytest.raises(ModelError, match="nearest must be True or False, not 'no'"):
        linkage(null(), ibd(), nearest="no")
    with pytest.raises(ModelError, match="id is the name of a column, not 3"):
        linkage(null(), ibd(), id=3)
    scan = linkage(null(), ibd(), positions=[("1", 40.0)])
    with pytest.raises(ModelError, match="A position is a number of cM"):
        scan.fit_at("x")
    with pytest.raises(DataError, match=r"The directory .*none is not there"):
        scan.to_tsv(tmp_path / "none" / "lod.tsv")


@pytest.mark.parametrize("name", ["X", "chrX", "MT"])
def test_sex_chromosomes_are_refused(name):
    with pytest.raises(ModelError, match=f"Sharing on chromosome '{name}' is not what linkage is for"):
        linkage(null(), at_40().assign(chromosome=name))


def test_people_without_sharing_beside_a_null_model_without_relatedness():
    rows = at_40()
    some = rows[(rows.id1 != 5) & (rows.id2 != 5)]
    fit = lmm.lmer("bmi ~ age + sex + (1 | HHID)", people(), reml=False)
    with (
        pytest.warns(LmmpyWarning, match="no relatedness"),
        pytest.raises(DataError, match="no relatedness that would say whether they are related to nobody: '5'"),
    ):
        linkage(fit, some, id="ID")


def test_a_null_model_at_the_limit_goes_one_by_one():
    """Identical twins in it are alike, so that families have no Cholesky factor there."""
    frame = people().dropna(subset=["bmi"]).reset_index(drop=True)
    root = np.linalg.cholesky(relatedness(frame) + 1e-9 * np.eye(len(frame)))
    frame["bmi"] = root @ np.random.default_rng(2).normal(size=len(frame))
    fit = lmm.lmer("bmi ~ age + kin(ID, ped)", frame, relmat={"ped": pedigree()}, reml=False)
    assert fit.optimum.theta[0] > 1e4
    scan = linkage(fit, ibd(), positions=[("1", 40.0)])
    assert scan.passes[0].method == "positions one by one"


def test_a_chromosome_may_be_a_number():
    assert selected_positions(ibd(), 1).fingerprint() == selected_positions(ibd(), "1").fingerprint()


def test_a_scan_goes_on_from_its_file_and_only_with_the_same_null(tmp_path):
    path = tmp_path / "scan.tsv"
    first = linkage(null(), ibd(), passes=2, thresholds=3.0, resume=path)
    assert {"scan.tsv", "scan.pass2.tsv"} <= {file.name for file in tmp_path.iterdir()}
    again = linkage(null(), ibd(), passes=2, thresholds=3.0, resume=path)
    for a, b in zip(first.passes, again.passes, strict=True):
        pd.testing.assert_frame_equal(a.lod, b.lod, check_exact=True)
    other = lmm.lmer("bmi ~ age + kin(ID, ped)", people(), relmat={"ped": pedigree()}, reml=False)
    with pytest.raises(DataError, match="null model"):
        linkage(other, ibd(), resume=path)


@pytest.mark.filterwarnings("ignore:The null model has no relatedness")
def test_a_file_is_of_the_same_people_in_the_same_rows(tmp_path):
    """The null model has no relatedness, so that it does not know who its rows are."""
    frame = people().dropna(subset="bmi").reset_index(drop=True)
    frame["other"] = frame["ID"].to_numpy()[::-1]
    frame["twisted"] = frame["ID"].to_numpy()[[*range(len(frame) - 2), len(frame) - 1, len(frame) - 2]]
    fit = lmm.lmer("bmi ~ age + sex + (1 | HHID)", frame, reml=False)
    at = {"positions": [("1", 40.0)], "resume": tmp_path / "scan.tsv"}
    linkage(fit, ibd(), id="ID", **at)
    for name in ("other", "twisted"):
        with pytest.raises(DataError, match="people"):
            linkage(fit, ibd(), id=name, **at)


@pytest.mark.parametrize("name", ["scan.pass2.tsv", "scan.pass2.tsv.partial"])
def test_later_passes_of_another_scan_are_refused_before_the_work(tmp_path, name, monkeypatch):
    path = tmp_path / "scan.tsv"
    (tmp_path / name).write_text("left\n")

    def no_work(*_):
        raise AssertionError("the first pass was begun")

    monkeypatch.setattr(LinkageTask, "__call__", no_work)
    with pytest.raises(DataError, match=r"pass2\.tsv.* of a later pass is there, but pass 1 is not finished"):
        linkage(null(), ibd(), passes=2, resume=path)


def test_sharing_between_rows_against_a_loop():
    rng = np.random.default_rng(3)
    codes = rng.permutation(np.repeat(np.arange(5), [2, 1, 3, 1, 2]))
    K = rng.uniform(size=(5, 5))
    first, second = np.stack(np.triu_indices(5))[:, rng.permutation(15)]
    rows = PeopleRows.of(codes)
    one, other, value = rows.between(PeoplePairs(str, first, second, K[first, second]))
    assert len({frozenset(pair) for pair in zip(one.tolist(), other.tolist(), strict=True)}) == len(one) == 9 * 10 // 2
    for i, j, ibd_of in zip(one, other, value, strict=True):
        a, b = sorted((codes[i], codes[j]))
        assert ibd_of == K[a, b]


def test_tables_do_not_depend_on_blocks_or_on_where_they_are_computed(monkeypatch):
    tasks = []
    called = LinkageTask.__call__

    def remember(self, block):
        tasks.append(self)
        return called(self, block)

    monkeypatch.setattr(LinkageTask, "__call__", remember)
    scan = linkage(null(), ibd())
    task = pickle.loads(pickle.dumps(tasks[0]))
    parts = [called(task, block) for block in blocks_of(len(ibd()), 4, "positions")]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), scan.lod, check_exact=True)


def test_a_scan_pickles_is_written_and_printed(tmp_path):
    analysis = polygenic("bmi ~ age + sex", people(), pedigree(), household="HHID")
    scan = linkage(analysis, ibd(), positions="1")
    assert list(scan.lod)[4:8] == ["h2", "h2q", "c2", "e2"]
    same = pickle.loads(pickle.dumps(scan))
    pd.testing.assert_frame_equal(same.lod, scan.lod)
    scan.to_tsv(tmp_path / "lod.tsv")
    table = pd.read_csv(tmp_path / "lod.tsv", sep="\t")
    np.testing.assert_allclose(table["lod"], scan.lod["lod"], rtol=1e-14)
    text = str(scan)
    assert "Linkage scan by maximum likelihood" in text
    assert "21 on chromosome 1, 0 to 100 cM" in text
    assert "4.4270" in text
    assert "<table" in scan._repr_html_()


def test_the_plot_has_a_curve_for_each_pass():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    scan = linkage(null(), ibd(), passes=2)
    ax = scan.plot("1", drop=1.0)
    curves = [line for line in ax.get_lines() if len(line.get_xdata()) == len(ibd())]
    assert len(curves) == 2
    np.testing.assert_array_equal(curves[0].get_ydata(), scan.lod["lod"])
    pyplot.close(ax.figure)


def indefinite():
    """The sharing at two positions; at the second one three sibs share as no three people can."""
    rows = lmm.datasets.load("family_ibd")
    rows = rows[rows.position.isin([35.0, 40.0])].copy()
    trio = rows.position.eq(40.0) & rows.id1.isin([3, 4, 5]) & rows.id2.isin([3, 4, 5]) & (rows.id1 != rows.id2)
    assert trio.sum() in (2, 3)
    rows = rows[~trio]
    more = pd.DataFrame({"id1": [4, 5], "id2": [3, 4], "ibd": [1.0, 1.0]}).assign(chromosome=1, position=40.0)
    return pd.concat([rows, more], ignore_index=True)


def test_sharing_that_is_no_covariance():
    """SOLAR takes it as it is; here families of one trait do, and the others say what to do."""
    as_it_is = linkage(null(), indefinite())
    assert as_it_is.lod["lod"][1] > 3.0
    with pytest.raises(DataError, match=r"Sharing at 1:40 cM: .*nearest=True"):
        as_it_is.fit_at(40.0)
    with pytest.raises(DataError, match=r"Sharing at 1:40 cM: .*nearest=True"):
        linkage(null(), indefinite(), engine="general")
    fast, slow = (linkage(null(), indefinite(), nearest=True, engine=engine) for engine in ("auto", "general"))
    assert list(fast.lod["note"]) == ["", "nearest covariance"]
    np.testing.assert_allclose(fast.lod["loglik"], slow.lod["loglik"], rtol=0, atol=1e-6)
    assert fast.lod["lod"][0] == as_it_is.lod["lod"][0]
    assert fast.fit_at(40.0).loglik == pytest.approx(fast.lod["loglik"][1], abs=1e-6)
    assert "1 positions have sharing that is no covariance" in str(fast)


def at_40():
    rows = lmm.datasets.load("family_ibd")
    return rows[rows.position == 40.0].reset_index(drop=True)


def test_numbers_of_alleles_are_no_sharing():
    with pytest.raises(DataError, match=r"Sharing at 1:40 cM: most people have 2 .*Sharing is their half"):
        linkage(null(), at_40().assign(ibd=lambda rows: 2.0 * rows.ibd))


def test_pairs_that_are_missing_are_told():
    rows = at_40()
    assert list(linkage(null(), rows).lod["note"]) == [""]
    scan = linkage(null(), rows[(rows.id1 == rows.id2) | (rows.id1 % 2 == 1)])
    assert list(scan.lod["note"]) == ["unlike relatedness"]
    assert "1 positions have sharing unlike that of close relatives" in str(scan)


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_close_relatives_against_a_loop(scale):
    """A genomic relatedness need not be about 1 on its diagonal."""
    frame = small()
    K = relatedness(frame)
    kernel = Relatedness(scale * K, labels=[str(i) for i in frame.ID])
    fit = lmm.lmer("bmi ~ age + kin(ID, K)", frame.sample(frac=1.0, random_state=3), relmat={"K": kernel}, reml=False)
    who = people_of(fit)
    found = close_relatives(fit, who)
    at = [list(map(str, frame.ID)).index(id) for id in who.ids]
    K = K[np.ix_(at, at)]
    keys = [i * len(K) + j for i in range(len(K)) for j in range(i + 1, len(K)) if K[i, j] >= 0.2]
    assert found.keys.tolist() == keys
    assert found.expected == pytest.approx(sum(K.flat[key] for key in keys))
    i, j = np.triu_indices(len(K))
    assert not found.unlike(PeoplePairs(str, i, j, K[i, j]))
    assert found.unlike(PeoplePairs(str, i, j, np.where(i == j, 1.0, 0.3 * K[i, j]))) == (len(keys) > 131)


def test_a_null_model_without_relatedness_is_warned_of():
    fit = lmm.lmer("bmi ~ age + sex + (1 | HHID)", people(), reml=False)
    with pytest.warns(LmmpyWarning, match="The null model has no relatedness"):
        linkage(fit, ibd(), positions=[("1", 40.0)], id="ID")


def test_the_nearest_covariance_is_the_one_with_negative_eigenvalues_at_zero():
    rng = np.random.default_rng(1)
    K = np.eye(5)
    K[:3, :3] = [[1.0, 0.9, -0.5], [0.9, 1.0, 0.9], [-0.5, 0.9, 1.0]]
    order = rng.permutation(5)
    K = K[np.ix_(order, order)]
    first, second = np.nonzero(np.triu(K))
    found = nearest_sharing(PeoplePairs(str, first, second, K[first, second]), 5)
    values, vectors = np.linalg.eigh(K)
    assert found.changed
    np.testing.assert_allclose(found.matrix(5).toarray(), (vectors * np.maximum(values, 0.0)) @ vectors.T, atol=1e-12)


def test_what_was_done_before_ctrl_c_is_kept(tmp_path, monkeypatch):
    called = LinkageTask.__call__

    def interrupted(self, block):
        if block.number == stop_at:
            raise KeyboardInterrupt
        return called(self, block)

    monkeypatch.setattr(linkage_run, "_TOGETHER", 8)
    whole = linkage(null(), ibd())
    monkeypatch.setattr(LinkageTask, "__call__", interrupted)
    path = tmp_path / "scan.tsv"
    for stop_at in (0, 1):
        with pytest.warns(LmmpyWarning, match="nterrupted"):
            scan = linkage(null(), ibd(), passes=2, resume=path)
        assert not scan.complete
        assert len(scan.passes) == 1
        assert len(scan.lod) == 8 * stop_at
        assert f"Interrupted: {8 * stop_at} of 21 positions" in str(scan)
    stop_at = -1
    pd.testing.assert_frame_equal(linkage(null(), ibd(), resume=path).lod, whole.lod, check_exact=True)
