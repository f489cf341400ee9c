"""The settings of the recovery study, and the family studies that are drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from lmmpy.relatedness import Pedigree
from scripts.make_family import Descent, draw_families

__all__ = ["SEED", "SETTINGS", "TRAITS", "FamilyStudy", "Setting", "draw_study", "seed_of"]

Floats = NDArray[np.float64]

SEED = 20241123
TRAITS = ("y1", "y2")
# As in the family study of lmmpy.datasets: missing values by trait, ages by generation.
MISSING = (22, 30)
AGES = ((72.0, 5.0), (46.0, 6.0), (19.0, 5.0))
TOTAL_SD = np.array([1.6, 1.2])
INTERCEPT, AGE, FEMALE = np.array([10.0, 5.0]), np.array([0.02, -0.01]), np.array([-0.5, 0.3])
# Makes the rows of identical twins factorisable.
_RIDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Setting:
    """What is true in one setting.

    Attributes
    ----------
    name, title : str
    h2 : tuple of float
        Heritabilities of the two traits.
    rho_g, rho_e : float
        Genetic and environmental correlation; the genetic one of a trait with h² = 0 is no parameter.
    """

    name: str
    title: str
    h2: tuple[float, float] = (0.6, 0.4)
    rho_g: float = 0.5
    rho_e: float = 0.3

    @property
    def genetic(self) -> Floats:
        """Covariance of the genetic effects of a person who is not inbred, shape (2, 2)."""
        return _covariance(np.sqrt(self.h2) * TOTAL_SD, self.rho_g)

    @property
    def residual(self) -> Floats:
        """Covariance of the residuals of a person, shape (2, 2)."""
        return _covariance(np.sqrt(1.0 - np.array(self.h2)) * TOTAL_SD, self.rho_e)

    @property
    def truth(self) -> dict[str, float]:
        """By the names of `qtl.bivariate`."""
        a, b = self.h2
        rho_p = self.rho_g * math.sqrt(a * b) + self.rho_e * math.sqrt((1.0 - a) * (1.0 - b))
        found = {f"h2[{trait}]": h2 for trait, h2 in zip(TRAITS, self.h2, strict=True)}
        found |= {"rho_g": self.rho_g} if a * b > 0.0 else {}
        return found | {"rho_e": self.rho_e, "rho_p": rho_p}


def _covariance(sd: Floats, rho: float) -> Floats:
    return np.outer(sd, sd) * np.array([[1.0, rho], [rho, 1.0]])


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("base", "both traits heritable, correlated both ways"),
        Setting("no rho_g", "no genetic correlation", rho_g=0.0),
        Setting("pleiotropy", "the same genes act on both traits", rho_g=1.0),
        Setting("no h2", "the second trait is not heritable", h2=(0.6, 0.0), rho_g=0.0),
        Setting("no rho_e", "no environmental correlation", rho_e=0.0),
    )
}


@dataclass(frozen=True, eq=False, slots=True)
class FamilyStudy:
    """One simulated study.

    Attributes
    ----------
    frame : DataFrame
        `id`, the traits, `age`, `sex`; a row a person.
    pedigree : Pedigree
    twins : Series
        Index: id of each identical twin; values: the number of the pair.
    """

    frame: pd.DataFrame
    pedigree: Pedigree
    twins: pd.Series


def seed_of(setting: str, study: int) -> SeedSequence:
    """The seed of one study, the same whatever else is run."""
    return SeedSequence(SEED, spawn_key=(list(SETTINGS).index(setting), study))


def draw_study(setting: Setting, study: int) -> FamilyStudy:
    """
    398 people in 21 families of three generations, with two pairs of identical twins.

    Families, sexes, ages, values and which of them are missing are drawn anew in each study.

    Parameters
    ----------
    setting : Setting
    study : int
        Its number.
    """
    rng = default_rng(seed_of(setting.name, study))
    people = draw_families(rng)
    relatedness, generation = Descent(people).relationships(), people["generation"].to_numpy()
    mean, sd = (np.array(column)[generation] for column in zip(*AGES, strict=True))
    age, female = rng.normal(mean, sd).round(1), people["SEX"].to_numpy() == 2
    traits = INTERCEPT + np.outer(age, AGE) + np.outer(female, FEMALE) + draw_effects(setting, relatedness, rng)
    for column, missing in enumerate(MISSING):
        traits[rng.choice(len(people), missing, replace=False), column] = np.nan
    sex = pd.Categorical(np.where(female, "female", "male"), ["male", "female"])
    frame = pd.DataFrame({"id": people["ID"], **dict(zip(TRAITS, traits.T, strict=True)), "age": age, "sex": sex})
    table = people.drop(columns=["generation", "FAMID"])
    pairs = people.set_index("ID")["MZTWIN"]
    return FamilyStudy(frame, Pedigree.from_frame(table), pairs[pairs > 0])


def draw_effects(setting: Setting, relatedness: Floats, rng: Generator) -> Floats:
    """Genetic effects plus residuals, shape (n, 2)."""
    n = len(relatedness)
    genetic = np.linalg.cholesky(relatedness + _RIDGE * np.eye(n)) @ rng.standard_normal((n, 2))
    residual = rng.standard_normal((n, 2))
    return np.asarray(genetic @ _root(setting.genetic) + residual @ _root(setting.residual))


def _root(covariance: Floats) -> Floats:
    """R = Rᵀ with R R = C, of a C that may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
