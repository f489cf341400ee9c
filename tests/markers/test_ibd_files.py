"""Files of sharing: SOLAR's in both forms, Merlin's, and long tables."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pandas as pd
import pytest

from lmmpy import Pedigree, datasets
from lmmpy.errors import DataError
from lmmpy.markers import as_ibd, drop_genes, ibd_files, read_ibd_csv, read_merlin_ibd, read_mibd, read_phi2

# What SOLAR writes of a pedigree of four, whose ids it has sorted into its own order.
CDE = """pedindex.out
 5 IBDID                 IBDID                        I
 1 BLANK                 BLANK                        C
 5 FATHER'S IBDID        FIBDID                       I
 1 BLANK                 BLANK                        C
 5 MOTHER'S IBDID        MIBDID                       I
 1 BLANK                 BLANK                        C
 1 SEX                   SEX                          I
 1 BLANK                 BLANK                        C
 3 MZTWIN                MZTWIN                       I
 1 BLANK                 BLANK                        C
 5 PEDIGREE NUMBER       PEDNO                        I
 1 BLANK                 BLANK                        C
 5 GENERATION NUMBER     GEN                          I
 1 BLANK                 BLANK                        C
{family} 4 ID                    ID                           C
"""
FAMILY = (
    " 3 FAMILY ID             FAMID                        C\n 1 BLANK                 BLANK                        C\n"
)
PEOPLE = [("dad", 0, 0, 1), ("mum", 0, 0, 2), ("kid 2", 1, 2, 1), ("kid1", 1, 2, 2)]
RECORDS = [(1, 1, 1.0), (2, 2, 1.0), (3, 1, 0.5), (3, 2, 0.5), (3, 3, 1.0), (4, 1, 0.5), (4, 2, 0.5), (4, 3, 0.3727)]
RECORDS += [(4, 4, 1.0)]


def write_pedindex(directory, ids=("dad", "mum", "k 2", "kid1"), families=None):
    lines = []
    for i, (_, father, mother, sex) in enumerate(PEOPLE):
        family = "" if families is None else f"{families[i]:>3} "
        lines.append(
            f"{i + 1:5d} {father:5d} {mother:5d} {sex:1d} {'':3} {1:5d} {int(father > 0):5d} {family}{ids[i]:>4}"
        )
    (directory / "pedindex.out").write_text("\n".join(lines) + "\n")
    (directory / "pedindex.cde").write_text(CDE.format(family="" if families is None else FAMILY))


def fixed(records):
    return "".join(f"{i:5d} {j:5d} {value:10.7f} {0.25:10.7f}\n" for i, j, value in records)


def write_fixed(path, records):
    path.write_bytes(gzip.compress(fixed(records).encode()))


def csv(records, ids=("dad", "mum", "k 2", "kid1"), name="matrix1"):
    return f"id1,id2,{name},matrix2\n" + "".join(f"{ids[i - 1]},{ids[j - 1]},{v},0.25\n" for i, j, v in records)


def frame_of(relatedness, ids):
    return relatedness.to_frame(list(ids)).to_numpy()


SHARED = np.array([[1, 0, 0.5, 0.5], [0, 1, 0.5, 0.5], [0.5, 0.5, 1, 0.3727], [0.5, 0.5, 0.3727, 1]])


@pytest.fixture
def solar(tmp_path):
    write_pedindex(tmp_path)
    (tmp_path / "mibds").mkdir()
    write_fixed(tmp_path / "mibds" / "mibd.2.10.gz", RECORDS)
    write_fixed(tmp_path / "mibds" / "mibd.2.9.5.gz", [(i, j, 0.5 if i > j else 1.0) for i, j, _ in RECORDS])
    write_fixed(tmp_path / "mibds" / "mibd.11.0.gz", RECORDS[:3] + RECORDS[4:])
    (tmp_path / "mibds" / "notes.txt").write_text("mine")
    return tmp_path


def test_mibd_of_fixed_width(solar):
    ibd = read_mibd(solar / "mibds")
    assert ibd.people == ("dad", "mum", "k 2", "kid1")
    assert [ibd.label(i) for i in range(3)] == ["2:9.5 cM", "2:10 cM", "11:0 cM"]
    np.testing.assert_array_equal(frame_of(ibd.relatedness(1), ibd.people), SHARED)
    assert ibd.relatedness(0).block(np.array([2]), np.array([3]))[0, 0] == 0.5
    assert ibd.relatedness(2).block(np.array([2]), np.array([1]))[0, 0] == 0.0
    back = pickle.loads(pickle.dumps(ibd))
    assert back.fingerprint() == ibd.fingerprint()
    np.testing.assert_array_equal(back.pairs(1)[2], ibd.pairs(1)[2])
    assert as_ibd(solar / "mibds").fingerprint() == ibd.fingerprint()


def test_mibd_as_csv(solar):
    for path in (solar / "mibds").glob("mibd.*"):
        path.unlink()
    (solar / "mibds" / "mibd.2.10.csv").write_text(csv(RECORDS))
    (solar / "mibds" / "mibd.2.15.gz").write_bytes(gzip.compress(csv(RECORDS[::-1], name="ibd").encode()))
    ibd = read_mibd(solar / "mibds")
    for i in range(2):
        np.testing.assert_array_equal(frame_of(ibd.relatedness(i), ("dad", "mum", "k 2", "kid1")), SHARED)


def test_mibd_of_the_family_study_are_its_sharing(tmp_path):
    table = datasets.load("family_ibd")
    for place, pairs in table[table["position"] < 11].groupby("position"):
        pairs[["id1", "id2", "ibd"]].to_csv(tmp_path / f"mibd.1.{place:g}.csv", index=False)
    files, whole = as_ibd(tmp_path).to_frame(), as_ibd(table).between(1, 0, 10).to_frame()
    pd.testing.assert_frame_equal(files, whole)


def test_phi2_in_both_forms_is_what_the_pedigree_says(tmp_path):
    ids, family = ["dad", "mum", "k 2", "kid1"], [0, 0, "dad", "dad"]
    A = Pedigree(ids, family, [0, 0, "mum", "mum"]).additive().to_frame(ids).to_numpy()
    expected = [(i, j, 0.5 if value == 0.3727 else value) for i, j, value in RECORDS]
    write_pedindex(tmp_path)
    write_fixed(tmp_path / "phi2.gz", [(1, 1, 0.8214617), *expected])  # SOLAR's checksum comes first
    fixed_form = read_phi2(tmp_path / "phi2.gz")
    assert fixed_form.labels == tuple(ids)
    np.testing.assert_array_equal(frame_of(fixed_form, ids), A)
    (tmp_path / "phi2.csv").write_text(csv(expected))
    np.testing.assert_array_equal(frame_of(read_phi2(tmp_path / "phi2.csv"), ids), A)


def test_phi2_has_inbreeding_on_its_diagonal(tmp_path):
    (tmp_path / "phi2.csv").write_text("id1,id2,matrix1\na,a,1.25\nb,b,1\nb,a,0.75\n")
    np.testing.assert_array_equal(frame_of(read_phi2(tmp_path / "phi2.csv"), "ab"), [[1.25, 0.75], [0.75, 1.0]])


def test_ids_within_families(tmp_path):
    write_pedindex(tmp_path, ids=("1", "2", "1", "2"), families=("A", "A", "B", "B"))
    write_fixed(tmp_path / "mibd.1.0.gz", RECORDS)
    with pytest.raises(DataError, match=r"unique within families only.*ids='family_id'"):
        read_mibd(tmp_path)
    assert read_mibd(tmp_path, ids="family_id").people == ("A_1", "A_2", "B_1", "B_2")
    assert read_mibd(tmp_path, ids=lambda family, one: f"{one}@{family}").people == ("1@A", "2@A", "1@B", "2@B")
    with pytest.raises(DataError, match="ids='fam' is not known"):
        read_mibd(tmp_path, ids="fam")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            gzip.compress(fixed([*RECORDS, (5, 1, 0.5)]).encode(), mtime=0),
            r"numbers that .*pedindex.out does not have: 5; it",
        ),
        (gzip.compress(fixed(RECORDS).encode(), mtime=0)[:-20], r"mibd.2.10.gz is not a whole gzip file"),
        (fixed([*RECORDS[:-2], (4, 3, 1.7), RECORDS[-1]]), r"mibd.2.10.gz: pairs share more .*'k 2' and 'kid1' 1.7"),
        (fixed([*RECORDS, (3, 4, 0.5)]), r"mibd.2.10.gz: pairs are there twice .*'k 2' and 'kid1' 0.3727"),
        (fixed(RECORDS[:-1]), r"there for 3 people, but not for 1: 'kid1'"),
        (fixed(RECORDS) + "    4 x 0.5\n", r"record 10, '4 x 0.5', does not start with two numbers"),
        (fixed(RECORDS) + "    4\n", r"record 10 is not"),
        (fixed(RECORDS) + "    4     2 oops\n", r"'ibd' holds no numbers in some rows: 'oops'"),
        ("", r"mibd.2.10.gz is empty"),
    ],
)
def test_a_bad_mibd_is_named(solar, content, message):
    (solar / "mibds" / "mibd.2.10.gz").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_mibd(solar / "mibds").pairs(1)


def test_what_is_lacking_is_named(tmp_path):
    with pytest.raises(DataError, match="has no file called mibd"):
        read_mibd(tmp_path)
    write_fixed(tmp_path / "mibd.1.0.gz", RECORDS)
    with pytest.raises(DataError, match=r"pedindex.out, which is neither beside it"):
        read_mibd(tmp_path)
    write_pedindex(tmp_path)
    (tmp_path / "pedindex.cde").unlink()
    with pytest.raises(DataError, match=r"pedindex.cde is not there"):
        read_mibd(tmp_path)
    with pytest.raises(DataError, match=r"there is no file '.*absent'"):
        read_mibd([tmp_path / "absent"])
    (tmp_path / "other.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"other.gz: the name does not say where"):
        read_mibd([tmp_path / "other.gz"])


# ---- Merlin

MERLIN = """FAMILY ID1 ID2 MARKER P0 P1 P2
F1 1 1 0.000 0.0 0.0 1.0
F1 2 1 0.000 1.0 0.0 0.0
F1 2 2 0.000 0.0 0.0 1.0
F1 3 1 0.000 0.0 1.0 0.0
F1 3 2 0.000 0.0 1.0 0.0
F1 3 3 0.000 0.0 0.0 1.0
F1 1 1 12.500 0.0 0.0 1.0
F1 2 1 12.500 0.25001 0.50000 0.24999
F1 2 2 12.500 0.0 0.0 1.0
F1 3 1 12.500 0.0 1.0 0.0
F1 3 2 12.500 0.0 1.0 0.0
F1 3 3 12.500 0.0 0.0 1.0
F2 4 4 0.000 0.0 0.0 1.0
F2 4 4 12.500 0.0 0.0 1.0
"""


def test_merlin(tmp_path):
    (tmp_path / "merlin-chr07.ibd").write_text(MERLIN)
    ibd = read_merlin_ibd(tmp_path / "merlin-chr07.ibd")
    assert [ibd.label(i) for i in range(2)] == ["7:0 cM", "7:12.5 cM"]
    assert ibd.people == ("1", "2", "3", "4")
    np.testing.assert_allclose(
        frame_of(ibd.relatedness(1), ibd.people),
        [[1, 0.49999, 0.5, 0], [0.49999, 1, 0.5, 0], [0.5, 0.5, 1, 0], [0, 0, 0, 1]],
        rtol=0,
        atol=1e-15,
    )
    assert read_merlin_ibd(tmp_path / "merlin-chr07.ibd", chromosome=9).label(0) == "9:0 cM"
    assert as_ibd(tmp_path / "merlin-chr07.ibd").fingerprint() == ibd.fingerprint()


def test_a_table_is_read_in_parts(tmp_path, monkeypatch):
    (tmp_path / "merlin.ibd").write_text(MERLIN)
    whole = read_merlin_ibd(tmp_path / "merlin.ibd")
    monkeypatch.setattr(ibd_files, "_ROWS", 3)
    parts = read_merlin_ibd(tmp_path / "merlin.ibd")
    assert parts.people == whole.people
    pd.testing.assert_frame_equal(parts.to_frame(), whole.to_frame())
    (tmp_path / "merlin.ibd").write_text(MERLIN.replace("F2 4 4", "F2 1 1"))
    with pytest.raises(DataError, match=r"'1' is in family 'F1' and in 'F2'"):
        read_merlin_ibd(tmp_path / "merlin.ibd")


def test_merlin_with_names_of_markers(tmp_path):
    text = MERLIN.replace(" 0.000 ", " rs1 ").replace(" 12.500 ", " rs2 ")
    (tmp_path / "merlin.ibd").write_text(text)
    with pytest.raises(DataError, match=r"MARKER is not positions in cM: 'rs1', 'rs2'\. Give map="):
        read_merlin_ibd(tmp_path / "merlin.ibd")
    (tmp_path / "study.map").write_text("CHROMOSOME MARKER LOCATION\n24 rs2 8.5\n24 rs1 11.0\n3 rs9 0\n")
    ibd = read_merlin_ibd(tmp_path / "merlin.ibd", map=tmp_path / "study.map")
    assert [ibd.label(i) for i in range(2)] == ["24:8.5 cM", "24:11 cM"]
    assert frame_of(ibd.relatedness(0), "12")[0, 1] == pytest.approx(0.49999)
    with pytest.raises(DataError, match="markers that the map does not have: 'rs2'"):
        read_merlin_ibd(
            tmp_path / "merlin.ibd", map=pd.DataFrame({"CHROMOSOME": [1], "MARKER": ["rs1"], "POSITION": [0.0]})
        )


def test_merlin_ids_within_families(tmp_path):
    (tmp_path / "merlin.ibd").write_text(MERLIN.replace("F2 4 4", "F2 1 1"))
    with pytest.raises(DataError, match=r"within families only: '1' is in family 'F1' and in 'F2'"):
        read_merlin_ibd(tmp_path / "merlin.ibd")
    people = ("F1_1", "F1_2", "F1_3", "F2_1")
    assert read_merlin_ibd(tmp_path / "merlin.ibd", ids="family_id").people == people
    named = read_merlin_ibd(tmp_path / "merlin.ibd", ids=lambda family, one: f"{family}_{one}")
    assert named.people == people
    assert named.relatedness(0).block(np.array([0]), np.array([3]))[0, 0] == 0.0


def test_merlin_probabilities_sum_to_one(tmp_path):
    (tmp_path / "merlin.ibd").write_text(MERLIN.replace("0.25001 0.50000 0.24999", "0.25001 0.40000 0.24999"))
    with pytest.raises(DataError, match=r"1 rows have no probabilities that sum to 1: F1 2 1 12.500 0.25001 0.4 "):
        read_merlin_ibd(tmp_path / "merlin.ibd")
    (tmp_path / "merlin.ibd").write_text("FAMILY ID1 ID2 P0\n")
    with pytest.raises(DataError, match=r"no column 'MARKER', 'P1', 'P2'"):
        read_merlin_ibd(tmp_path / "merlin.ibd")


# ---- long tables, and several files


@pytest.fixture
def dropped():
    ped = Pedigree(["007", "b", "c", "d", "e"], [0, 0, "007", "007", 0], [0, 0, "b", "b", 0])
    places = pd.DataFrame({"chromosome": ["1", "1", "2", "2"], "position": [0.0, 7.5, 1.0, 2.0]})
    return drop_genes(ped, places, seed=1).ibd


def test_a_long_table_comes_back(tmp_path, dropped):
    dropped.to_frame().to_csv(tmp_path / "ibd.csv.gz", index=False)
    dropped.to_frame().to_csv(tmp_path / "ibd.tsv", index=False, sep="\t")
    for name in ("ibd.csv.gz", "ibd.tsv"):
        ibd = as_ibd(tmp_path / name)
        assert ibd.people == dropped.people
        pd.testing.assert_frame_equal(ibd.to_frame(), dropped.to_frame())
    more = read_ibd_csv(tmp_path / "ibd.tsv", people=["x", *dropped.people])
    assert more.people == ("x", *dropped.people)


def test_ids_are_text_as_written(tmp_path):
    (tmp_path / "ibd.csv").write_text("chromosome,position,id1,id2,ibd\n01,0,007,007,1\n01,0,1.0,1.0,1\n")
    ibd = as_ibd(tmp_path / "ibd.csv")
    assert ibd.people == ("007", "1.0")
    assert ibd.positions["chromosome"].tolist() == ["01"]
    (tmp_path / "merlin.ibd").write_text(MERLIN.replace("F2 4 4", "02 04 04"))
    assert read_merlin_ibd(tmp_path / "merlin.ibd").people == ("1", "2", "3", "04")
    assert read_merlin_ibd(tmp_path / "merlin.ibd", ids="family_id").people[3] == "02_04"


def test_files_are_forgotten_and_read_again(tmp_path, dropped):
    for chromosome, pairs in dropped.to_frame().groupby("chromosome"):
        pairs.to_csv(tmp_path / f"chr{chromosome}.csv", index=False)
    files = [tmp_path / "chr2.csv", tmp_path / "chr1.csv"]
    large, small = read_ibd_csv(files), read_ibd_csv(files, memory=0)
    for ibd in (large, small, pickle.loads(pickle.dumps(large))):
        for i in (0, 3, 1, 2):
            for one, other in zip(ibd.pairs(i), dropped.pairs(i), strict=True):
                np.testing.assert_array_equal(one, other)
    assert small.nbytes < large.nbytes
    assert small.fingerprint() == large.fingerprint()
    before = small.fingerprint()
    text = files[0].read_text()
    files[0].write_text(text.replace("0.5", "0.25", 1))
    assert small.fingerprint() != before


def test_files_of_other_people_or_the_same_position_are_refused(tmp_path, dropped):
    frame = dropped.to_frame()
    frame[frame["chromosome"] == "1"].to_csv(tmp_path / "one.csv", index=False)
    fewer = frame[(frame["chromosome"] == "2") & (frame["id1"] != "e")]
    fewer.to_csv(tmp_path / "two.csv", index=False)
    with pytest.raises(DataError, match=r"two.csv and .*one.csv are not of the same people: only in one of them 'e'"):
        read_ibd_csv([tmp_path / "one.csv", tmp_path / "two.csv"])
    with pytest.raises(DataError, match=r"positions are there twice: 1:0, 1:7.5"):
        read_ibd_csv([tmp_path / "one.csv", tmp_path / "one.csv"])


def test_bad_tables_are_named(tmp_path):
    (tmp_path / "ibd.csv").write_text("position,id1,id2\n0,a,a\n")
    with pytest.raises(DataError, match=r"ibd.csv: there is no column 'ibd'; the columns are 'position', 'id1', 'id2'"):
        as_ibd(tmp_path / "ibd.csv")
    (tmp_path / "ibd.csv").write_text("position,id1,id2,ibd\n0,a,a,1\n0,a,b,c,d,e\n")
    with pytest.raises(DataError, match=r"ibd.csv cannot be read as a table"):
        as_ibd(tmp_path / "ibd.csv")
    (tmp_path / "ibd.csv").write_text("")
    with pytest.raises(DataError, match=r"ibd.csv cannot be read as a table"):
        as_ibd(tmp_path / "ibd.csv")
    (tmp_path / "ibd.csv").write_text("position,id1,id2,ibd\n0,a,,1\n")
    with pytest.raises(DataError, match=r"ibd.csv: 1 values of 'id2' are missing, in rows 0"):
        as_ibd(tmp_path / "ibd.csv")


def test_a_ragged_table_is_named(tmp_path):
    path = tmp_path / "mibd.1.5.csv"
    path.write_text("id1,id2,matrix1\n1,1,1\n1,2,0.5,3,4\n")
    with pytest.raises(DataError, match=r"mibd\.1\.5\.csv cannot be read as a table"):
        read_mibd(path)


def test_fingerprints_are_of_the_index_too(solar):
    """The same files are of other people when their numbers are given to others."""
    before = read_mibd(solar / "mibds").fingerprint()
    assert read_mibd(solar / "mibds").fingerprint() == before
    index = solar / "pedindex.out"
    lines = index.read_text().splitlines(keepends=True)
    swapped = [lines[1][:5] + lines[0][5:], lines[0][:5] + lines[1][5:], *lines[2:]]
    index.write_text("".join(swapped))
    assert read_mibd(solar / "mibds").fingerprint() != before
