"""Random effects as frames, one a term."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd

from lmmpy.design import Design
from lmmpy.design.coding import INTERCEPT
from lmmpy.design.values import Floats

__all__ = ["RandomEffectsFrames"]


class RandomEffectsFrames(dict[str, pd.DataFrame]):
    """
    A mapping from term to DataFrame (levels × effects).

    Attributes
    ----------
    cond_var : dict of ndarray, or None
        Conditional covariances of each term, shape (levels, k, k), when they were asked for.
    """

    def __init__(self, design: Design, values: Mapping[str, Floats], cond_var: Mapping[str, Floats] | None) -> None:
        frames = {}
        for term in design.random:
            index = pd.Index(term.levels, name=term.group)
            frames[term.name] = pd.DataFrame(values[term.name].copy(), index=index, columns=list(term.columns))
        super().__init__(frames)
        self.cond_var = None if cond_var is None else dict(cond_var)
        self._groups = {term.name: term.group for term in design.random}
        # The column of a term that is an intercept alone has the name of its trait.
        traits = () if design.traits is None else design.traits.names
        self._coefficients = {name: f"{name}:{INTERCEPT}" for name in traits}

    def __repr__(self) -> str:
        return "\n\n".join(f"${name}\n{frame}" for name, frame in self.items())

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(name)}</p>{frame.to_html()}" for name, frame in self.items())

    def added_to(self, fixef: pd.Series) -> dict[str, pd.DataFrame]:
        """
        Coefficients by grouping factor: the fixed effects plus the random effects of all its terms, by trait.

        Parameters
        ----------
        fixef : Series
            Fixed effects by name.

        Returns
        -------
        dict of DataFrame
            Levels × coefficients, by grouping factor.
        """
        coefficients: dict[str, pd.DataFrame] = {}
        for term, frame in self.items():
            group = self._groups[term]
            if group not in coefficients:
                start = pd.DataFrame([fixef.to_numpy()] * len(frame), index=frame.index, columns=list(fixef.index))
                coefficients[group] = start
            for column in frame.columns:
                name = self._coefficients.get(column, column)
                present = name in coefficients[group]
                before = coefficients[group][name] if present else 0.0
                coefficients[group][name] = before + frame[column]
        return coefficients
