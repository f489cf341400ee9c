"""What `polygenic` does with a study: households, screening, boundaries, reports, and what it refuses."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import lmmpy as lmm
from lmmpy.errors import DataError, FormulaError, LmmpyWarning, ModelError
from lmmpy.qtl import inormal, polygenic
from lmmpy.relatedness import Pedigree, Relatedness
from tests.frames import polars
from tests.qtl.family import FAMILY, analysed, kinship, pedigree, people


def dense_loglik(beta, h2, c2, sd, frame, X, trait):
    """Of the whole model, at any parameters: nothing profiled, nothing shared with the package."""
    A = kinship().loc[frame.ID, frame.ID].to_numpy()
    H = (frame.HHID.to_numpy()[:, None] == frame.HHID.to_numpy()).astype(float)
    V = sd**2 * (h2 * A + c2 * H + (1.0 - h2 - c2) * np.eye(len(frame)))
    e = frame[trait].to_numpy() - X @ beta
    return -0.5 * (np.linalg.slogdet(2.0 * np.pi * V)[1] + e @ np.linalg.solve(V, e))


def numerical_hessian(f, x, steps):
    m, H = len(x), np.zeros((len(x), len(x)))
    for i, j in zip(*np.triu_indices(m), strict=True):
        a, b = np.eye(m)[i] * steps[i], np.eye(m)[j] * steps[j]
        H[i, j] = H[j, i] = (f(x + a + b) - f(x + a - b) - f(x - a + b) + f(x - a - b)) / (4 * steps[i] * steps[j])
    return H


def values(found, column="estimate"):
    return found.estimates.set_index("parameter")[column]


# ---- numbers


@pytest.mark.parametrize(("trait", "household"), [("bmi", True), ("fvii", False)])
def test_standard_errors_are_those_of_the_whole_likelihood(trait, household):
    """The Hessian in (β, sd, h2, c2) of a dense likelihood, by differences extrapolated to a step of zero.

    Without the extrapolation, and steps of 2e-3, those of h2, c2 and sd are off by 1e-4, as SOLAR's are.
    """
    found = analysed("house_bmi" if household else "polygenic_fvii")
    frame = people().dropna(subset=[trait])
    X = np.column_stack([np.ones(len(frame)), frame.age - frame.age.mean(), frame.SEX == 2]).astype(float)
    x = np.array([*found.fit.fixef, found.sd, found.h2, *([found.c2] if household else [])])
    x[0] += x[1] * frame.age.mean()

    def loglik(at):
        return dense_loglik(at[:3], at[4], at[5] if household else 0.0, at[3], frame, X, trait)

    assert loglik(x) == pytest.approx(found.loglik, abs=1e-8)
    steps = np.array([2e-2, 1e-3, 2e-2, 1e-2, 4e-3, 4e-3])[: len(x)]
    H = (4.0 * numerical_hessian(loglik, x, steps / 2.0) - numerical_hessian(loglik, x, steps)) / 3.0
    se = np.sqrt(np.diag(np.linalg.inv(-H)))
    names = ["age", "sexfemale", "sd", "h2", *(["c2"] if household else [])]
    assert values(found, "std_error")[names].to_numpy() == pytest.approx(se[1:], rel=3e-6)


def test_standard_errors_of_the_fixed_effects_exceed_those_given_the_variances():
    found = analysed("polygenic_fvii")
    assert (values(found, "std_error")[list(found.fit.se.index)] > found.fit.se).all()


def test_it_is_the_model_that_lmer_fits():
    found = analysed("house_bmi")
    formula = "bmi ~ age + sex + kin(ID, ped) + (1 | HHID)"
    fit = lmm.lmer(formula, people(), reml=False, relmat={"ped": pedigree()})
    assert found.loglik == pytest.approx(fit.loglik, abs=1e-8)
    assert found.fit.fixef.to_numpy() == pytest.approx(fit.fixef.to_numpy(), rel=1e-5)
    assert found.c2 + found.h2 + found.e2 == pytest.approx(1.0)


def test_a_kinship_matrix_does_as_well_as_a_pedigree():
    found = polygenic("bmi ~ age + sex", people(), kinship(), "HHID", id="ID")
    assert found.models.to_numpy() == pytest.approx(analysed("house_bmi").models.to_numpy(), rel=1e-5, abs=1e-6)
    assert values(found, "std_error").to_numpy() == pytest.approx(
        values(analysed("house_bmi"), "std_error").to_numpy(), rel=1e-4
    )


def test_the_index_of_a_kinship_matrix_may_name_the_column_of_ids():
    found = polygenic("bmi ~ age + sex", people(), kinship().rename_axis(index="ID"))
    assert found.loglik == pytest.approx(analysed("polygenic_bmi").loglik, abs=1e-7)


def test_intervals_are_walds_or_profile_likelihoods():
    wald, profile = (
        analysed("polygenic_fvii"),
        polygenic("fvii ~ age + sex", people(), pedigree(), interval="profile", level=0.9),
    )
    rows = wald.estimates.set_index("parameter")
    assert rows.loc["h2", "conf_low"] == pytest.approx(
        rows.loc["h2", "estimate"] - 1.959964 * rows.loc["h2", "std_error"]
    )
    low, high = profile.estimates.set_index("parameter").loc["h2", ["conf_low", "conf_high"]]
    limits = profile.fit.vpredict(
        h2="`kin(ID, pedigree)` / (`kin(ID, pedigree)` + Residual)", interval="profile", level=0.9
    )
    assert [low, high] == pytest.approx(limits.loc["h2", ["conf_low", "conf_high"]].to_list(), rel=1e-3)
    assert 0.0 < low < profile.h2 < high < 1.0


# ---- households


@pytest.mark.parametrize("blank", [0, np.nan, "", " 0", None])
def test_who_has_no_household_lives_alone_and_stays(blank):
    data = people()
    homes = data.HHID.astype(object)
    gone = data.ID.isin([3, 4, 30, 31, 200])
    apart = data.assign(HHID=np.where(gone, -data.ID, data.HHID))
    if isinstance(blank, str) or blank is None:
        homes = homes.astype(str).astype(object)
    homes[gone] = blank
    data["HHID"] = homes if isinstance(blank, str) or blank is None else homes.astype(float)
    found = polygenic("bmi ~ age + sex", data, pedigree(), "HHID")
    meant = polygenic("bmi ~ age + sex", apart, pedigree(), "HHID")
    assert found.n_people == meant.n_people == 376
    assert found.loglik == pytest.approx(meant.loglik, abs=1e-7)
    assert any("5 people without a HHID" in note for note in found.notes)
    assert data["HHID"].isna().sum() == (5 if pd.isna(blank) else 0)


def test_a_household_without_variance_is_left_out():
    rng = np.random.default_rng(8)
    data = people().assign(home=rng.permutation(np.arange(398) // 3))
    found = polygenic("bmi ~ age + sex", data, pedigree(), "home")
    assert found.models.loc["household polygenic", "c2"] == 0.0
    assert (found.c2, found.c2_p_value) == (0.0, 1.0) and math.isnan(found.c2_se)
    assert list(found.estimates["parameter"][:4]) == ["h2", "c2", "e2", "sd"]
    assert "home" not in found.fit.formula and "home" in " ".join(found.notes)
    alone = analysed("polygenic_bmi")
    assert found.h2_p_value == pytest.approx(alone.h2_p_value, rel=1e-4)
    assert found.h2_se == pytest.approx(alone.h2_se, rel=1e-6)
    assert found.covariate_share == pytest.approx(alone.covariate_share, rel=1e-6)


# ---- screening


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(12)
    data = people().assign(noise=rng.normal(size=398), clinic=rng.integers(0, 3, 398).astype(str))
    data.loc[rng.choice(398, 20, replace=False), "noise"] = np.nan
    return data


def test_covariates_that_say_nothing_are_removed_all_at_once_on_the_same_people(noisy):
    found = polygenic("bmi ~ age + sex + noise + clinic", noisy, pedigree(), screen=True)
    assert found.covariates["kept"].tolist() == [True, True, False, False]
    assert found.covariates["df"].tolist() == [1, 1, 1, 2]
    used = noisy.dropna(subset=["bmi", "noise"])
    plain = polygenic("bmi ~ age + sex", used, pedigree())
    assert found.n_people == plain.n_people == len(used)
    assert found.loglik == pytest.approx(plain.loglik, abs=1e-7)
    full = polygenic("bmi ~ age + sex + noise + clinic", noisy, pedigree())
    without = polygenic("bmi ~ age + sex + noise", used, pedigree())
    chisq = 2 * (full.loglik - without.loglik)
    assert found.covariates.loc["clinic", "chisq"] == pytest.approx(chisq, abs=1e-5)
    assert found.covariates.loc["clinic", "p_value"] == pytest.approx(chi2.sf(chisq, 2), rel=1e-4)
    assert "noise = 0" in set(found.tests["hypothesis"])


def test_covariates_can_be_kept(noisy):
    one = polygenic("bmi ~ age + noise + clinic", noisy, pedigree(), screen=True, keep="noise")
    assert one.covariates["kept"].tolist() == [True, True, False]
    everything = polygenic("bmi ~ age + noise + clinic", noisy, pedigree(), screen=True, keep="all")
    assert everything.covariates["kept"].all()
    assert everything.covariates.loc["clinic", "p_value"] > 0.1
    with pytest.raises(ModelError, match="no covariate 'agee'; there are 'age', 'noise'"):
        polygenic("bmi ~ age + noise", noisy, pedigree(), screen=True, keep=["agee"])


def test_the_parts_of_an_interaction_are_not_tested():
    found = polygenic("bmi ~ age * sex", people(), pedigree(), screen=True)
    assert found.covariates["df"].isna().tolist() == [True, True, False]
    assert found.covariates["kept"].tolist() == [True, True, found.covariates["p_value"].iloc[2] < 0.1]


def test_screening_without_covariates_finds_nothing():
    found = polygenic("bmi ~ 1", people(), pedigree(), screen=True)
    assert found.covariates.empty and math.isnan(found.covariate_share)


# ---- other models


def test_a_trait_that_is_not_inherited():
    rng = np.random.default_rng(1)
    data = people().assign(y=rng.normal(size=398))
    found = polygenic("y ~ age", data, pedigree())
    assert found.h2 == 0.0 and found.h2_p_value == 1.0 and math.isnan(found.h2_se)
    assert found.models.loc["polygenic", "loglik"] == pytest.approx(found.models.loc["sporadic", "loglik"], abs=1e-8)
    assert found.models.loc["polygenic", "sd"] == pytest.approx(found.models.loc["sporadic", "sd"], rel=1e-8)
    assert "h2 is estimated as zero" in found.summary()


def test_further_random_intercepts_get_a_share():
    rng = np.random.default_rng(5)
    data = people()
    data["school"] = rng.integers(0, 12, 398)
    data["bmi"] += rng.normal(size=12)[data["school"]]
    found = polygenic("bmi ~ age + sex + (1 | school)", data, pedigree())
    shares = values(found)[["h2", "school", "e2"]]
    assert shares.sum() == pytest.approx(1.0) and shares["school"] > 0.1
    without = lmm.lmer("bmi ~ age + sex + (1 | school)", found.fit.frame(), reml=False)
    assert found.models.loc["sporadic", "loglik"] == pytest.approx(without.loglik, abs=1e-8)
    assert found.tests["chisq"].iloc[0] == pytest.approx(2 * (found.loglik - without.loglik), abs=1e-6)


def test_repeated_records_with_a_permanent_environment():
    rng = np.random.default_rng(6)
    data = pd.concat([people(), people()], ignore_index=True)
    data["bmi"] += rng.normal(scale=0.5, size=len(data))
    found = polygenic("bmi ~ age + sex + (1 | ID)", data, pedigree())
    assert (found.n_people, found.n_records) == (376, 752)
    assert "752 records" in found.summary()
    assert values(found)[["h2", "ID", "e2"]].sum() == pytest.approx(1.0)


def test_the_transform_of_an_argument_is_that_of_the_function():
    data = people()
    data["z"] = inormal(data["bmi"])
    found = polygenic("z ~ age + sex", data, pedigree())
    assert found.loglik == pytest.approx(analysed("inormal").loglik, abs=1e-8)
    assert "inormal_bmi" not in data and "inormal_bmi ~" in analysed("inormal").fit.formula


def test_other_frames_and_mappings():
    plain = analysed("polygenic_bmi").loglik
    columns = people()[["ID", "bmi", "age", "sex"]]
    other = polars(columns.astype({"sex": str}))
    assert polygenic("bmi ~ age + sex", other, pedigree()).loglik == pytest.approx(plain, abs=1e-7)
    mapping = {name: columns[name].to_numpy() for name in columns}
    assert polygenic("bmi ~ age + sex", mapping, pedigree()).loglik == pytest.approx(plain, abs=1e-7)


def test_the_formula_sees_the_callers_variables():
    def decades(x):
        return x / 10.0

    found = polygenic("bmi ~ decades(age) + sex", people(), pedigree(), screen=True)
    assert found.loglik == pytest.approx(analysed("polygenic_bmi").loglik, abs=1e-7)


def test_rows_can_be_chosen():
    young = polygenic("bmi ~ age + sex", people(), pedigree(), subset="age < 40", household="HHID")
    alike = polygenic("bmi ~ age + sex", people().query("age < 40"), pedigree(), household="HHID")
    assert young.n_people == alike.n_people < 250
    assert young.models.to_numpy() == pytest.approx(alike.models.to_numpy(), abs=1e-7)
    with pytest.raises(DataError, match="bmi"):
        polygenic("bmi ~ age + sex", people(), pedigree(), na_action="fail")


def test_the_final_fit_goes_on_as_any_fit():
    fit = analysed("house_bmi").fit
    less = fit.update(". ~ . - age - (1 | HHID)")
    plain = polygenic("bmi ~ sex", people(), pedigree())
    assert less.loglik == pytest.approx(plain.loglik, abs=1e-8)
    assert fit.refit_ml() is fit


def test_a_pedigree_called_like_a_column():
    age = pedigree()
    assert polygenic("bmi ~ age + sex", people(), age).loglik == pytest.approx(
        analysed("polygenic_bmi").loglik, abs=1e-7
    )


def test_columns_with_names_that_need_quotes():
    data = people().rename(columns={"ID": "my id"})
    found = polygenic("bmi ~ age + sex", data, pedigree(), "HHID", id="my id")
    assert found.models.to_numpy() == pytest.approx(analysed("house_bmi").models.to_numpy(), abs=1e-7)
    found = polygenic("bmi ~ age + sex", people().rename(columns={"HHID": "my home"}), pedigree(), "my home")
    assert found.models.to_numpy() == pytest.approx(analysed("house_bmi").models.to_numpy(), abs=1e-7)
    assert found.c2 == pytest.approx(analysed("house_bmi").c2, abs=1e-6)
    shares = found.fit.vpredict(c2="`my home` / (`kin(ID, pedigree)` + `my home` + Residual)")
    assert shares["estimate"].iloc[0] == pytest.approx(found.c2, abs=1e-12)


def test_heavy_tails_are_warned_of_and_the_transform_helps():
    data = people()
    data["bmi"] = np.exp(data["bmi"] / 2.0)
    with pytest.warns(
        LmmpyWarning, match=r"residual kurtosis of 'bmi' is \d+\.\d+, above 0.8.*transform='inormal'"
    ) as told:
        found = polygenic("bmi ~ age + sex", data, pedigree())
    assert told[0].filename == __file__
    assert "too high" in found.summary()
    transformed = polygenic("bmi ~ age + sex", data, pedigree(), transform="inormal")
    assert transformed.loglik == pytest.approx(analysed("inormal").loglik, abs=1e-7)


# ---- the object


def test_the_report_says_what_a_user_of_solar_looks_for():
    text = str(analysed("house_bmi"))
    for part in (
        "Trait: bmi",
        "376 used, of 398 in the pedigree",
        "h2 (H2r)",
        "0.727912",
        "-333.078782",
        "sporadic",
        "household polygenic",
        "Proportion of variance due to covariates: 0.0",
        "Residual kurtosis: 0.4030, within the normal range",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80
    assert "kept" in str(analysed("polygenic_bmi")) and "kept" not in text


def test_the_report_as_html_escapes_and_has_tables():
    html = analysed("house_bmi")._repr_html_()
    assert html.count("<table>") == 3 and "household polygenic" in html and "0.4030" in html


def test_properties_are_entries_of_the_tables():
    found = analysed("house_bmi")
    rows, tests = found.estimates.set_index("parameter"), found.tests.set_index("hypothesis")
    assert (found.h2, found.h2_se) == tuple(rows.loc["h2", ["estimate", "std_error"]])
    assert (found.c2, found.c2_se) == tuple(rows.loc["c2", ["estimate", "std_error"]])
    assert (found.e2, found.sd) == (rows.loc["e2", "estimate"], rows.loc["sd", "estimate"])
    assert (found.h2_p_value, found.c2_p_value) == tuple(tests.loc[["h2 = 0", "c2 = 0"], "p_value"])
    assert math.isnan(analysed("polygenic_bmi").c2) and math.isnan(analysed("polygenic_bmi").c2_p_value)
    assert list(found.estimates.columns) == ["parameter", "estimate", "std_error", "conf_low", "conf_high"]
    assert list(found.tests.columns) == ["hypothesis", "chisq", "df", "p_value"]


def test_it_pickles():
    found = analysed("polygenic_bmi")
    again = pickle.loads(pickle.dumps(found))
    assert again.summary() == found.summary()
    pd.testing.assert_frame_equal(again.estimates, found.estimates)


# ---- what is refused


def refuse(kind, match, formula="bmi ~ age + sex", data=None, ped=None, **options):
    with pytest.raises(kind, match=match):
        polygenic(formula, people() if data is None else data, pedigree() if ped is None else ped, **options)


def test_ids_that_the_pedigree_does_not_have():
    data = people()
    data.loc[[0, 5], "ID"] = [900, 901]
    refuse(DataError, "90[01]", data=data)


def test_columns_that_are_not_there():
    refuse(DataError, "no column 'HHIDs' in the data. Did you mean 'HHID'", household="HHIDs")
    refuse(DataError, "no column 'who'", id="who")
    refuse(
        DataError, "no column 'ID' in the data.*name the right one with id=", data=people().rename(columns={"ID": "id"})
    )
    refuse(DataError, "no column 'bmj'", "bmj ~ age")
    refuse(DataError, "no column 'BMI' in the data. Did you mean 'bmi'", "BMI ~ age")
    refuse(DataError, "no column 'id'.*id=", ped=kinship())
    refuse(DataError, "household='ID' is the column of the ids", household="ID")
    refuse(DataError, "household is the name of a column, not a list", household=["HHID"])


def test_traits_that_are_no_quantities():
    data = people().assign(
        obese=lambda d: np.where(d.bmi.isna(), np.nan, d.bmi > 12), one=3.0, text=lambda d: d.sex.astype(str)
    )
    refuse(
        ModelError,
        "'obese' has the values '0', '1': it is discrete.*liability-threshold.*lmm.lmer",
        "obese ~ age",
        data,
    )
    refuse(ModelError, "'text' has the values 'female', 'male'", "text ~ age", data)
    refuse(ModelError, "'flag' has the values 'FALSE', 'TRUE'", "flag ~ age", data.assign(flag=data.bmi > 12))
    refuse(DataError, "'one' is constant: 3", "one ~ age", data)
    refuse(DataError, "'none' has no value", "none ~ age", data.assign(none=np.nan))


def test_formulas_that_are_no_polygenic_model():
    refuse(FormulaError, "no trait", "~ age")
    refuse(FormulaError, "'bmi' has no '~'. Write 'bmi ~ 1', or with covariates 'bmi ~ age . sex'", "bmi")
    refuse(FormulaError, "Write 'trait ~ 1', or with covariates 'trait ~ age . sex'", "age + sex")
    refuse(FormulaError, "is the argument pedigree", "bmi ~ age + kin(ID, ped)")
    refuse(FormulaError, "random slopes", "bmi ~ age + (age | HHID)")
    refuse(FormulaError, "a trait that is a column", "log(bmi) ~ age", transform="inormal")


def test_options_that_mean_nothing():
    refuse(ModelError, "screen must be True or False, not 'yes'", screen="yes")
    refuse(ModelError, "probability must be a number above 0", screen=True, probability=0)
    refuse(ModelError, "interval is 'wald' or 'profile', not 'boot'", interval="boot")
    refuse(ModelError, "transform is 'inormal' or None, not 'log'", transform="log")
    refuse(ModelError, "level", level=95)
    refuse(DataError, "already is a column 'inormal_bmi'", data=people().assign(inormal_bmi=1.0), transform="inormal")
    refuse(DataError, "no relatedness", ped="ped")


def test_relatedness_that_relates_nobody():
    ids = people().ID
    refuse(ModelError, "kin", ped=Relatedness(np.eye(len(ids)), ids), id="ID")


def test_households_of_one_cannot_be_told_from_the_residual():
    data = people()
    refuse(ModelError, "as many levels", data=data.assign(home=data.ID), household="home")
    refuse(DataError, "'home' says of nobody where they live", data=data.assign(home=0), household="home")


def test_a_table_of_parents_is_no_pedigree_yet():
    table = pd.read_csv(FAMILY / "pedigree.csv")
    refuse(DataError, "the columns 'ID', 'FAMID', 'FA', .*Pedigree.from_frame", ped=table)


# ---- names that shares have


@pytest.fixture(scope="module")
def sites():
    rng = np.random.default_rng(5)
    data = people().assign(site=rng.integers(0, 12, 398), x=rng.normal(size=398))
    data["bmi"] += rng.normal(size=12)[data["site"]]
    return data


@pytest.mark.parametrize("name", ["h2", "c2", "e2", "sd", "loglik", "loglik_solar"])
def test_a_group_may_have_the_name_of_a_share(sites, name):
    found = polygenic(f"bmi ~ age + sex + (1 | {name})", sites.rename(columns={"site": name}), pedigree())
    meant = polygenic("bmi ~ age + sex + (1 | site)", sites, pedigree())
    assert found.estimates["parameter"].tolist()[:4] == ["h2", f"(1 | {name})", "e2", "sd"]
    columns = ["estimate", "std_error"]
    assert found.estimates[columns].to_numpy() == pytest.approx(meant.estimates[columns].to_numpy(), rel=1e-6)
    assert found.models.to_numpy() == pytest.approx(meant.models.to_numpy(), abs=1e-6)
    assert (found.h2, found.e2, found.sd) == pytest.approx((meant.h2, meant.e2, meant.sd), rel=1e-6)
    assert math.isnan(found.c2)


def test_a_group_may_have_the_name_of_a_share_beside_a_household(sites):
    found = polygenic("bmi ~ age + (1 | c2)", sites.rename(columns={"site": "c2"}), pedigree(), "HHID")
    meant = polygenic("bmi ~ age + (1 | site)", sites, pedigree(), "HHID")
    assert found.c2 == pytest.approx(meant.c2, abs=1e-6) and found.c2 < 0.05
    assert found.models.to_numpy() == pytest.approx(meant.models.to_numpy(), abs=1e-6)


@pytest.mark.parametrize("name", ["h2", "c2", "e2", "sd", "site"])
def test_a_covariate_may_have_the_name_of_a_share(sites, name):
    data = sites.rename(columns={"x": name}) if name != "site" else sites.assign(site=sites["site"].astype(float))
    more = "" if name != "site" else " + (1 | site)"
    found = polygenic(f"bmi ~ age + {name}{more}", data, pedigree(), screen=True, keep="all")
    meant = polygenic(f"bmi ~ age + x{more}", data.assign(x=data[name]), pedigree(), screen=True, keep="all")
    for ours in ("h2", "h2_se", "h2_p_value", "c2", "c2_se", "c2_p_value", "e2", "sd"):
        assert getattr(found, ours) == pytest.approx(getattr(meant, ours), rel=1e-6, nan_ok=True)
    told, expected = (
        [line.split() for line in str(x).splitlines() if line and "Formula" not in line and "Data" not in line]
        for x in (found, meant)
    )
    start = expected.index(["Fixed", "effects:"])
    assert told[:start] == expected[:start]
    assert [row[0] for row in told[start + 2 : start + 5]] == ["(Intercept)", "age", name]


def test_a_household_that_the_formula_has_as_well():
    refuse(
        FormulaError,
        r"'\(1 \| HHID\)' in the formula and household='HHID' are the same term",
        "bmi ~ (1 | HHID)",
        household="HHID",
    )
    refuse(FormulaError, "the same term", "bmi ~ (1 | HHID / sex)", household="HHID")
    data = people().rename(columns={"HHID": "my home"})
    refuse(FormulaError, "the same term.*Leave the term out", "bmi ~ (1 | `my home`)", data, household="my home")


# ---- shares of zero, and of all


def uninherited(household):
    rng = np.random.default_rng(3 if household else 1)
    y = rng.normal(size=398)
    data = people().assign(y=y)
    if household:
        homes = np.unique(data["HHID"])
        data["y"] += rng.normal(size=len(homes))[np.searchsorted(homes, data["HHID"])]
    return data


def test_a_share_of_zero_leaves_the_others_their_standard_errors():
    """With h2 held at zero, by differences of the dense likelihood in (β, sd, c2)."""
    data = uninherited(household=True)
    found = polygenic("y ~ age", data, pedigree(), "HHID")
    assert found.h2 == 0.0 and math.isnan(found.h2_se) and found.c2 > 0.2
    X = np.column_stack([np.ones(398), data.age - data.age.mean()])
    x = np.array([*found.fit.fixef, found.sd, found.c2])
    x[0] += x[1] * data.age.mean()

    def loglik(at):
        return dense_loglik(at[:2], 0.0, at[3], at[2], data, X, "y")

    assert loglik(x) == pytest.approx(found.loglik, abs=1e-8)
    steps = np.array([2e-2, 1e-3, 1e-2, 4e-3])
    H = (4.0 * numerical_hessian(loglik, x, steps / 2.0) - numerical_hessian(loglik, x, steps)) / 3.0
    se = np.sqrt(np.diag(np.linalg.inv(-H)))
    ours = values(found, "std_error")
    assert ours[["age", "sd", "c2", "e2"]].to_numpy() == pytest.approx(se[[1, 2, 3, 3]], rel=3e-6)
    limits = found.estimates.set_index("parameter").loc["c2", ["conf_low", "conf_high"]]
    assert limits.to_list() == pytest.approx(found.c2 + np.array([-1.959964, 1.959964]) * se[3], rel=1e-5)


def test_a_residual_that_is_all_there_is():
    """Its share is on the boundary; the deviation of independent normal values has the standard error sd/√2n."""
    found = polygenic("y ~ age", uninherited(household=False), pedigree())
    assert (found.h2, found.e2) == (0.0, 1.0)
    assert values(found, "std_error")[["h2", "e2"]].isna().all()
    assert values(found, "std_error")["sd"] == pytest.approx(found.sd / np.sqrt(2.0 * 398), rel=1e-6)


def test_profiles_at_a_share_of_zero():
    found = polygenic("y ~ age", uninherited(household=True), pedigree(), "HHID", interval="profile")
    rows = found.estimates.set_index("parameter")[["conf_low", "conf_high"]]
    h2 = found.fit.heritability().set_index("term").loc["kin(ID, pedigree)"]
    assert rows.loc["h2"].to_list() == pytest.approx([0.0, h2["conf_high"]], abs=1e-6)
    assert rows.loc["c2", "conf_low"] < found.c2 < rows.loc["c2", "conf_high"]


def test_a_trait_without_residual():
    """The interval of h2, from a search in two parameters, is that of the search along the one."""
    ids = [f"{family}{child}" for family in "abcdefgh" for child in range(6)]
    fathers, mothers = ([i[0] + parent if int(i[1]) > 1 else "0" for i in ids] for parent in "01")
    ped = Pedigree(ids, fathers, mothers)
    rng = np.random.default_rng(3)
    y = np.linalg.cholesky(ped.additive().to_frame(ids).to_numpy()) @ rng.normal(size=48) + 0.1 * rng.normal(size=48)
    found = polygenic("y ~ 1", pd.DataFrame({"id": ids, "y": y}), ped, interval="profile")
    assert found.fit.optimum.saturated and (found.h2, found.e2) == (1.0, 0.0)
    rows = found.estimates.set_index("parameter")
    assert rows.loc[["h2", "e2", "sd"], "std_error"].isna().all()
    low = found.fit.heritability()["conf_low"].iloc[0]
    assert rows.loc["h2", ["conf_low", "conf_high"]].to_list() == pytest.approx([low, 1.0], abs=1e-6)
    assert rows.loc["e2", ["conf_low", "conf_high"]].to_list() == pytest.approx([0.0, 1.0 - low], abs=1e-6)
    assert "At the boundary: e2" in found.summary()


def test_repeated_records_without_a_term_of_their_own_are_told():
    """Twins are two people of one level; only several records of one person are repeated."""
    once = lmm.qtl.polygenic("bmi ~ age", people(), pedigree(), id="ID")
    assert not any("several records" in note for note in once.notes)
    rng = np.random.default_rng(1)
    twice = pd.concat([people(), people()], ignore_index=True)
    twice["bmi"] = twice["bmi"] + rng.normal(size=len(twice))
    found = lmm.qtl.polygenic("bmi ~ age", twice, pedigree(), id="ID")
    assert any("several records" in note and "(1 | ID)" in note for note in found.notes)
    modelled = lmm.qtl.polygenic("bmi ~ age + (1 | ID)", twice, pedigree(), id="ID")
    assert not any("several records" in note for note in modelled.notes)
