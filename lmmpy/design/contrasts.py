"""How a factor with m levels becomes columns: R's contrasts by name, their matrices from formulaic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from formulaic.transforms.contrasts import HelmertContrasts, PolyContrasts, SumContrasts

from lmmpy.design.values import Categorical, Floats
from lmmpy.errors import DataError, FormulaError

__all__ = ["CONTRAST_NAMES", "Contrast", "Contrasts", "contrast_columns"]

CONTRAST_NAMES = ("treatment", "SAS", "sum", "helmert", "poly")
_POLY_NAMES = (".L", ".Q", ".C")


@dataclass(frozen=True, eq=False, slots=True)
class Contrast:
    """
    One way to code a factor.

    Attributes
    ----------
    name : str
        treatment, SAS, sum, helmert, poly, or custom.
    base : int
        Reference level of treatment contrasts, counted from 1 as in R.
    matrix : ndarray of shape (m, c), optional
        The coding itself, when custom.
    columns : tuple of str, optional
        Names of the columns of `matrix`.
    numbered : bool
        Whether columns are named by the level's number, as R does when a contrast function is given by itself.
    """

    name: str
    base: int = 1
    matrix: Floats | None = None
    columns: tuple[str, ...] | None = None
    numbered: bool = False

    @classmethod
    def read(cls, spec: Any, where: str) -> Contrast:
        """Understand R's name (`contr.sum`), a short one (`sum`), a matrix with a row a level, or a `Contrast`."""
        if isinstance(spec, Contrast):
            return spec
        if isinstance(spec, str):
            name = spec.removeprefix("contr.")
            if name in CONTRAST_NAMES:
                return cls(name)
            raise FormulaError(
                f"Unknown contrast {spec!r} for {where}. Known: {', '.join(CONTRAST_NAMES)}, or a matrix."
            )
        if isinstance(spec, pd.DataFrame):
            return cls("custom", matrix=spec.to_numpy(float), columns=tuple(str(c) for c in spec.columns))
        try:
            matrix = np.asarray(spec, dtype=float)
        except (TypeError, ValueError):
            raise FormulaError(f"The contrast for {where} is neither a name nor a matrix: {spec!r}.") from None
        if matrix.ndim == 1:
            matrix = matrix[:, None]
        if matrix.ndim != 2:
            raise FormulaError(f"The contrast for {where} is neither a name nor a matrix.")
        return cls("custom", matrix=matrix)


@dataclass(frozen=True, eq=False, slots=True)
class Contrasts:
    """Which contrast each factor gets: per column, else by whether it is ordered.

    Attributes
    ----------
    unordered, ordered : Contrast
        For the factors that `columns` does not name.
    columns : mapping from variable to Contrast, optional
    """

    unordered: Contrast = Contrast("treatment")
    ordered: Contrast = Contrast("poly")
    columns: Mapping[str, Contrast] | None = None

    @classmethod
    def read(cls, spec: Any) -> Contrasts:
        """
        Understand the `contrasts` argument of `lmer`.

        Parameters
        ----------
        spec : None, str, pair of str, or mapping from column to name or matrix

        Returns
        -------
        Contrasts
        """
        if spec is None:
            return cls()
        if isinstance(spec, Mapping):
            return cls(columns={str(k): Contrast.read(v, f"the column {k!r}") for k, v in spec.items()})
        if isinstance(spec, tuple | list) and len(spec) == 2:
            unordered, ordered = spec
            return cls(Contrast.read(unordered, "unordered factors"), Contrast.read(ordered, "ordered factors"))
        if not isinstance(spec, str | Contrast):
            raise FormulaError(
                f"contrasts={spec!r} is not understood. Give a name such as 'sum', a pair for unordered and ordered "
                "factors, or a mapping from columns to names or matrices."
            )
        return cls(unordered=Contrast.read(spec, "all unordered factors"))

    def choose(self, variable: str, factor: Categorical) -> Contrast:
        """The contrast of one factor; ``C()`` comes before the column's own, that before the global one."""
        if factor.contrast is not None:
            return factor.contrast
        if self.columns and variable in self.columns:
            return self.columns[variable]
        return self.ordered if factor.ordered else self.unordered


def contrast_columns(contrast: Contrast, factor: Categorical, variable: str) -> tuple[list[str], Floats]:
    """
    Column names (without the variable's) and coding of a factor.

    Returns
    -------
    names : list of str, length c
    matrix : ndarray, shape (m, c)

    Raises
    ------
    DataError
        When the factor has one level, or a custom matrix has another number of rows than it has levels.
    """
    m = len(factor.levels)
    if m < 2:
        raise DataError(
            f"The factor {variable!r} has only the level {factor.labels[0] if m else '(none)'!r} in the rows used, "
            "so it cannot be contrasted. Take it out of the formula."
        )
    if contrast.name in ("treatment", "SAS"):
        base = m - 1 if contrast.name == "SAS" else contrast.base - 1
        if not 0 <= base < m:
            raise DataError(f"The base level {contrast.base} of {variable!r} is not among its {m} levels.")
        kept = np.delete(np.arange(m), base)
        return [str(i + 1) if contrast.numbered else factor.labels[i] for i in kept], np.eye(m)[:, kept]
    if contrast.matrix is not None:
        if len(contrast.matrix) != m:
            raise DataError(
                f"The contrast matrix of {variable!r} has {len(contrast.matrix)} rows, the factor {m} levels."
            )
        return list(contrast.columns or _numbered(contrast.matrix.shape[1])), contrast.matrix
    matrix = _coding(contrast.name, m)
    if contrast.name == "poly":
        return [*_POLY_NAMES, *(f"^{i}" for i in range(4, m))][: m - 1], matrix
    return _numbered(m - 1), matrix


def _numbered(count: int) -> list[str]:
    return [str(i + 1) for i in range(count)]


@lru_cache(maxsize=64)
def _coding(name: str, m: int) -> Floats:
    kinds = {"sum": SumContrasts, "helmert": HelmertContrasts, "poly": PolyContrasts}
    return np.asarray(kinds[name]().get_coding_matrix(list(range(m)), sparse=False), dtype=float)
