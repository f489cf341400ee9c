"""`Multivariate` and `Bivariate`: the estimates and tests of several traits of families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.fitting.convergence import unbounded
from lmmpy.model import LmmFit
from lmmpy.qtl.analysis import FamilyAnalysis
from lmmpy.qtl.families import Families
from lmmpy.qtl.fitting import Options, people_used
from lmmpy.qtl.quantities import effects_table, estimated, quantities_table
from lmmpy.qtl.traits import Parts, TraitStudy, trait_quantities

__all__ = ["Bivariate", "Multivariate", "found_of_traits"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Multivariate(FamilyAnalysis):
    """
    Several traits of families; see `multivariate` and `FamilyAnalysis`.

    Attributes
    ----------
    traits : tuple of str, length d
    """

    traits: tuple[str, ...]

    @property
    def h2(self) -> pd.Series:
        """Heritability by trait."""
        return pd.Series([self._of(f"h2[{trait}]") for trait in self.traits], index=list(self.traits), name="h2")

    @property
    def h2_se(self) -> pd.Series:
        """Its standard error."""
        se = [self._of(f"h2[{trait}]", "std_error") for trait in self.traits]
        return pd.Series(se, index=list(self.traits), name="std_error")

    def correlations(self, part: str = "g", column: str = "estimate") -> pd.DataFrame:
        """
        Correlations of the traits as a matrix.

        Parameters
        ----------
        part : str
            "g" genetic, "e" environmental, "c" of households, "p" phenotypic; or the name of a further random term.
        column : {"estimate", "std_error", "conf_low", "conf_high"}

        Returns
        -------
        DataFrame, shape (d, d)
            On the diagonal one, of standard errors zero.

        Raises
        ------
        KeyError
            When the model has no such part.
        """
        values = np.full((len(self.traits),) * 2, 0.0 if column == "std_error" else 1.0)
        for i, j in combinations(range(len(self.traits)), 2):
            pair = "" if len(self.traits) == 2 else f"[{self.traits[i]}, {self.traits[j]}]"
            if f"rho_{part}{pair}" not in set(self.estimates["parameter"]):
                raise KeyError(f"the model has no part {part!r} with correlations")
            values[i, j] = values[j, i] = self._of(f"rho_{part}{pair}", column)
        return pd.DataFrame(values, index=list(self.traits), columns=list(self.traits))


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Bivariate(Multivariate):
    """Two traits of families; see `bivariate` and `FamilyAnalysis`."""

    @property
    def rho_g(self) -> float:
        """Genetic correlation."""
        return self._of("rho_g")

    @property
    def rho_g_se(self) -> float:
        """Standard error of `rho_g`."""
        return self._of("rho_g", "std_error")

    @property
    def rho_e(self) -> float:
        """Environmental correlation: of what neither relatedness nor household accounts for."""
        return self._of("rho_e")

    @property
    def rho_e_se(self) -> float:
        """Standard error of `rho_e`."""
        return self._of("rho_e", "std_error")

    @property
    def rho_c(self) -> float:
        """Correlation of the households' effects; NaN without household."""
        return self._of("rho_c")

    @property
    def rho_p(self) -> float:
        """Phenotypic correlation given the covariates, as it follows from the others."""
        return self._of("rho_p")


def found_of_traits(
    fit: LmmFit, families: Families, parts: Parts, study: TraitStudy, options: Options
) -> dict[str, Any]:
    """What the results of two and of more traits share, by the names of their attributes."""
    quantities = trait_quantities(parts, study.names)
    return {
        "fit": fit,
        "level": options.level,
        "estimates": quantities_table(fit, quantities, options.interval, options.level),
        "covariates": effects_table(fit, options.level),
        "n_people": people_used(fit, families),
        "n_records": fit.nobs,
        "n_pedigree": families.n_pedigree,
        "notes": tuple([*families.notes(), *_notes(fit, parts, study.names)]),
        "traits": study.names,
    }


def _notes(fit: LmmFit, parts: Parts, traits: Sequence[str]) -> list[str]:
    values, notes = estimated(fit, trait_quantities(parts, traits)), []
    nil = [name for name, value in values.items() if value == 0.0 and "2[" in name]
    if nil:
        notes.append(
            f"Estimated as zero: {', '.join(nil)}. A correlation with what does not vary has no value, and no test."
        )
    reason = unbounded(fit.criterion, fit.optimum)
    if reason is not None:
        notes.append(reason)
    ends = [name for name, value in values.items() if name.startswith("rho") and abs(value) == 1.0]
    if ends:
        notes.append(f"Estimated at the end of its range, where it has no standard error: {', '.join(ends)}.")
    return notes
