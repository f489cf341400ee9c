"""Whose scan a file holds: its first line, and whether it is ours."""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmmpy.errors import DataError, ModelError

__all__ = ["FORMAT", "Header", "checked_fingerprint", "comment", "lmmpy_version", "read_comment"]

FORMAT = 1
# As `digest` writes them; they say nothing to a reader.
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Header:
    """
    What identifies a scan.

    Attributes
    ----------
    what : str
        Which scan it is: "association".
    total : int
        Items.
    fingerprint : dict of str to str
        By what they are of ("null model", "genotypes", "min_maf") digests, or values in words.
    unit : str
        What the items are, for messages; in no file.
    """

    what: str
    total: int
    fingerprint: Mapping[str, str]
    unit: str = "items"

    def as_json(self, **more: Any) -> dict[str, Any]:
        """What a file's first line holds."""
        own = {"format": FORMAT, "version": lmmpy_version(), "what": self.what, "total": self.total}
        return own | {"fingerprint": dict(self.fingerprint)} | more

    def check(self, found: Mapping[str, Any], path: Path) -> None:
        """
        See that a file's first line is of this scan.

        Raises
        ------
        DataError
            That says all that differs.
        """
        advice = "Say another file to begin a scan of its own, or delete this one to begin again."
        if found["format"] != FORMAT:
            raise DataError(f"{path} was written by another version of lmmpy. {advice}")
        if found["what"] != self.what:
            raise DataError(f"{path} holds another scan ({found['what']}, not {self.what}). {advice}")
        differ = self._differences(found["fingerprint"])
        if found["total"] != self.total:
            differ.append(f"number of {self.unit} ({found['total']:,}, not {self.total:,})")
        if differ:
            raise DataError(
                f"{path} holds a scan that differs from this one in its {_listed(differ)}: it cannot be continued with "
                f"this one. To go on with it, give again what it was begun with. {advice}"
            )

    def _differences(self, theirs: Mapping[str, str]) -> list[str]:
        """Names of what differs, with the values where these are no digests."""
        own = self.fingerprint
        differ = []
        for name in [*own, *(name for name in theirs if name not in own)]:
            values = [theirs.get(name, "none"), own.get(name, "none")]
            if values[0] != values[1]:
                hidden = any(_DIGEST.fullmatch(value) for value in values)
                differ.append(name if hidden else f"{name} ({values[0]}, not {values[1]})")
        return differ


def lmmpy_version() -> str:
    """The version of the package, which is above this room and is loaded."""
    version: str = sys.modules[__name__.partition(".")[0]].__version__
    return version


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def comment(kind: str, content: Mapping[str, Any]) -> bytes:
    """A line that is no row, with a checksum."""
    text = json.dumps(content, ensure_ascii=False).encode()
    return b"# %s %s %08x\n" % (kind.encode(), text, zlib.crc32(text))


def read_comment(kind: str, line: bytes) -> dict[str, Any] | None:
    """What `comment` wrote; None for a line that it did not write."""
    start = f"# {kind} ".encode()
    text, _, checksum = line[len(start) :].rpartition(b" ")
    if not line.startswith(start) or checksum != b"%08x\n" % zlib.crc32(text):
        return None
    content: dict[str, Any] = json.loads(text)
    return content


def checked_fingerprint(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """
    A fingerprint whose names and digests are text.

    Raises
    ------
    ModelError
    """
    if not all(isinstance(x, str) for pair in fingerprint.items() for x in pair):
        raise ModelError(f"A fingerprint maps names to digests, which are text; got {dict(fingerprint)!r:.200}.")
    return dict(fingerprint)
