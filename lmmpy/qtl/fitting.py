"""How the analyses of families are fitted: one call, by maximum likelihood, of the people who have what it takes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmmpy.errors import ModelError, SingularFitWarning
from lmmpy.fitting import Control
from lmmpy.inference.intervals import checked_level
from lmmpy.model import LmmFit
from lmmpy.model.assemble import assemble_fit
from lmmpy.model.results import Request
from lmmpy.model.scope import name_of
from lmmpy.model.source import Source
from lmmpy.qtl.families import Families

__all__ = ["Options", "fit_families", "people_used"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Options:
    """What all analyses of families take.

    Attributes
    ----------
    data_name : str or None
        What the caller calls the data.
    subset, na_action
        As of `lmer`.
    interval : {"wald", "profile"}
    level : float
    control : Control
    scope : mapping
        The caller's variables.
    """

    data_name: str | None
    subset: Any
    na_action: str
    interval: str
    level: float
    control: Control
    scope: Mapping[str, Any]

    @classmethod
    def checked(
        cls,
        data: Any,
        subset: Any,
        na_action: str,
        interval: str,
        level: float,
        control: Control | None,
        scope: Mapping[str, Any],
    ) -> Options:
        """Refuse what is none of what there is."""
        if interval not in ("wald", "profile"):
            raise ModelError(f"interval is 'wald' or 'profile', not {interval!r}.")
        return cls(
            data_name=name_of(data, scope),
            subset=subset,
            na_action=na_action,
            interval=interval,
            level=checked_level(level),
            control=control or Control(),
            scope=scope,
        )


def fit_families(
    formula: str,
    families: Families,
    options: Options,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
) -> LmmFit:
    """
    Fit by maximum likelihood; that a variance is zero, or a maximum a local one, is left for the report to say.

    Parameters
    ----------
    formula : str
    families : Families
    options : Options
    relmat : mapping, optional
        The relatednesses that the formula names; by default the families' own.
    residual : str, optional
        As of `lmer`.
    """
    subset = options.subset
    named = subset if subset is None or isinstance(subset, str) else name_of(subset, options.scope) or "(values)"
    own = {families.name: families.relatedness} if relmat is None else relmat
    request = Request(
        reml=False,
        na_action=options.na_action,
        control=options.control,
        source=Source(families.frame, subset=subset, relmat=own, residual=residual),
        data_name=options.data_name,
        subset=named,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return assemble_fit(LmmFit, formula, request, options.scope, None)


def people_used(fit: LmmFit, families: Families) -> int:
    """How many people the rows of a fit are."""
    return int(families.frame.loc[fit.design.rows, families.id].nunique())
