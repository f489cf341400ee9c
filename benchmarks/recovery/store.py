"""The counts that are kept of the records of the studies, and on what they were made."""

from __future__ import annotations

from collections import defaultdict
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from benchmarks.recovery.designs import MISSING, SEED, SETTINGS, TOTAL_SD, Setting
from benchmarks.recovery.run import CHECKED, FORMULA, LEVEL, Record

__all__ = ["BOUNDARY", "LEVELS", "counts", "setting_of"]

Floats = NDArray[np.float64]

LEVELS = (0.05, 0.01)
BOUNDARY = "flag/ML: on a boundary"
_DIGITS = 6


def counts(records: list[Record]) -> dict[str, dict[str, Any]]:
    """
    What is kept of the records of one setting, by the name of the measure.

    For ``cover``, ``flag`` and ``check`` the number of studies, of those with True, and of those where there was
    nothing to be true or false, of ``cover`` also where the fit lies on a boundary; for ``p`` the numbers of p-values
    at or below each level; for ``estimate`` and ``error`` moments and quantiles. Studies that lmmpy refused are counted
    under ``failed``, and nowhere else.
    """
    columns: dict[str, list[Any]] = defaultdict(list)
    whole = [record for record in records if "failed" not in record]
    for record in whole:
        for name, value in record.items():
            columns[name].append(value)
    kept = {name: _summary(name, values) for name, values in columns.items() if "/" in name}
    for name, summary in kept.items():
        if name.startswith("cover/"):
            there = [value for value, on in zip(columns[name], columns[BOUNDARY], strict=True) if on]
            summary["on a boundary"] = _summary(name, there)
    failures = [str(record["failed"]) for record in records if "failed" in record]
    said = sorted({str(record["said"]) for record in records if "said" in record})
    failed = {"n": len(records), "hits": len(failures), "first": failures[:3], "warnings, first": said[:3]}
    return {**kept, "failed": failed}


def _summary(name: str, values: list[Any]) -> dict[str, Any]:
    there = np.array([value for value in values if value is not None], dtype=float)
    found: dict[str, Any] = {"n": len(values), "undefined": len(values) - len(there)}
    kind = name.partition("/")[0]
    if kind == "p":
        return found | {f"hits at {level:g}": int((there <= level).sum()) for level in LEVELS}
    if kind in ("estimate", "error"):
        return found | _moments(there)
    return found | {"hits": int(there.sum())}


def _moments(values: Floats) -> dict[str, float | None]:
    if len(values) < 2:
        return dict.fromkeys(("mean", "sd", "median", "low", "high"))
    low, median, high = np.quantile(values, [0.025, 0.5, 0.975])
    moments = {"mean": values.mean(), "sd": values.std(ddof=1), "median": median, "low": low, "high": high}
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in moments.items()}


def setting_of(command: str, seconds: float) -> dict[str, Any]:
    """How, on what and with what the study was made."""
    machine = describe(command, 1)
    del machine["threads for each peer"]
    packages = {name: version(name) for name in ("lmmpy", "pandas", "formulaic", "scikit-sparse")}
    return {
        **machine,
        **packages,
        "seed": SEED,
        "seeds": "SeedSequence(seed, spawn_key=(place of the setting, number of the study))",
        "formula": FORMULA,
        "level of intervals": LEVEL,
        "missing values by trait": list(MISSING),
        "studies checked against the public calls": CHECKED,
        "CPU minutes": round(seconds / 60.0, 1),
        "settings": {name: _facts(setting) for name, setting in SETTINGS.items()},
    }


def _facts(setting: Setting) -> dict[str, Any]:
    truth = {name: round(value, 6) for name, value in setting.truth.items()}
    return {"title": setting.title, "truth": truth, "total sd": TOTAL_SD.tolist()}
