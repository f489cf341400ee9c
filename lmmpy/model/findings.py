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
_NOT_JUDGED = "-"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What one check found.

    Attributes
    ----------
    check : str
        Such as ``"normality of residuals"``.
    verdict : {"ok", "look", "concern"}
        By the limits in `FitCheck`; "ok" also where nothing could be judged.
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
    judged : bool
        Whether there was enough to judge.
    """

    check: str
    verdict: str
    figure: float
    p_value: float
    found: str
    meaning: str
    advice: str
    judged: bool = True

    @property
    def mark(self) -> str:
        """The verdict as it is printed."""
        return _MARKS[self.verdict] if self.judged else _NOT_JUDGED


@dataclass(frozen=True, slots=True, repr=False)
class FitCheck:
    """
    All findings on a fit; prints itself.

    A finding must be both beyond chance and large: with many rows every test is significant, with few every size is
    large. It deserves a look when p < 0.01 and the size is above the first limit, and is of concern when p < 0.0001 and
    the size is above the second:

    ================================  ==================================================  =============
    check                             size                                                limits
    ================================  ==================================================  =============
    constant variance                 ratio of the SDs of residuals, upper to lower       1.25, 1.5
                                      third of the fitted values, or its inverse
    equal variance between levels     factor by which SDs differ beyond sampling          1.16, 1.35
    normality                         absolute skewness                                   0.5, 1
                                      or excess kurtosis                                  1, 2
    ================================  ==================================================  =============

    Others have rules of their own. Collinearity: generalised variance inflation above 10, and 100. Singularity: a look
    when a variance is zero, or the least eigenvalue of a correlation matrix of random effects below 0.02. Influential
    levels, of m: a look when Cook's distance is above 1, or above 4/m with p < 0.01; of concern above 1 when p < 0.001
    or it is a hundred times what is expected of a typical level; p is multiplied by m. Convergence: of concern unless
    the derivatives confirm the optimum. What there is too little data for is not judged, and marked ``-``.

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
            mark, indent = f"{finding.mark:<{width}}", " " * width
            text = f"{finding.check}: {finding.found}."
            lines += textwrap.wrap(text, _WIDTH, initial_indent=mark, subsequent_indent=indent)
            if finding.verdict != "ok":
                text = f"{finding.meaning} {finding.advice}".strip()
                lines += textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
        return "\n".join([*lines, "", self._conclusion()])

    __repr__ = __str__

    def _conclusion(self) -> str:
        counts = {v: sum(finding.verdict == v for finding in self.findings) for v in VERDICTS}
        unjudged = sum(not finding.judged for finding in self.findings)
        left = f", {unjudged} not judged" if unjudged else ""
        return f"{counts['concern'] or 'None'} of {len(self)} checks of concern, {counts['look']} worth a look{left}."

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><td>{f.mark}</td><td>{escape(f.check)}</td><td>{escape(f.found)}</td>"
            f"<td>{escape(f'{f.meaning} {f.advice}'.strip())}</td></tr>"
            for f in self.findings
        ]
        heads = "".join(f'<th scope="col">{text}</th>' for text in ("Verdict", "Check", "Found", "Meaning"))
        return (
            f'<div class="lmmpy-report"><p><strong>Check of <code>{escape(self.formula)}</code></strong></p>'
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            f"<p>{escape(self._conclusion())}</p></div>"
        )
