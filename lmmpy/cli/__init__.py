"""The command line: models and scans of files, ``lmmpy fit``, ``polygenic``, ``linkage`` and ``assoc``."""

from lmmpy.cli.command import main

__all__ = ["main"]
