"""The designs of the calibration study: their predictors, their models and the truth that responses are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

__all__ = ["DESIGNS", "SEED", "StudyDesign", "seed_of"]

Floats = NDArray[np.float64]

SEED = 20240607
_STREAMS = {"fixed": 0, "bootstrap": 1, "random": 2, "template": 3}


def seed_of(design: str, stream: str, replicate: int) -> SeedSequence:
    """The seed of one data set, the same whatever else is run."""
    return SeedSequence(SEED, spawn_key=(list(DESIGNS).index(design), _STREAMS[stream], replicate))


@dataclass(frozen=True, eq=False)
class StudyDesign:
    """One design, and what is known of it.

    Attributes
    ----------
    name, title : str
    frame : DataFrame
        Predictors and the group `g`; the same in all data sets, as in a designed experiment.
    formula : str
        The model that is fitted, and that is true.
    without_between : str
        The model without the effect that is constant within groups, which is tested.
    without_within, without_first : str
        The model without the coefficient `within`, and without the coefficient `between`.
    without_term : str or None
        The model without the random term that is tested; None when no random term is left.
    within, between : str
        Names of a coefficient that varies within groups and of one that does not.
    tested : tuple of str
        Coefficients that `without_between` lacks.
    sd : dict of str to float
        True standard deviations by the names that the fit gives them.
    covariance : ndarray, shape (k, k)
        Of the effects of a group; all fixed effects are zero, which matters to none of the methods.
    mixture : dict of int to float
        Weights of the χ² distributions of the test of the random term.
    """

    name: str
    title: str
    frame: pd.DataFrame
    formula: str
    without_between: str
    without_within: str
    without_first: str
    without_term: str | None
    within: str
    between: str
    tested: tuple[str, ...]
    sd: dict[str, float]
    covariance: Floats
    mixture: dict[int, float]
    codes: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", self.frame["g"].cat.codes.to_numpy())

    @property
    def theta(self) -> Floats:
        """The true relative factor, its lower triangle by columns; σ is 1."""
        T = np.linalg.cholesky(self.covariance)
        columns, rows = np.triu_indices(len(T))
        return np.asarray(T[rows, columns])

    def draw(self, generator: Generator) -> Floats:
        """A response from the model."""
        return self._drawn(self.covariance, generator)

    def draw_without_term(self, generator: Generator) -> Floats:
        """A response from the model without the random term that is tested: its last variance is zero."""
        covariance = self.covariance.copy()
        covariance[-1, :] = covariance[:, -1] = 0.0
        return self._drawn(covariance, generator)

    def _drawn(self, covariance: Floats, generator: Generator) -> Floats:
        k = len(covariance)
        effects = generator.standard_normal((self.codes.max() + 1, k)) @ _root(covariance).T
        columns = np.column_stack([np.ones(len(self.frame)), self.frame["x"]])[:, :k]
        noise = generator.standard_normal(len(self.frame))
        return np.asarray((columns * effects[self.codes]).sum(axis=1) + noise)


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _groups(sizes: list[int]) -> tuple[NDArray[np.intp], pd.Categorical]:
    codes = np.repeat(np.arange(len(sizes)), sizes)
    return codes, pd.Categorical.from_codes(codes, [f"g{i:02d}" for i in range(len(sizes))])


def _treated(sizes: list[int]) -> pd.DataFrame:
    """Measured at equal distances of x in each group; every group has one of three treatments."""
    codes, g = _groups(sizes)
    x = np.concatenate([np.linspace(-1.0, 1.0, size) for size in sizes])
    return pd.DataFrame({"x": x, "treatment": np.array(["A", "B", "C"])[codes % 3], "g": g})


def _unbalanced() -> pd.DataFrame:
    """Groups of 2 to 15 rows; x is centred in each group, z is one number a group."""
    generator = default_rng(SEED)
    sizes = [2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 13, 14, 14, 15, 15]
    codes, g = _groups(generator.permutation(sizes).tolist())
    x = generator.standard_normal(len(codes))
    x -= (np.bincount(codes, x) / np.bincount(codes))[codes]
    return pd.DataFrame({"x": x, "z": generator.standard_normal(len(sizes))[codes], "g": g})


def _treatment_design(name: str, title: str, sizes: list[int], slopes: bool) -> StudyDesign:
    term, sd = (
        ("(x | g)", {"sd_(Intercept)|g": 0.7, "sd_x|g": 0.7}) if slopes else ("(1 | g)", {"sd_(Intercept)|g": 0.7})
    )
    covariance = 0.49 * (np.array([[1.0, 0.3], [0.3, 1.0]]) if slopes else np.eye(1))
    return StudyDesign(
        name,
        title,
        _treated(sizes),
        f"y ~ x + treatment + {term}",
        f"y ~ x + {term}",
        f"y ~ treatment + {term}",
        f"y ~ x + I(treatment == 'C') + {term}",
        "y ~ x + treatment + (1 | g)" if slopes else None,
        "x",
        "treatmentB",
        ("treatmentB", "treatmentC"),
        {"sd_(Intercept)|g": 0.7, **sd, "sigma": 1.0},
        covariance,
        {1: 0.5, 2: 0.5} if slopes else {0: 0.5, 1: 0.5},
    )


def _designs() -> dict[str, StudyDesign]:
    small = [5, 6] * 4
    unbalanced = StudyDesign(
        "unbalanced",
        "Unbalanced: 20 groups of 2 to 15 rows, intercepts",
        _unbalanced(),
        "y ~ x + z + (1 | g)",
        "y ~ x + (1 | g)",
        "y ~ z + (1 | g)",
        "y ~ x + (1 | g)",
        None,
        "x",
        "z",
        ("z",),
        {"sd_(Intercept)|g": 0.7, "sigma": 1.0},
        0.49 * np.eye(1),
        {0: 0.5, 1: 0.5},
    )
    designs = (
        _treatment_design("small", "Small: 8 groups of 5 or 6 rows, intercepts", small, False),
        _treatment_design("small-slopes", "Small: 8 groups of 5 or 6 rows, intercepts and slopes", small, True),
        _treatment_design("medium", "Medium: 40 groups of 10 rows, intercepts and slopes", [10] * 40, True),
        unbalanced,
    )
    return {design.name: design for design in designs}


DESIGNS = _designs()
