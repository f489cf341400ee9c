"""Parts of pages that are made when the site is built: the table of data sets, and what ``--help`` prints."""

from __future__ import annotations

import contextlib
import io
import os
import textwrap
from unittest import mock

from lmmpy import datasets
from lmmpy.cli import main

WIDTH = 90
COMMANDS = ("", "fit", "polygenic", "linkage", "assoc")


def dataset_table() -> str:
    """A table of all data sets, and below it what each holds."""
    infos = [datasets.describe(name) for name in datasets.names()]
    head = ["| name | what it is | rows × columns |", "|---|---|---|"]
    rows = [
        f"| [`{info.name}`](#{info.name.lower()}) | {info.title} | {info.n_rows} × {len(info.columns)} |"
        for info in infos
    ]
    parts = ["\n".join(head + rows)]
    for info in infos:
        lines = ["| column | type | unit | |", "|---|---|---|---|"]
        lines += [f"| `{c.name}` | {_type(c)} | {_escaped(c.unit)} | {_escaped(c.description)} |" for c in info.columns]
        parts += [f"### {info.name}", f"{info.title}. {info.n_rows} rows.", "\n".join(lines), f"Source: {info.source}"]
    return "\n\n".join(parts)


def _type(column: datasets.ColumnInfo) -> str:
    if not column.levels:
        return column.type
    shown = column.levels if len(column.levels) <= 6 else (*column.levels[:3], "…")
    between = " < " if column.type == "ordered" else ", "
    return f"{column.type}, {len(column.levels)} levels: {_escaped(between.join(shown))}"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("*", r"\*").replace("_", r"\_").replace("$", r"\$")


def command_help() -> str:
    """A section for each command, with what its ``--help`` prints at a width of 90."""
    parts = []
    for command in COMMANDS:
        printed = io.StringIO()
        words = [command, "--help"] if command else ["--help"]
        plain = mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH), "NO_COLOR": "1"})
        with plain, contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main(words)
        block = f"````{{code-block}} text\n:class: command-help\n\n{_filled(printed.getvalue())}\n````"
        parts.append(f"## `{' '.join(['lmmpy', command]).strip()}`\n\n{block}")
    return "\n\n".join(parts)


def _filled(text: str) -> str:
    """A text whose paragraphs of prose are no wider than the page."""
    paragraphs = text.rstrip().split("\n\n")
    return "\n\n".join(_narrow(paragraph) for paragraph in paragraphs)


def _narrow(paragraph: str) -> str:
    lines = paragraph.strip("\n").splitlines()
    wide = any(len(line) > WIDTH for line in lines) and not any(line.startswith(" ") for line in lines)
    return textwrap.fill(" ".join(lines), WIDTH) if wide else paragraph


MADE = {"<!-- made: data sets -->": dataset_table, "<!-- made: commands -->": command_help}


def fill(markdown: str) -> str:
    """Put in what stands for the marks of a page."""
    for mark, make in MADE.items():
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown
