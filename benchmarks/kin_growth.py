"""How the time of a fit with a pedigree grows, from a thousand to a million animals with a record each."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.growth import Line
from benchmarks.pedigrees import DAIRY, SHEEP, Animals, Breeding, closed, livestock, three_generations
from benchmarks.relatives import breeding_values, pedigree_frame

NAME = "kin-growth"
FORMULA = "y ~ x + kin(ped)"
FIRST, LAST = 1_000, 1_024_000
GENERATIONS = 15


def _herds(how: Breeding, n: int) -> Animals:
    return livestock(n, how, seed=n)


def _wild(n: int) -> Animals:
    return closed(n, GENERATIONS, seed=n)


def frame(pedigree: Callable[[int], Animals], n: int) -> pd.DataFrame:
    """Return about `n` rows: `y`, `x`, and `id`, `father`, `mother` as strings."""
    animals = pedigree(n)
    rng = np.random.default_rng(n)
    x = rng.standard_normal(len(animals))
    y = 1.0 + 0.5 * x + breeding_values(animals, rng) + rng.standard_normal(len(animals))
    names = pd.Index([f"i{number + 1}" for number in range(len(animals))])
    return pedigree_frame(names, animals.father, animals.mother).assign(y=y, x=x)


def fit(formula: str, rows: pd.DataFrame) -> Any:
    """Make the pedigree and fit: the call that is timed."""
    import lmmpy as lmm  # only in the process that measures

    ped = lmm.Pedigree.from_frame(rows, id="id", father="father", mother="mother")
    return lmm.lmer(formula, rows, relmat={"ped": ped})


def _line(
    name: str, pedigree: Callable[[int], Animals], *, first: int = FIRST, last: int = LAST, expected: str = "1"
) -> Line:
    return Line(name, FORMULA, "n", partial(frame, pedigree), first, last, expected, fit)


LINES = (
    _line("dairy herds, bulls in many of them", partial(_herds, DAIRY)),
    _line("sheep flocks, their own rams", partial(_herds, SHEEP), first=SHEEP.herd_size * SHEEP.years),
    _line("families of three generations", three_generations),
    _line("closed population, mating at random", _wild, last=32_000, expected="up to 3"),
)
