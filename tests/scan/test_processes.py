"""Scans in several processes: the same table, one copy of the task, errors that name the block."""

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info

from lmmpy.errors import DataError, ModelError
from lmmpy.scan import Block, blocks_of
from lmmpy.scan.parcels import packed, twin, unpacked
from tests.scan.work import Simulated, assert_same, kept_blocks, scan, task

joblib = pytest.importorskip("joblib")

FEW = blocks_of(60, 3, "variants of a.bed")


@dataclass
class Corrupt:
    """Blocks 7 and 9 cannot be read; the later one says so at once."""

    error: type[BaseException]

    def __call__(self, block: Block) -> pd.DataFrame:
        if block.number == 7:
            time.sleep(0.3)
        if block.number in {7, 9}:
            raise self.error("of the task")
        return pd.DataFrame({"item": range(block.start, block.stop)})


class Tell:
    """What a process is like."""

    def __call__(self, block: Block) -> pd.DataFrame:
        blas = max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return pd.DataFrame({"process": [os.getpid()], "blas": [blas]})


class Dying:
    def __call__(self, block: Block) -> pd.DataFrame:
        if block.number == 4:
            os.kill(os.getpid(), 9)
        return pd.DataFrame({"item": [block.number]})


@dataclass
class Counted:
    """Counts how often it is pickled, in a file."""

    file: str
    large: np.ndarray

    def __getstate__(self) -> dict[str, Any]:
        with open(self.file, "a") as file:
            file.write("x")
        return self.__dict__

    def __call__(self, block: Block) -> pd.DataFrame:
        # it may write to its arrays, and no other process sees that
        before = self.large[0]
        self.large[0] = 17.0
        self.large[0] = before
        return pd.DataFrame({"process": [os.getpid()], "sum": [self.large[block.start :: 1_000].sum()]})


def test_the_number_of_processes_does_not_matter() -> None:
    alone, shared = scan(n_jobs=1), scan(n_jobs=2)
    assert_same(shared.table, alone.table)
    with joblib.parallel_config(n_jobs=2):
        assert_same(scan().table, alone.table)
    with joblib.parallel_config(backend="threading", n_jobs=3):
        assert_same(scan().table, alone.table)


def test_processes_are_others_and_have_one_blas_thread() -> None:
    here = scan(Tell(), n_jobs=1).table
    assert set(here["process"]) == {os.getpid()} and set(here["blas"]) == {1}
    there = scan(Tell(), n_jobs=2).table
    assert os.getpid() not in set(there["process"]) and set(there["blas"]) == {1}


def test_large_tasks_are_pickled_once_and_shared(tmp_path: Path) -> None:
    work = Counted(str(tmp_path / "count"), np.arange(1e6))
    there = scan(work, n_jobs=2).table
    assert (tmp_path / "count").read_text() == "x"
    assert_same(there[["sum"]], scan(work, n_jobs=1).table[["sum"]])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_first_bad_block_is_named_whichever_process_is_quicker(tmp_path: Path, n_jobs: int) -> None:
    results = tmp_path / "scan.tsv"
    with pytest.raises(DataError, match=r"^variants 22-24 of a\.bed: OSError: of the task"):
        scan(Corrupt(OSError), FEW, n_jobs=n_jobs)
    with pytest.raises(ModelError, match=r"^variants 22-24 of a\.bed: of the task\. What comes before is kept in scan"):
        scan(Corrupt(ModelError), FEW, n_jobs=n_jobs, resume=results)
    assert kept_blocks(Path(f"{results}.partial")) == 7


@pytest.mark.parametrize("error", [TypeError, KeyError, ZeroDivisionError, np.linalg.LinAlgError])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_no_data_explain_stays_what_it_is(n_jobs: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="of the task") as caught:
        scan(Corrupt(error), FEW, n_jobs=n_jobs)
    assert any("This was in variants" in note for note in caught.value.__notes__)


def test_answers_wait_for_the_slowest_block_in_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the first block is, the others do not pile up."""
    monkeypatch.setattr("lmmpy.scan.workers._AHEAD", 2)
    done: list[int] = []
    lock = threading.Lock()

    class First:
        def __call__(self, block: Block) -> pd.DataFrame:
            with lock:
                done.append(block.number)
            return pd.DataFrame({"before": [len(done)], "number": [block.number]})

    monkeypatch.setattr("lmmpy.scan.workers.packed", lambda task: task)
    monkeypatch.setattr("lmmpy.scan.parcels.unpacked", lambda parcel: parcel)
    from lmmpy.scan.workers import answers

    with joblib.parallel_config(backend="threading", n_jobs=2):
        found = answers(First(), FEW, None)
        for number in range(len(FEW)):
            next(found)
            assert len(done) <= 4 * (number // 4 + 1)


def test_without_joblib_one_process_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ModelError, match=r"pip install joblib.*n_jobs=1"):
        scan(n_jobs=2)
    monkeypatch.delitem(sys.modules, "joblib")
    assert scan().complete and scan(n_jobs=1).complete


@pytest.mark.parametrize("n_jobs", [0, 1.0, "2", True])
def test_n_jobs_is_a_number_of_processes(n_jobs: Any) -> None:
    with pytest.raises(ModelError, match="n_jobs counts processes"):
        scan(n_jobs=n_jobs)


def test_parcels() -> None:
    work = task()
    parcel = packed(work)
    assert parcel.dtype == np.uint8
    parcel.flags.writeable = False
    for again in (unpacked(parcel), unpacked(parcel.copy()), twin(work)):
        assert isinstance(again, Simulated) and again.state.flags.writeable
        assert again.state.tobytes() == work.state.tobytes()
        # as in every other process, which a view of every other element would not be
        assert again.state.flags.c_contiguous and not work.state.flags.c_contiguous
    assert unpacked(packed(Simulated(np.empty(0), 2.5))).seconds == 2.5
    order = Simulated(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert twin(order).state.flags.f_contiguous and unpacked(packed(order)).state.flags.f_contiguous
    assert twin(order).state.base is not None


def test_what_does_not_pickle() -> None:
    lock = threading.Lock()

    def locked(block: Block) -> pd.DataFrame:
        with lock:
            return pd.DataFrame({"item": [block.number]})

    assert scan(locked).complete
    with pytest.raises(ModelError, match=r"cannot go to other processes.*n_jobs=1"):
        scan(locked, n_jobs=2)
    assert scan(lambda block: pd.DataFrame({"item": [block.number]}), FEW, n_jobs=2).complete


def test_a_process_that_dies(tmp_path: Path) -> None:
    results = tmp_path / "scan.tsv"
    with pytest.raises(ModelError, match=r"ended from outside.*fewer processes"):
        scan(Dying(), FEW, n_jobs=2, resume=results)
    assert kept_blocks(Path(f"{results}.partial")) <= 4
