"""Scans that are killed, interrupted or torn, and go on: the table is that of a scan that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lmmpy.errors import DataError
from lmmpy.scan import blocks_of
from tests.scan.work import BLOCKS, assert_same, kept_blocks, scan, task

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    return scan().table


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A scan in a session of its own, which Ctrl-C reaches as it would in a terminal: all its processes."""
    (folder / "options.json").write_text(json.dumps(options))
    command = [sys.executable, "-m", "tests.scan.work", str(folder)]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(process: subprocess.Popen[str], partial: Path, blocks: int = 5) -> None:
    end = time.monotonic() + 60.0
    while kept_blocks(partial) < blocks:
        assert process.poll() is None and time.monotonic() < end, "the scan did not get that far"
        time.sleep(0.01)


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
@pytest.mark.parametrize("torn", [False, True])
def test_killed_and_resumed(tmp_path: Path, expected: pd.DataFrame, suffix: str, torn: bool) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    results = tmp_path / f"scan.{suffix}"
    partial = tmp_path / f"scan.{suffix}.partial"
    with running(tmp_path, seconds=0.05, resume=str(results), n_jobs=1) as process:
        wait_for(process, partial)
        process.kill()
        process.wait()
    kept = kept_blocks(partial)
    assert 5 <= kept < len(BLOCKS) and not results.exists()
    if torn:
        os.truncate(partial, partial.stat().st_size - 9)
    found = scan(resume=results)
    assert found.complete and found.done == 1_000
    assert_same(found.table, expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["options.json", results.name]
    assert_same(scan(resume=results).table, expected)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, expected: pd.DataFrame, n_jobs: int) -> None:
    if n_jobs == 2:
        pytest.importorskip("joblib")
    results, partial = tmp_path / "scan.tsv", tmp_path / "scan.tsv.partial"
    with running(tmp_path, seconds=0.1, resume=str(results), n_jobs=n_jobs) as process:
        wait_for(process, partial)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in told
    assert "Interrupted:" in told and "of 1,000 variants are done. The same call, with resume=" in told
    table, complete, done = pd.read_pickle(tmp_path / "found.pickle")
    assert not complete and 0 < done < 1_000
    assert_same(table, expected.iloc[:done])
    assert kept_blocks(partial) - sum(block.stop <= done for block in BLOCKS) in {0, 1}
    assert_same(scan(resume=results).table, expected)


def test_wherever_the_journal_is_cut(tmp_path: Path) -> None:
    blocks, results = blocks_of(12, 3, "variants"), tmp_path / "scan.tsv"
    whole = scan(blocks=blocks).table
    journal = journal_of(results, blocks)
    places = [*range(0, len(journal), 19), len(journal) - 1, len(journal)]
    for place in places:
        results.unlink(missing_ok=True)
        (tmp_path / "scan.tsv.partial").write_bytes(journal[:place])
        assert_same(scan(blocks=blocks, resume=results).table, whole)


def test_whichever_byte_of_the_journal_is_wrong(tmp_path: Path) -> None:
    blocks, results = blocks_of(12, 3, "variants"), tmp_path / "scan.tsv"
    whole = scan(blocks=blocks).table
    journal = journal_of(results, blocks)
    first = journal.index(b"\n")
    refused = 0
    for place in range(0, len(journal), 23):
        results.unlink(missing_ok=True)
        changed = bytearray(journal)
        changed[place] ^= 1 << (place % 7)
        (tmp_path / "scan.tsv.partial").write_bytes(changed)
        try:
            assert_same(scan(blocks=blocks, resume=results).table, whole)
        except DataError:
            # whose scan it is can no longer be read
            refused += 1
            assert place <= first
    assert refused == first // 23 + 1


def journal_of(results: Path, blocks: Any) -> bytes:
    """The journal of a scan whose last block could not be done."""
    work = task()

    def failing(block: Any) -> pd.DataFrame:
        if block.number == len(blocks) - 1:
            raise OSError("unreadable")
        return work(block)

    with pytest.raises(DataError, match="unreadable"):
        scan(failing, blocks, resume=results)
    return Path(f"{results}.partial").read_bytes()


@pytest.mark.parametrize("kill", ["one", "all"])
@pytest.mark.slow
def test_workers_of_a_dask_cluster_are_killed(tmp_path: Path, expected: pd.DataFrame, kill: str) -> None:
    pytest.importorskip("distributed")
    results = tmp_path / "scan.tsv"
    with running(tmp_path, seconds=0.1, resume=str(results), dask=True, kill=kill) as process:
        _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert "Restarting worker" in told
    table, complete, done = pd.read_pickle(tmp_path / "found.pickle")
    assert complete and done == 1_000
    assert_same(table, expected)


@pytest.mark.slow
def test_ctrl_c_with_a_dask_cluster(tmp_path: Path, expected: pd.DataFrame) -> None:
    pytest.importorskip("distributed")
    results, partial = tmp_path / "scan.tsv", tmp_path / "scan.tsv.partial"
    with running(tmp_path, seconds=0.2, resume=str(results), dask=True, kill=None) as process:
        wait_for(process, partial)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    table, complete, done = pd.read_pickle(tmp_path / "found.pickle")
    assert not complete and 0 < done < 1_000
    assert_same(table, expected.iloc[:done])
    assert_same(scan(resume=results).table, expected)


def test_a_block_that_cannot_be_read_is_named_and_the_others_are_kept(tmp_path: Path, expected: pd.DataFrame) -> None:
    work, results = task(), tmp_path / "scan.tsv"

    def corrupt(block: Any) -> pd.DataFrame:
        if block.number == 3:
            raise ValueError("not a genotype: 7")
        return work(block)

    with pytest.raises(DataError, match=r"^variants 76-100 of a\.bed: ValueError: not a genotype: 7\. .* goes on"):
        scan(corrupt, resume=results)
    assert kept_blocks(tmp_path / "scan.tsv.partial") == 3
    calls: list[int] = []

    def counted(block: Any) -> pd.DataFrame:
        calls.append(block.number)
        return work(block)

    assert_same(scan(counted, resume=results).table, expected)
    assert calls == list(range(3, len(BLOCKS)))


def test_a_scan_that_is_interrupted_at_once(tmp_path: Path, expected: pd.DataFrame) -> None:
    def interrupted(block: Any) -> pd.DataFrame:
        raise KeyboardInterrupt

    for resume in (None, tmp_path / "scan.tsv"):
        with pytest.warns(UserWarning, match="0 of 1,000 variants are done"):
            found = scan(interrupted, resume=resume)
        assert found.table.empty and not found.complete and found.done == 0
    assert_same(scan(resume=tmp_path / "scan.tsv").table, expected)


def test_interrupted_twice(tmp_path: Path, expected: pd.DataFrame) -> None:
    work, results = task(), tmp_path / "scan.tsv"
    for stop in (4, 9):

        def interrupted(block: Any, stop: int = stop) -> pd.DataFrame:
            if block.number == stop:
                raise KeyboardInterrupt
            return work(block)

        with pytest.warns(UserWarning, match=f"{25 * stop:,} of 1,000 .* resume="):
            found = scan(interrupted, resume=results)
        assert found.done == 25 * stop
        assert_same(found.table, expected.iloc[: 25 * stop])
    assert_same(scan(resume=results).table, expected)
    assert np.isnan(expected["value"]).any() and expected["chromosome"].isna().any()
