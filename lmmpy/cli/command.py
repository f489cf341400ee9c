"""`main`: from the words of a command line to an exit status; errors and warnings as single lines."""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
import zlib
from collections.abc import Sequence
from typing import NoReturn

import lmmpy
from lmmpy.cli import assoc, fit, linkage, polygenic
from lmmpy.cli.options import check_data
from lmmpy.cli.outputs import InterruptionError
from lmmpy.cli.wording import for_shell
from lmmpy.errors import LmmpyError

__all__ = ["main"]

_DONE, _WRONG, _INTERRUPTED = 0, 2, 130

_ABOUT = """
Linear mixed models: traits of people who are related, live together, or are measured repeatedly.

  lmmpy fit        any model, by an R formula:        "bmi ~ age + (1 | clinic)"
  lmmpy polygenic  heritability in families           (SOLAR: polygenic)
  lmmpy linkage    a QTL scan over shared segments    (SOLAR: multipoint)
  lmmpy assoc      a QTL scan over variants           (GEMMA: -lmm, SOLAR: mga)

Each has its own help, with examples: lmmpy assoc --help
"""

_END = """
The report goes to standard output, warnings, errors and progress to standard error. --out PREFIX writes tables
(PREFIX.*.tsv), the report (PREFIX.txt) and, with --plot, pictures. Exit status: 0; 2 for wrong options, data or models;
130 after an interruption (Ctrl-C), and scans say how to go on.
"""


class _Parser(argparse.ArgumentParser):
    """Whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_WRONG, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lmmpy", description=_ABOUT, epilog=_END, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"lmmpy {lmmpy.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", help="one of those above")
    for room in (fit, polygenic, linkage, assoc):
        room.add_command(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``lmmpy``; by default those of this process.

    Returns
    -------
    int
        The exit status: 0; 2 after an error in the input; 130 after an interruption.

    Raises
    ------
    SystemExit
        For ``--help`` (0) and wrong options (2).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    name = f"lmmpy {arguments.command}"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *_, **__: _say(name, "warning", message)
        try:
            check_data(arguments)
            arguments.run(arguments)
        except InterruptionError as stop:
            return _interrupted(name, words, stop)
        except KeyboardInterrupt:
            print(f"\n{name}: interrupted, before there was anything to keep.", file=sys.stderr)
            return _INTERRUPTED
        except (LmmpyError, OSError, ImportError, UnicodeDecodeError, EOFError, zlib.error) as error:
            _say(name, "error", error)
            return _WRONG
    return _DONE


def _say(name: str, kind: str, message: object) -> None:
    print(f"{name}: {kind}: {for_shell(str(message))}", file=sys.stderr)


def _interrupted(name: str, words: list[str], stop: InterruptionError) -> int:
    again = shlex.join(["lmmpy", *words, *([] if "--resume" in words or not stop.kept else ["--resume"])])
    how = f"go on with: {again}" if stop.kept else "without --out nothing is kept"
    print(f"\n{name}: interrupted, {stop.done}; {how}", file=sys.stderr)
    return _INTERRUPTED
