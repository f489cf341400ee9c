"""Small genotypes, and PLINK files of them written by hand."""

from pathlib import Path

import numpy as np

CODES = {2.0: 0b00, 1.0: 0b10, 0.0: 0b11}  # copies of A1; missing is 0b01


def dosages(n, m, seed=1, missing=0.1):
    rng = np.random.default_rng(seed)
    G = rng.binomial(2, rng.uniform(0.1, 0.9, m), (n, m)).astype(float)
    G[rng.random((n, m)) < missing] = np.nan
    return G


def bed_bytes(G):
    """A variant after the other, four people in a byte, the first in the lowest bits."""
    content = bytearray(b"\x6c\x1b\x01")
    for column in G.T:
        for start in range(0, len(column), 4):
            byte = 0
            for place, value in enumerate(column[start : start + 4]):
                byte |= CODES.get(value, 0b01) << (2 * place)
            content.append(byte)
    return bytes(content)


def write_plink(prefix: Path, G, ids=None, chromosomes=None, names=None, families=None):
    n, m = G.shape
    ids = ids or [f"p{i}" for i in range(n)]
    families = families or [f"f{i // 3}" for i in range(n)]
    chromosomes = chromosomes or ["1"] * m
    names = names or [f"rs{j}" for j in range(m)]
    Path(f"{prefix}.bed").write_bytes(bed_bytes(G))
    people = zip(families, ids, strict=True)
    Path(f"{prefix}.fam").write_text("".join(f"{f} {i} 0 0 0 -9\n" for f, i in people))
    lines = [f"{c}\t{name}\t0\t{100 + j}\tA\tG\n" for j, (c, name) in enumerate(zip(chromosomes, names, strict=True))]
    Path(f"{prefix}.bim").write_text("".join(lines))
    return prefix
