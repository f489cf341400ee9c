r"""LaTeX of a document: `tabular`s with the rules of the booktabs package, `\usepackage{booktabs}`."""

import re
from collections.abc import Iterator

from lmmpy.report.document import Document, Section
from lmmpy.report.grids import Grid

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "‘": "`", "’": "'", "'": r"\textquotesingle{}", "*": "{*}", "[": "{[}", "]": "{]}",
}  # fmt: skip
_NUMBER = re.compile(r"(?P<below><)? ?(?P<value>-?\d+(\.\d+)?)(e(?P<exponent>[+-]\d+))?")


def escape_latex(text: str) -> str:
    r"""Make text safe for LaTeX; `*` and `[` are wrapped so that a `\\` before them does not take them.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _cell(text: str) -> str:
    """Numbers with a sign, a bound or an exponent become mathematics."""
    text = text.strip()
    match = _NUMBER.fullmatch(text)
    if match is None:
        return escape_latex(text)
    value = match["value"]
    if match["exponent"] is not None:
        value += rf" \times 10^{{{int(match['exponent'])}}}"
    value = f"< {value}" if match["below"] else value
    return value if re.fullmatch(r"[\d.]+", value) else f"${value}$"


def _grid_latex(grid: Grid) -> Iterator[str]:
    named = any(grid.row_names)
    last = len(grid.columns) - 1
    columns = ["l" if j < grid.text_columns or (grid.legend and j == last) else "r" for j in range(last + 1)]
    yield rf"\begin{{tabular}}{{{'l' if named else ''}{''.join(columns)}}}"
    yield r"\toprule"
    rows = [("", [escape_latex(heading) for heading in grid.headings])]
    rows += [
        (escape_latex(name), [_cell(column[i]) for column in grid.columns]) for i, name in enumerate(grid.row_names)
    ]
    for i, (name, cells) in enumerate(rows):
        yield " & ".join([name, *cells] if named else cells) + r" \\"
        if i == 0:
            yield r"\midrule"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _section_latex(section: Section) -> Iterator[str]:
    if section.title:
        yield rf"\noindent\textbf{{{escape_latex(section.title)}}}\par"
    if section.grid is not None:
        yield r"\noindent"
        yield from _grid_latex(section.grid)
        yield r"\par"
    for line in section.lines:
        yield rf"\noindent {escape_latex(line)}\par"
    yield r"\medskip"


def render_latex(document: Document) -> str:
    """Render a document as LaTeX.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        Needs the booktabs package, textcomp before LaTeX of 2020, and nothing else; the text is UTF-8.
    """
    lines = []
    if document.title:
        lines.append(rf"\noindent\textbf{{{escape_latex(document.title)}}}\par")
    for label, text in document.header:
        lines.append(rf"\noindent {escape_latex(label)}: \texttt{{{escape_latex(text)}}}\par")
    if lines:
        lines.append(r"\medskip")
    for section in document.sections:
        lines += _section_latex(section)
    return "\n".join(lines)
