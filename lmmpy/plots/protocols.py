"""What a plot asks of a fit, of a profile and of tests, whoever makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd
from numpy.typing import ArrayLike

from lmmpy.design import Blueprint, Design
from lmmpy.design.values import Floats

__all__ = ["ContrastTests", "Influence", "Modes", "PlottedFit", "Profile", "TTests"]


class Modes(Protocol):
    """Conditional modes by term, frames of levels × effects, with their conditional covariances."""

    @property
    def cond_var(self) -> Mapping[str, Floats] | None: ...
    def __getitem__(self, term: str, /) -> pd.DataFrame: ...


class TTests(Protocol):
    """Tests of single contrasts; all arrays have the shape (m,)."""

    @property
    def estimate(self) -> Floats: ...
    @property
    def std_error(self) -> Floats: ...
    @property
    def df(self) -> Floats: ...
    def interval(self, level: float) -> tuple[Floats, Floats]: ...


class ContrastTests(Protocol):
    """Tests of contrasts of the fixed effects."""

    def single(self, L: Floats, /) -> TTests: ...


class Profile(Protocol):
    """A profile of the likelihood: ζ of each parameter."""

    def to_frame(self) -> pd.DataFrame: ...
    def confint(self, level: float = ...) -> pd.DataFrame: ...
    def zeta(self, parameter: str, values: ArrayLike) -> Floats: ...


class Influence(Protocol):
    """A fit without each row, or without each level of a factor."""

    @property
    def cooks(self) -> pd.Series: ...
    @property
    def cut(self) -> float: ...


class PlottedFit(Protocol):
    """A fit, as far as plots look at it."""

    design: Design
    blueprint: Blueprint

    @property
    def fixef(self) -> pd.Series: ...
    @property
    def sigma(self) -> float: ...
    @property
    def varcorr(self) -> Mapping[str, pd.DataFrame]: ...
    def frame(self) -> pd.DataFrame: ...
    def fitted(self) -> Any: ...
    def residuals(self, type: str = ...) -> Any: ...
    def predict(self, newdata: Any = ..., re_form: Any = ...) -> Any: ...
    def ranef(self, cond_var: bool = ...) -> Modes: ...
    def coef(self) -> dict[str, pd.DataFrame]: ...
    def contrast_tests(self, ddf: str = ...) -> ContrastTests: ...
    def profile(self, parameters: str | Sequence[str] | None = ...) -> Profile: ...
    def influence(self, group: str | None = ..., *, refit: bool = ..., n_jobs: int = ...) -> Influence: ...
