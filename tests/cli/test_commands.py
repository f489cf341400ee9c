"""The commands on files, against the functions that they call."""

from __future__ import annotations

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.cli import main
from lmmpy.markers import write_grm
from lmmpy.qtl.association import association
from lmmpy.qtl.linkage import linkage

PHENOTYPES = ["phenotypes.csv", "--pedigree", "pedigree.csv"]


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(name, sep="\t", dtype={"chromosome": str, "level": str})


def polygenic() -> lmm.qtl.Polygenic:
    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    return lmm.qtl.polygenic("bmi ~ age + sex", lmm.datasets.load("family"), ped)


# ---- help


def test_version_as_a_module():
    ran = subprocess.run([sys.executable, "-m", "lmmpy", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"lmmpy {lmm.__version__}\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["COMMAND", "standard error", "lmmpy assoc --help"]),
        (["fit"], ["cbind(a, b)", "examples:", "from R:", "--pedigree FILE"]),
        (["polygenic"], ["y = Xb + g + Hc + e", "from SOLAR:", "--household COLUMN"]),
        (["linkage"], ["LOD = (l1 - l0)/ln 10", "mibd.CHR.POS.gz", "multipoint 3 2", "--passes N"]),
        (["assoc"], ["from GEMMA:", "--lmm 4".removeprefix("-"), "BIMBAM", "GiB"]),
    ],
)
def test_help_teaches(command, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert [word for word in words if word not in text] == []
    assert max(map(len, text.splitlines())) <= 120


# ---- fit and polygenic


def test_fit_prints_the_summary_only(here, capsys):
    assert main(["fit", "bmi ~ age + (1 | household)", "phenotypes.csv"]) == 0
    out, err = capsys.readouterr()
    fit = lmm.lmer("bmi ~ age + (1 | household)", pd.read_csv("phenotypes.csv"))
    kept = [line for line in str(fit.summary()).splitlines() if not line.startswith("   Data:")]
    assert out.splitlines() == kept
    assert err == ""
    assert len(list(here.iterdir())) == 4


def test_fit_writes_tables_report_and_pictures(here, capsys):
    before = plt.get_fignums()
    words = ["bmi ~ age + sex + kin(ped)", *PHENOTYPES, "--ml", "--ddf", "satterthwaite", "--out", "m", "--plot"]
    assert main(["fit", *words]) == 0
    fit = lmm.lmer(
        "bmi ~ age + sex + kin(ped)",
        pd.read_csv("phenotypes.csv"),
        reml=False,
        relmat={"ped": lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))},
    )
    assert (here / "m.txt").read_text() == capsys.readouterr().out
    estimates = table("m.estimates.tsv").set_index("term")
    assert estimates.loc["age", "estimate"] == pytest.approx(fit.fixef["age"], rel=1e-9)
    assert "p_value" in estimates
    vcov = fit.varcorr.to_frame()["vcov"].to_numpy()
    assert table("m.varcorr.tsv")["vcov"].to_numpy() == pytest.approx(vcov, rel=1e-6)
    assert table("m.heritability.tsv")["estimate"][0] == pytest.approx(fit.heritability()["estimate"][0], rel=1e-6)
    assert len(table("m.ranef.tsv")) == len(fit.ranef()["kin(ped)"])
    assert sorted(path.name for path in here.glob("m.*.png")) == ["m.qq.png", "m.residuals.png"]
    assert plt.get_fignums() == before


def test_polygenic_is_that_of_qtl(here, capsys):
    words = ["bmi ~ age + sex", *PHENOTYPES, "--household", "household", "--screen", "--keep", "all", "--out", "p"]
    assert main(["polygenic", *words]) == 0
    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    found = lmm.qtl.polygenic(
        "bmi ~ age + sex", pd.read_csv("phenotypes.csv"), ped, household="household", screen=True, keep="all"
    )
    estimates = table("p.estimates.tsv")
    assert estimates["parameter"].tolist() == found.estimates["parameter"].tolist()
    assert estimates["estimate"].to_numpy() == pytest.approx(found.estimates["estimate"].to_numpy(), rel=1e-6)
    assert table("p.tests.tsv")["p_value"].to_numpy() == pytest.approx(found.tests["p_value"].to_numpy(), rel=1e-6)
    assert table("p.models.tsv")["model"].tolist() == list(found.models.index)
    assert table("p.covariates.tsv")["covariate"].tolist() == ["age", "sex"]
    assert "h2 (H2r)" in capsys.readouterr().out


def test_kinship_in_place_of_a_pedigree(here, capsys):
    K = lmm.Pedigree.from_frame(pd.read_csv("pedigree.csv")).additive()
    frame = pd.DataFrame(K.dense(), K.labels, K.labels)
    # The second twins are levels of their own in no matrix of the pedigree; here they are left out.
    data = pd.read_csv("phenotypes.csv")
    data[data["ID"].astype(str).isin(K.labels)].to_csv("some.csv", index=False)
    frame.iloc[:, ::-1].to_csv("K.csv")
    assert main(["polygenic", "bmi ~ age", "some.csv", "--kinship", "K.csv", "--out", "k"]) == 0
    assert main(["polygenic", "bmi ~ age", "some.csv", "--pedigree", "pedigree.csv", "--out", "p"]) == 0
    first, second = table("k.estimates.tsv"), table("p.estimates.tsv")
    assert first["estimate"].to_numpy() == pytest.approx(second["estimate"].to_numpy(), rel=1e-5)
    assert main(["fit", "bmi ~ age + kin(A)", "some.csv", "--kinship", "A=K.csv", "--ml", "--out", "f"]) == 0
    assert table("f.heritability.tsv")["estimate"][0] == pytest.approx(first["estimate"][0], rel=1e-5)
    capsys.readouterr()


def test_the_data_may_call_people_otherwise_than_the_pedigree(here, capsys):
    renamed = pd.read_csv("phenotypes.csv").rename(columns={"ID": "who"})
    renamed.to_csv("renamed.tsv", sep="\t", index=False)
    pd.read_csv("pedigree.csv").rename(columns={"FA": "dad", "MO": "mum"}).to_csv("other.csv", index=False)
    parents = ["--ped-father", "dad", "--ped-mother", "mum"]
    words = ["bmi ~ age + kin(ped)", "renamed.tsv", "--id", "who", "--pedigree", "other.csv", *parents, "--out", "w"]
    assert main(["fit", *words]) == 0
    assert main(["fit", "bmi ~ age + kin(ped)", *PHENOTYPES, "--out", "v"]) == 0
    assert (here / "w.txt").read_text() == (here / "v.txt").read_text()
    capsys.readouterr()


# ---- linkage


def test_linkage_is_that_of_qtl(here, capsys):
    words = ["bmi ~ age + sex", *PHENOTYPES, "--ibd", "ibd.csv.gz", "--out", "l", "--plot", "svg"]
    assert main(["linkage", *words]) == 0
    scan = linkage(polygenic(), pd.read_csv("ibd.csv.gz", dtype={"id1": str, "id2": str}))
    lod = table("l.lod.tsv")
    assert lod["position"].tolist() == [30.0, 40.0, 50.0]
    assert lod["lod"].to_numpy() == pytest.approx(scan.lod["lod"].to_numpy(), abs=1e-6)
    assert lod["lod"].max() == pytest.approx(4.4138, abs=2e-3)  # SOLAR's
    assert table("l.peaks.tsv")["position"].tolist() == [40.0]
    assert (here / "l.lod.svg").exists()
    assert "h2 (H2r)" in (here / "l.null.txt").read_text()
    assert capsys.readouterr().out == (here / "l.txt").read_text()


def test_linkage_by_a_formula_with_kin_and_several_passes(here, capsys):
    words = ["bmi ~ age + sex + kin(ped)", *PHENOTYPES, "--ibd", "ibd.csv.gz", "--passes", "2", "--out", "l"]
    assert main(["linkage", *words]) == 0
    lod = table("l.lod.tsv")
    assert lod["pass"].tolist() == [1, 1, 1, 2, 2, 2]
    assert lod["lod"].max() == pytest.approx(4.4138, abs=2e-3)
    capsys.readouterr()


# ---- association


def assoc(*words: str) -> int:
    return main(["assoc", "bmi ~ age + sex", *PHENOTYPES, "--genotypes", "genotypes.csv", *words])


def test_assoc_is_that_of_qtl(here, capsys):
    assert assoc("--out", "a", "--plot", "--style", "gemma", "--test", "all") == 0
    genotypes = lmm.datasets.load("family_genotypes").set_index("ID")
    genotypes.index = genotypes.index.astype(str)
    scan = association(polygenic(), genotypes, "all")
    mine = table("a.assoc.tsv")
    for name in ("beta", "std_error", "p_wald", "p_lrt", "p_score"):
        assert mine[name].to_numpy() == pytest.approx(scan.table[name].to_numpy(), rel=1e-6)
    gemma = table("a.gemma.txt")
    assert gemma.columns.tolist()[:3] == ["chr", "rs", "ps"]
    assert gemma["p_lrt"].to_numpy() == pytest.approx(scan.table["p_lrt"].to_numpy(), rel=1e-6)
    assert {path.name for path in here.glob("a.*.png")} == {"a.manhattan.png", "a.qq.png"}
    assert capsys.readouterr().out == (here / "a.txt").read_text()


def test_assoc_of_two_traits(here, capsys):
    words = ["cbind(bmi, log(fvii)) ~ age", *PHENOTYPES, "--style", "metal", "--out", "b"]
    assert main(["assoc", *words, "--genotypes", "genotypes.csv"]) == 0
    assert table("b.assoc.tsv")["trait"].unique().tolist() == ["bmi", "log(fvii)"]
    assert sorted(path.name for path in here.glob("b.metal.*")) == ["b.metal.bmi.txt", "b.metal.log_fvii.txt"]
    capsys.readouterr()


def test_relatedness_from_the_genotypes_is_that_of_a_file(here, capsys):
    words = ["bmi ~ age + sex", "phenotypes.csv", "--genotypes", "genotypes.csv", "--test", "wald", "--exact"]
    assert main(["assoc", *words, "--grm", "centered", "--out", "g"]) == 0
    genotypes = pd.read_csv("genotypes.csv", dtype={"ID": str}).set_index("ID")
    write_grm(lmm.markers.grm(genotypes, method="centered"), "study.cXX.txt")
    (here / "study.cXX.id").unlink()  # GEMMA writes none: people are those of the genotypes
    assert main(["assoc", *words, "--kinship", "study.cXX.txt", "--out", "f"]) == 0
    first, second = table("g.assoc.tsv"), table("f.assoc.tsv")
    assert first["p_value"].to_numpy() == pytest.approx(second["p_value"].to_numpy(), rel=1e-4)
    capsys.readouterr()


def chromosomes() -> None:
    """Say of the first 30 variants that they are on chromosome 1, of 20 that they are on 2, and of the last on X."""
    names = pd.read_csv("genotypes.csv").columns[1:]
    where = np.repeat(["1", "2", "X"], [30, 20, 10])
    frame = pd.DataFrame({"variant": names, "chromosome": where, "position": np.arange(60) + 1})
    frame.assign(effect_allele="A", other_allele="G").to_csv("variants.csv", index=False)


@pytest.mark.parametrize("method", ["standardized", "centered"])
def test_relatedness_without_a_chromosome_is_made_as_grm_says(here, capsys, method):
    chromosomes()
    words = ["bmi ~ age + sex", "phenotypes.csv", "--genotypes", "genotypes.csv", "--variants", "variants.csv"]
    common = [*words, "--loco", "--grm", method]
    assert main(["assoc", *common, "--out", "all"]) == 0
    assert main(["assoc", *common, "--grm-leave-out", "X", "--out", "auto"]) == 0
    capsys.readouterr()
    data = pd.read_csv("phenotypes.csv").assign(ID=lambda rows: rows["ID"].astype(str))
    dosages = pd.read_csv("genotypes.csv", dtype={"ID": str}).set_index("ID")
    genotypes = lmm.markers.as_genotypes(dosages, variants=pd.read_csv("variants.csv", dtype={"chromosome": str}))
    for name, out in (("all", ()), ("auto", ("X",))):
        found = table(f"{name}.assoc.tsv").set_index("variant")["p_value"]
        whole = lmm.markers.grm(genotypes, people=list(data["ID"]), method=method, leave_out=out)
        base = lmm.qtl.polygenic("bmi ~ age + sex", data, whole, id="ID").fit
        people = list(dict.fromkeys(data["ID"].to_numpy()[base.design.rows]))
        kernels = lmm.markers.grm(genotypes, people=people, method=method, loco=True, leave_out=out)
        scan = association(base, genotypes, loco=kernels, id="ID")
        assert found.to_numpy() == pytest.approx(scan.table["p_value"].to_numpy(), rel=1e-5)


def test_reports_call_a_matrix_by_its_own_name(here, capsys):
    words = ["bmi ~ age", "phenotypes.csv", "--genotypes", "genotypes.csv", "--grm", "standardized", "--out", "k"]
    assert main(["assoc", *words]) == 0
    assert "bmi ~ age + kin(ID, K)" in capsys.readouterr().out
    assert "kin(ID, K)" in (here / "k.null.txt").read_text()


def test_ids_with_zeros_in_front_are_asked_about(here, capsys):
    data = pd.read_csv("phenotypes.csv")
    data.assign(ID=[f"{one:03d}" for one in data["ID"]]).to_csv("padded.csv", index=False)
    words = ["bmi ~ age", "padded.csv", "--genotypes", "genotypes.csv", "--grm", "standardized"]
    assert main(["assoc", *words]) == 0
    assert "Is '001' there '1'?" in capsys.readouterr().err


def test_an_interaction_is_called_one(here, capsys):
    assert assoc("--interaction", "age", "--style", "regenie", "--out", "i") == 0
    frame = pd.read_csv("i.regenie.txt", sep=" ")
    assert set(frame["TEST"]) == {"ADDxage"}
    assert frame["BETA"].to_numpy() == pytest.approx(table("i.assoc.tsv")["beta"].to_numpy(), rel=1e-9)
    capsys.readouterr()


def test_a_score_is_called_one_in_gemmas_columns(here, capsys):
    assert assoc("--style", "gemma", "--test", "lrt", "--out", "t") == 0
    assert table("t.gemma.txt").columns[-1] == "p_lrt"
    capsys.readouterr()


def test_people_without_genotypes_are_left_out_and_named(here, capsys):
    genotypes = pd.read_csv("genotypes.csv")
    genotypes.iloc[5:].to_csv("fewer.csv", index=False)
    words = ["bmi ~ age + sex", *PHENOTYPES, "--genotypes", "fewer.csv", "--out", "f"]
    assert main(["assoc", *words]) == 0
    missing = ", ".join(f"'{name}'" for name in genotypes["ID"][:5])
    assert f"warning: 5 rows of phenotypes.csv are of people without genotypes, and are left out: {missing}." in (
        capsys.readouterr().err
    )
    assert np.isfinite(table("f.assoc.tsv")["p_value"]).all()
