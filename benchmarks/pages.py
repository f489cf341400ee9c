"""Pages whose words are written by hand and whose tables are made."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["END", "begin_of", "markdown_table", "page_with"]

END = "<!-- tables: end -->"


def begin_of(command: str) -> str:
    """The line before the tables that a command makes."""
    return f"<!-- tables: begin; made by {command} -->"


def page_with(text: str, content: str, begin: str) -> str:
    """
    A page with other tables.

    Raises
    ------
    ValueError
        When the page has no place for them.
    """
    before, opened, rest = text.partition(begin)
    _, closed, after = rest.partition(END)
    if not opened or not closed:
        raise ValueError(f"The page needs the lines {begin!r} and {END!r} round its tables.")
    return f"{before}{begin}\n\n{content}\n{END}{after}"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, the first row its head and the first column its labels."""
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
