"""Write inference/*.json: of a folder of full answers of R, what concerns inference, every digit, names unchanged.

python tests/reference/trim_inference.py FOLDER      (FOLDER holds the full files <case>_<method>.json)

`inference_cases.py` describes the layout.
"""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEPT = (
    "versions",
    "se",
    "terms_assign",
    "confint_wald",
    "profile_confint",
    "profile_confint90",
    "profile_zeta",
    "drop1_Chisq",
    "anova_lme4",
    "ranova",
    "lrt_fixed",
    "lrt_random",
    "vcovAdj_KR",
    "pbkr",
    "ls_means",
    "diffls",
    "rePCA_sdev",
    "newdata",
    "predict_new_cond",
    "predict_new_fixed",
    "hatvalues",
    "cooks",
    "rstudent",
    "influence",
)


def trimmed(full: dict[str, Any]) -> dict[str, Any]:
    kept = {key: full[key] for key in KEPT if key in full}
    return kept | {key: value for key, value in full.items() if key.startswith("lmerTest_")}


def main(folder: Path) -> None:
    for source in sorted(folder.glob("*.json")):
        kept = trimmed(json.loads(source.read_text(encoding="utf-8")))
        lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in kept.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        (HERE / "inference" / source.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
