"""A document as plain text: titled tables and lines."""

from __future__ import annotations

from lmmpy.report.document import Document, Section
from lmmpy.report.layout import grid_lines

__all__ = ["render_plain"]


def render_plain(document: Document) -> str:
    """
    Write a document.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        Sections apart by an empty line; without a newline at the end.
    """
    width = max((len(label) for label, _ in document.header), default=0)
    head = [document.title, *(f"{label:>{width}}: {text}" for label, text in document.header)]
    return "\n\n".join("\n".join(lines) for lines in [head, *map(_section_lines, document.sections)])


def _section_lines(section: Section) -> list[str]:
    title = [f"{section.title}:"] if section.title else []
    table = grid_lines(section.grid) if section.grid is not None else []
    return [*title, *table, *section.lines]
