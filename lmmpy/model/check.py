"""`check`: a fit read as a statistician would, each finding with what it means and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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
from lmmpy.model.findings import Finding, FitCheck
from lmmpy.model.influence import SolveWithout, leverage_of, projection_of, sets_of_rows, weighted_residual

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["Finding", "FitCheck", "check_fit"]

# Variance inflation, and the least eigenvalue of a term's correlation matrix.
_INFLATION, _NEARLY_SINGULAR = (10.0, 100.0), 0.02
# How many related levels are made independent at most; numbers in the columns solved for that, but so many levels.
_RELATIVES, _SOLVED, _FEW_RELATIVES = 500, 20_000_000, 50


def check_fit(fit: LmmFit) -> FitCheck:
    """See `Diagnosed.check`."""
    leverage = leverage_of(fit)
    findings = [_convergence(fit), _singularity(fit), *_collinearity(fit)]
    residual = _independent_residual(fit, leverage)
    if isinstance(residual, str):
        names = ("constant variance", "normality of residuals") + ("influence",) * fit.optimum.saturated
        findings += [_not_judged(what, residual) for what in names]
    else:
        for trait, rows in _by_trait(fit):
            findings += _of_rows(fit, residual, rows, f" of {trait}" if trait else "")
    findings += _effect_normality(fit, leverage)
    if not fit.optimum.saturated:
        findings += _influence(fit, leverage)
    return FitCheck(fit.formula, tuple(findings))


def _independent_residual(fit: LmmFit, leverage: Leverage) -> Floats | str:
    """Residuals that are uncorrelated within a group, of variance one, NaN for no residual; or why there are none."""
    if fit.optimum.saturated:
        return "no residual variance is left"
    if not fit.design.row_covariances:
        left = 1.0 - leverage.diagonal
        seen = left > 1e-8
        return np.where(seen, weighted_residual(fit) / (fit.sigma * np.sqrt(np.where(seen, left, 1.0))), np.nan)
    if not fit.residual_covariance.is_regular:
        return "the covariance of the residual is singular"
    return projection_of(fit).independent / fit.sigma


def _by_trait(fit: LmmFit) -> list[tuple[str, NDArray[np.bool_]]]:
    """The rows of each trait with its name; all rows of a single response."""
    traits = fit.design.traits
    if traits is None:
        return [("", np.ones(fit.nobs, dtype=bool))]
    return [(name, traits.trait == t) for t, name in enumerate(traits.names)]


def _of_rows(fit: LmmFit, residual: Floats, rows: NDArray[np.bool_], of: str) -> list[Finding]:
    """What the residuals of one response say."""
    seen = np.flatnonzero(rows & np.isfinite(residual))
    variances, level = _variances(fit, residual[seen], seen, of)
    evened = any(finding.verdict != "ok" for finding in variances)
    return [*variances, _residual_normality(level, evened, of)]


def _finding(check: str, judged: Judged | None, meaning: str, advice: str, too_few: str) -> Finding:
    if judged is None:
        return _not_judged(check, too_few)
    return Finding(
        check,
        judged.verdict,
        judged.figure,
        judged.p_value,
        judged.text,
        meaning if judged.verdict != "ok" else "No more than chance, or too little to matter.",
        advice if judged.verdict != "ok" else "",
    )


def _not_judged(check: str, why: str) -> Finding:
    return Finding(check, "ok", float("nan"), float("nan"), f"not judged, {why}", "", "", judged=False)


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


def _collinearity(fit: LmmFit) -> list[Finding]:
    """One of each response, whose coefficients share no predictor with those of others."""
    vcov, design = fit.vcov().to_numpy(), fit.design
    found = []
    for trait, rows in _by_trait(fit):
        own = np.flatnonzero(design.X[rows].any(axis=0))
        assign, names = [design.assign[i] for i in own], [design.names[i] for i in own]
        of = f" of the predictors of {trait}" if trait else ""
        found.append(_inflation(vcov[np.ix_(own, own)], assign, names, of))
    return found


def _inflation(vcov: Floats, assign: Sequence[int], names: Sequence[str], of: str) -> Finding:
    found = variance_inflation(vcov, assign)
    if not found:
        return Finding(f"collinearity{of}", "ok", 1.0, float("nan"), "fewer than two predictors", "", "")
    worst = max(found, key=lambda term: found[term])
    own = [name for name, term in zip(names, assign, strict=True) if term == worst]
    text = f"largest variance inflation {found[worst]:.3g} ({', '.join(own[:3])}{', …' if len(own) > 3 else ''})"
    verdict = VERDICTS[sum(found[worst] > limit for limit in _INFLATION)]
    meaning = (
        "Other predictors say nearly the same, so that standard errors are large and single estimates hard to read."
    )
    advice = "Centre x before x² or an interaction; else drop or combine predictors, or test them together."
    ok = verdict == "ok"
    return Finding(
        f"collinearity{of}", verdict, found[worst], float("nan"), text, "" if ok else meaning, "" if ok else advice
    )


# ---- the residuals


def _variances(fit: LmmFit, residual: Floats, seen: NDArray[np.intp], of: str) -> tuple[list[Finding], Floats]:
    """Findings on the variance of some rows' residuals, and the residuals with what was found evened out."""
    found, level = [], residual
    fitted = fit.linear_predictor[seen]
    judged = spread_on_fitted(residual, fitted)
    model = "give weights= that follow the variance" if not fit.design.row_covariances else "see residual="
    found.append(
        _finding(
            f"constant variance over the fitted values{of}",
            judged,
            "The residuals spread more at some fitted values than at others: standard errors and prediction intervals "
            "are too narrow in one place and too wide in another.",
            f"Transform the response (log, square root), or {model}.",
            "too few different fitted values",
        )
    )
    if judged is not None and judged.verdict != "ok":
        level = level / smoothed_spread(level, fitted)
    # What the fitted values explain is not asked of the groups again.
    for group, codes in {term.group: term.codes[seen] for term in fit.design.random}.items():
        judged = between_groups(level, codes)
        found.append(
            _finding(
                f"equal variance between levels of {group}{of and f',{of}'}",
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


def _residual_normality(values: Floats, evened: bool, of: str) -> Finding:
    meaning = (
        "The residuals are skewed or have long tails; estimates of means are robust to that, intervals for "
        "single observations and tests of variances are not."
    )
    return _finding(
        f"normality of residuals{of}" + (" (variances evened out)" if evened else ""),
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
    projection = projection_of(fit) if fit.design.row_covariances else None
    for group in dict.fromkeys(term.group for term in fit.design.random):
        sets = sets_of_rows(fit, group)
        if projection is not None:
            deletion = projection.delete(sets.rows)
        else:
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
