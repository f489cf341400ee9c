"""Null models by chromosome: the relatedness is that of all the others (leave one chromosome out)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lmmpy.errors import DataError, ModelError, shown
from lmmpy.formula.syntax import Name
from lmmpy.markers import GenotypeSource, grm
from lmmpy.model import LmmFit
from lmmpy.qtl.people import People

__all__ = ["fits_without"]


def fits_without(
    fit: LmmFit, source: GenotypeSource, loco: Any, people: People, chromosomes: Sequence[str]
) -> dict[str, LmmFit]:
    """
    The fit with another relatedness for each chromosome.

    Parameters
    ----------
    fit : LmmFit
        With one relatedness.
    source : GenotypeSource
        From which the kernels are made, if they are not given.
    loco : True, "standardized", "centered", or mapping from chromosome to Relatedness
    people : People
        Of the fit.
    chromosomes : sequence of str
        For which a fit is needed.

    Returns
    -------
    dict of str to LmmFit

    Raises
    ------
    ModelError
        When the fit has not exactly one relatedness, which a name stands for.
    DataError
        When a chromosome has no kernel.
    """
    name = _relatedness_name(fit)
    if isinstance(loco, Mapping):
        kernels = {str(chromosome): kernel for chromosome, kernel in loco.items()}
    elif loco is True or (isinstance(loco, str) and loco in ("standardized", "centered")):
        if source.variants["chromosome"].nunique() < 2:
            raise DataError("loco: the genotypes have one chromosome only, so that none is left for the relatedness.")
        method: Literal["standardized", "centered"] = "centered" if loco == "centered" else "standardized"
        kernels = dict(grm(source, people=people.ids, loco=True, method=method))
    else:
        raise ModelError(
            f"loco is True, 'standardized', 'centered', or a mapping from chromosome to Relatedness, not {loco!r}."
        )
    absent = [chromosome for chromosome in chromosomes if chromosome not in kernels]
    if absent:
        raise DataError(f"loco: there is no relatedness for the chromosomes {shown(absent)}; it has {shown(kernels)}.")
    given = dict(fit.request.source.relmat or {})
    return {one: fit.update(relmat=given | {name: kernels[one]}) for one in chromosomes}


def _relatedness_name(fit: LmmFit) -> str:
    """What the formula calls the relatedness that is to be replaced."""
    related = [term for term in fit.design.random if not term.relatedness.is_identity]
    if len(related) != 1:
        raise ModelError(
            f"loco: the null model has {len(related)} terms with a relatedness; one of them can be left without a "
            "chromosome. Fit by hand the model of each chromosome, and scan its variants (variants=) alone."
        )
    grouping = related[0].term.grouping
    if grouping.kin is None:
        return grouping.label
    if not isinstance(grouping.kin.relatedness, Name):
        raise ModelError(f"loco: give the relatedness of {related[0].name} a name: kin(id, K) with K a variable.")
    return grouping.kin.relatedness.id
