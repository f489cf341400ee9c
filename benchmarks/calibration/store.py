"""Records of data sets on disk while the study runs, and the counts that are kept of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration.designs import DESIGNS, SEED
from benchmarks.calibration.run import CHECKED, LEVEL, N_BOOTSTRAP, STOP_AT, Record
from benchmarks.machine import describe

__all__ = ["RESULTS", "add", "counts", "done", "read_records", "setting", "spent"]

RESULTS = Path(__file__).parent / "results.json"
LEVELS = (0.05, 0.01)
SINGULAR = "flag/REML fit singular"


def _path(folder: Path, design: str, part: str) -> Path:
    return folder / f"{design}.{part}.jsonl"


def add(folder: Path, design: str, part: str, records: Iterable[Record]) -> None:
    """Write records behind those that are there."""
    with _path(folder, design, part).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def read_records(folder: Path, design: str, part: str) -> list[Record]:
    """All records so far, in the order of the data sets."""
    path = _path(folder, design, part)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def done(folder: Path, design: str, part: str) -> int:
    """How many data sets have a record."""
    return len(read_records(folder, design, part))


def spent(folder: Path, seconds: float) -> float:
    """Add to the seconds that a study has taken, over all its runs."""
    path = folder / "seconds"
    total = seconds + (float(path.read_text(encoding="utf-8")) if path.exists() else 0.0)
    path.write_text(f"{total}\n", encoding="utf-8")
    return total


def counts(records: list[Record]) -> dict[str, dict[str, Any]]:
    """
    What is kept of the records, by the name of the measure.

    For ``cover``, ``flag`` and ``check`` the number of data sets, of those with True, and of those where there was
    nothing to be true or false; for ``p`` the numbers of p-values at or below each level, and at or below the first
    where the fit is singular; for ``estimate`` mean, standard deviation and median. Data sets that lmmpy refused are
    counted under ``failed``.
    """
    columns: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        for name, value in record.items():
            columns[name].append(value)
    kept = {name: _summary(name, values) for name, values in columns.items() if "/" in name}
    for name, summary in kept.items():
        if name.startswith("p/") and SINGULAR in columns:
            summary["in singular fits"] = _rejections(columns[name], columns[SINGULAR])
    failures = [str(message) for message in columns.get("failed", [])]
    return {**kept, "failed": {"n": len(records), "hits": len(failures), "first": failures[:3]}}


def _summary(name: str, values: list[Any]) -> dict[str, Any]:
    there = np.array([value for value in values if value is not None], dtype=float)
    found: dict[str, Any] = {"n": len(values), "undefined": len(values) - len(there)}
    kind = name.partition("/")[0]
    if kind == "p":
        return found | {f"hits at {level:g}": int((there <= level).sum()) for level in LEVELS}
    if kind == "estimate":
        return found | _moments(there)
    return found | {"hits": int(there.sum())}


def _rejections(p_values: list[Any], singular: list[Any]) -> dict[str, int]:
    """Of the singular fits; a test that does not exist rejects nothing."""
    there = [p for p, on in zip(p_values, singular, strict=True) if on]
    return {"n": len(there), "hits": sum(p is not None and p <= LEVELS[0] for p in there)}


def _moments(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float | None]:
    if len(values) < 2:
        return {"mean": None, "sd": None, "median": None}
    moments = {"mean": values.mean(), "sd": values.std(ddof=1), "median": np.median(values)}
    return {name: float(f"{value:.8g}") for name, value in moments.items()}


def setting(command: str, seconds: float) -> dict[str, Any]:
    """How, on what and with what the study was made."""
    machine = describe(command, 1)
    del machine["threads for each peer"]
    packages = {name: version(name) for name in ("lmmpy", "pandas", "formulaic")}
    return {
        **machine,
        **packages,
        "seed": SEED,
        "level of intervals": LEVEL,
        "bootstrap": f"{N_BOOTSTRAP} replicates, stopped at {STOP_AT} exceedances",
        "data sets checked against the public calls": CHECKED,
        "CPU minutes": round(seconds / 60.0, 1),
        "designs": {design.name: _facts(design.name) for design in DESIGNS.values()},
    }


def _facts(name: str) -> dict[str, Any]:
    design = DESIGNS[name]
    return {
        "title": design.title,
        "formula": design.formula,
        "rows": len(design.frame),
        "group sizes": np.bincount(design.codes).tolist(),
        "within": design.within,
        "between": design.between,
        "tested": list(design.tested),
        "truth": design.sd,
        "correlation": float(design.covariance[0, -1] / design.covariance[0, 0])
        if len(design.covariance) > 1
        else None,
    }
