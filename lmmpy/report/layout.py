"""Lines of text in R's manner: tables and named numbers, folded at the width of the page."""

from collections.abc import Sequence

from lmmpy.report.grids import Grid

WIDTH = 80


def _folds(widths: Sequence[int], room: int) -> list[range]:
    """Split columns into runs that fit into `room`, each with its gap; one column at least."""
    runs, start, used = [], 0, 0
    for i, width in enumerate(widths):
        if i > start and used + width + 1 > room:
            runs.append(range(start, i))
            start, used = i, 0
        used += width + 1
    runs.append(range(start, len(widths)))
    return runs


def grid_lines(grid: Grid, width: int = WIDTH) -> list[str]:
    """Lay a table out as R prints a matrix of text.

    Parameters
    ----------
    grid : Grid
    width : int
        Columns of the page; what does not fit follows below, with the row names again.

    Returns
    -------
    list of str
        No line ends in blanks.
    """
    names_width = max((len(name) for name in grid.row_names), default=0)
    widths = [
        max(len(heading), *map(len, column)) if column else len(heading)
        for heading, column in zip(grid.headings, grid.columns, strict=True)
    ]
    lines = []
    for run in _folds(widths, width - names_width):
        rows = [[grid.headings[j] for j in run]]
        rows += [[grid.columns[j][i] for j in run] for i in range(len(grid.row_names))]
        for name, cells in zip(("", *grid.row_names), rows, strict=True):
            placed = [
                cell.ljust(widths[j]) if _stands_left(grid, j) else cell.rjust(widths[j])
                for j, cell in zip(run, cells, strict=True)
            ]
            lines.append(" ".join([name.ljust(names_width), *placed]).rstrip())
    return lines


def _stands_left(grid: Grid, column: int) -> bool:
    return grid.justify_left or (grid.legend and column == len(grid.columns) - 1)


def named_lines(names: Sequence[str], texts: Sequence[str], gap: int = 1, width: int = WIDTH) -> list[str]:
    """Print numbers under their names, as R prints a named vector.

    Parameters
    ----------
    names, texts : sequence of str, the same length
    gap : int
        Blanks after each.
    width : int
        Columns of the page.

    Returns
    -------
    list of str
        Pairs of lines: names, numbers.
    """
    cell = max(map(len, [*names, *texts]), default=0)
    per_line = max(1, width // (cell + gap))
    lines = []
    for start in range(0, len(names), per_line):
        for part in (names, texts):
            placed = [text.rjust(cell) for text in part[start : start + per_line]]
            lines.append((" " * gap).join(placed).rstrip())
    return lines
