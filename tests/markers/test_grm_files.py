"""Relatedness to and from the files of GEMMA, GCTA and PLINK."""

import shutil
import subprocess

import numpy as np
import pytest

from lmmpy.errors import DataError, ModelError
from lmmpy.markers import grm, read_grm, write_grm
from lmmpy.relatedness import Relatedness
from tests.markers.plain_genotypes import dosages, write_plink

IDS = [f"p{i}" for i in range(12)]


@pytest.fixture
def K():
    return grm(dosages(12, 60, seed=4), people=IDS)


@pytest.mark.parametrize(
    ("name", "digits"), [("k.sXX.txt", 1e-15), ("k.rel", 1e-15), ("k.rel.bin", 0), ("k.grm.bin", 1e-7)]
)
def test_there_and_back(K, tmp_path, name, digits):
    path = tmp_path / name
    write_grm(K, path, n_variants=60)
    again = read_grm(path)
    assert again.labels == K.labels
    np.testing.assert_allclose(again.dense(), K.dense(), rtol=0, atol=digits)
    assert read_grm(path, ids="fid_iid").labels[3] == "p3_p3" if name != "k.sXX.txt" else True
    if name == "k.grm.bin":
        np.testing.assert_array_equal(np.fromfile(tmp_path / "k.grm.N.bin", "<f4"), np.full(78, 60))


def test_gcta_writes_the_lower_triangle_by_rows(tmp_path):
    (tmp_path / "k.grm.id").write_text("f a\nf b\nf c\n")
    np.array([1, 0.5, 2, 0.25, 0.125, 3], dtype="<f4").tofile(tmp_path / "k.grm.bin")
    K = read_grm(tmp_path / "k.grm.bin")
    assert K.labels == ("a", "b", "c")
    np.testing.assert_array_equal(K.dense(), [[1, 0.5, 0.25], [0.5, 2, 0.125], [0.25, 0.125, 3]])


@pytest.mark.filterwarnings("ignore:.*negative eigenvalues from rounding:lmmpy.errors.RelatednessWarning")
@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
@pytest.mark.parametrize(("make", "end"), [("--make-rel square", "rel"), ("--make-rel bin square", "rel.bin")])
def test_what_plink_writes(tmp_path, make, end):
    G = dosages(60, 80, missing=0.0)
    prefix = write_plink(tmp_path / "s", G)
    subprocess.run(
        ["plink2", "--bfile", str(prefix), *make.split(), "--out", str(tmp_path / "k")], check=True, capture_output=True
    )
    K = read_grm(tmp_path / f"k.{end}")
    p = G.mean(axis=0) / 2
    Z = (G - 2 * p) / np.sqrt(2 * p * (1 - p))
    assert K.labels == tuple(f"p{i}" for i in range(60))
    np.testing.assert_allclose(K.dense(), Z @ Z.T / 80, rtol=0, atol=1e-5 if end == "rel" else 1e-12)


def test_gemma_has_no_ids(K, tmp_path):
    np.savetxt(tmp_path / "k.cXX.txt", K.dense(), fmt="%.10g", delimiter="\t")
    with pytest.raises(ModelError, match="has no ids: give people="):
        read_grm(tmp_path / "k.cXX.txt")
    np.testing.assert_allclose(read_grm(tmp_path / "k.cXX.txt", IDS).dense(), K.dense(), rtol=0, atol=1e-9)
    with pytest.raises(DataError, match="has 12 lines of 12 numbers; there are 11 ids"):
        read_grm(tmp_path / "k.cXX.txt", IDS[1:])


def test_damaged_files(K, tmp_path):
    write_grm(K, tmp_path / "k.grm.bin")
    content = (tmp_path / "k.grm.bin").read_bytes()
    (tmp_path / "k.grm.bin").write_bytes(content[:-4])
    with pytest.raises(DataError, match=r"has 77 numbers; 12 ids need 78"):
        read_grm(tmp_path / "k.grm.bin")
    with pytest.raises(DataError, match=r"absent\.grm\.id cannot be read: No such file"):
        read_grm(tmp_path / "absent.grm.bin")
    (tmp_path / "k.grm.id").write_text("f a\ng a\n")
    with pytest.raises(DataError, match=r"more than once: 'a'\. Try ids='fid_iid'"):
        read_grm(tmp_path / "k.grm.bin")
    (tmp_path / "k.txt").write_text("1 0\n0 one\n")
    with pytest.raises(DataError, match=r"line 2, column 2 is no number: 'one'"):
        read_grm(tmp_path / "k.txt", ["a", "b"])
    with pytest.raises(DataError, match="cannot be read as a square"):
        (tmp_path / "k.txt").write_text("")
        read_grm(tmp_path / "k.txt", ["a", "b"])


def test_arguments(K, tmp_path):
    with pytest.raises(ModelError, match=r"a relatedness is a \.grm\.bin"):
        read_grm(tmp_path / "k.dat")
    with pytest.raises(ModelError, match=r"a relatedness is a \.grm\.bin"):
        write_grm(K, tmp_path / "k.dat")
    with pytest.raises(ModelError, match="without labels"):
        write_grm(Relatedness(np.eye(2)), tmp_path / "k.txt")
    with pytest.raises(ModelError, match="people= is not for"):
        read_grm(tmp_path / "k.rel", IDS)
    with pytest.raises(ModelError, match="'iid' or 'fid_iid'"):
        read_grm(tmp_path / "k.rel", ids="fid")


def test_files_that_cannot_be_written_or_are_no_text(K, tmp_path):
    with pytest.raises(DataError, match=r"nowhere.*cannot be written: No such file"):
        write_grm(K, tmp_path / "nowhere" / "k.grm.bin")
    write_grm(K, tmp_path / "k.rel")
    (tmp_path / "k.rel.id").write_bytes(b"a\xff\tb\n")
    with pytest.raises(DataError, match=r"k\.rel\.id cannot be read as a list of ids"):
        read_grm(tmp_path / "k.rel")
