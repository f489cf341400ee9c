"""Tables and BIMBAM files of dosages, frames and arrays: what is read, and what is refused."""

import gzip
import pickle

import numpy as np
import pandas as pd
import pytest

from lmmpy.errors import DataError, ModelError
from lmmpy.markers import GenotypeSource, as_genotypes
from tests.markers.plain_genotypes import dosages

IDS = tuple(f"p{i}" for i in range(9))
NAMES = tuple(f"rs{j}" for j in range(14))


@pytest.fixture
def G():
    made = dosages(9, 14)
    made[2, 3] = 0.123456789012345
    return made


def write(path, text):
    if path.suffix == ".gz":
        with gzip.open(path, "wt") as file:
            file.write(text)
    else:
        path.write_text(text)
    return path


def table_text(G, separator=",", missing="NA", quote=""):
    lines = [separator.join(f"{quote}{name}{quote}" for name in ("ID", *NAMES))]
    for person, row in zip(IDS, G, strict=True):
        fields = [missing if np.isnan(value) else repr(float(value)) for value in row]
        lines.append(separator.join([f"{quote}{person}{quote}", *fields]))
    return "\n".join(lines) + "\n"


def bimbam_text(G, separator=", "):
    lines = [
        separator.join([name, "C", "T", *("NA" if np.isnan(value) else repr(float(value)) for value in column)])
        for name, column in zip(NAMES, G.T, strict=True)
    ]
    return "\n".join(lines) + "\n"


def sources(G, folder):
    frame = pd.DataFrame(G, index=list(IDS), columns=list(NAMES))
    yield as_genotypes(frame)
    yield as_genotypes(G, people=IDS, variants=NAMES)
    yield as_genotypes(write(folder / "a.csv", table_text(G)))
    yield as_genotypes(write(folder / "a.tsv", table_text(G, "\t", "")))
    yield as_genotypes(write(folder / "b.csv", table_text(G, ",", "NaN", '"')))
    yield as_genotypes(write(folder / "c.csv.gz", table_text(G)))
    yield as_genotypes(write(folder / "d.tsv.gz", table_text(G, "\t", ".")))
    for name, separator in (("e.geno", ", "), ("f.txt", " "), ("g.geno.gz", ","), ("h.txt.gz", "\t")):
        yield as_genotypes(write(folder / name, bimbam_text(G, separator)), people=IDS)


TEXT = str(pd.Series(["a"]).dtype)  # "str" from pandas 3 on, "object" before


def test_all_kinds_give_the_same(G, tmp_path):
    for source in sources(G, tmp_path):
        assert isinstance(source, GenotypeSource)
        assert source.people == IDS
        assert source.variants["variant"].tolist() == list(NAMES)
        assert source.variants.dtypes.astype(str).tolist() == [TEXT, "int64", TEXT, TEXT, TEXT]
        assert source.description.endswith(": 9 people, 14 variants")
        again = pickle.loads(pickle.dumps(source))
        for one in (source, again):
            for start, stop in ((0, 14), (8, 11), (2, 5), (5, 6), (13, 14), (4, 4)):
                block = one.read(start, stop, [4, 4, 0])
                np.testing.assert_array_equal(block, G[[4, 4, 0], start:stop])
                assert block.flags.f_contiguous
            single = one.read(1, 9, dtype=np.float32)
            np.testing.assert_array_equal(single, G[:, 1:9].astype(np.float32))
            assert single.dtype == np.float32
        assert again.fingerprint() == source.fingerprint()


def test_what_is_read_is_the_callers(G):
    source = as_genotypes(G, people=IDS)
    source.read(0, 14)[:] = -1.0
    np.testing.assert_array_equal(source.read(0, 14), G)
    assert source.variants["variant"].tolist()[:2] == ["v1", "v2"]


def test_fingerprints_tell_contents_apart(G, tmp_path):
    other = G.copy()
    other[0, 0] = 2.0 if other[0, 0] != 2.0 else 1.0
    for one, two in zip(sources(G, tmp_path), [s.fingerprint() for s in sources(G, tmp_path)], strict=True):
        assert one.fingerprint() == two
    assert len({s.fingerprint() for k in (G, other) for s in [as_genotypes(k, people=IDS)]}) == 2
    assert as_genotypes(G, people=IDS).fingerprint() != as_genotypes(G, people=IDS[::-1]).fingerprint()


def test_whole_numbers_and_kinds_of_columns(G):
    whole = np.array([[0, 1], [2, 1]], dtype=np.int8)
    np.testing.assert_array_equal(as_genotypes(whole, people=[1, 2]).read(0, 2), whole)
    frame = pd.DataFrame({"a": [0, 1], "b": pd.array([None, 2], dtype="Int8")}, index=[10, 20])
    source = as_genotypes(frame)
    assert source.people == ("10", "20")
    np.testing.assert_array_equal(source.read(0, 2), [[0, np.nan], [1, 2]])


def test_what_is_known_of_variants(G, tmp_path):
    known = pd.DataFrame({"variant": NAMES[::-1], "chromosome": 2.0, "position": range(14), "effect_allele": "A"})
    for source in (
        as_genotypes(G, people=IDS, variants=known.iloc[::-1]),
        as_genotypes(pd.DataFrame(G, index=list(IDS), columns=list(NAMES)), variants=known),
        as_genotypes(write(tmp_path / "a.csv", table_text(G)), variants=known.set_index("variant")),
    ):
        assert source.variants.iloc[0].tolist() == ["2", 13, "rs0", "A", ""]
    source = as_genotypes(write(tmp_path / "a.geno", bimbam_text(G)), people=IDS, variants=known)
    assert source.variants.iloc[0].tolist() == ["2", 13, "rs0", "C", "T"]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (pd.DataFrame({"variant": ["rs0"]}), r"does not describe 1 of the variants of the frame: 'rs1'"),
        (pd.DataFrame({"variant": ["rs0", "rs1"], "pos": 1}), r"has columns 'pos'; it may have chromosome"),
        (pd.DataFrame({"variant": ["rs0", "rs1"], "position": [1, 1.5]}), r"first .*1\.5.* of variant 'rs1'"),
        (pd.DataFrame({"variant": ["rs0", "rs1", "rs0"]}), r"more than once: 'rs0'"),
        (pd.DataFrame({"variant": ["rs0", "rs1"], "chromosome": ["1", None]}), r"'chromosome' is missing"),
        (["rs0", "rs1"], r"a DataFrame with a column 'variant'"),
    ],
)
def test_what_is_said_wrongly_of_variants(variants, message):
    frame = pd.DataFrame([[0, 1], [1, 2]], index=["a", "b"], columns=["rs0", "rs1"])
    with pytest.raises(DataError, match=message):
        as_genotypes(frame, variants=variants)


# ---- what is refused


@pytest.mark.parametrize("value", [-9.0, 2.001, np.inf, -np.inf])
def test_dosages_that_are_none(G, tmp_path, value):
    G[3, 7] = value
    frame = pd.DataFrame(G, index=list(IDS), columns=list(NAMES))
    message = rf"from 0 to 2, or missing\. Variant 'rs7' has {value:.6g} of person 'p3'\."
    with pytest.raises(DataError, match=message):
        as_genotypes(frame)
    with pytest.raises(DataError, match=rf"a\.csv: .*{message}"):
        as_genotypes(write(tmp_path / "a.csv", table_text(G)))
    source = as_genotypes(write(tmp_path / "a.geno", bimbam_text(G)), people=IDS)
    source.read(0, 7)
    with pytest.raises(DataError, match=rf"a\.geno: .*{message}"):
        source.read(5, 8)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\np4,", "\np3,", r"a\.csv: ids in the first column: ids that occur more than once: 'p3'"),
        ("rs4,", "rs3,", r"variants in the first line: ids that occur more than once: 'rs3'"),
        ("p4,1.0,", "p4,A/G,", r"a\.csv, line 6 \(person 'p4'\): variant 'rs0' has 'A/G', which is no dosage"),
        ("p4,", "p4,0.0,", r"line 6 \(person 'p4'\): 15 dosages, and the first line names 14 variants"),
        ("ID,", "", r"line 2 \(person 'p0'\): 14 dosages, and the first line names 13 variants"),
        ("ID,rs0", "ID;rs0", r"line 2 \(person 'p0'\)"),
    ],
)
def test_damaged_tables(G, tmp_path, old, new, message):
    G[4, 0] = 1.0
    text = table_text(G)
    assert old in text
    with pytest.raises(DataError, match=message):
        as_genotypes(write(tmp_path / "a.csv", text.replace(old, new, 1)))


def test_tables_without_people_or_variants(tmp_path):
    with pytest.raises(DataError, match="the first line should hold a name for the ids"):
        as_genotypes(write(tmp_path / "a.csv", ""))
    with pytest.raises(DataError, match="no person has genotypes"):
        as_genotypes(write(tmp_path / "a.csv", "ID,rs1\n\n"))
    with pytest.raises(DataError, match=r"absent\.csv cannot be read: No such file"):
        as_genotypes(tmp_path / "absent.csv")


def test_a_table_that_memory_cannot_hold_is_refused_while_it_is_read(G, tmp_path):
    path = write(tmp_path / "a.csv", table_text(G))
    assert len(as_genotypes(path, memory=16 * 14 * 9).people) == 9
    with pytest.raises(DataError, match=r"14 variants and more than 8 people: more than .* --make-bed"):
        as_genotypes(path, memory=16 * 14 * 9 - 1)


def test_packed_files_that_break_off(G, tmp_path):
    for name, text in (("a.csv.gz", table_text(G)), ("a.geno.gz", bimbam_text(G))):
        path = write(tmp_path / name, text)
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(DataError, match="is damaged"):
            as_genotypes(path, people=IDS if "geno" in name else None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rs4,", "rs3,", r"variants: ids that occur more than once: 'rs3'"),
        ("rs0, C, T, ", "rs0, C, T, 1.0, ", r"variant 'rs0' \(number 1\) has 10 dosages; people= has 9 ids"),
        ("rs0, C, T, ", "rs0, C, T, x, ", r"variant 'rs0' \(number 1\) has 'x' for person 'p0', which is no dosage"),
        ("rs2, C, T, ", "rs2, C, T\n", r"line 3: a name, two alleles and dosages are expected; it is b'rs2"),
    ],
)
def test_damaged_bimbam(G, tmp_path, old, new, message):
    text = bimbam_text(G)
    assert old in text
    with pytest.raises(DataError, match=message):
        as_genotypes(write(tmp_path / "a.geno", text.replace(old, new, 1)), people=IDS)


def test_bimbam_files_that_change_while_they_are_read(G, tmp_path):
    path = write(tmp_path / "a.geno", bimbam_text(G))
    source = as_genotypes(path, people=IDS)
    lines = bimbam_text(G).splitlines(keepends=True)
    path.write_text("".join(lines[:12]))
    with pytest.raises(DataError, match=r"cannot be read at variants 11-14: the file ends after variant 12"):
        source.read(10, 14)
    path.write_text("moved" + "".join(lines))
    with pytest.raises(DataError, match=r"variant 'rs3' .*the file has changed since it was opened"):
        source.read(3, 5)


def test_bimbam_needs_people(G, tmp_path):
    path = write(tmp_path / "a.geno", "\n\n" + bimbam_text(G).replace("\n", "\n\n"))
    with pytest.raises(DataError, match=r"has no ids: give people="):
        as_genotypes(path)
    np.testing.assert_array_equal(as_genotypes(path, people=IDS).read(3, 9), G[:, 3:9])


def test_long_alleles(G, tmp_path):
    text = bimbam_text(G).replace(" C,", f" {'CA' * 700},")
    source = as_genotypes(write(tmp_path / "a.geno", text), people=IDS)
    assert len(source.variants["effect_allele"].iloc[0]) == 1_400
    np.testing.assert_array_equal(source.read(3, 9), G[:, 3:9])


def test_arrays_and_frames_that_are_none():
    G = np.ones((3, 2))
    with pytest.raises(DataError, match="give people="):
        as_genotypes(G)
    with pytest.raises(DataError, match="2 ids and the array of genotypes 3 rows"):
        as_genotypes(G, people=["a", "b"])
    with pytest.raises(DataError, match="more than once: 'a'"):
        as_genotypes(G, people=["a", "b", "a"])
    with pytest.raises(DataError, match="1 and the array of genotypes 2 columns"):
        as_genotypes(G, people=["a", "b", "c"], variants=["rs1"])
    with pytest.raises(DataError, match="shape"):
        as_genotypes(np.ones(3), people=["a", "b", "c"])
    with pytest.raises(DataError, match="must hold numbers"):
        as_genotypes(G.astype(str), people=["a", "b", "c"])
    frame = pd.DataFrame({"ID": ["a", "b", "c"], "rs1": [0, 1, 2]})
    with pytest.raises(DataError, match=r"hold no numbers: 'ID' \(values 'a', 'b', 'c'\).*set_index\('ID'\)"):
        as_genotypes(frame)
    with pytest.raises(DataError, match="leave people= out"):
        as_genotypes(frame.set_index("ID"), people=["a", "b", "c"])
    with pytest.raises(DataError, match="more than once: 'rs1'"):
        as_genotypes(pd.DataFrame(G, index=["a", "b", "c"], columns=["rs1", "rs1"]))
    with pytest.raises(ModelError, match="got a int"):
        as_genotypes(7)


def test_a_byte_of_bimbam_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "a.geno"
    path.write_bytes(b"rs1 A G 0 1\nrs2 A G 0 \xff1\n")
    source = as_genotypes(path, people=["a", "b"])
    with pytest.raises(DataError, match=r"variant 'rs2' \(number 2\) has .* for person 'b', which is no dosage"):
        source.read(0, 2)


def test_joined_genotypes_have_each_variant_once(G):
    people = [f"p{i}" for i in range(len(G))]
    names = [f"rs{j}" for j in range(G.shape[1])]
    one = as_genotypes(G, people=people, variants=names)
    with pytest.raises(DataError, match=rf"{G.shape[1]} variants stand there more than once.*'rs0'"):
        as_genotypes([one, one])
    there = pd.DataFrame({"variant": names, "chromosome": "1"})
    here = there.assign(chromosome="2")
    joined = as_genotypes([as_genotypes(G, people=people, variants=v) for v in (there, here)])
    assert len(joined.variants) == 2 * G.shape[1]
