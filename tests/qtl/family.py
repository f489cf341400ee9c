"""The simulated family study of tests/reference/family, and what SOLAR made of it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.qtl import polygenic
from lmmpy.relatedness import Pedigree

FAMILY = Path(__file__).parents[1] / "reference" / "family"


@cache
def solar() -> dict[str, Any]:
    return json.loads((FAMILY / "solar.json").read_text())


@cache
def pedigree() -> Pedigree:
    return Pedigree.from_frame(pd.read_csv(FAMILY / "pedigree.csv"))


@cache
def _people() -> pd.DataFrame:
    people = pd.read_csv(FAMILY / "phenotypes.csv").merge(pd.read_csv(FAMILY / "genotypes.csv"), on="ID")
    return people.assign(sex=pd.Categorical(np.where(people.SEX == 2, "female", "male"), ["male", "female"]))


def people() -> pd.DataFrame:
    """Everybody, a row each; the caller's own copy."""
    return _people().copy()


@cache
def kinship() -> pd.DataFrame:
    """A by kinship2, labelled."""
    pairs = pd.read_csv(FAMILY / "kinship2.csv")
    A = pd.DataFrame(0.0, index=range(1, 399), columns=range(1, 399))
    values = A.to_numpy().copy()
    values[pairs.id1 - 1, pairs.id2 - 1] = values[pairs.id2 - 1, pairs.id1 - 1] = pairs.A
    return pd.DataFrame(values, index=A.index, columns=A.columns)


@cache
def analysed(case: str) -> Any:
    """One of SOLAR's models, by `polygenic`."""
    return polygenic(data=people(), pedigree=pedigree(), **CASES[case])


CASES: dict[str, dict[str, Any]] = {
    "polygenic_bmi": {"formula": "bmi ~ age + sex", "screen": True},
    "polygenic_bmi_nocov": {"formula": "bmi ~ 1"},
    "house_bmi": {"formula": "bmi ~ age + sex", "household": "HHID"},
    "polygenic_fvii": {"formula": "fvii ~ age + sex"},
    "snp7": {"formula": "bmi ~ age + sex + snp7"},
    "snp1": {"formula": "bmi ~ age + sex + snp1"},
    "inormal": {"formula": "bmi ~ age + sex", "transform": "inormal"},
}
