"""Blocks, digests and progress."""

import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lmmpy.errors import ModelError
from lmmpy.scan import Block, Progress, blocks_of, digest, run_scan

# ---- blocks


@given(st.integers(1, 200), st.integers(1, 60), st.lists(st.integers(-5, 250), max_size=5))
def test_blocks_hold_every_item_once_and_cross_no_break(total: int, size: int, breaks: list[int]) -> None:
    blocks = blocks_of(total, size, breaks=breaks)
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(total))
    assert [block.number for block in blocks] == list(range(len(blocks)))
    assert max(map(len, blocks)) <= size
    for edge in breaks:
        assert edge <= 0 or edge >= total or edge in {block.start for block in blocks}


def test_labels_count_from_one() -> None:
    blocks = blocks_of(3_000, 2_000, "variants of study.bed: 5 people of 7")
    assert blocks[1] == Block(1, 2_000, 3_000, "variants 2,001-3,000 of study.bed: 5 people of 7")
    assert [block.label for block in blocks_of(2, 1)] == ["items 1-1", "items 2-2"]
    assert blocks_of(0, 5) == ()


@pytest.mark.parametrize(("total", "size"), [(-1, 5), (5, 0)])
def test_blocks_that_cannot_be(total: int, size: int) -> None:
    with pytest.raises(ModelError, match="at least one item"):
        blocks_of(total, size)


@pytest.mark.parametrize("blocks", [(), blocks_of(9, 3)[1:], blocks_of(9, 3)[::2], (Block(0, 3, 3, "none"),)])
def test_blocks_of_a_scan_follow_each_other(blocks: Any) -> None:
    with pytest.raises(ModelError, match=r"nothing to scan|follow each other"):
        run_scan(lambda block: pd.DataFrame({"a": [1]}), blocks, fingerprint={}, what="nothing")


def test_fingerprints_are_text() -> None:
    with pytest.raises(ModelError, match="names to digests"):
        run_scan(lambda b: pd.DataFrame(), blocks_of(1, 1), fingerprint={"a": 1}, what="x")  # type: ignore[dict-item]


# ---- digests


@dataclass
class Pair:
    a: int
    b: Any


DIFFERENT = [
    (),
    (None,),
    (None, None),
    ((None, None),),
    (1,),
    (1.0,),
    (True,),
    ("1",),
    (b"1",),
    (0.0,),
    (-0.0,),
    (np.nextafter(1.0, 2.0),),
    (10**40,),
    (1j,),
    ("ab", "c"),
    ("a", "bc"),
    (["ab", "c"],),
    ({"a": 1, "b": 2},),
    ({"b": 2, "a": 1},),
    (Pair(1, 2),),
    (Pair(2, 1),),
    (np.arange(6),),
    (np.arange(6).reshape(2, 3),),
    (np.arange(6).reshape(3, 2),),
    (np.arange(6.0),),
    (np.arange(6, dtype="int32"),),
    (np.array(1),),
    (np.array([True, False]),),
    (np.array(["2020-01-01"], dtype="M8[D]"),),
    (np.array(["ab", "c"]),),
    (np.array(["a", "bc"]),),
    (np.array(["a", None, "bc"], dtype=object),),
    (np.array(["a", 1], dtype=object),),
    (sparse.eye_array(3),),
    (sparse.eye_array(3, 4),),
    (sparse.diags_array([1.0, 1.0, 2.0]),),
    (pd.DataFrame({"a": [1, 2]}),),
    (pd.DataFrame({"b": [1, 2]}),),
    (pd.DataFrame({"a": [1, 2]}, index=[1, 0]),),
    (pd.DataFrame({"a": [1.0, 2.0]}),),
    (pd.DataFrame({"a": ["x", "y"]}),),
    (pd.DataFrame({"a": pd.Categorical(["x", "y"])}),),
    (pd.DataFrame({"a": pd.Categorical(["x", "y"], ordered=True)}),),
    (pd.Series([1, 2]),),
    (pd.Index([1, 2]),),
]


def test_what_differs_has_another_digest() -> None:
    digests = [digest(*parts) for parts in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT)
    assert all(len(one) == 64 for one in digests)


def test_what_is_the_same_has_the_same_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).normal(size=(50, 7))
    monkeypatch.setattr("lmmpy.scan.fingerprints._PIECE", 100)
    assert digest(x) == digest(np.asfortranarray(x)) == digest(np.hstack([x, x])[:, :7]) == digest(x.astype(">f8"))
    assert digest(np.float64(0.1), np.int64(3), np.str_("a")) == digest(0.1, 3, "a")
    text = ["a", "é", None]
    assert digest(pd.Series(text, dtype=object)) == digest(pd.Series(text, dtype="string"))
    assert digest(Path("a") / "b") == digest("a/b")
    csr = sparse.random_array((9, 9), density=0.3, rng=np.random.default_rng(2), format="csr")
    assert digest(csr) == digest(csr.tocsc()) == digest(csr.tocoo())
    assert digest([1, 2]) == digest((1, 2))
    assert digest(x[:0]) == digest(x[:0].copy())


def test_digests_are_the_same_in_every_process() -> None:
    code = "from lmmpy.scan import digest; print(digest('a', {'x': 1.5}, frozen := (1, None)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest("a", {"x": 1.5}, (1, None))


@pytest.mark.parametrize("value", [object(), {1, 2}, np.ma.masked_array([1]), np.zeros(2, dtype=[("a", int)]), Pair])
def test_what_has_no_digest(value: Any) -> None:
    with pytest.raises(ModelError, match="There is no digest of"):
        digest(value)


# ---- progress


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("lmmpy.scan.progress.time.monotonic", lambda: now[0])
    return now


def told(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> Stream:
    stream = Stream(terminal)
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def test_progress_in_a_terminal_after_five_seconds(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = told(monkeypatch, True)
    progress = Progress(10_000, what="association", done=2_000)
    for _ in range(8):
        clock[0] += 1.0
        progress.advance(500)
    progress.close()
    lines = stream.getvalue().split("\r")
    assert lines[0] == "" and lines[1] == "lmmpy: association: 4,500 of 10,000 variants, 500/s, 11 s left"
    assert len(lines) == 5 and lines[-1].rstrip() == "lmmpy: association: 6,000 of 10,000 variants, 500/s, 8 s left"
    assert stream.getvalue().endswith("\n")
    progress.close()
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(("terminal", "shown"), [(False, None), (True, False), (False, False)])
def test_nobody_watches(monkeypatch: pytest.MonkeyPatch, clock: list[float], terminal: bool, shown: bool) -> None:
    stream = told(monkeypatch, terminal)
    progress = Progress(10, shown=shown)
    clock[0] += 100.0
    progress.advance(5)
    progress.close()
    assert stream.getvalue() == ""


def test_short_work_is_silent(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = told(monkeypatch, True)
    progress = Progress(10)
    progress.advance(10)
    progress.close()
    assert stream.getvalue() == ""


def test_progress_in_a_log(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = told(monkeypatch, False)
    progress = Progress(1_000, "positions", shown=True)
    progress.advance(0)
    for _ in range(10):
        clock[0] += 10.0
        progress.advance(1)
    clock[0] += 7_400.0
    progress.advance(740)
    progress.advance(250)
    progress.close()
    assert stream.getvalue().splitlines() == [
        "lmmpy: 0 of 1,000 positions",
        "lmmpy: 3 of 1,000 positions, 0.1/s, 2 h 46 min left",
        "lmmpy: 6 of 1,000 positions, 0.1/s, 2 h 46 min left",
        "lmmpy: 9 of 1,000 positions, 0.1/s, 2 h 45 min left",
        "lmmpy: 750 of 1,000 positions, 0.1/s, 42 min left",
        "lmmpy: 1,000 of 1,000 positions, 0.13/s, 2 h 05 min",
    ]


def test_a_scan_tells_how_far_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    blocks = blocks_of(4, 1, "positions")
    outcome = run_scan(lambda b: pd.DataFrame({"a": [b.number]}), blocks, fingerprint={}, what="linkage", progress=True)
    told = capfd.readouterr().err.splitlines()
    assert told[0].startswith("lmmpy: linkage: 1 of 4 positions, ") and told[-1].startswith("lmmpy: linkage: 4 of 4")
    assert outcome.complete and outcome.seconds > 0.0


def test_digests_of_indices_of_several_levels() -> None:
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    assert digest(index) == digest(pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]))
    others = [[("a", 1), ("b", 3)], [("b", 2), ("a", 1)], [("a", 1.0), ("b", 2.0)], [("a", 1, 0), ("b", 2, 0)]]
    digests = {digest(pd.MultiIndex.from_tuples(other)) for other in others} | {digest(index)}
    assert len(digests) == 5
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=index)
    assert digest(frame) == digest(frame.copy()) != digest(frame.reset_index())
