"""Row-wise results with their labels: a Series, or with several traits a DataFrame of rows × traits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.design import Design
from lmmpy.design.values import Codes, Floats

__all__ = ["RowLabels", "labelled_predictions"]


@dataclass(frozen=True, eq=False)
class RowLabels:
    """
    What the rows of a design are called.

    Attributes
    ----------
    design : Design
    every : Index
        Of all rows of the data.
    excluded : bool
        Whether rows that miss a value come back as NaN: na_action="exclude".
    """

    design: Design
    every: pd.Index
    excluded: bool

    @property
    def used(self) -> pd.Index:
        """Labels of the rows of the data that are used."""
        return self.every[self.design.rows]

    @property
    def _considered(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """The rows of the data of which results speak, those left out too if they come back."""
        design = self.design
        return design.rows | design.left_out if self.excluded else design.rows

    @property
    def observations(self) -> pd.Index:
        """Labels of the rows of the design: those of the data, with several traits each with its trait."""
        traits = self.design.traits
        if traits is None:
            return self.used
        names = np.array(traits.names, dtype=object)
        return pd.MultiIndex.from_arrays([self.used[traits.row], names[traits.trait]], names=[self.every.name, "trait"])

    def series(self, values: Floats, name: str, complete: bool = True) -> pd.Series | pd.DataFrame:
        """
        Label one number a row of the design.

        Parameters
        ----------
        values : ndarray, shape (n,)
        name : str
        complete : bool
            Whether rows that were left out come back, if they do at all.

        Returns
        -------
        Series; with several traits DataFrame, one column a trait, NaN where it is missing
        """
        design, considered = self.design, self._considered if complete else self.design.rows
        place = (np.cumsum(considered) - 1)[design.rows]
        m = int(np.count_nonzero(considered))
        if design.traits is not None:
            wide = np.full((m, len(design.traits.names)), np.nan)
            wide[place[design.traits.row], design.traits.trait] = values
            return pd.DataFrame(wide, index=self.every[considered], columns=list(design.traits.names))
        full = np.full(m, np.nan)
        full[place] = values
        return pd.Series(full, index=self.every[considered], name=name)

    def values(self, found: pd.Series | pd.DataFrame) -> Floats:
        """One number a row of the design, from what `series` made of them, shape (n,)."""
        design, table = self.design, found.to_numpy(dtype=float).reshape(len(found), -1)
        considered = self._considered if len(found) > np.count_nonzero(design.rows) else design.rows
        table = table[design.rows[considered]]
        traits = design.traits
        return table[:, 0] if traits is None else table[traits.row, traits.trait]

    def frame(self, values: Floats, columns: Sequence[str]) -> pd.DataFrame:
        """
        Label several numbers a row of the design.

        Parameters
        ----------
        values : ndarray, shape (n, m)
        columns : sequence of str, length m

        Returns
        -------
        DataFrame
            One row a row of the data; with several traits one a row and trait, in a MultiIndex. Rows that were left out
            come back for every trait.
        """
        design, considered = self.design, self._considered
        if design.traits is None:
            full = np.full((int(np.count_nonzero(considered)), len(columns)), np.nan)
            full[design.rows[considered]] = values
            return pd.DataFrame(full, index=self.every[considered], columns=list(columns))
        found = pd.DataFrame(values.copy(), index=self.observations, columns=list(columns))
        if not self.excluded or not design.left_out.any():
            return found
        whole, places = self.pairs()
        full = np.full((len(whole), len(columns)), np.nan)
        full[places] = values
        return pd.DataFrame(full, index=whole, columns=list(columns))

    def pairs(self) -> tuple[pd.MultiIndex, Codes]:
        """All pairs of a row of the data, left out or not, and a trait; and which of them rows of the design are."""
        design, traits = self.design, self.design.traits
        assert traits is not None
        considered = design.rows | design.left_out
        labels: list[Any] = [self.every[considered], list(traits.names)]
        place = (np.cumsum(considered) - 1)[design.rows][traits.row]
        pairs: pd.MultiIndex = pd.MultiIndex.from_product(labels, names=[self.every.name, "trait"])
        return pairs, np.asarray(place * len(traits.names) + traits.trait, dtype=np.intp)


def labelled_predictions(
    columns: Mapping[str, Floats], rows: RowLabels, of_fit: bool, labels: pd.Index | None
) -> pd.Series | pd.DataFrame:
    """
    Predictions, and what goes with them, with their labels.

    Parameters
    ----------
    columns : mapping of str to ndarray
        `prediction` first; of new data one number for each row, with several traits for all traits of each row.
    rows : RowLabels
        Of the fit.
    of_fit : bool
        Whether they are for the rows of the fit.
    labels : Index or None
        Of new data.
    """
    traits = rows.design.traits
    found: dict[str, pd.Series | pd.DataFrame] = {}
    for name, values in columns.items():
        if of_fit:
            found[name] = rows.series(values, name)
        elif traits is None:
            index = pd.RangeIndex(len(values)) if labels is None else labels
            found[name] = pd.Series(values, index=index, name=name)
        else:
            wide = values.reshape(-1, len(traits.names))
            index = pd.RangeIndex(len(wide)) if labels is None else labels
            found[name] = pd.DataFrame(wide, index=index, columns=list(traits.names))
    if len(found) == 1:
        return found["prediction"]
    frame = pd.concat(found, axis=1)
    if traits is None:
        return frame
    pairs = [(trait, name) for trait in traits.names for name in found]
    return frame.swaplevel(axis=1).reindex(columns=pd.MultiIndex.from_tuples(pairs, names=["trait", None]))
