"""Files that only one process writes, and that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lmmpy.errors import DataError, LmmpyWarning

__all__ = ["checked_folder", "file_errors", "locked", "replaced"]

_TRIES = 10
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}


def checked_folder(path: Path) -> None:
    """
    See that a file can be in its directory.

    Raises
    ------
    DataError
    """
    if not path.parent.is_dir():
        raise DataError(f"resume: there is no directory {path.parent}: make it, or say a file elsewhere.")
    if path.is_dir():
        raise DataError(f"resume: {path} is a directory: say a file in it.")


@contextmanager
def file_errors(path: Path, kept: str = "") -> Iterator[None]:
    """
    A context in which the system's errors about a file say what to do.

    Parameters
    ----------
    path : Path
    kept : str
        What was kept all the same.

    Raises
    ------
    DataError
    """
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        advice = "Make room and call again" if full else "See to it and call again, or say a file elsewhere"
        raise DataError(f"{path} cannot be written: {error.strerror or error}. {kept}{advice}.") from error


@contextmanager
def locked(path: Path) -> Iterator[BinaryIO]:
    """
    A file, made where it is not there, that no other process has open in this way.

    The system takes the lock from a process that ends, however it ends.

    Raises
    ------
    DataError
        When another process has it.
    """
    file = _open_locked(path)
    try:
        yield file
    finally:
        file.close()


def _open_locked(path: Path) -> BinaryIO:
    for _ in range(_TRIES):
        with file_errors(path):
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        try:
            _lock(file, path)
            if _is_still(file, path):
                return file
        except BaseException:
            file.close()
            raise
        # the run that had it finished and took it away
        file.close()
    raise DataError(f"{path} comes and goes: another scan uses it. Say another file.")


def _is_still(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 40)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            warnings.warn(
                f"{path}: this file system has no locks; see that no other scan writes to it.",
                LmmpyWarning,
                stacklevel=2,
            )
            return
        raise DataError(
            f"{path} is in use by another run of this scan: wait for it, end it, or say another file."
        ) from error


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A context that yields another path; what is written there takes the place of `path` at the end, at once."""
    beside = path.with_name(f"{path.name}.writing")
    try:
        with file_errors(path):
            yield beside
            _sync(beside)
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    if sys.platform != "win32":
        _sync(path.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
