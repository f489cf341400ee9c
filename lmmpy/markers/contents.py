"""Digests of what large files hold: the same contents, the same digest, wherever they lie."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

__all__ = ["digest_of_file"]

# File systems tell times in steps; what was written in the step in which it was read may have changed since.
_SETTLED = 2_000_000_000

_State = tuple[int, int, int, int]
_KNOWN: dict[Path, tuple[_State, str]] = {}


def digest_of_file(path: Path) -> str:
    """
    SHA-256 of all bytes of a file, about a second for a gigabyte.

    A process reads a file once for that, as long as length and times of change stay what they are.
    """
    state = _state(path)
    known = _KNOWN.get(path)
    if known is not None and known[0] == state:
        return known[1]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _KNOWN.pop(path, None)
    if _state(path) == state and max(state[2:]) + _SETTLED < time.time_ns():
        _KNOWN[path] = state, digest
    return digest


def _state(path: Path) -> _State:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
