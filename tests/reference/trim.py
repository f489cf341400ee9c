"""Write lme4/*.json: of a folder of full answers of lme4, what the tests here compare, in the layout of make_more.R.

python tests/reference/trim.py FOLDER      (FOLDER holds the full files <case>_<method>.json)
"""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COPIED = (
    "formula",
    "REML",
    "weights",
    "offset",
    "subset",
    "contrasts",
    "nobs",
    "ngrps",
    "sigma",
    "logLik",
    "AIC",
    "BIC",
)
RENAMED = {
    "df_residual": "df_resid",
    "logLik_df": "df",
    "deviance_ML": "deviance_ML",
    "isSingular": "singular",
    "predict_new_cond": "predict_new_all",
}
ROWWISE = ("fitted", "resid", "resid_pearson", "resid_scaled", "predict_fixed", "predict_new_fixed", "se")


def listed(value: Any) -> list[Any]:
    """A vector; R's writer gave a single element as a scalar."""
    return value if isinstance(value, list) else [value]


def named(vector: dict[str, Any]) -> dict[str, list[Any]]:
    return {"names": listed(vector["names"]), "values": listed(vector["values"])}


def columns(frame: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: listed(values) for name, values in frame.items() if name != "_rownames"}


def effects(group: dict[str, Any]) -> dict[str, Any]:
    found = {"levels": group["levels"], "terms": listed(group["terms"]), "values": group["values"]["values"]}
    if "condVar" in group:
        found["cond_var"] = [[level["values"] for level in group["condVar"]]]
    if "condVar_list" in group:
        found["cond_var"] = [[level["values"] for level in term] for term in group["condVar_list"].values()]
    return found


def comparison(entry: dict[str, Any]) -> dict[str, Any]:
    return {"alt": entry["alt"], "refit": entry.get("refit", True), "table": columns(entry["table"])}


def trimmed(full: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"data": Path(full["data"]).stem, **{key: full[key] for key in COPIED}}
    kept |= {new: full[old] for old, new in RENAMED.items() if old in full}
    kept |= {key: listed(full[key]) for key in ROWWISE if key in full}
    kept["criterion"] = full["REMLcrit"] if full["REML"] else full["deviance_ML"]
    kept["na_action"] = "exclude" if "na.exclude" in full["call"] else "omit"
    kept |= {"theta": named(full["theta"]), "beta": named(full["beta"]), "vcov": full["vcov"]["values"]}
    kept["varcorr"] = columns(full["varcorr"])
    kept["dropped"] = listed(full.get("col_dropped", {"names": []})["names"])
    kept["default"] = {"criterion": default_criterion(full), "messages": listed(full["messages"])}
    kept["ranef"] = {name: effects(group) for name, group in full.get("ranef", full.get("ranef_head")).items()}
    if "ranef_ss" in full:
        kept |= {"ranef_ss": full["ranef_ss"], "cond_var_head": full["condVar_head"]}
    if "newdata" in full:
        kept["newdata"] = columns(full["newdata"])
    kept["lrt"] = [comparison(entry) for key in ("lrt_fixed", "lrt_random") for entry in full.get(key, [])]
    return kept


def default_criterion(full: dict[str, Any]) -> float:
    return -2.0 * float(full["default_logLik"])


def main(folder: Path) -> None:
    for source in sorted(folder.glob("*.json")):
        kept = trimmed(json.loads(source.read_text(encoding="utf-8")))
        lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in kept.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        (HERE / "lme4" / source.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
