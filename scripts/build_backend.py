"""Build backend: setuptools, after a look whether scikit-sparse can be installed on this machine.

pip asks `get_requires_for_build_wheel` before it resolves or compiles anything, so a machine without
SuiteSparse is told in plain words at once, not by a compiler's message minutes later. A source distribution
needs no SuiteSparse.
"""

from __future__ import annotations

import suitesparse
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, str | list[str] | None] | None


def _check() -> None:
    try:
        suitesparse.check(suitesparse.look())
    except suitesparse.MissingError as error:
        raise SystemExit(f"\n{error}\n") from None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Check the machine, then return what a build requires."""
    _check()
    return build_meta.get_requires_for_build_wheel(config_settings)


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """Check the machine, then return what an editable build requires."""
    _check()
    return build_meta.get_requires_for_build_editable(config_settings)
