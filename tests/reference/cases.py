"""The stored answers of R, the data of each, and lmmpy's fit of the same model."""

import json
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lmmpy as lmm

HERE = Path(__file__).parent
OWN_DATA = HERE / "lme4" / "data"


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit, what lmmpy warned of on the way, and the stored answer."""

    fit: lmm.LmmFit
    warned: tuple[Warning, ...]
    stored: dict[str, Any]


def names(folder: str) -> list[str]:
    return sorted(path.stem for path in (HERE / folder).glob("*.json"))


@cache
def stored(folder: str, name: str) -> dict[str, Any]:
    return json.loads((HERE / folder / f"{name}.json").read_text(encoding="utf-8"))


@cache
def data(name: str) -> pd.DataFrame:
    path = OWN_DATA / f"{name}.csv"
    if not path.exists():
        return lmm.datasets.load(name)
    factors = json.loads((OWN_DATA / f"{name}.levels.json").read_text(encoding="utf-8"))
    frame = pd.read_csv(path, dtype=str)
    for column in frame:
        entry = factors.get(column)
        if entry is None:
            frame[column] = frame[column].astype(float)  # every digit, as pandas' own reader of numbers may not
        else:
            frame[column] = pd.Categorical(frame[column], categories=entry["levels"], ordered=entry["ordered"])
    return frame


def fit_of(case: dict[str, Any], formula: str | None = None) -> lmm.LmmFit:
    """Fit the model of a case, or another formula with the same options."""
    options = {key: case[key] for key in ("weights", "offset", "subset", "contrasts", "na_action") if case.get(key)}
    return lmm.lmer(formula or case["formula"], data(case["data"]), reml=case["REML"], **options)


@cache
def fitted(folder: str, name: str) -> Fitted:
    case = stored(folder, name)
    data(case["data"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = fit_of(case)
    return Fitted(fit, tuple(w.message for w in caught if isinstance(w.message, Warning)), case)


def array(values: Any) -> np.ndarray:
    """Numbers of R; null is NaN."""
    return np.array(values, dtype=float)
