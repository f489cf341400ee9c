"""`check`: a fit read as a statistician would, each finding with what it means and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmmpy.design.values import Floats
from lmmpy.inference.assumptions import (
    VERDICTS,
    Judged,
    between_groups,
    decorrelated,
    influential,
    normality,
    smoothed_spread,
    spread_on_fitted,
    variance_inflation,
)
from lmmpy.inference.deletion import delete_groups
from lmmpy.inference.leverage import Leverage
from lmmpy.model.influence import SolveWithout, leverage_of, sets_of_rows, weighted_residual

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["Finding", "FitCheck", "check_fit"]

_WIDTH = 88
_MARKS = {"ok": "ok", "look": "LOOK", "concern": "CONCERN"}
# Variance inflation, and the least eigenvalue of a term's correlation matrix.
_INFLATION, _NEARLY_SINGULAR = (10.0, 100.0), 0.02
# How many related levels are made independent at most; numbers in the columns solved for that, but so many levels.
_RELATIVES, _SOLVED, _FEW_RELATIVES = 500, 20_000_000, 50


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
        """One row a finding: `check, verdict, figure, p_value, found, meaning, advice`."""
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


def check_fit(fit: LmmFit) -> FitCheck:
    """See `Diagnosed.check`."""
    leverage = leverage_of(fit)
    if fit.optimum.saturated:
        unjudged = [_no_residual(what) for what in ("constant variance", "normality of residuals", "influence")]
        findings = [_convergence(fit), _singularity(fit), _collinearity(fit)]
        return FitCheck(fit.formula, (*findings, *unjudged, *_effect_normality(fit, leverage)))
    left = 1.0 - leverage.diagonal
    seen = left > 1e-8
    residual = np.zeros(fit.nobs)
    residual[seen] = weighted_residual(fit)[seen] / (fit.sigma * np.sqrt(left[seen]))
    findings = [_convergence(fit), _singularity(fit), _collinearity(fit)]
    variances, level_residual = _variances(fit, residual, seen)
    findings += [*variances, _residual_normality(level_residual[seen], level_residual is not residual)]
    findings += _effect_normality(fit, leverage)
    findings += _influence(fit, leverage)
    return FitCheck(fit.formula, tuple(findings))


def _finding(check: str, judged: Judged | None, meaning: str, advice: str, too_few: str) -> Finding:
    if judged is None:
        return Finding(check, "ok", float("nan"), float("nan"), f"not judged, {too_few}", "", "")
    return Finding(
        check,
        judged.verdict,
        judged.figure,
        judged.p_value,
        judged.text,
        meaning if judged.verdict != "ok" else "No more than chance, or too little to matter.",
        advice if judged.verdict != "ok" else "",
    )


def _no_residual(check: str) -> Finding:
    return Finding(check, "ok", float("nan"), float("nan"), "not judged, no residual variance is left", "", "")


# ---- the optimum


def _convergence(fit: LmmFit) -> Finding:
    report = fit.convergence
    if report.held:
        found = "the variance components were given"
        return Finding("convergence", "ok", float("nan"), float("nan"), found, "Nothing was searched for.", "")
    promised = report.promised_decrease
    size = "less than 1e-9" if promised < 1e-9 else f"{promised:.1g}"
    found = f"a further step promises to lower the criterion by {size}"
    if report.ok:
        return Finding("convergence", "ok", report.promised_decrease, float("nan"), found, "This is an optimum.", "")
    meaning = "The derivatives at the estimate do not confirm it as an optimum, so no other number of the fit is sure."
    advice = " ".join(report.advice)
    return Finding("convergence", "concern", report.promised_decrease, float("nan"), found, meaning, advice)


def _singularity(fit: LmmFit) -> Finding:
    if fit.optimum.saturated:
        found = f"on the boundary: {', '.join(fit.convergence.boundary)}"
        meaning = (
            "The residual variance is estimated as zero, so that related levels and other random effects take all of "
            "it and the fitted values are the responses. The fit is valid; its residuals tell nothing."
        )
        advice = (
            "Repeated records, or relatives of other degrees, would tell the two apart; heritability() gives an "
            "interval."
        )
        return Finding("singularity", "look", 0.0, float("nan"), found, meaning, advice)
    least, where = 1.0, ""
    for term in fit.design.random:
        G = fit.varcorr[term.name].to_numpy()
        sd = np.sqrt(np.diag(G))
        if term.k > 1 and (sd > 0).all():
            eigenvalue = float(np.linalg.eigvalsh(G / np.outer(sd, sd))[0])
            least, where = (eigenvalue, term.term.text) if eigenvalue < least else (least, where)
    if fit.is_singular():
        on = fit.convergence.boundary
        found = f"on the boundary{': ' + ', '.join(on) if on else ''}"
        meaning = "A variance is estimated as zero or a correlation as one; the fit is valid, its random part too rich."
        advice = (
            "Leave the term or its correlations out and compare (ranova, re_pca), or keep it if the design asks for it."
        )
        return Finding("singularity", "look", max(least, 0.0) if where else 0.0, float("nan"), found, meaning, advice)
    if not where:
        return Finding("singularity", "ok", 1.0, float("nan"), "no variance is zero", "", "")
    found = f"least eigenvalue of a correlation matrix {least:.2g}, in ({where})"
    if least > _NEARLY_SINGULAR:
        return Finding("singularity", "ok", least, float("nan"), found, "The random effects can be told apart.", "")
    meaning = "The random effects of this term are nearly determined by each other."
    advice = "See re_pca(); centre the predictors left of the bar, or use fewer of them."
    return Finding("singularity", "look", least, float("nan"), found, meaning, advice)


def _collinearity(fit: LmmFit) -> Finding:
    found = variance_inflation(fit.vcov().to_numpy(), fit.design.assign)
    if not found:
        return Finding("collinearity", "ok", 1.0, float("nan"), "fewer than two predictors", "", "")
    worst = max(found, key=lambda term: found[term])
    names = [name for name, term in zip(fit.design.names, fit.design.assign, strict=True) if term == worst]
    text = f"largest variance inflation {found[worst]:.3g} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
    verdict = VERDICTS[sum(found[worst] > limit for limit in _INFLATION)]
    meaning = (
        "Other predictors say nearly the same, so that standard errors are large and single estimates hard to read."
    )
    advice = "Centre x before x² or an interaction; else drop or combine predictors, or test them together."
    ok = verdict == "ok"
    return Finding(
        "collinearity", verdict, found[worst], float("nan"), text, "" if ok else meaning, "" if ok else advice
    )


# ---- the residuals


def _variances(fit: LmmFit, residual: Floats, seen: np.ndarray) -> tuple[list[Finding], Floats]:
    """Findings on the variance of the residuals, and the residuals with what was found evened out."""
    found, level = [], residual
    fitted = fit.linear_predictor
    judged = spread_on_fitted(residual[seen], fitted[seen])
    found.append(
        _finding(
            "constant variance over the fitted values",
            judged,
            "The residuals spread more at some fitted values than at others: standard errors and prediction intervals "
            "are too narrow in one place and too wide in another.",
            "Transform the response (log, square root), or give weights= that follow the variance.",
            "too few different fitted values",
        )
    )
    if judged is not None and judged.verdict != "ok":
        level = level / smoothed_spread(level, fitted)
    # What the fitted values explain is not asked of the groups again.
    for group, codes in {term.group: term.codes for term in fit.design.random}.items():
        judged = between_groups(level[seen], codes[seen])
        found.append(
            _finding(
                f"equal variance between levels of {group}",
                judged,
                f"The residuals of some levels of {group} spread more than those of others.",
                "Look at a plot of residuals by level; if a known factor separates them, give weights= by its "
                "variances.",
                "fewer than two levels have five rows",
            )
        )
        if judged is not None and judged.verdict != "ok":
            sd = np.sqrt(np.bincount(codes, level**2) / np.maximum(np.bincount(codes), 1))
            level = level / np.where(sd > 0, sd, 1.0)[codes]
    return found, level


def _residual_normality(values: Floats, evened: bool) -> Finding:
    meaning = (
        "The residuals are skewed or have long tails; estimates of means are robust to that, intervals for "
        "single observations and tests of variances are not."
    )
    return _finding(
        "normality of residuals" + (" (variances evened out)" if evened else ""),
        normality(values),
        meaning,
        "Look at a QQ plot: check single rows far off; if all are skewed, transform the response.",
        "too few rows",
    )


# ---- random effects and groups


def _effect_normality(fit: LmmFit, leverage: Leverage) -> list[Finding]:
    """Conditional modes of levels with rows, made independent where levels are related."""
    found, effects = [], fit.ranef()
    parts = fit.design.split_theta(fit.optimum.theta)
    for t, (term, part) in enumerate(zip(fit.design.random, parts, strict=True)):
        T = term.structure.factor(part).T
        prior = np.einsum("ab,ab->a", T, T)
        for a, column in enumerate(term.columns):
            values = _standardized(leverage, t, a, prior[a], effects[term.name].to_numpy()[:, a] / fit.sigma)
            judged = None if values is None else normality(values)
            found.append(
                _finding(
                    f"normality of {column} | {term.name}",
                    judged,
                    f"The effects of the levels of {term.name} are not spread like a normal distribution: a skewed or "
                    "two-peaked set of levels, or single levels far off.",
                    "Look at a QQ plot of ranef(); a predictor of the levels may be missing, or levels be mistaken. "
                    "Fixed effects hardly suffer; predictions for new levels do.",
                    "too few levels, or no variance",
                )
            )
    return found


def _standardized(leverage: Leverage, t: int, a: int, prior: float, modes: Floats) -> Floats | None:
    """
    Modes of effect a of term t with a variance of one by the model, Cov(b̂) = G − Cov(b | y).

    Those of relatives are correlated, as tests of normality do not expect: of at most so many levels, at even steps,
    they are made independent.
    """
    term, conditional = leverage.design.random[t], leverage.variances[t][:, a, a]
    own = prior * term.relatedness.diagonal()
    variance = own - conditional
    known = (variance > 1e-6 * own) & term.recorded
    if not prior > 0 or known.sum() < 0.5 * term.n_recorded:
        return None
    if term.relatedness.is_identity:
        return np.asarray(modes[known] / np.sqrt(variance[known]))
    levels = np.flatnonzero(known)
    most = min(_RELATIVES, max(_FEW_RELATIVES, _SOLVED // leverage.design.q))
    if len(levels) > most:
        levels = levels[np.linspace(0, len(levels) - 1, most).astype(int)]
    between = leverage.covariance(leverage.design.starts[t] + levels * term.k + a, once=True)
    return decorrelated(modes[levels], prior * term.relatedness.block(levels, levels) - between)


def _influence(fit: LmmFit, leverage: Leverage) -> list[Finding]:
    found: list[Finding] = []
    if not fit.design.p:
        return found
    residual, solve_without = weighted_residual(fit), SolveWithout(fit.design, fit.reml, fit.optimum.theta)
    for group in dict.fromkeys(term.group for term in fit.design.random):
        sets = sets_of_rows(fit, group)
        deletion = delete_groups(leverage, residual, fit.solution, sets.rows, solve_without)
        found.append(
            _finding(
                f"influential levels of {group}",
                influential(deletion, fit.sigma, fit.design.p, list(sets.labels)),
                f"Without some levels of {group} the fixed effects would be rather different.",
                f"See influence({group!r}).summary(): check these levels' data, and report the fit with and without.",
                "no level can be left out",
            )
        )
    return found
