"""Peaks of association tables, and their columns for other programs."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from lmmpy.errors import DataError, LmmpyWarning, ModelError
from lmmpy.qtl.export import STYLES, association_frame, check_style, write_association
from lmmpy.qtl.peaks import association_peaks


def table() -> pd.DataFrame:
    rows = [
        ("1", 100, "a", 1e-9),
        ("1", 900, "b", 1e-12),
        ("1", 1_500, "c", 1e-8),
        ("1", 2_000, "d", 1e-10),
        ("1", 5_000, "e", 0.3),
        ("X", 900, "f", 1e-11),
        ("X", 0, "g", 1e-9),
        ("X", 0, "h", np.nan),
    ]
    frame = pd.DataFrame(rows, columns=["chromosome", "position", "variant", "p_value"])
    frame.insert(3, "n", 398)
    frame.insert(4, "maf", 0.2)
    frame.insert(5, "beta", np.where(frame["p_value"].isna(), np.nan, -0.5))
    frame.insert(6, "std_error", np.where(frame["p_value"].isna(), np.nan, 0.25))
    frame.insert(7, "statistic", 4.0)
    return frame.assign(effect_allele="A", other_allele=["G"] * 7 + [""], frequency=0.8, missing=2, note="")


def test_peaks_by_hand():
    found = association_peaks(table(), p=5e-8, distance=1_000)
    assert found["variant"].tolist() == ["b", "f", "d", "g"]
    assert found["first"].tolist() == [100, 900, 2_000, 0]
    assert found["last"].tolist() == [1_500, 900, 2_000, 0]
    assert found["variants"].tolist() == [3, 1, 1, 1]


def test_peaks_against_a_loop():
    rng = np.random.default_rng(8)
    scan = pd.DataFrame(
        {
            "chromosome": rng.choice(["1", "2"], 300),
            "position": rng.integers(1, 3_000, 300),
            "variant": np.arange(300).astype(str),
            "p_value": rng.uniform(size=300),
        }
    )
    left, leads = scan[scan["p_value"] <= 0.4], []
    while len(left):
        best = left.loc[left["p_value"].idxmin()]
        near = (left["chromosome"] == best["chromosome"]) & ((left["position"] - best["position"]).abs() <= 150)
        leads.append((best["variant"], int(near.sum())))
        left = left[~near]
    found = association_peaks(scan, 0.4, 150)
    assert list(zip(found["variant"], found["variants"], strict=True)) == leads


def test_no_peaks_and_several_traits():
    empty = association_peaks(table(), p=1e-20)
    assert empty.empty
    assert {"variant", "first", "last", "variants"} <= set(empty.columns)
    both = pd.concat([table().assign(trait="u"), table().assign(trait="v")])
    assert len(association_peaks(both, distance=1_000)) == 8
    with pytest.raises(DataError, match="no column 'p'"):
        association_peaks(table(), column="p")
    with pytest.raises(ModelError, match="above 0, up to 1"):
        association_peaks(table(), p=0)
    with pytest.raises(ModelError, match="at least 0"):
        association_peaks(table(), distance=-1)


HEADERS = {
    "gemma": "chr rs ps n_miss allele1 allele0 af beta se p_score",
    "plink2": "#CHROM POS ID REF ALT A1 A1_FREQ TEST OBS_CT BETA SE T_STAT P ERRCODE",
    "regenie": "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N TEST BETA SE CHISQ LOG10P EXTRA",
    "saige": "CHR POS MarkerID Allele1 Allele2 AC_Allele2 AF_Allele2 MissingRate BETA SE Tstat var p.value N",
    "gwas-ssf": "chromosome base_pair_location effect_allele other_allele beta standard_error effect_allele_frequency "
    "p_value variant_id n",
    "metal": "MarkerName Allele1 Allele2 Freq1 Effect StdErr P-value N",
    "locuszoom": "MarkerName Allele1 Allele2 Freq1 Effect StdErr P-value N",
}


def test_headers_and_rows():
    assert set(HEADERS) == set(STYLES) - {"lmmpy"}
    for style, header in HEADERS.items():
        frame = association_frame(table(), style)
        assert list(frame.columns) == header.split()
        assert len(frame) == 8


def test_the_effect_is_of_the_allele_that_each_program_means():
    effect = {"gemma": "allele1", "plink2": "A1", "regenie": "ALLELE1", "saige": "Allele2"}
    effect |= {"gwas-ssf": "effect_allele", "metal": "Allele1", "locuszoom": "Allele1"}
    for style, column in effect.items():
        assert association_frame(table(), style)[column].unique().tolist() == ["A"]


def test_derived_columns():
    regenie, saige = association_frame(table(), "regenie"), association_frame(table(), "saige")
    assert regenie["CHISQ"].to_numpy()[:7] == pytest.approx(chi2.isf(table()["p_value"].to_numpy()[:7], 1))
    assert regenie["LOG10P"][0] == pytest.approx(9.0)
    assert (saige["Tstat"] / saige["var"])[0] == -0.5
    assert saige["MissingRate"][0] == 2 / 400
    assert association_frame(table(), "plink2")["T_STAT"][0] == -2.0
    assert association_frame(table(), "gwas-ssf")["chromosome"].tolist() == ["1"] * 5 + ["23"] * 3
    every = association_frame(table().assign(p_wald=0.1, p_lrt=0.2, p_score=0.3), "gemma")
    assert every.columns[-3:].tolist() == ["p_wald", "p_lrt", "p_score"]


def test_files_come_back(tmp_path):
    write_association(table(), tmp_path / "ssf.tsv.gz", "gwas-ssf")
    lines = gzip.decompress((tmp_path / "ssf.tsv.gz").read_bytes()).decode().splitlines()
    assert lines[-1].split("\t") == ["23", "0", "A", "#NA", "#NA", "#NA", "0.8", "#NA", "h", "398"]
    write_association(table(), tmp_path / "r.regenie", "regenie")
    assert (tmp_path / "r.regenie").read_text().splitlines()[0] == HEADERS["regenie"]
    write_association(table(), tmp_path / "own.tsv")
    back = pd.read_csv(tmp_path / "own.tsv", sep="\t", dtype={"chromosome": str})
    assert back["p_value"].tolist()[:7] == table()["p_value"].tolist()[:7]


def test_refusals(tmp_path):
    with pytest.raises(ModelError, match=r"no style 'Gemma'.*Did you mean 'gemma'"):
        association_frame(table(), "Gemma")
    with pytest.raises(ModelError, match="has 'u', 'v'"):
        association_frame(pd.concat([table().assign(trait="u"), table().assign(trait="v")]), "gemma")
    with pytest.raises(DataError, match="no column 'frequency'"):
        association_frame(table().drop(columns="frequency"), "metal")
    with pytest.raises(DataError, match="is not there"):
        write_association(table(), tmp_path / "none" / "x.tsv")


# ---- which test, and of what


@pytest.mark.parametrize("test", ["score", "wald", "lrt"])
def test_gemmas_p_values_are_called_by_their_test(test, tmp_path):
    write_association(table(), tmp_path / "g.txt", "gemma", test=test)
    back = pd.read_csv(tmp_path / "g.txt", sep="\t")
    assert back.columns[9:].tolist() == [f"p_{test}"]
    assert back[f"p_{test}"].tolist()[:7] == table()["p_value"].tolist()[:7]


def test_a_table_without_the_tests_that_it_should_have():
    with pytest.raises(DataError, match="none of the columns p_wald, p_lrt and p_score"):
        association_frame(table(), "gemma", test="all")
    with pytest.raises(ModelError, match="test is one of 'score'"):
        association_frame(table(), "metal", test="firth")


def of_interaction() -> pd.DataFrame:
    return table().assign(beta_main=0.1, std_error_main=0.3, p_joint=1e-3)


@pytest.mark.parametrize("style", STYLES[1:])
def test_the_effect_of_a_product_passes_for_no_other(style):
    with pytest.raises(ModelError, match=r"say interaction="):
        association_frame(of_interaction(), style)
    if style in ("plink2", "regenie"):
        frame = association_frame(of_interaction(), style, interaction="pack years")
        assert set(frame["TEST"]) == {"ADDxpack_years"}
        assert set(association_frame(table(), style)["TEST"]) == {"ADD"}
    else:
        with pytest.raises(ModelError, match=f"{style!r} has no column .*'age'.*Take 'plink2', 'regenie' or 'lmmpy'"):
            association_frame(of_interaction(), style, interaction="age")
        with pytest.raises(ModelError, match="has no column"):
            check_style(style, "score", "age")


# ---- p-values that are zero


def underflowing() -> pd.DataFrame:
    frame = table().iloc[:4].assign(p_value=[0.0, 0.0, 1e-300, 0.0], std_error=0.01)
    return frame.assign(beta=[1.61, -1.67, 2.0, 1.65])


def test_of_p_values_that_are_zero_the_largest_effect_in_standard_errors_leads():
    assert association_peaks(underflowing(), distance=5_000)["variant"].tolist() == ["b"]
    assert association_peaks(underflowing(), distance=0)["variant"].tolist() == ["b", "d", "a", "c"]


def test_of_p_values_that_are_zero_without_effects_the_first_leads_and_that_is_said():
    bare = underflowing().drop(columns="beta")
    with pytest.warns(LmmpyWarning, match="3 values of 'p_value' are 0"):
        assert association_peaks(bare, distance=0)["variant"].tolist() == ["a", "b", "d", "c"]
