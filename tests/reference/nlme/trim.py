"""Keep of the project's reference numbers of nlme what the tests compare, every digit of it, in one file.

python tests/reference/nlme/trim.py FOLDER      (of `<case>_<REML or ML>.json`)
"""

import json
import sys
from pathlib import Path

KEPT = ("call", "beta", "vcov", "sigma", "logLik", "corStruct", "varStruct", "reStruct", "ranef", "versions")


def correlation(part):
    if part is None:
        return None
    values = part["coef"]["values"]
    return values if isinstance(values, list) else [values]


def variance(part):
    if part is None:
        return []
    found = part["allCoef"]
    return [dict(zip(found["names"], found["values"], strict=True))]


def trimmed(answer):
    kept = {key: answer[key] for key in KEPT}
    names, values = kept["beta"]["names"], kept["beta"]["values"]
    random, effects = kept.pop("reStruct"), kept.pop("ranef")
    return {
        "call": kept["call"],
        "beta": dict(zip(names, values, strict=True)),
        "vcov": kept["vcov"]["values"],
        "sigma": kept["sigma"],
        "logLik": kept["logLik"],
        "correlation": correlation(kept["corStruct"]),
        "variance": variance(kept["varStruct"]),
        "random": random and {group: found["values"] for group, found in random.items()},
        "ranef": effects and {"levels": effects["levels"], "values": effects["values"]["values"]},
        "versions": {name: kept["versions"][name] for name in ("R", "nlme")},
    }


if __name__ == "__main__":
    cases = {path.stem: trimmed(json.loads(path.read_text())) for path in sorted(Path(sys.argv[1]).glob("*.json"))}
    Path(__file__).with_name("given.json").write_text(json.dumps(cases, indent=1) + "\n")
