"""Relatedness by GEMMA 0.98.5 of small made-up genotypes: gemma_grm.json.

Run with the program gemma on the PATH: python tests/reference/make_gemma_grm.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

PEOPLE, VARIANTS = 12, 40
HERE = Path(__file__).parent


def genotypes(fractional: bool) -> list[list[float | None]]:
    """Dosages, shape (variants, people): some missing, two variants the same in all, one of them heterozygous."""
    rng = np.random.default_rng(11 + fractional)
    x = rng.binomial(2, rng.uniform(0.1, 0.9, (VARIANTS, 1)), (VARIANTS, PEOPLE)).astype(float)
    if fractional:
        x = np.round(np.clip(x + rng.normal(0, 0.2, x.shape), 0, 2), 3)
    x[rng.random(x.shape) < 0.08] = np.nan
    x[5], x[17] = 1.0, 0.0
    return [[None if np.isnan(value) else value for value in row] for row in x.tolist()]


def kinship(dosages: list[list[float | None]], kind: int, *options: str) -> list[list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lines = [
            ", ".join([f"rs{i + 1}", "A", "G", *("NA" if value is None else repr(value) for value in row)])
            for i, row in enumerate(dosages)
        ]
        (place / "g.txt").write_text("\n".join(lines) + "\n")
        (place / "p.txt").write_text("\n".join(str(i % 3 + 0.5) for i in range(PEOPLE)) + "\n")
        (place / "a.txt").write_text("\n".join(f"rs{i + 1}, {i + 1}, {1 + i % 3}" for i in range(VARIANTS)) + "\n")
        subprocess.run(
            ["gemma", *"-g g.txt -p p.txt -a a.txt -miss 1 -maf 0 -o k -gk".split(), str(kind), *options],
            cwd=place,
            check=True,
            capture_output=True,
        )
        output = place / "output" / f"k.{'cXX' if kind == 1 else 'sXX'}.txt"
        return np.loadtxt(output).tolist()


def main() -> None:
    answer = {}
    for fractional in (False, True):
        dosages = genotypes(fractional)
        answer["fractional" if fractional else "whole"] = {
            "dosages": dosages,
            "chromosomes": [str(1 + i % 3) for i in range(VARIANTS)],
            "centered": kinship(dosages, 1),
            "standardized": kinship(dosages, 2),
            "centered_without_2": kinship(dosages, 1, "-loco", "2"),
        }
    (HERE / "gemma_grm.json").write_text(json.dumps(answer, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
