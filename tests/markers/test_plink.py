"""PLINK files: what is read, and what is refused."""

import hashlib
import os
import pickle
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lmmpy.errors import DataError, ModelError
from lmmpy.markers import GenotypeSource, PlinkGenotypes, as_genotypes
from lmmpy.markers.contents import digest_of_file
from tests.markers.plain_genotypes import dosages, write_plink

pytest.importorskip("bed_reader")


@pytest.fixture
def study(tmp_path):
    G = dosages(13, 30)
    return write_plink(tmp_path / "study", G, chromosomes=["1"] * 10 + ["X"] * 20), G


def test_dosages_count_the_first_allele(study):
    prefix, G = study
    for path in (prefix, f"{prefix}.bed", f"{prefix}.bim"):
        source = as_genotypes(path)
        assert isinstance(source, GenotypeSource)
        values = source.read(0, 30)
        np.testing.assert_array_equal(values, G)
        assert values.flags.f_contiguous
        assert values.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_and_rows(study, dtype):
    prefix, G = study
    source = as_genotypes(prefix)
    rows = [7, 0, 7, 12]
    block = source.read(3, 11, rows, dtype)
    np.testing.assert_array_equal(block, G[rows, 3:11])
    assert block.dtype == dtype
    assert block.flags.f_contiguous
    assert source.read(5, 5).shape == (13, 0)
    assert source.read(5, 7, []).shape == (0, 2)


def test_people_and_variants(study):
    prefix, _ = study
    source = as_genotypes(prefix)
    assert source.people == tuple(f"p{i}" for i in range(13))
    assert source.description == "study.bed: 13 people, 30 variants"
    table = source.variants
    assert list(table.columns) == ["chromosome", "position", "variant", "effect_allele", "other_allele"]
    assert table.iloc[10].tolist() == ["X", 110, "rs10", "A", "G"]
    assert table["position"].dtype == np.int64
    assert as_genotypes(prefix, ids="fid_iid").people[:4] == ("f0_p0", "f0_p1", "f0_p2", "f1_p3")


def test_pickles_by_its_path(study):
    prefix, G = study
    source = as_genotypes(prefix)
    source.read(0, 1)
    content = pickle.dumps(source)
    assert b"rs10" not in content
    again = pickle.loads(content)
    np.testing.assert_array_equal(again.read(0, 30), G)
    assert again.variants.equals(source.variants)
    assert again.fingerprint() == source.fingerprint()


def test_reads_where_the_working_directory_is_another(study, monkeypatch, tmp_path):
    _, G = study
    monkeypatch.chdir(tmp_path)
    source = as_genotypes("study")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    np.testing.assert_array_equal(source.read(2, 4), G[:, 2:4])


def test_fingerprint_sees_a_changed_genotype(study):
    prefix, _ = study
    before = as_genotypes(prefix).fingerprint()
    content = bytearray(Path(f"{prefix}.bed").read_bytes())
    content[50] ^= 0b11
    Path(f"{prefix}.bed").write_bytes(content)
    assert as_genotypes(prefix).fingerprint() != before


def test_fingerprint_of_a_large_file_is_of_all_of_it(tmp_path):

    path = tmp_path / "large.bed"
    content = np.random.default_rng(1).bytes(9_000_000)
    path.write_bytes(content)
    before = digest_of_file(path)
    for at in (0, 100_003, 4_500_001, len(content) - 1):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(changed)
        assert digest_of_file(path) != before
    path.write_bytes(content + b"\0")
    assert digest_of_file(path) != before
    path.write_bytes(content)
    assert digest_of_file(path) == before


def test_a_file_that_stays_is_read_once_for_its_fingerprint(tmp_path, monkeypatch):
    path = tmp_path / "a.bed"
    path.write_bytes(b"a")
    read, whole = [], hashlib.file_digest

    def counted(file, kind):
        read.append(file.name)
        return whole(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    # it was written just now, so that a change could have the same time
    assert digest_of_file(path) == digest_of_file(path) and len(read) == 2
    monkeypatch.setattr(time, "time_ns", lambda: 2**62)
    assert digest_of_file(path) == digest_of_file(path) and len(read) == 3
    before = path.stat()
    path.write_bytes(b"b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    time.sleep(0.02)
    assert digest_of_file(path) == hashlib.sha256(b"b").hexdigest()


# ---- what is refused


def test_repeated_ids(tmp_path):
    G = dosages(4, 3)
    prefix = write_plink(tmp_path / "s", G, ids=["1", "2", "1", "2"], families=["a", "a", "b", "b"])
    with pytest.raises(DataError, match=r"s\.fam: ids that occur more than once: '1', '2'.*ids='fid_iid'"):
        as_genotypes(prefix)
    assert as_genotypes(prefix, ids="fid_iid").people == ("a_1", "a_2", "b_1", "b_2")
    with pytest.raises(ModelError, match="'iid' or 'fid_iid'"):
        PlinkGenotypes(prefix, ids="fid")


def test_a_truncated_file_names_the_variant(study):
    prefix, _ = study
    os.truncate(f"{prefix}.bed", 3 + 4 * 12 + 2)
    with pytest.raises(DataError, match=r"study\.bed is 53 bytes long; 13 people .* take 123\..*'rs12' \(number 13\)"):
        as_genotypes(prefix)


def test_truncated_while_it_is_read(study):
    prefix, _ = study
    source = as_genotypes(prefix)
    source.read(0, 5)
    os.truncate(f"{prefix}.bed", 3 + 4 * 12 + 2)
    with pytest.raises(DataError, match=r"It breaks off within variant 'rs12'"):
        source.read(5, 20)
    os.remove(f"{prefix}.bed")
    with pytest.raises(DataError, match=r"study\.bed cannot be read: No such file"):
        source.read(5, 20)


def test_what_the_reader_cannot_read_names_variants(study, monkeypatch):
    prefix, _ = study
    source = as_genotypes(prefix)

    def fail(**_):
        raise OSError("Input/output error")

    monkeypatch.setattr(source._open, "read", fail)
    with pytest.raises(DataError, match=r"Variants 6-20 of .*study\.bed cannot be read: Input/output error"):
        source.read(5, 20)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\x6c\x1c\x01", r"study\.bed is no PLINK \.bed: it begins with the bytes 6c 1c 01"),
        (b"\x6c\x1b\x00", r"person by person .* --make-bed"),
        (b"\x6c\x1b\x07", r"begins with the bytes 6c 1b 07"),
    ],
)
def test_wrong_magic(study, head, message):
    prefix, _ = study
    content = Path(f"{prefix}.bed").read_bytes()
    Path(f"{prefix}.bed").write_bytes(head + content[3:])
    with pytest.raises(DataError, match=message):
        as_genotypes(prefix)


def test_an_empty_bed(study):
    prefix, _ = study
    Path(f"{prefix}.bed").write_bytes(b"")
    with pytest.raises(DataError, match=r"begins with the bytes \(none\)"):
        as_genotypes(prefix)


def test_a_bim_of_another_length(study):
    prefix, _ = study
    bim = Path(f"{prefix}.bim")
    bim.write_text("".join(bim.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"29 variants \(study\.bim\).*would suit 30 variants: is study\.bim"):
        as_genotypes(prefix)


@pytest.mark.parametrize(
    ("end", "text", "message"),
    [
        (".bim", "", r"study\.bim is empty"),
        (".bim", "1\trs0\t0\t100\tA\n", r"line 1 has fewer than 6 columns"),
        (".bim", "1\trs0\t0\t100\tA\tG\n1\trs1\t0\t101\tA\n", r"line 2 has fewer than 6 columns"),
        (".bim", "1\trs0\t0\tten\tA\tG\n", r"positions are whole base pairs; 1 are not, first 'ten' of variant 'rs0'"),
        (".bim", "1\trs0\t0\t1\tA\tG\n" * 30, r"stand there more than once.*first 'rs0' at 1:1 \(line 2\)"),
        (".fam", "f1\n", r"study\.fam: line 1 has fewer than 2 columns"),
    ],
)
def test_damaged_texts(study, end, text, message):
    prefix, _ = study
    Path(f"{prefix}{end}").write_text(text)
    with pytest.raises(DataError, match=message):
        as_genotypes(prefix)


def test_names_may_repeat_at_other_places(tmp_path):
    G = dosages(4, 3)
    source = as_genotypes(write_plink(tmp_path / "s", G, names=[".", ".", "rs2"]))
    assert source.variants["variant"].tolist() == [".", ".", "rs2"]


def test_files_that_are_not_there(study, tmp_path):
    prefix, _ = study
    with pytest.raises(DataError, match=r"absent\.bed is not there"):
        as_genotypes(tmp_path / "absent")
    os.remove(f"{prefix}.fam")
    with pytest.raises(DataError, match=r"study\.fam is not there\. A PLINK data set is three files"):
        as_genotypes(prefix)
    (tmp_path / "calls.vcf").write_text("")
    with pytest.raises(DataError, match=r"plink2 --vcf .*calls\.vcf --make-bed"):
        as_genotypes(tmp_path / "calls.vcf")


def test_ranges_and_rows_that_are_not_there(study):
    source = as_genotypes(study[0])
    with pytest.raises(ModelError, match="Variants 20 to 31"):
        source.read(20, 31)
    with pytest.raises(ModelError, match="rows 13, -1 were asked for"):
        source.read(0, 1, [13, 2, -1])
    with pytest.raises(ModelError, match="rows must be numbers"):
        source.read(0, 1, [0.5])
    with pytest.raises(ModelError, match="float32 or float64"):
        source.read(0, 1, dtype=np.int8)


def test_arguments_that_are_not_for_plink(study):
    with pytest.raises(ModelError, match="people= is not for these genotypes"):
        as_genotypes(study[0], people=["a"])
    with pytest.raises(ModelError, match="variants= is not for these genotypes"):
        as_genotypes(as_genotypes(study[0]), variants=["a"])


def test_without_bed_reader_it_is_named(study, monkeypatch):
    source = as_genotypes(study[0])
    monkeypatch.setitem(sys.modules, "bed_reader", None)
    with pytest.raises(ModelError, match=r"by the package bed-reader, .*: pip install bed-reader$"):
        source.read(0, 1)


# ---- a file a chromosome


def test_a_list_is_one_source(tmp_path):
    G = dosages(7, 12)
    paths = [write_plink(tmp_path / f"c{k}", G[:, 4 * k : 4 * k + 4], chromosomes=[str(k + 1)] * 4) for k in range(3)]
    source = as_genotypes(paths)
    assert isinstance(source, GenotypeSource)
    assert source.description == "c0.bed + c1.bed + c2.bed: 7 people, 12 variants"
    assert source.variants["chromosome"].tolist() == ["1"] * 4 + ["2"] * 4 + ["3"] * 4
    for start, stop in ((0, 12), (0, 4), (4, 8), (3, 9), (11, 12), (12, 12), (4, 4)):
        block = source.read(start, stop, [6, 1], np.float32)
        np.testing.assert_array_equal(block, G[[6, 1], start:stop])
        assert block.flags.f_contiguous
        assert block.dtype == np.float32
    again = pickle.loads(pickle.dumps(source))
    assert again.fingerprint() == source.fingerprint() != as_genotypes(paths[::-1]).fingerprint()
    np.testing.assert_array_equal(again.read(0, 12), G)


def test_a_list_of_other_people(tmp_path):
    G = dosages(3, 2)
    first = write_plink(tmp_path / "a", G, ids=["x", "y", "z"])
    with pytest.raises(DataError, match=r"Only in the first: 'y'\. Only in the other: 'w'"):
        as_genotypes([first, write_plink(tmp_path / "b", G, ids=["x", "w", "z"])])
    with pytest.raises(DataError, match="in another order"):
        as_genotypes([first, write_plink(tmp_path / "b", G, ids=["x", "z", "y"])])
    with pytest.raises(ModelError, match="empty list"):
        as_genotypes([])
