"""Options that commands share, and what they stand for."""

from __future__ import annotations

import argparse
import os
import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from lmmpy.cli.files import find_id, read_ids, read_kinship, read_pedigree, read_table
from lmmpy.cli.outputs import Outputs
from lmmpy.errors import DataError, LmmpyWarning, ModelError, shown
from lmmpy.relatedness import Pedigree, Relatedness

__all__ = [
    "Commands",
    "Group",
    "add_data",
    "add_output",
    "add_relatives",
    "add_scan",
    "check_data",
    "new_command",
    "outputs",
    "relatives",
    "scan_file",
    "table",
]

Commands = Any
"""What `argparse` gives for a set of commands; it has no public name, nor has a group of options."""
Group = Any


def new_command(commands: Commands, name: str, run: Any, about: str, end: str) -> argparse.ArgumentParser:
    """A command with its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=f"lmmpy {name} FORMULA DATA [OPTIONS]",
        description=about,
        epilog=end,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


# ---- data


def add_data(parser: argparse.ArgumentParser, formula: str) -> None:
    """The formula and the table of the data."""
    parser.add_argument("formula", metavar="FORMULA", help=formula)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="table with a line of names: .csv; .tsv; .txt, .dat, .phe (white space); perhaps .gz; or .parquet",
    )
    group = parser.add_argument_group("data")
    group.add_argument("--id", metavar="COLUMN", help="column of DATA that says who a row is (default ID, id or IID)")
    group.add_argument(
        "--text",
        metavar="COLUMN",
        action="append",
        default=[],
        help="read this column as text, so that its numbers are names of groups; may be repeated",
    )
    group.add_argument(
        "--missing",
        metavar="VALUE",
        action="append",
        default=[],
        help="stands for a missing value, besides nothing and NA; write --missing=-9",
    )
    group.add_argument("--subset", metavar="CONDITION", help="rows to use, such as 'age > 18'")


def check_data(arguments: argparse.Namespace) -> None:
    """
    See whether DATA is a file.

    Raises
    ------
    DataError
    """
    if os.path.exists(arguments.data):
        return
    if "~" in arguments.data:
        raise DataError(f"{arguments.data!r} is a formula: the formula comes first, then the file of the data.")
    raise DataError(f"There is no file {arguments.data}.")


def table(arguments: argparse.Namespace, with_id: bool = True) -> pd.DataFrame:
    """DATA, with ids as text; `arguments.id` is their column from now on."""
    if with_id:
        arguments.id = find_id(arguments.data, arguments.id)
    text = [*arguments.text, *([] if arguments.id is None else [arguments.id])]
    frame = read_table(arguments.data, text, arguments.missing)
    absent = [name for name in arguments.text if name not in frame.columns]
    if absent:
        raise DataError(f"{arguments.data} has no column {shown(absent)}; it has {shown(frame.columns, 20)}.")
    _tell_nines(frame, arguments)
    return frame


def _tell_nines(frame: pd.DataFrame, arguments: argparse.Namespace) -> None:
    """Warn of columns in the formula whose only negative number is -9, several times: PLINK's and GEMMA's missing."""
    words = set(re.findall(r"[\w.]+", arguments.formula))
    for name in frame.columns:
        values = frame[name]
        if name not in words or not pd.api.types.is_numeric_dtype(values):
            continue
        negative = values[values < 0]
        if len(negative) > 1 and (negative == -9).all():
            warnings.warn(
                f"Column {name!r} of {arguments.data} has -9 in {len(negative):,} rows and no other negative number: "
                "if these are missing values, say --missing=-9.",
                LmmpyWarning,
                stacklevel=2,
            )


# ---- relatives


def add_relatives(parser: argparse.ArgumentParser) -> Group:
    """How people are related; the group of options, for more."""
    group = parser.add_argument_group("relatives")
    group.add_argument("--pedigree", metavar="FILE", help="table of people and parents, or PLINK's .fam")
    for key, name, what in (
        ("id", "ID", "people"),
        ("father", "FA", "fathers; nothing or 0 of founders"),
        ("mother", "MO", "mothers"),
        ("sex", "SEX", "sex: 1 or m, 2 or f"),
        ("twin", "MZTWIN", "identical twins: the same number; nothing or 0 of others"),
    ):
        text = f"column of the pedigree: {what} (default {name})"
        group.add_argument(f"--ped-{key}", metavar="COLUMN", default=name, help=text)
    group.add_argument(
        "--kinship",
        metavar="[NAME=]FILE",
        action="append",
        default=[],
        help="relatedness matrix, about 1 on the diagonal (twice the kinship coefficient): a square .csv or .tsv "
        "with ids; SOLAR's phi2.gz; GEMMA's .cXX.txt; GCTA's .grm.bin; PLINK's .rel. NAME (default K) is what kin() "
        "in the formula calls it",
    )
    group.add_argument("--kinship-ids", metavar="FILE", help="ids of a matrix without: one a line, or a .fam")
    return group


def relatives(arguments: argparse.Namespace, people: Any = None) -> dict[str, Pedigree | Relatedness]:
    """The relatednesses by the names that formulas have for them: ped, and K or as named."""
    found: dict[str, Pedigree | Relatedness] = {}
    if arguments.pedigree is not None:
        keys = ("id", "father", "mother", "sex", "twin")
        names = {key: getattr(arguments, f"ped_{key}") for key in keys}
        found["ped"] = read_pedigree(arguments.pedigree, names, arguments.id)
    given = getattr(arguments, "kinship", [])
    if given and arguments.kinship_ids is not None:
        people = read_ids(arguments.kinship_ids)
    for one in given:
        name, _, path = one.rpartition("=")
        name = name or "K"
        if not name.isidentifier() or name in found:
            problem = "is there twice" if name in found else "is no name that a formula can have"
            raise ModelError(f"--kinship {one}: {name!r} {problem}; write --kinship K2={path}.")
        found[name] = read_kinship(path, arguments.id, people)
    return found


# ---- long work


def add_scan(parser: argparse.ArgumentParser) -> None:
    """How a scan goes."""
    group = parser.add_argument_group("long scans")
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on where a scan with the same --out was interrupted; another model or other data are refused",
    )
    group.add_argument(
        "--jobs",
        metavar="N",
        type=int,
        help="processes (default 1; -1: one a core), each of which takes seconds to start",
    )
    group.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="tell on standard error how far it is (default: in a terminal)",
    )


def scan_file(out: Outputs, arguments: argparse.Namespace, passes: bool = False) -> Path | None:
    """
    The file to which a scan is written as it goes, so that it can go on after an interruption.

    Parameters
    ----------
    out : Outputs
    arguments : Namespace
    passes : bool
        Whether the scan has passes, with files of their own.

    Raises
    ------
    ModelError
        When there is one already, and nobody said that it should go on.
    """
    path = out.path("scan.tsv")
    if path is None:
        if arguments.resume:
            raise ModelError("--resume goes on with the scan of an --out PREFIX; say which.")
        return None
    names = [path.name, f"{path.name}.partial"]
    there = [name for name in names if path.with_name(name).exists()]
    if passes:
        later = re.compile(re.escape(path.stem) + r"\.pass\d+\.tsv(\.partial)?")
        there += sorted(name for name in os.listdir(path.parent) if later.fullmatch(name))
    if there and not arguments.resume:
        files = [str(path.with_name(name)) for name in there]
        goes_on = "go on with it by --resume, " if there[0] in names else ""
        raise ModelError(
            f"{', '.join(files)} {'is' if len(files) == 1 else 'are'} there from a scan before: {goes_on}remove "
            f"{'it' if len(files) == 1 else 'them'}, or take another --out."
        )
    return path


# ---- output


def add_output(parser: argparse.ArgumentParser, files: str, pictures: str) -> Group:
    """Where results go; the group of options, for more."""
    group = parser.add_argument_group("output")
    group.add_argument("--out", metavar="PREFIX", help=f"write PREFIX.txt, the report, and {files}")
    group.add_argument(
        "--plot",
        nargs="?",
        const="png",
        choices=["png", "pdf", "svg"],
        help=f"write pictures, PREFIX.*.png or as said: {pictures}",
    )
    return group


def outputs(arguments: argparse.Namespace) -> Outputs:
    """Where results go, checked before the work."""
    found = Outputs(arguments.out, arguments.plot)
    found.check()
    return found
