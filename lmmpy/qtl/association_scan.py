"""`AssociationScan`: the table of an association scan, and what is read off it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, ModelError, shown
from lmmpy.inference.genomic_control import lambda_gc
from lmmpy.model import LmmFit
from lmmpy.qtl.export import write_association
from lmmpy.qtl.peaks import association_peaks
from lmmpy.qtl.printed import Printed
from lmmpy.report.document import Document, Section
from lmmpy.report.grids import Grid
from lmmpy.report.numbers import pad_left

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AssociationScan"]

_TOP = 5
# Variants from which a median says something.
_ENOUGH = 20
_TEST_NAMES = {"score": "score", "wald": "Wald", "lrt": "likelihood ratio", "all": "Wald, likelihood ratio and score"}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AssociationScan(Printed):
    """
    Tests of many variants beside one null model.

    Made by `association`. Printing it shows a report.

    Attributes
    ----------
    table : DataFrame
        One row a variant (and trait), in the order of the genotypes. Columns: with several traits `trait`;
        `chromosome, position, variant`; `n`, the people with a genotype; `maf`; `beta`, the effect of one copy of the
        effect allele, in units of the trait; `std_error`; `statistic` (F or t² of score and Wald, χ² of the likelihood
        ratio); `p_value`; of several tests `p_wald, p_lrt, p_score` (the columns before are Wald's); of an interaction
        `beta_main, std_error_main, p_joint`; `effect_allele, other_allele`; `frequency` of the effect allele;
        `missing`, the people without a genotype, who count with the mean of the others; `note`: why there is no test
        ("monomorphic", "collinear" with the covariates, "maf", "missing", "all missing", "not converged"), else empty.
    fits : dict of str to LmmFit
        The null model of each trait.
    test : str
    exact : bool
    interaction : str or None
    loco : str
        "standardized", "centered" or "given": the relatedness of each chromosome's null model; else empty.
    genotypes : str
        What was scanned.
    people : dict of str to int
        How many people each trait's null model has.
    method : dict of str to str
        How each trait's tests were computed.
    n_variants : int
        How many were asked for.
    complete : bool
        Whether all of them are in the table; not after an interruption.
    seconds : float

    Examples
    --------
    >>> import lmmpy as lmm
    >>> family = lmm.datasets.load("family")
    >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    >>> fit = lmm.lmer("bmi ~ age + sex + kin(ped)", family)
    >>> genotypes = lmm.datasets.load("family_genotypes").set_index("ID")
    >>> scan = lmm.qtl.association(fit, genotypes, id="ID")
    >>> len(scan.table), round(scan.lambda_gc, 2)
    (60, 1.28)
    """

    table: pd.DataFrame
    fits: Mapping[str, LmmFit]
    test: str
    exact: bool
    interaction: str | None
    loco: str
    genotypes: str
    people: Mapping[str, int]
    method: Mapping[str, str]
    n_variants: int
    complete: bool
    seconds: float

    @property
    def lambda_gc(self) -> float | dict[str, float]:
        """
        Genomic control: the median χ²₁ of the p-values over its expectation (Devlin & Roeder 1999); by trait.

        About 1 where most variants have no effect and the null model accounts for relatedness and structure.
        """
        found = {name: lambda_gc(rows["p_value"].to_numpy()) for name, rows in self._by_trait()}
        return next(iter(found.values())) if len(found) == 1 else found

    def peaks(self, p: float = 5e-8, distance: int = 500_000) -> pd.DataFrame:
        """
        Lead variants: each the best of those within `distance` that are at most `p`.

        Parameters
        ----------
        p : float
        distance : int
            Base pairs, to either side.

        Returns
        -------
        DataFrame
            Rows of `table`, best first, with `first`, `last` (positions of the region) and `variants` (how many).
        """
        parts = [association_peaks(rows, p, distance) for _, rows in self._by_trait()]
        return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)

    def top(self, n: int = 10) -> pd.DataFrame:
        """
        The `n` rows with the smallest p-values.

        Parameters
        ----------
        n : int

        Returns
        -------
        DataFrame

        Examples
        --------
        >>> import lmmpy as lmm
        >>> family = lmm.datasets.load("family")
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> fit = lmm.lmer("bmi ~ age + sex + kin(ped)", family)
        >>> genotypes = lmm.datasets.load("family_genotypes").set_index("ID")
        >>> scan = lmm.qtl.association(fit, genotypes, id="ID")
        >>> scan.top(1)["variant"].tolist()
        ['snp28']
        """
        size = -(self.table["beta"] / self.table["std_error"]).abs()  # of p-values that are zero in double precision
        order = np.lexsort((size, self.table["p_value"]))
        return self.table.iloc[order[:n]].reset_index(drop=True)

    def manhattan(self, trait: str | None = None, ax: Axes | None = None, **options: Any) -> Axes:
        """
        Draw −log₁₀ p along the genome; see `lmmpy.plots.manhattan`.

        Parameters
        ----------
        trait : str, optional
            Needed where there are several.
        ax : Axes, optional
        **options
            Of `lmmpy.plots.manhattan`.

        Returns
        -------
        Axes
        """
        from lmmpy.plots.scan_drawings import manhattan

        return manhattan(self._of(trait), ax=ax, **options)

    def qq(self, trait: str | None = None, ax: Axes | None = None, **options: Any) -> Axes:
        """
        Draw observed against expected −log₁₀ p with a band; see `lmmpy.plots.qq`.

        Parameters
        ----------
        trait : str, optional
            Needed where there are several.
        ax : Axes, optional
        **options
            Of `lmmpy.plots.qq`.

        Returns
        -------
        Axes
        """
        from lmmpy.plots.scan_drawings import qq

        return qq(self._of(trait)["p_value"], ax=ax, **options)

    def regional(self, at: Any, trait: str | None = None, ax: Axes | None = None, **options: Any) -> Axes:
        """
        Draw the surroundings of a variant; see `lmmpy.plots.regional`.

        Parameters
        ----------
        at : str
            The name of a variant.
        trait : str, optional
            Needed where there are several.
        ax : Axes, optional
        **options
            Of `lmmpy.plots.regional`.

        Returns
        -------
        Axes
        """
        from lmmpy.plots.scan_drawings import regional

        return regional(self._of(trait), at, ax=ax, **options)

    def to_tsv(self, path: str | Path, style: str = "lmmpy", trait: str | None = None) -> None:
        """
        Write the table for other programs.

        Parameters
        ----------
        path : path
        style : str
            "lmmpy" for the columns of `table`; "gemma", "plink2", "gwas-ssf" and others: see `association_frame`.
        trait : str, optional
            Which, where there are several; the style "lmmpy" takes all.
        """
        table = self.table if style == "lmmpy" and trait is None else self._of(trait)
        write_association(table, path, style, self.test, self.interaction)

    def document(self, digits: int = 4) -> Document:
        first = next(iter(self.fits.values()))
        how = "variances estimated with each variant" if self.exact else "variances of the null model"
        header = [
            ("Trait" if len(self.fits) == 1 else "Traits", ", ".join(self.fits)),
            ("Null model", first.formula if len(self.fits) == 1 else f"{first.formula}, …"),
            ("People", ", ".join(f"{count:,}" for count in self.people.values()) + " used"),
            ("Genotypes", self.genotypes),
            ("Test", f"{_TEST_NAMES[self.test]}, {how}"),
        ]
        if self.interaction is not None:
            header.append(("Interaction", f"variant × {self.interaction}"))
        if self.loco:
            made = "as given" if self.loco == "given" else f"{self.loco}, from the genotypes"
            header.append(("Relatedness", f"of the other chromosomes, {made}"))
        lines = [line for name, rows in self._by_trait() for line in _counts(name, rows, len(self.fits) > 1)]
        if not self.complete:
            done = len(self.table) // len(self.fits)
            lines.insert(0, f"Interrupted: {done:,} of {self.n_variants:,} variants are done.")
        title = "Association of single variants in a mixed model"
        return Document(title, tuple(header), (Section("", None, tuple(lines)), _top(self.top(_TOP), digits)))

    def _by_trait(self) -> list[tuple[str, pd.DataFrame]]:
        if "trait" not in self.table:
            return [(next(iter(self.fits)), self.table)]
        return [(name, self.table[self.table["trait"] == name]) for name in self.fits]

    def _of(self, trait: str | None) -> pd.DataFrame:
        found = dict(self._by_trait())
        if trait is None:
            if len(found) > 1:
                raise ModelError(f"Which trait? There are {shown(found)}; say trait=.")
            return next(iter(found.values()))
        if trait not in found:
            raise DataError(f"There is no trait {trait!r}; there are {shown(found)}.")
        return found[trait]


def _counts(name: str, rows: pd.DataFrame, several: bool) -> list[str]:
    """How many were tested, and why others were not."""
    notes = rows["note"].value_counts()
    tested = int(notes.get("", 0))
    left = [f"{int(count):,} {note}" for note, count in notes.items() if note != ""]
    text = f"{tested:,} variants tested" + (f"; not tested: {', '.join(left)}" if left else "") + "."
    filled = int((rows["missing"] > 0).sum())
    if filled:
        genotypes = int(rows["missing"].sum())
        text += f" {genotypes:,} missing genotypes of {filled:,} variants count as the mean of the others."
    if tested >= _ENOUGH:
        text += f" Genomic control λ = {lambda_gc(rows['p_value'].to_numpy()):.3f}."
    return [f"{name}: {text}" if several else text]


def _top(rows: pd.DataFrame, digits: int) -> Section:
    rows = rows[rows["p_value"].notna()]
    if rows.empty:
        return Section("")
    names = [*(["trait"] if "trait" in rows else []), "chromosome", "position", "maf", "beta", "std_error", "p_value"]
    columns = {name: pad_left([_text(value, digits) for value in rows[name]]) for name in names}
    return Section("Smallest p-values", Grid.named(list(rows["variant"]), columns))


def _text(value: Any, digits: int) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float | np.floating) else str(value)
