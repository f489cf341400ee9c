"""Marginal means in emmeans' layout."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmpy.design.values import label_of
from lmmpy.inference.multiplicity import for_intervals
from lmmpy.report.numbers import pad_left, pad_right, r_format, round_to

if TYPE_CHECKING:
    from lmmpy.model.marginal_means import MarginalMeans

__all__ = ["means_html", "means_text"]

_DIGITS = 3


def means_text(means: MarginalMeans) -> str:
    """Write a table of means or contrasts, group by group, with its notes; then the contrasts asked for with it."""
    lines = []
    for title, table in _tables(means):
        if title:
            lines.append(f"{title}:")
        lines += [*table, ""]
    lines += _notes(means)
    text = "\n".join(lines)
    return text if means.contrasts is None else f"{text}\n\n{means_text(means.contrasts)}"


def means_html(means: MarginalMeans) -> str:
    """Write the same as a fragment of HTML."""
    cells = _cells(means)
    shown = [name for name in cells if name not in means.by]
    parts = []
    for rows in means.groups():
        caption = escape(_title(means, cells, int(rows[0])))
        head = "".join(f"<th>{escape(name.strip())}</th>" for name in shown)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cells[name][row].strip())}</td>" for name in shown) + "</tr>" for row in rows
        )
        parts.append(f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    parts.append("<p>" + "<br>".join(map(escape, _notes(means))) + "</p>")
    return "\n".join(parts) + ("" if means.contrasts is None else "\n" + means_html(means.contrasts))


def _tables(means: MarginalMeans) -> list[tuple[str, list[str]]]:
    cells = _cells(means)
    shown = [name for name in cells if name not in means.by]
    left = {name for name in means.levels if _is_text(means.levels[name])}
    columns = [(pad_right if name in left else pad_left)([name, *cells[name]]) for name in shown]
    tables = []
    for rows in means.groups():
        picked = [[column[0], *(column[row + 1] for row in rows)] for column in columns]
        lines = [(" " + " ".join(parts)).rstrip() for parts in zip(*picked, strict=True)]
        tables.append((_title(means, cells, int(rows[0])), lines))
    return tables


def _title(means: MarginalMeans, cells: dict[str, list[str]], row: int) -> str:
    return ", ".join(f"{name} = {cells[name][row]}" for name in means.by)


def _is_text(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind not in "biuf"


def _cells(means: MarginalMeans) -> dict[str, list[str]]:
    """The texts of the table by column: three digits, or as many as tell an estimate from its neighbours."""
    frame = means.to_frame()
    digits = _digits(means)
    cells: dict[str, list[str]] = {}
    for name in map(str, frame):
        values = frame[name]
        if name in means.levels:
            text = _is_text(values) or values.dtype.kind == "b"
            cells[name] = [label_of(v) for v in values.tolist()] if text else r_format(values.to_numpy(float))
        elif name == "p.value":
            cells[name] = _p_values(values.to_numpy(float))
        elif name in ("t.ratio", "z.ratio"):
            ratios = round_to(values.to_numpy(float), 3)
            cells[name] = ["NA" if np.isnan(v) else f"{v:.3f}" for v in ratios]
        else:
            missing = "nonEst" if name == means.estimate_name else "NA"
            cells[name] = r_format(values, _DIGITS if name == "df" else digits, missing=missing)
    return cells


def _digits(means: MarginalMeans) -> int:
    estimate, se = np.abs(means.estimate), means.std_error
    known = np.isfinite(estimate) & (se > 0)
    if not known.any():
        return _DIGITS
    with np.errstate(divide="ignore"):
        resolved = np.log10(estimate[known].max() / se[known].min())
    return int(max(_DIGITS, 1 + np.ceil(resolved))) if np.isfinite(resolved) else _DIGITS


def _p_values(p: Sequence[float] | np.ndarray) -> list[str]:
    return ["NA" if np.isnan(v) else "<.0001" if v < 0.5e-4 else f"{v:.4f}" for v in p]


def _notes(means: MarginalMeans) -> list[str]:
    lines = []
    if means.averaged:
        lines.append(f"Results are averaged over the levels of: {', '.join(means.averaged)}")
    lines.append(f"Degrees-of-freedom method: {means.basis.tests.method.name}")
    method = means.effective_adjust()
    if means.infer[0]:
        lines.append(f"Confidence level used: {means.level:g}")
        if method != "none":
            lines.append(f"Conf-level adjustment: {_described(means, for_intervals(method), 'estimates')}")
    if means.infer[1] and method != "none":
        lines.append(f"P value adjustment: {_described(means, method, 'tests')}")
    if means.adjust == "tukey" and method == "sidak":
        lines.append("Note: Tukey's adjustment is for one set of all pairwise comparisons; Sidak's is made instead")
    return [*lines, *means.notes]


def _described(means: MarginalMeans, method: str, what: str) -> str:
    rows = means.groups()[0]
    if method == "tukey":
        return f"tukey method for comparing a family of {means.compared} estimates"
    if method == "scheffe":
        return f"scheffe method with rank {means.family(rows).rank}"
    return f"{method} method for {len(rows)} {what}"
