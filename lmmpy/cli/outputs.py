"""What a command leaves: the report on standard output, and files that begin with a prefix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lmmpy.cli.wording import for_report
from lmmpy.errors import DataError, ModelError

__all__ = ["InterruptionError", "Outputs"]


@dataclass
class InterruptionError(Exception):
    """
    A scan was interrupted.

    Attributes
    ----------
    done : str
        How far it was.
    kept : bool
        Whether what was done is in a file.
    """

    done: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Outputs:
    """
    Where results go.

    Attributes
    ----------
    prefix : str or None
        Of all files; None for the report alone.
    plot : str or None
        The format of pictures, such as ``"png"``; None for none.
    """

    prefix: str | None
    plot: str | None

    def check(self) -> None:
        """
        See before the work whether its results can be written.

        Raises
        ------
        ModelError
            For pictures without a prefix.
        DataError
            When the directory is not there.
        """
        if self.prefix is None:
            if self.plot is not None:
                raise ModelError("--plot writes files: say with --out PREFIX how their names begin.")
            return
        parent = Path(self.prefix).absolute().parent
        if not parent.is_dir():
            raise DataError(f"--out {self.prefix}: the directory {parent} is not there; make it first.")
        if self.plot is not None:
            from lmmpy.plots.canvas import pyplot

            pyplot()

    def path(self, name: str) -> Path | None:
        """The file of that name: PREFIX.name."""
        return None if self.prefix is None else Path(f"{self.prefix}.{name}")

    def report(self, text: str, name: str = "txt") -> None:
        """Print the report, and write it."""
        print(for_report(text).rstrip("\n"))
        self.text(text, name)

    def text(self, text: str, name: str) -> None:
        """Write a text."""
        path = self.path(name)
        if path is not None:
            path.write_text(for_report(text).rstrip("\n") + "\n", encoding="utf-8")

    def table(self, frame: pd.DataFrame, name: str, index: bool = False) -> None:
        """Write a table as PREFIX.name.tsv; numbers so that they come back as they are, missing ones as NA."""
        path = self.path(f"{name}.tsv")
        if path is not None:
            frame.to_csv(path, sep="\t", index=index, na_rep="NA")

    def picture(self, draw: Callable[[], Any], name: str) -> None:
        """Write what is drawn as PREFIX.name.png (or another format), if pictures are wanted."""
        path = self.path(f"{name}.{self.plot}")
        if path is None or self.plot is None:
            return
        from lmmpy.plots.canvas import pyplot

        plt = pyplot()
        before = set(plt.get_fignums())
        try:
            draw()
            made = [number for number in plt.get_fignums() if number not in before]
            for number in made:
                plt.figure(number).savefig(path, dpi=150, bbox_inches="tight")
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)
