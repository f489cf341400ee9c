"""How commands fail, stop and go on: one line on standard error, and an exit status."""

from __future__ import annotations

import dataclasses
import gzip
import warnings

import numpy as np
import pandas as pd
import pytest

import lmmpy
from lmmpy.cli import assoc as assoc_command
from lmmpy.cli import main
from lmmpy.cli.files import read_ids, read_kinship, read_pedigree, read_table
from lmmpy.errors import DataError

PHENOTYPES = ["phenotypes.csv", "--pedigree", "pedigree.csv"]
ASSOC = ["assoc", "bmi ~ age", *PHENOTYPES, "--genotypes", "genotypes.csv"]
PEDIGREE = {"id": "ID", "father": "FA", "mother": "MO", "sex": "SEX", "twin": "MZTWIN"}


# ---- errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "bmi ~ age +", "phenotypes.csv"], "lmmpy fit: error: "),
        (["fit", "bmi ~ nix + (1 | household)", "phenotypes.csv"], "no column 'nix'"),
        # a name of the command's own code is no variable of a formula
        (["fit", "bmi ~ called + (1 | household)", "phenotypes.csv"], "'called'"),
        (["fit", "bmi ~ arguments + (1 | household)", "phenotypes.csv"], "no column 'arguments'"),
        (["fit", "bmi ~ age + (1 | household)", "none.csv"], "There is no file none.csv."),
        (["fit", "phenotypes.csv", "bmi ~ age + (1 | household)"], "is a formula: the formula comes first"),
        (["polygenic", "bmi ~ age", "none.csv", "--pedigree", "pedigree.csv"], "There is no file none.csv."),
        (["fit", "bmi ~ age + (1 | household)", *PHENOTYPES], "add + kin(ped)"),
        (["fit", "bmi ~ age + (1 | household)", "phenotypes.csv", "--plot"], "--plot writes files: say with --out"),
        (["fit", "bmi ~ age", "phenotypes.csv", "--out", "no/where"], "no is not there"),
        (["fit", "bmi ~ age + kin(ped)", *PHENOTYPES, "--id", "nix"], "no column 'nix'"),
        (["fit", "bmi ~ age", "phenotypes.csv", "--text", "nix"], "phenotypes.csv has no column 'nix'"),
        (["polygenic", "bmi ~ age", "phenotypes.csv"], "give --pedigree FILE, or --kinship FILE"),
        (
            ["polygenic", "bmi ~ age", *PHENOTYPES, "--ped-father", "dad"],
            "pedigree.csv has no column 'dad'; say --ped-father FA. It has",
        ),
        (["polygenic", "bmi ~ age", *PHENOTYPES, "--ped-id", "who"], "no column 'who'; say --ped-id ID."),
        (["linkage", "bmi ~ age", *PHENOTYPES, "--ibd", "none"], "none"),
        (["linkage", "bmi ~ age", *PHENOTYPES, "--ibd", "ibd.csv.gz", "--map", "m.map"], "--map is for Merlin's"),
        (["linkage", "bmi ~ age", *PHENOTYPES, "--ibd", "ibd.csv.gz", "--chromosome", "7"], "'7'"),
        (["assoc", "bmi ~ age", *PHENOTYPES, "--bfile", "none"], "none"),
        (["assoc", "bmi ~ age", "phenotypes.csv", "--genotypes", "genotypes.csv"], "--grm standardized"),
        ([*ASSOC, "--resume"], "say which"),
        ([*ASSOC, "--maf", "0.7"], "min_maf"),
        ([*ASSOC, "--kinship", "nix-y=K.csv"], "no name that a formula can have"),
        (["assoc", "bmi ~ kin(ped)", *PHENOTYPES, "--genotypes", "genotypes.csv", "--household", "x"], "+ (1 | x)"),
        ([*ASSOC, "--grm-leave-out", "X"], "that --grm or --loco makes"),
        ([*ASSOC, "--grm", "centered", "--grm-leave-out", "X"], "chromosome 'X' is not in"),
        ([*ASSOC, "--peak", "0"], "--peak is a p-value"),
        ([*ASSOC, "--distance=-1"], "--distance is a number of base pairs"),
        (["linkage", "bmi ~ age", *PHENOTYPES, "--ibd", "ibd.csv.gz", "--drop", "nan"], "--drop is a LOD"),
        ([*ASSOC, "--interaction", "age", "--style", "gemma"], "'gemma' has no column"),
    ],
)
def test_an_error_is_one_line(here, capsys, words, message):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith(f"lmmpy {words[0]}: error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bmi ~ agee + (1 | household)"], "There is no column 'agee' in the data. Did you mean 'age'?"),
        (["bmi ~ age"], "Add one, for example + (1 | group), or --residual."),
        (["bmi ~ twice(age) + (1 | household)"], "lmmpy has none of that name. Compute the column first."),
        (
            ["bmi ~ age + kin(A)"],
            "kin(A): there is no relatedness 'A'. --pedigree FILE gives one that is called ped, --kinship NAME=FILE "
            "one that is called NAME.",
        ),
        (
            ["bmi ~ age + kin(A)", "--pedigree", "pedigree.csv"],
            "--pedigree or --kinship gives 'ped', which the formula does not use: write kin(NAME) with that name.",
        ),
        (["bmi ~ age + (1 | ID)"], "write kin(ID, ped) with --pedigree, or kin(ID, K) with --kinship"),
        (["bmi ~ age + (1 | household)", "--residual", "ar1"], "--residual 'ar1' alone is"),
    ],
)
def test_messages_are_in_the_words_of_a_shell(here, capsys, words, said):
    formula, *options = words
    data = pd.read_csv("phenotypes.csv").dropna()
    data.drop_duplicates("ID").to_csv("once.csv", index=False)
    assert main(["fit", formula, "once.csv", *options]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert not [
        python for python in ("Python", "relmat", "lmm.", "fit.", "=") if python in err.replace("NAME=FILE", "")
    ]


def test_reports_refer_to_no_fit(here, capsys):
    lmmpy.datasets.load("Dyestuff2").to_csv("d.csv", index=False)
    assert main(["fit", "Yield ~ 1 + (1 | Batch)", "d.csv", "--out", "d"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\nboundary (singular) fit\n") and out == (here / "d.txt").read_text()
    assert err.startswith("lmmpy fit: warning: Boundary (singular) fit: ") and "fit." not in err.removeprefix(
        "lmmpy fit"
    )


@pytest.mark.parametrize(
    ("name", "mark", "other"),
    [("d.csv", ";", "';'"), ("d.csv", "\t", "'\\t'"), ("d.tsv", ",", "','"), ("d.txt", ";", "';'")],
)
def test_another_separator_is_asked_about(here, capsys, name, mark, other):
    pd.read_csv("phenotypes.csv").to_csv(name, sep=mark, index=False)
    for words in (["fit", "bmi ~ age + (1 | household)", name], ["polygenic", "bmi ~ age", name, *PHENOTYPES[1:]]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert f"{name} has one column, 'ID" in err and f"Is it separated by {other}?" in err


def test_columns_of_a_pedigree_are_named_by_options(here, capsys):
    renamed = pd.read_csv("pedigree.csv").rename(columns={"ID": "animal", "FA": "the sire", "MO": "dam"})
    renamed.rename(columns={"the sire": "sire"}).to_csv("p.csv", index=False)
    assert main(["polygenic", "bmi ~ age", "phenotypes.csv", "--pedigree", "p.csv"]) == 2
    said = "p.csv has no column 'ID', 'FA', 'MO'; say --ped-id animal --ped-father sire --ped-mother dam. It has"
    assert said in capsys.readouterr().err
    renamed.to_csv("p.csv", index=False)
    assert main(["polygenic", "bmi ~ age", "phenotypes.csv", "--pedigree", "p.csv"]) == 2
    assert "say --ped-id animal --ped-father COLUMN --ped-mother dam." in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["nix"], ["fit", "y ~ 1"], ["assoc", "y ~ 1", "d.csv"], ["fit", "a", "b", "--nix"], []]
)
def test_wrong_options_are_one_line(capsys, words):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "--help" in err


def test_warnings_are_lines_on_standard_error(here, capsys):
    data = pd.read_csv("phenotypes.csv")
    data.assign(y=np.arange(len(data)) % 7, g=np.arange(len(data)) % 4).to_csv("w.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["fit", "y ~ 1 + (1 | g)", "w.csv"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("lmmpy fit: warning: ")
    assert err.count("\n") == 1


def empty(path):
    path.write_text("")


def ragged(path):
    path.write_text(",a,b\na,1,0\nb,0,1,2,3\n")


def words(path):
    path.write_text(",a,b\na,1,some\nb,some,1\n")


def garbage(path):
    path.write_bytes(b"\x93NUMPY\xff\xfe no table of any kind")


def truncated(path):
    path.write_bytes(gzip.compress(b"ID,bmi,age\n" + bytes(range(48, 58)) * 400)[:-30])


def damaged(path):
    good = bytearray(gzip.compress(np.random.default_rng(1).bytes(2_000)))
    good[40:60] = bytes(20)
    path.write_bytes(good)


def ragged_fam(path):
    path.write_text("f 01 0 0 1 -9\nf 02 0 0 2 -9 7 8\n")


def narrow_fam(path):
    path.write_text("01\n02\n")


@pytest.mark.parametrize(
    ("make", "name", "options"),
    [
        (ragged, "K.csv", ["--kinship", "K.csv"]),
        (empty, "K.csv", ["--kinship", "K.csv"]),
        (words, "K.csv", ["--kinship", "K.csv"]),
        (truncated, "K.csv.gz", ["--kinship", "K.csv.gz"]),
        (ragged_fam, "p.fam", ["--pedigree", "p.fam"]),
        (empty, "p.fam", ["--pedigree", "p.fam"]),
        (garbage, "p.fam", ["--pedigree", "p.fam"]),
        (narrow_fam, "x.fam", ["--kinship", "K.cXX.txt", "--kinship-ids", "x.fam"]),
        (garbage, "x.txt", ["--kinship", "K.cXX.txt", "--kinship-ids", "x.txt"]),
    ],
)
def test_files_of_relatives_that_cannot_be_read_are_named(here, capsys, make, name, options):
    make(here / name)
    assert main(["polygenic", "bmi ~ age", "phenotypes.csv", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lmmpy polygenic: error: ")
    assert err.count("\n") == 1
    assert name in err


@pytest.mark.parametrize("command", [["fit", "bmi ~ age"], ["polygenic", "bmi ~ age"]])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (garbage, "d.parquet"),
        (empty, "d.parquet"),
        (garbage, "d.csv"),
        (truncated, "d.csv.gz"),
        (damaged, "d.csv.gz"),
        (garbage, "d.csv.gz"),
    ],
)
def test_data_that_cannot_be_read_are_named(here, capsys, command, make, name):
    make(here / name)
    assert main([*command, name, "--id", "ID"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"lmmpy {command[0]}: error: {name} cannot be read as a table")
    assert err.count("\n") == 1


@pytest.mark.parametrize("file", ["genotypes", "ibd"])
def test_large_files_that_end_too_early_are_an_error_in_one_line(here, capsys, file):
    truncated(here / "g.csv.gz")
    command = "assoc" if file == "genotypes" else "linkage"
    assert main([command, "bmi ~ age", *PHENOTYPES, f"--{file}", "g.csv.gz"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"lmmpy {command}: error: ")
    assert err.count("\n") == 1


def test_data_without_rows(here, capsys):
    pd.read_csv("phenotypes.csv").head(0).to_csv("none.csv", index=False)
    words = ["assoc", "bmi ~ age", "none.csv", "--genotypes", "genotypes.csv", "--grm", "centered"]
    assert main(words) == 2
    assert capsys.readouterr().err == "lmmpy assoc: error: none.csv has no rows.\n"


@pytest.mark.parametrize("memory", ["inf", "nan", "0", "-1", "much"])
def test_memory_is_a_number(here, capsys, memory):
    with pytest.raises(SystemExit) as stop:
        main([*ASSOC, f"--memory={memory}"])
    assert stop.value.code == 2
    assert f"argument --memory: invalid number of GiB value: '{memory}'" in capsys.readouterr().err


def test_minus_nine_is_asked_about(here, capsys):
    data = pd.read_csv("phenotypes.csv")
    data.loc[[3, 30], "bmi"] = -9
    data.to_csv("nines.csv", index=False)
    assert main(["fit", "bmi ~ age + (1 | household)", "nines.csv"]) == 0
    assert "Column 'bmi' of nines.csv has -9 in 2 rows" in capsys.readouterr().err
    assert main(["fit", "bmi ~ age + (1 | household)", "nines.csv", "--missing=-9"]) == 0
    assert "-9" not in capsys.readouterr().err


# ---- interruption


def test_a_scan_goes_on_only_when_told(here, capsys):
    assert main([*ASSOC, "--out", "a"]) == 0
    whole = (here / "a.assoc.tsv").read_text()
    assert main([*ASSOC, "--out", "a"]) == 2
    assert "a.scan.tsv is there from a scan before" in capsys.readouterr().err
    (here / "a.assoc.tsv").unlink()
    assert main([*ASSOC, "--out", "a", "--resume"]) == 0
    assert (here / "a.assoc.tsv").read_text() == whole
    other = ["assoc", "bmi ~ sex", *PHENOTYPES, "--genotypes", "genotypes.csv", "--out", "a", "--resume"]
    assert main(other) == 2
    assert "null model" in capsys.readouterr().err


LINKAGE = ["linkage", "bmi ~ age", *PHENOTYPES, "--ibd", "ibd.csv.gz", "--out", "li"]


def test_passes_of_a_scan_before_are_seen_before_the_work(here, capsys):
    assert main([*LINKAGE, "--passes", "2", "--threshold", "0"]) == 0
    capsys.readouterr()
    assert main(LINKAGE) == 2
    assert "li.scan.tsv, li.scan.pass2.tsv are there from a scan before: go on with it" in capsys.readouterr().err
    (here / "li.scan.tsv").unlink()
    assert main(LINKAGE) == 2
    assert "li.scan.pass2.tsv is there from a scan before: remove it, or" in capsys.readouterr().err
    assert main([*LINKAGE, "--passes", "2", "--resume"]) == 2
    assert "is left from another scan" in capsys.readouterr().err
    assert not (here / "li.scan.tsv").exists()
    (here / "li.scan.pass2.tsv").unlink()
    assert main(LINKAGE) == 0
    capsys.readouterr()


def stopped(monkeypatch) -> None:
    """Let scans end after a quarter of their variants, as Ctrl-C does."""
    whole = assoc_command.association

    def part(*arguments, **options):
        scan = whole(*arguments, **options)
        return dataclasses.replace(scan, complete=False, table=scan.table.head(15))

    monkeypatch.setattr(assoc_command, "association", part)


def test_an_interrupted_scan_says_how_to_go_on(here, capsys, monkeypatch):
    stopped(monkeypatch)
    assert main([*ASSOC, "--out", "a"]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert "15 of 60 variants done" in err
    assert "go on with: lmmpy assoc 'bmi ~ age' phenotypes.csv" in err
    assert err.endswith("--out a --resume\n")
    assert not (here / "a.assoc.tsv").exists()


def test_without_out_nothing_is_kept(here, capsys, monkeypatch):
    stopped(monkeypatch)
    assert main(ASSOC) == 130
    assert "without --out nothing is kept" in capsys.readouterr().err


def test_interrupted_before_the_scan(here, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(assoc_command, "association", stop)
    assert main([*ASSOC, "--out", "a"]) == 130
    assert "before there was anything to keep" in capsys.readouterr().err


# ---- files


KINDS = {"d.csv": ",", "d.tsv": "\t", "d.txt": " ", "d.phe": "  ", "d.csv.gz": ","}


@pytest.mark.parametrize(("name", "sep"), KINDS.items())
def test_tables_of_all_kinds(tmp_path, name, sep):
    text = "\n".join(sep.join(row) for row in [("#IID", "y", "g"), ("007", "1.5", "01"), ("010", "-9", "02")])
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text + "\n")
    frame = read_table(str(path), ["IID"], ["-9"])
    assert frame["IID"].tolist() == ["007", "010"]
    assert frame["y"].isna().tolist() == [False, True]
    assert frame["g"].tolist() == [1, 2]


def test_tables_that_cannot_be_read(tmp_path):
    (tmp_path / "e.csv").write_text("")
    (tmp_path / "r.csv").write_text('a,b\n1,2\n1,2,3\n1,"2')
    with pytest.raises(DataError, match=r"not '\.xlsx'"):
        read_table("d.xlsx")
    with pytest.raises(DataError, match=r"e\.csv cannot be read as a table"):
        read_table(str(tmp_path / "e.csv"))
    with pytest.raises(DataError, match=r"r\.csv cannot be read as a table"):
        read_table(str(tmp_path / "r.csv"))


def test_a_fam_file_is_a_pedigree(tmp_path):
    path = tmp_path / "s.fam"
    path.write_text("f 01 0 0 1 -9\nf 02 0 0 2 -9\nf 03 01 02 1 -9\n")
    ped = read_pedigree(str(path), PEDIGREE, "IID")
    assert ped.ids == ("01", "02", "03")
    assert ped.id == "IID"
    assert ped.additive().dense()[2].tolist() == [0.5, 0.5, 1.0]


def test_a_fam_file_has_the_ids_of_a_matrix(tmp_path):
    path = tmp_path / "s.fam"
    path.write_text("f 01 0 0 1\n\nf 02 0 0 2\n")
    assert read_ids(str(path)) == ["01", "02"]
    assert read_pedigree(str(path), PEDIGREE, "IID").ids == ("01", "02")


def test_ids_of_a_pedigree_are_text(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("ID,FA,MO,SEX\n001,,,1\n002,,,2\n003,001,002,2\n")
    assert read_pedigree(str(path), PEDIGREE, "who").ids == ("001", "002", "003")


def test_kinship_files(tmp_path):
    path = tmp_path / "K.csv"
    path.write_text(",b,a\na,0.25,1\nb,1,0.25\n")
    K = read_kinship(str(path), "who")
    assert (K.labels, K.id) == (("a", "b"), "who")
    assert K.dense().tolist() == [[1.0, 0.25], [0.25, 1.0]]
    path.write_text(",a,b,c\na,1,0,0\nb,0,1,0\n")
    with pytest.raises(DataError, match="2 rows and 3 columns besides the first"):
        read_kinship(str(path), "who")
    with pytest.raises(DataError, match=r"square table \.csv or \.tsv with ids"):
        read_kinship(str(tmp_path / "K.bin"), "who")
