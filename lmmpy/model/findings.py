"""What `check` found, in words, tables and HTML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import pandas as pd

from lmmpy.inference.assumptions import VERDICTS

__all__ = ["Finding", "FitCheck"]

_WIDTH = 88
_MARKS = {"ok": "ok", "look": "LOOK", "concern": "CONCERN"}


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What one check found.

    Attributes
    ----------
    check : str
        Such as ``"normality of residuals"``.
    verdict : {"ok", "look", "concern"}
    figure : float
        The size that was judged; NaN when there is none.
    p_value : float
        How likely so much is by chance; NaN when no test was made.
    found : str
        The figures in words.
    meaning : str
        What that means.
    advice : str
        What to do; empty when all is well.
    """

    check: str
    verdict: str
    figure: float
    p_value: float
    found: str
    meaning: str
    advice: str


@dataclass(frozen=True, slots=True, repr=False)
class FitCheck:
    """
    All findings on a fit; prints itself.

    Attributes
    ----------
    formula : str
    findings : tuple of Finding

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> len(fit.check().concerns)
    0
    """

    formula: str
    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def verdict(self) -> str:
        """The worst of the verdicts."""
        return max((finding.verdict for finding in self.findings), key=VERDICTS.index)

    @property
    def concerns(self) -> tuple[Finding, ...]:
        """The findings of concern."""
        return tuple(finding for finding in self.findings if finding.verdict == "concern")

    def to_frame(self) -> pd.DataFrame:
        """
        One row a finding: `check, verdict, figure, p_value, found, meaning, advice`.

        Returns
        -------
        DataFrame
        """
        fields = ("check", "verdict", "figure", "p_value", "found", "meaning", "advice")
        return pd.DataFrame({name: [getattr(finding, name) for finding in self.findings] for name in fields})

    def __str__(self) -> str:
        lines = [f"Check of {self.formula}", ""]
        width = max(len(mark) for mark in _MARKS.values()) + 2
        for finding in self.findings:
            mark, indent = f"{_MARKS[finding.verdict]:<{width}}", " " * width
            text = f"{finding.check}: {finding.found}."
            lines += textwrap.wrap(text, _WIDTH, initial_indent=mark, subsequent_indent=indent)
            if finding.verdict != "ok":
                text = f"{finding.meaning} {finding.advice}".strip()
                lines += textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
        return "\n".join([*lines, "", self._conclusion()])

    __repr__ = __str__

    def _conclusion(self) -> str:
        counts = {v: sum(finding.verdict == v for finding in self.findings) for v in VERDICTS}
        if counts["concern"]:
            return f"{counts['concern']} of {len(self)} checks of concern, {counts['look']} worth a look."
        return f"Nothing of concern; {counts['look']} of {len(self)} checks worth a look."

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><td>{_MARKS[f.verdict]}</td><td>{escape(f.check)}</td><td>{escape(f.found)}</td>"
            f"<td>{escape(f'{f.meaning} {f.advice}'.strip())}</td></tr>"
            for f in self.findings
        ]
        heads = "".join(f'<th scope="col">{text}</th>' for text in ("Verdict", "Check", "Found", "Meaning"))
        return (
            f'<div class="lmmpy-report"><p><strong>Check of <code>{escape(self.formula)}</code></strong></p>'
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            f"<p>{escape(self._conclusion())}</p></div>"
        )
