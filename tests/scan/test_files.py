"""Results files and journals: whose they are, who may write them, and what is in them."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmmpy.errors import DataError, LmmpyWarning, ModelError
from lmmpy.scan import Block, blocks_of, digest
from lmmpy.scan.files import locked
from lmmpy.scan.tables import decoded, empty_table, encoded, layout_of, plain_table
from tests.scan.work import FINGERPRINT, assert_same, kept_blocks, scan, task

BLOCKS = blocks_of(60, 10, "variants of a.bed")


def test_tables_come_back_bit_for_bit() -> None:
    rng, n = np.random.default_rng(1), 4_000
    letters = list("ab\\\t\n\r\0#\"'N ,é∞")
    texts: list[Any] = ["".join(rng.choice(letters, rng.integers(0, 6))) for _ in range(n)]
    texts[:5] = [None, "NA", r"\N", "", "nan"]
    frame = pd.DataFrame({
        "text": texts,
        "double": rng.integers(0, 2**64, n, dtype=np.uint64).view(float),
        "single": rng.integers(0, 2**32, n, dtype=np.uint32).view(np.float32),
        "whole": rng.integers(-(2**63), 2**63 - 1, n),
        "natural": rng.integers(0, 2**64, n, dtype=np.uint64),
        "small": rng.integers(-128, 127, n).astype("int8"),
        "truth": rng.random(n) < 0.5,
        "a\tname": rng.normal(size=n),
        "objects": pd.Series(texts[::-1], dtype=object),
    })  # fmt: skip
    frame.loc[:3, "double"] = [np.inf, -np.inf, -0.0, 5e-324]
    layout = layout_of(frame, "block")
    plain = plain_table(frame, layout)
    again = decoded(encoded(plain, layout), layout)
    assert_same(again, plain)
    assert plain["text"].isna().sum() == 1 and plain["text"][2] == r"\N"
    nothing = empty_table(layout)
    assert_same(decoded(encoded(nothing, layout), layout), nothing)
    assert nothing.dtypes.equals(plain.dtypes)


def test_empty_texts_are_rows() -> None:
    frame = pd.DataFrame({"note": ["", "#", ""]})
    layout = layout_of(frame, "block")
    assert encoded(frame, layout) == b"\n\\#\n\n"
    assert_same(decoded(encoded(frame, layout), layout), frame)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ([1, 2], "not list"),
        (pd.DataFrame({1: [2]}), "different names"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "different names"),
        (pd.DataFrame(index=[1]), "different names"),
        (pd.DataFrame({"a": pd.Categorical(["x"])}), "'a' of a scan's table is category"),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), "Int64"),
        (pd.DataFrame({"a": pd.Series(["x", 1], dtype=object)}), "object"),
    ],
)
def test_what_is_no_table_of_a_scan(table: Any, problem: str) -> None:
    with pytest.raises(ModelError, match=rf"^variants 1-10 of a\.bed: .*{problem}"):
        scan(lambda block: table, BLOCKS)


@pytest.mark.parametrize("resume", [False, True])
def test_all_blocks_have_the_same_columns(tmp_path: Path, resume: bool) -> None:
    def changing(block: Block) -> pd.DataFrame:
        return pd.DataFrame({"x": [1.0 if block.number < 2 else 1]})

    with pytest.raises(ModelError, match=r"^variants 21-30 of a\.bed: .*'int64'.*'float64'"):
        scan(changing, BLOCKS, resume=tmp_path / "a.tsv" if resume else None)


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_a_finished_scan_is_given_back(tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    results = tmp_path / f"scan.{suffix}"
    first = scan(blocks=BLOCKS, resume=str(results))
    results_before = results.read_bytes()

    def never(block: Block) -> pd.DataFrame:
        raise AssertionError

    again = scan(never, BLOCKS, resume=results)
    assert again.complete and again.done == again.total == 60
    assert_same(again.table, first.table)
    assert_same(first.table, scan(blocks=BLOCKS).table)
    # of other blocks, but the same scan
    assert_same(scan(never, blocks_of(60, 7), resume=results).table, first.table)
    # killed between the results and the end
    (tmp_path / f"scan.{suffix}.partial").write_bytes(journal(tmp_path))
    assert_same(scan(never, BLOCKS, resume=results).table, first.table)
    assert not (tmp_path / f"scan.{suffix}.partial").exists() and results.read_bytes() == results_before


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_results_of_another_version_are_said_to_be_that(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    first = scan(blocks=BLOCKS, resume=tmp_path / f"scan.{suffix}")
    monkeypatch.setattr("lmmpy.__version__", "99.1")
    with pytest.warns(LmmpyWarning, match=r"written by lmmpy 0.*this is 99\.1.*delete it"):
        again = scan(blocks=BLOCKS, resume=tmp_path / f"scan.{suffix}")
    assert_same(again.table, first.table)


def test_results_are_the_lines_of_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is written as text once, and what goes on from a journal gives the same file."""
    scan(blocks=BLOCKS, resume=tmp_path / "whole.tsv")
    (tmp_path / "scan.tsv.partial").write_bytes(journal(tmp_path))
    rows: list[int] = []

    def counted(table: pd.DataFrame, layout: Any) -> bytes:
        rows.append(len(table))
        return encoded(table, layout)

    for place in ("journal", "results"):
        monkeypatch.setattr(f"lmmpy.scan.{place}.encoded", counted, raising=False)
    scan(blocks=BLOCKS, resume=tmp_path / "scan.tsv")
    assert sum(rows) == 40
    assert (tmp_path / "scan.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()


def test_other_programs_read_the_results(tmp_path: Path) -> None:
    def simple(block: Block) -> pd.DataFrame:
        return pd.DataFrame({"variant": [f"rs{block.number}"], "p_value": [block.number / 3]})

    table = scan(simple, BLOCKS, resume=tmp_path / "scan.tsv").table
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "scan.tsv", sep="\t", comment="#"), table)
    pytest.importorskip("pyarrow")
    scan(simple, BLOCKS, resume=tmp_path / "scan.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "scan.parquet"), table)


def journal(folder: Path, work: Any = None) -> bytes:
    """Of a scan that could not do its third block."""
    work = task() if work is None else work

    def failing(block: Block) -> pd.DataFrame:
        if block.number == 2:
            raise OSError("no")
        return work(block)

    other = folder / "other.tsv"
    with pytest.raises(DataError, match="no"):
        scan(failing, BLOCKS, resume=other)
    content = Path(f"{other}.partial").read_bytes()
    Path(f"{other}.partial").unlink()
    return content


@pytest.mark.parametrize("finished", ["tsv", "parquet", ""])
def test_another_scan_is_refused(tmp_path: Path, finished: str) -> None:
    if finished == "parquet":
        pytest.importorskip("pyarrow")
    results = tmp_path / f"scan.{finished or 'tsv'}"
    file = results
    if finished:
        scan(blocks=BLOCKS, resume=results)
    else:
        file = tmp_path / "scan.tsv.partial"
        file.write_bytes(journal(tmp_path))
    before = file.read_bytes()
    for fingerprint, named in [
        (FINGERPRINT | {"genotypes": "c3"}, r"its genotypes \(b2, not c3\):"),
        ({"null model": digest(1), "genotypes": "y"}, r"its null model and genotypes \(b2, not y\):"),
        ({"null model": "a1"}, r"its genotypes \(b2, not none\):"),
        (FINGERPRINT | {"a": digest(2), "min_maf": "0.01"}, r"its a and min_maf \(none, not 0\.01\):"),
    ]:
        with pytest.raises(DataError, match=rf"differs from this one in {named}.*give again what.*Say another file"):
            scan(blocks=BLOCKS, resume=results, fingerprint=fingerprint)
    more = blocks_of(70, 10, "variants of b.bed")
    with pytest.raises(DataError, match=r"in its number of variants \(60, not 70\):"):
        scan(blocks=more, resume=results)
    with pytest.raises(DataError, match=r"in its genotypes \(b2, not x\) and number of variants \(60, not 70\):"):
        scan(blocks=more, resume=results, fingerprint=FINGERPRINT | {"genotypes": "x"})
    assert file.read_bytes() == before


@pytest.mark.parametrize("breaks", [[], [7, 25]])
@pytest.mark.parametrize("size", [1, 7, 20, 60])
def test_a_scan_goes_on_in_other_blocks(tmp_path: Path, size: int, breaks: list[int]) -> None:
    """As it must where memory ran out; what is done is done, also of a block that now begins before it."""
    expected = scan(items, BLOCKS).table
    (tmp_path / "scan.tsv.partial").write_bytes(journal(tmp_path, items))
    blocks, seen = blocks_of(60, size, "variants of a.bed", breaks), []

    def counted(block: Block) -> pd.DataFrame:
        seen.append(block)
        return items(block)

    assert_same(scan(counted, blocks, resume=tmp_path / "scan.tsv").table, expected)
    assert [i for block in seen for i in range(block.start, block.stop)] == list(range(20, 60))
    assert seen[0].label == f"variants 21-{seen[0].stop} of a.bed"
    assert {block.stop for block in seen} == {block.stop for block in blocks if block.stop > 20}


def test_a_scan_is_interrupted_in_one_cut_after_the_other(tmp_path: Path) -> None:
    expected, done = scan(items, BLOCKS).table, []
    calls: list[int] = []

    def interrupted(block: Block) -> pd.DataFrame:
        if calls:
            raise KeyboardInterrupt
        calls.append(block.number)
        return items(block)

    for size in (10, 7, 25, 4):
        calls.clear()
        with pytest.warns(LmmpyWarning, match="of 60 variants are done"):
            found = scan(interrupted, blocks_of(60, size, "variants"), resume=tmp_path / "scan.tsv")
        done.append(found.done)
        assert_same(found.table, expected.iloc[: found.done])
    assert done == [10, 14, 25, 28]
    assert_same(scan(items, BLOCKS, resume=tmp_path / "scan.tsv").table, expected)


def items(block: Block) -> pd.DataFrame:
    """The same bits for any cut."""
    return pd.DataFrame({"item": np.arange(block.start, block.stop), "root": np.sqrt(range(block.start, block.stop))})


def test_a_scan_is_continued_with_the_same_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan.tsv.partial").write_bytes(journal(tmp_path))
    monkeypatch.setattr("lmmpy.__version__", "99.1")
    with pytest.raises(DataError, match=r"begun with lmmpy 0.*this is 99\.1"):
        scan(blocks=BLOCKS, resume=tmp_path / "scan.tsv")


@pytest.mark.parametrize("name", ["scan.tsv", "scan.tsv.partial", "scan.parquet"])
@pytest.mark.parametrize("content", [b"snp\tp\nrs1\t0.1\n", b"x", b"# lmmpy scan {}\n", b"\x00\xff" * 99])
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, name: str, content: bytes) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"is not (the result )?of a scan"):
        scan(blocks=BLOCKS, resume=tmp_path / name.removesuffix(".partial"))
    assert file.read_bytes() == content


def test_a_parquet_file_of_others_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"p": [0.1]}).to_parquet(tmp_path / "scan.parquet")
    with pytest.raises(DataError, match="is not the result of a scan"):
        scan(blocks=BLOCKS, resume=tmp_path / "scan.parquet")


def test_changed_results_are_refused(tmp_path: Path) -> None:
    results = tmp_path / "scan.tsv"
    scan(blocks=BLOCKS, resume=results)
    content = results.read_bytes()
    results.write_bytes(content[:-3] + b"9" + content[-2:])
    with pytest.raises(DataError, match="was changed since the scan wrote it"):
        scan(blocks=BLOCKS, resume=results)


def test_files_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("scan.csv", "scan", "scan.tsv.gz"):
        with pytest.raises(DataError, match=rf"ends in \.tsv or \.parquet, not to '{name}'"):
            scan(blocks=BLOCKS, resume=tmp_path / name)
    with pytest.raises(DataError, match=r"no directory .*nowhere: make it"):
        scan(blocks=BLOCKS, resume=tmp_path / "nowhere" / "scan.tsv")
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(DataError, match="is a directory"):
        scan(blocks=BLOCKS, resume=tmp_path / "folder.tsv")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ModelError, match=r"Parquet needs pyarrow.*or say a \.tsv file"):
        scan(blocks=BLOCKS, resume=tmp_path / "scan.parquet")


def test_two_runs_at_once(tmp_path: Path) -> None:
    results = tmp_path / "scan.tsv"
    with locked(tmp_path / "scan.tsv.partial"), pytest.raises(DataError, match="in use by another run"):
        scan(blocks=BLOCKS, resume=results)
    work = task()

    def nested(block: Block) -> pd.DataFrame:
        with pytest.raises(DataError, match="in use by another run"), locked(tmp_path / "scan.tsv.partial"):
            pass
        return work(block)

    assert scan(nested, BLOCKS, resume=results).complete


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import fcntl

    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns(LmmpyWarning, match="no locks; see that no other scan"):
        assert scan(blocks=BLOCKS, resume=tmp_path / "scan.tsv").complete


@contextmanager
def room(size: int) -> Iterator[None]:
    """Files may not grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room(tmp_path: Path) -> None:
    expected, results, partial = scan(blocks=BLOCKS).table, tmp_path / "scan.tsv", tmp_path / "scan.tsv.partial"
    with room(2_000), pytest.raises(DataError, match=r"partial cannot be written: .* before are kept\. Make room"):
        scan(blocks=BLOCKS, resume=results)
    assert 0 < kept_blocks(partial) < len(BLOCKS)
    # all blocks are there, but not their results
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", no_space)
        with pytest.raises(DataError, match=r"scan\.tsv cannot be written: No space left .*Make room and call again"):
            scan(blocks=BLOCKS, resume=results)
    assert kept_blocks(partial) == len(BLOCKS) and [path.name for path in tmp_path.iterdir()] == [partial.name]
    assert_same(scan(blocks=BLOCKS, resume=results).table, expected)


def no_space(*_: Any) -> None:
    raise OSError(28, "No space left on device")
