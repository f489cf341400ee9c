"""The file in which a running scan keeps what is done: blocks in order, each with a checksum."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from lmmpy.errors import DataError
from lmmpy.scan.blocks import Block
from lmmpy.scan.files import file_errors, locked
from lmmpy.scan.header import Header, comment, lmmpy_version, read_comment
from lmmpy.scan.tables import Layout, decoded, encoded, names_line

__all__ = ["JOURNAL", "Journal", "discard_journal", "open_journal"]

JOURNAL = "lmmpy scan in progress"
_COLUMNS, _BLOCK = "columns", "block"
# Seconds between two times that the disk is waited for. A killed process loses nothing that it wrote, a machine
# without power what it wrote since.
_PATIENCE = 1.0


class Journal:
    """
    Blocks that are done, in a file.

    Made by `open_journal`.

    Parameters
    ----------
    file : file
        Open for reading and writing, not buffered.
    path : Path
    header : Header

    Attributes
    ----------
    done : int
        How many items are kept; in what blocks they were done does not matter to those that go on.
    layout : mapping or None
        Columns of the table, once a block is kept.
    restored : DataFrame or None
        The table of the blocks of an earlier run.
    """

    def __init__(self, file: BinaryIO, path: Path, header: Header) -> None:
        self._file, self.path, self._synced = file, path, 0.0
        self.layout: Layout | None = None
        self.restored: pd.DataFrame | None = None
        self.done = 0
        with file_errors(path):
            end = self._read(header)
            if end == 0:
                file.seek(0)
                file.truncate()
                self._write(comment(JOURNAL, header.as_json()))
            else:
                file.truncate(end)
                file.seek(end)

    def append(self, block: Block, table: pd.DataFrame, layout: Layout) -> None:
        """
        Keep a block.

        Parameters
        ----------
        block : Block
            That begins with the first item that is not kept.
        table : DataFrame
        layout : mapping

        Raises
        ------
        DataError
            When it cannot be written.
        """
        rows = encoded(table, layout)
        end = comment(_BLOCK, _trailer(block.start, block.stop, rows))
        start = comment(_COLUMNS, layout) + names_line(layout) if self.layout is None else b""
        with file_errors(self.path, "The blocks before are kept. "):
            self._write(start + rows + end)
        self.layout, self.done = layout, block.stop

    def rows(self) -> bytes:
        """All rows that are kept, as `encoded` wrote them."""
        with file_errors(self.path):
            self._file.seek(0)
            lines = self._file.read().splitlines(keepends=True)
        # behind the first line, the types and the names; no row begins as a comment does
        return b"".join(line for line in lines[3:] if not line.startswith(b"#"))

    def remove(self) -> None:
        """Take the file away, when the results are elsewhere."""
        self.path.unlink(missing_ok=True)

    def sync(self) -> None:
        """Wait until all is on the disk."""
        with file_errors(self.path):
            os.fsync(self._file.fileno())

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        now = time.monotonic()
        if now >= self._synced + _PATIENCE:
            os.fsync(self._file.fileno())
            self._synced = now

    def _read(self, header: Header) -> int:
        """Read what is there; the place behind the last good block, 0 when there is nothing to keep."""
        self._file.seek(0)
        content = self._file.read()
        first, *lines = content.splitlines(keepends=True) or [b""]
        if not first.endswith(b"\n") and (f"# {JOURNAL} ".encode().startswith(first) or _is_magic(first)):
            return 0
        found = read_comment(JOURNAL, first)
        if found is None:
            raise DataError(f"{self.path} is not of a scan that lmmpy began: say another file, or delete this one.")
        header.check(found, self.path)
        if found["version"] != lmmpy_version():
            raise DataError(
                f"{self.path} was begun with lmmpy {found['version']}, and this is {lmmpy_version()}, whose numbers "
                "may differ: finish it with that version, or delete it to begin again."
            )
        return len(first) + self._read_blocks(lines)

    def _read_blocks(self, lines: list[bytes]) -> int:
        layout = read_comment(_COLUMNS, lines[0]) if lines else None
        if layout is None or len(lines) < 2 or lines[1] != names_line(layout):
            return 0
        good: list[bytes] = []
        begin, end = 2, 0
        for place in range(2, len(lines)):
            # no row begins so: see `encoded`
            if not lines[place].startswith(b"#"):
                continue
            rows = b"".join(lines[begin:place])
            trailer = read_comment(_BLOCK, lines[place])
            if trailer is None or trailer != _trailer(self.done, trailer["stop"], rows):
                break
            good.append(rows)
            begin, end, self.done = place + 1, place + 1, trailer["stop"]
        if self.done == 0:
            return 0
        self.layout = layout
        self.restored = decoded(b"".join(good), layout)
        return sum(map(len, lines[:end]))


def _is_magic(line: bytes) -> bool:
    return line.startswith(f"# {JOURNAL} ".encode())


def _trailer(start: int, stop: int, rows: bytes) -> dict[str, Any]:
    return {"start": start, "stop": stop, "sha256": hashlib.sha256(rows).hexdigest()}


@contextmanager
def open_journal(path: Path, header: Header) -> Iterator[Journal]:
    """
    The journal of a scan, begun or continued; behind the last good block it is cut off.

    Parameters
    ----------
    path : Path
    header : Header

    Raises
    ------
    DataError
        When it is another scan's, in use, or cannot be written.
    """
    with locked(path) as file:
        journal = Journal(file, path, header)
        yield journal
        if path.exists():
            journal.sync()


def discard_journal(path: Path) -> None:
    """Take away a journal that was left beside the results; where that is not allowed, it does no harm."""
    if path.exists():
        with suppress(DataError), locked(path) as file:
            if _is_magic(file.readline()):
                path.unlink()
