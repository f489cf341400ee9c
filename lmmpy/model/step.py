"""`step`: backward elimination, random terms first, then fixed effects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design.values import Floats
from lmmpy.errors import ModelError, shown
from lmmpy.formula import parse_formula
from lmmpy.formula.update import RandomKey, random_key, random_text
from lmmpy.model.constraints import refuse_constrained
from lmmpy.model.drop1 import f_tests, marginal_terms, without_term
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.ranova import check_random, deletions, ranova_frame
from lmmpy.report import AnovaTable

__all__ = ["StepResult", "step"]


@dataclass(frozen=True, eq=False, slots=True)
class StepResult:
    """
    What a backward elimination took away, in which order, and what is left.

    Attributes
    ----------
    random : AnovaTable
        Columns `Eliminated` (the step, 0 for what stayed), `npar, logLik, AIC, LRT, Df, Pr(>Chisq)`, and with
        ``mixture=True`` `Pr(mixture)`; the numbers of a row are those of the step that decided about it.
    fixed : AnovaTable
        Columns `Eliminated, Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F)`.
    fit : LmmFit
        The final model, on the rows of the first, with its weights and subset as they were given; an `update` of it
        looks for its rows anew.
    notes : tuple of str
        What the procedure could not do, or did without a test.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> found = lmm.step(fit)
    >>> found.formula
    'Reaction ~ Days + (1 | Subject)'
    """

    random: AnovaTable
    fixed: AnovaTable
    fit: LmmFit
    notes: tuple[str, ...] = ()

    @property
    def formula(self) -> str:
        """The formula of the final model."""
        return self.fit.formula

    def __str__(self) -> str:
        parts = [str(self.random), str(self.fixed), f"Model found:\n{self.formula}", *self.notes]
        return "\n\n".join(parts)

    __repr__ = __str__


def step(
    fit: LmmFit,
    alpha_random: float = 0.1,
    alpha_fixed: float = 0.05,
    ddf: str = "satterthwaite",
    keep: str | Iterable[str] = (),
    mixture: bool = False,
) -> StepResult:
    """
    Simplify a model step by step.

    First the random term whose reduction has the largest p-value in `ranova` is reduced, as long as that is above
    `alpha_random`; then likewise the fixed-effects term with the largest p-value of the F tests of `drop1`, among those
    that no other term contains; of these, one whose columns the other terms determine goes first, as no test says
    anything of it. The last random term stays, also when its test would take it away. Both are said in `notes`.

    The p-values of the model that is left do not know of the search: they are too small, and its intervals too narrow.

    Parameters
    ----------
    fit : LmmFit
    alpha_random, alpha_fixed : float
        In [0, 1]; 1 keeps everything.
    ddf : {"satterthwaite", "kenward-roger"}
    keep : sequence of str
        Terms that stay: fixed ones such as ``"Days"``, random ones such as ``"(1 | Subject)"``.
    mixture : bool
        Whether random terms are judged by `Pr(mixture)`, where it is known, instead of the naive p-value, which keeps
        too few of them.

    Returns
    -------
    StepResult

    Raises
    ------
    ModelError
        For wrong arguments, or a fit whose variance components were given.

    References
    ----------
    Kuznetsova, Brockhoff & Christensen (2017), lmerTest package, J. Stat. Softw. 82(13).

    Examples
    --------
    >>> import lmmpy as lmm
    >>> fit = lmm.lmer("score ~ Machine + (1 | Worker)", lmm.datasets.load("Machines"))
    >>> lmm.step(fit).formula
    'score ~ Machine + (1 | Worker)'
    """
    check_random(fit, "step")
    refuse_constrained(fit, "step", "lmm.anova(smaller, fit) compares fits, with constraints or without.")
    for name, alpha in (("alpha_random", alpha_random), ("alpha_fixed", alpha_fixed)):
        if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.number) or not 0.0 <= alpha <= 1.0:
            raise ModelError(f"{name} must be a number from 0 to 1, not {alpha!r}.")
    if not isinstance(mixture, bool | np.bool_):
        raise ModelError(f"mixture must be True or False, not {mixture!r}.")
    title = fit.contrast_tests(ddf).method.title
    keeps_random, keeps_fixed = _kept(fit, keep)
    random, reduced, notes = _random_steps(fit, float(alpha_random), keeps_random, bool(mixture))
    fixed, final, aliased = _fixed_steps(reduced, float(alpha_fixed), keeps_fixed, ddf)
    return StepResult(
        AnovaTable.under(("Backward reduced random-effect table:", ""), random),
        AnovaTable.under(("Backward reduced fixed-effect table:", f"Degrees of freedom method: {title}", ""), fixed),
        final,
        notes + aliased,
    )


def _kept(fit: LmmFit, keep: Any) -> tuple[set[RandomKey], set[str]]:
    """The random and the fixed terms that stay."""
    wanted = [keep] if isinstance(keep, str) else list(keep) if isinstance(keep, Iterable) else [keep]
    parsed = fit.blueprint.parsed
    labels = {frozenset(term.label.split(":")): term.label for term in parsed.fixed.terms}
    groups = {random_key(term)[2] for term in parsed.all_random}
    fixed: set[str] = set()
    random: set[RandomKey] = set()
    for item in wanted:
        text = item if isinstance(item, str) else ""
        keys = {random_key(term) for term in parse_formula(f"~ {text}").all_random} if "(" in text else set()
        if frozenset(text.split(":")) in labels:
            fixed.add(labels[frozenset(text.split(":"))])
        elif keys and all(key[2] in groups for key in keys):
            random |= keys
        else:
            there = [*labels.values(), *(random_text(term) for term in parsed.all_random)]
            raise ModelError(f"keep: there is no term {item!r} in the model; there are {shown(there, 20)}.")
    return random, fixed


def _random_steps(
    fit: LmmFit, alpha: float, keep: set[RandomKey], mixture: bool
) -> tuple[pd.DataFrame, LmmFit, tuple[str, ...]]:
    """The table, the model that is left, and what is to be said."""
    model, lines, notes = fit, list[pd.DataFrame](), list[str]()
    while True:
        rows = deletions(model, reduce_terms=True)
        frame = ranova_frame(model, rows)
        if not lines:
            lines.append(_line(frame.iloc[:1], np.nan))
        tests = frame.iloc[1:]
        p = tests["Pr(>Chisq)"].to_numpy()
        if mixture:
            p = np.where(np.isnan(tests["Pr(mixture)"]), p, tests["Pr(mixture)"])
        worst = _worst(p, [random_key(row.term) in keep for row in rows], alpha)
        if worst is not None and rows[worst].fit is None:
            notes.append(
                f"{rows[worst].name}, the last random term, stays, although its p-value {p[worst]:.3g} is above "
                f"alpha_random={alpha:g}: without it the model is a linear regression."
            )
            worst = None
        if worst is None:
            lines.append(_line(tests, 0.0))
            break
        lines.append(_line(tests.iloc[[worst]], float(len(lines))))
        reduced = rows[worst].fit
        assert reduced is not None
        model = reduced
    table = pd.concat(lines)
    return table if mixture else table.drop(columns="Pr(mixture)"), model, tuple(notes)


def _fixed_steps(fit: LmmFit, alpha: float, keep: set[str], ddf: str) -> tuple[pd.DataFrame, LmmFit, tuple[str, ...]]:
    """The table, the model that is left, and what is to be said."""
    model, lines, notes = fit, list[pd.DataFrame](), list[str]()
    while True:
        labels = marginal_terms(model.blueprint.parsed.fixed)
        frame = f_tests(model, labels, ddf)
        kept = [label in keep for label in labels]
        worst = _aliased(model, labels, frame, kept) if alpha < 1.0 else None
        if worst is not None:
            notes.append(
                f"{labels[worst]} cannot be tested, as the other terms determine its columns: it was eliminated "
                f"{'first' if not lines else 'then'}, which changes nothing in the model's mean."
            )
        else:
            worst = _worst(frame["Pr(>F)"].to_numpy(), kept, alpha)
        if worst is None:
            lines.append(_line(frame, 0.0))
            break
        lines.append(_line(frame.iloc[[worst]], float(len(lines) + 1)))
        model = without_term(model, labels[worst]).fit
    return pd.concat(lines), model, tuple(notes)


def _aliased(fit: LmmFit, labels: Sequence[str], frame: pd.DataFrame, kept: Sequence[bool]) -> int | None:
    """The place of a term that may go and takes nothing with it; one without a column of its own before others."""
    every = [term.label for terms in fit.blueprint.parsed.fixed_parts for term in terms.terms]
    present = {every[place - 1] for place in fit.design.assign if place}
    free = [i for i, df in enumerate(frame["NumDF"]) if df == 0 and not kept[i]]
    return min(free, key=lambda i: (labels[i] in present, -i), default=None)


def _line(rows: pd.DataFrame, eliminated: float) -> pd.DataFrame:
    rows = rows.copy()
    rows.insert(0, "Eliminated", eliminated)
    return rows


def _worst(p: Floats, kept: Sequence[bool], alpha: float) -> int | None:
    """The place of the largest p-value above alpha, among those that may go."""
    free = np.where(np.array(kept, dtype=bool) | np.isnan(p), -1.0, p)
    worst = int(np.argmax(free)) if len(free) else 0
    return worst if len(free) and free[worst] > alpha else None
