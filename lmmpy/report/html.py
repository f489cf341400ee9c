"""HTML of a document: one self-contained fragment of semantic tables."""

from collections.abc import Iterator
from html import escape

from lmmpy.report.document import Document, Section
from lmmpy.report.grids import Grid


def _attributes(grid: Grid, column: int) -> str:
    words = column < grid.text_columns or (grid.legend and column == len(grid.columns) - 1)
    return f' style="text-align: {"left" if words else "right"}"'


def _grid_html(grid: Grid, caption: str) -> Iterator[str]:
    named = any(grid.row_names)
    yield "<table>"
    if caption:
        yield f'<caption style="text-align: left">{escape(caption)}</caption>'
    heads = [f'<th scope="col"{_attributes(grid, j)}>{escape(text)}</th>' for j, text in enumerate(grid.headings)]
    yield "<thead><tr>" + ("<td></td>" if named else "") + "".join(heads) + "</tr></thead>"
    yield "<tbody>"
    for i, name in enumerate(grid.row_names):
        head = f'<th scope="row" style="text-align: left">{escape(name)}</th>' if named else ""
        cells = [f"<td{_attributes(grid, j)}>{escape(column[i].strip())}</td>" for j, column in enumerate(grid.columns)]
        yield f"<tr>{head}{''.join(cells)}</tr>"
    yield "</tbody>"
    yield "</table>"


def _section_html(section: Section) -> Iterator[str]:
    if section.grid is not None:
        yield from _grid_html(section.grid, section.title)
    if section.lines:
        yield "<p>" + "<br>".join(escape(line) for line in section.lines) + "</p>"


def render_html(document: Document) -> str:
    """Render a document as an HTML fragment.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        One `<div>`; numbers are right-aligned, all text is escaped.
    """
    lines = ['<div class="lmmpy-report">']
    if document.title:
        lines.append(f"<p><strong>{escape(document.title)}</strong></p>")
    if document.header:
        pairs = [f"{escape(label)}: <code>{escape(text)}</code>" for label, text in document.header]
        lines.append("<p>" + "<br>".join(pairs) + "</p>")
    for section in document.sections:
        lines += _section_html(section)
    lines.append("</div>")
    return "\n".join(lines)
