"""R's stored prints, and the data of each rebuilt from its stored numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.report import FixedEffectsTable, SummaryData, VarCorrRow, VarCorrTable

REFERENCE = Path(__file__).parent / "reference"
CASES = sorted(path.stem for path in REFERENCE.glob("*.txt") if path.stem not in {"anova", "varcorr"})


def numbers(name: str) -> Any:
    return json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))


def prints(name: str) -> dict[str, str]:
    """R's prints by name."""
    parts = (REFERENCE / f"{name}.txt").read_text(encoding="utf-8").split("#### ")[1:]
    return {head: body.rstrip("\n") for head, body in (part.split("\n", 1) for part in parts)}


def array(values: list[Any] | None) -> np.ndarray | None:
    if values is None:
        return None
    return np.array([np.nan if v in ("NA", "NaN") else v for v in values], dtype=float)


def varcorr_table(stored: dict[str, Any]) -> VarCorrTable:
    rows = tuple(
        VarCorrRow(r["group"], r["name"], r["variance"], r["std_dev"], tuple(array(r["correlations"])))
        for r in stored["rows"]
    )
    residual = stored["residual"]
    return VarCorrTable(rows, (VarCorrRow("Residual", "", **residual),) if residual else ())


def summary_data(name: str, **changes: Any) -> SummaryData:
    stored = numbers(name)
    fixed = stored.pop("fixed")
    fields = stored | {
        "varcorr": varcorr_table(stored["varcorr"]),
        "fixed": FixedEffectsTable(
            names=tuple(fixed["names"]),
            statistic_name=fixed["statistic_name"],
            **{k: array(fixed[k]) for k in ("estimate", "std_error", "statistic", "df", "p_value")},
        ),
        "scaled_residual_quantiles": array(stored["scaled_residual_quantiles"]),
        "correlation": np.array(stored["correlation"], dtype=float),
    }
    return SummaryData(**(fields | changes))


def anova_table(name: str) -> tuple[pd.DataFrame, list[str]]:
    stored = numbers("anova")[name]
    columns = {c: array(v) for c, v in zip(stored["columns"], stored["values"], strict=True)}
    return pd.DataFrame(columns, index=stored["index"]), stored["heading"]
