"""What is kept of the studies of a setting: rates, tails of p-values, means; and on what they were made."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.machine import describe
from benchmarks.scan_power.designs import DIFFERENCE, DISTANCE, EFFECT, RHO, SEED, SETTINGS, Setting, family
from benchmarks.scan_power.run import BACKGROUND, COLUMNS, MARKERS
from benchmarks.scan_power.theory import association_power, expected_lod, lod_power
from lmmpy.qtl.linkage_lod import lod_p_values

__all__ = ["LEVELS", "LODS", "SMALL", "facts", "lod_of", "measures", "p_values"]

Floats = NDArray[np.float64]

LEVELS, SMALL = (0.05, 0.01, 0.001), 5e-8
# What ½χ²₀ + ½χ²₁ has beyond at the levels; and the LOD that linkage is wanted to reach.
LODS = (*(float(stats.chi2.isf(2.0 * level, 1)) / (2.0 * math.log(10.0)) for level in LEVELS), 3.0)
# A LOD below is zero.
_NIL = 1e-6
# Points of a tail, and how many p-values are beyond the last.
_POINTS, _BEYOND = 60, 5
_DIGITS = 6
_SHOWN = 5


def lod_of(p: Floats) -> Floats:
    """The LOD of a p-value of one trait."""
    return np.asarray(stats.chi2.isf(np.minimum(2.0 * p, 1.0), 1) / (2.0 * math.log(10.0)))


def p_values(setting: Setting, table: pd.DataFrame) -> dict[str, Floats]:
    """
    By the name of the test; of a LOD of zero it is 1.

    Parameters
    ----------
    setting : Setting
    table : DataFrame
        See `Studies`.
    """
    if setting.kind == "bivariate":
        raw = table["lod_raw"].to_numpy()
        return {name: lod_p_values(raw, 2, name) for name in ("cone", "solar", "variances")}
    columns = [name for name in COLUMNS[setting.kind] if name not in _NOT_TESTS]
    if setting.kind in ("linkage", "adjusted"):
        return {name: _of_lod(table[name].to_numpy()) for name in columns}
    return {name: table[name].to_numpy() for name in columns}


_NOT_TESTS = ("h2", "h2q", "information", "noted", "multiplier", "maf")


def _of_lod(lod: Floats) -> Floats:
    p = np.asarray(lod_p_values(lod))
    return np.where(lod < _NIL, 1.0, p)


def measures(setting: Setting, table: pd.DataFrame) -> dict[str, Any]:
    """
    What is kept of a setting.

    Of every test the rates of p-values at or below each level, each with its error between studies (items of one
    study are not independent), and the tail of the p-values; where a share is to be found what theory says; means of
    the other columns; what happened; and the first study.

    Parameters
    ----------
    setting : Setting
    table : DataFrame
        See `Studies`.
    """
    whole = table[table["item"] >= 0]
    tests = {name: _test(setting, whole["study"].to_numpy(), p) for name, p in p_values(setting, whole).items()}
    others = [name for name in COLUMNS[setting.kind] if name.startswith(("lod", "h2", "multiplier"))]
    found: dict[str, Any] = {
        "studies": int(table["study"].nunique()),
        "items": setting.items,
        "tests": tests,
        "means": {name: _mean(whole["study"], whole[name]) for name in others},
        "happened": _happened(table),
        "first": _first(whole, COLUMNS[setting.kind]),
    }
    if setting.kind in ("linkage", "adjusted"):
        found["LOD zero"] = _rate(whole["study"].to_numpy(), (whole["lod"] < _NIL).to_numpy())
    if setting.share > 0.0:
        found["theory"] = _theory(setting, whole["information"].to_numpy())
    return found


def _levels(setting: Setting) -> dict[str, float]:
    """The largest p-value that counts, by its name."""
    if setting.kind in ("association", "structure"):
        return {f"{level:g}": level for level in (*LEVELS, SMALL)}
    return {f"LOD {lod:.2f}": float(lod_p_values(lod)[0]) for lod in LODS}


def _test(setting: Setting, study: NDArray[Any], p: Floats) -> dict[str, Any]:
    there = ~np.isnan(p)
    rates = {name: _rate(study[there], p[there] <= level) for name, level in _levels(setting).items()}
    return {"n": len(p), "undefined": int((~there).sum()), "rates": rates, "tail": _tail(p[there])}


def _rate(study: NDArray[Any], hit: NDArray[np.bool_]) -> dict[str, Any]:
    mean = _mean(pd.Series(study), pd.Series(hit.astype(float)))
    return {"hits": int(hit.sum()), "rate": mean["mean"], "error": mean["error"]}


def _mean(study: pd.Series, values: pd.Series) -> dict[str, float]:
    """Mean over all items, its error between studies, and what 95 % of the studies' means lie between."""
    each = values.groupby(study.to_numpy()).mean().to_numpy()
    low, high = np.quantile(each, [0.025, 0.975])
    error = each.std(ddof=1) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    numbers = {"mean": values.mean(), "error": error, "low": low, "high": high}
    return {name: _short(value) for name, value in numbers.items()}


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _tail(p: Floats) -> list[list[float]]:
    """Parts of the p-values, and what that part of them is below; for a picture."""
    least = _BEYOND / max(len(p), 1)
    parts = np.geomspace(0.5, least, _POINTS) if least < 0.5 else np.array([0.5])
    return [[_short(part), _short(float(np.quantile(p, part)))] for part in parts]


def _theory(setting: Setting, information: Floats) -> dict[str, Any]:
    if setting.kind == "linkage":
        power = {f"LOD {lod:.2f}": _short(lod_power(information, lod)) for lod in LODS}
        return {"lambda": _short(information.mean()), "LOD": _short(expected_lod(information)), "power": power}
    dof = family().n - 4  # intercept, age, sex, the SNP
    power = {name: _short(association_power(information, dof, level)) for name, level in _levels(setting).items()}
    return {"lambda": _short(information.mean()), "power": power}


def _first(whole: pd.DataFrame, columns: tuple[str, ...]) -> dict[str, list[float | None]]:
    """The first study as it was, up to `_SHOWN` loci or SNPs, so that it can be made again and compared."""
    own = whole[whole["study"] == whole["study"].min()].head(_SHOWN)
    return {name: [None if math.isnan(x) else _short(x) for x in own[name].tolist()] for name in columns}


def _happened(table: pd.DataFrame) -> dict[str, Any]:
    """Studies that were refused or warned of, and what the first of these said."""
    by = table.groupby("study")
    said = table.loc[table["said"] != "", "said"].drop_duplicates()
    found = {
        "refused": int((by["item"].first() < 0).sum()),
        "warned": int((by["warned"].first() & (by["item"].first() >= 0)).sum()),
        "not converged": int((~by["converged"].first()).sum()),
        "said": [str(text) for text in said[:3]],
    }
    if "noted" in table:
        found["noted"] = int((table["noted"] > 0.0).sum())
    return found


def facts(command: str, seconds: float) -> dict[str, Any]:
    """
    How, on what and with what the study was made.

    Parameters
    ----------
    command : str
    seconds : float
        Of one core.
    """
    machine = describe(command, 1)
    del machine["threads for each peer"]
    packages = {name: version(name) for name in ("lmmpy", "pandas", "formulaic", "scikit-sparse")}
    return {
        **machine,
        **packages,
        "seed": SEED,
        "seeds": "SeedSequence(seed, spawn_key=(place of the setting, number of the study))",
        "people": family().n,
        "markers of lod_adjust": MARKERS,
        "frequency of the SNPs with an effect": EFFECT,
        "structure": {"F": DISTANCE, "difference": DIFFERENCE, "SNPs for relatedness": BACKGROUND},
        "correlations of two traits": RHO,
        "CPU minutes": round(seconds / 60.0, 1),
        "settings": {name: _words(setting) for name, setting in SETTINGS.items()},
    }


def _words(setting: Setting) -> dict[str, Any]:
    names = ("title", "kind", "h2", "c2", "share", "formula")
    return {name: getattr(setting, name) for name in names}
