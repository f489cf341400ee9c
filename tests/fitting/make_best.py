"""Add seeds to best.json: the least criterion that derivative-free searches find (some two seconds a seed).

python -m tests.fitting.make_best $(seq 0 59) 79 94 187 518 10050 10115 10348 10514 10630 10824 20009 20138 20189
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lmmpy as lmm
from tests.fitting.derivative_free import best
from tests.fitting.problems import problem, uses_reml

_MOST_STARTS = 24


def _least(seed: int) -> float:
    case = problem(seed)
    design = lmm.lformula(case.formula, case.data, weights=case.weights).design
    return best(design, uses_reml(seed), starts=_MOST_STARTS, seed=seed)


def main(*seeds: int) -> None:
    target = Path(__file__).parent / "best.json"
    known = json.loads(target.read_text()) if target.exists() else {}
    known |= {str(seed): _least(seed) for seed in seeds}
    ordered = dict(sorted(known.items(), key=lambda item: int(item[0])))
    target.write_text(json.dumps(ordered, indent=1) + "\n")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
