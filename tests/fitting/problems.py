"""Random small mixed-model problems by seed, many of them with a singular truth, so that optima lie on the boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Problem:
    """What to fit.

    Attributes
    ----------
    kind : str
    formula : str
    data : dict of ndarray
    weights : str or None
        Name of a column.
    """

    kind: str
    formula: str
    data: dict[str, Any]
    weights: str | None = None


def _loadings(rng: Rng, k: int, rank: int) -> np.ndarray:
    """A factor of a random k × k covariance of the given rank."""
    return rng.normal(size=(k, rank)) * rng.uniform(0.3, 1.5)


def _slopes(rng: Rng, k: int, rank: int) -> Problem:
    """An unstructured term with k effects whose true covariance has the given rank."""
    levels = int(rng.integers(5, 9))
    g = np.repeat(np.arange(levels), int(rng.integers(k + 1, k + 4)))
    xs = {f"x{i}": rng.normal(size=len(g)) * rng.choice([0.1, 1.0, 10.0]) for i in range(1, k)}
    Z = np.column_stack([np.ones(len(g)), *xs.values()])
    b = rng.normal(size=(levels, rank)) @ _loadings(rng, k, rank).T
    y = (Z * b[g]).sum(axis=1) + rng.normal(size=len(g))
    inner = " + ".join(xs)
    return Problem(f"us{k}r{rank}", f"y ~ {inner} + ({inner} | g)", {"y": y, "g": g, **xs})


def _scalar(rng: Rng) -> Problem:
    g = rng.integers(0, int(rng.integers(3, 10)), size=int(rng.integers(15, 40)))
    y = rng.normal(size=g.max() + 1)[g] * rng.choice([0.0, 0.2, 1.0, 30.0]) + rng.normal(size=len(g))
    w = rng.uniform(0.2, 5.0, len(g))
    return Problem("scalar", "y ~ 1 + (1 | g)", {"y": y, "g": g, "w": w}, "w" if rng.random() < 0.5 else None)


def _crossed(rng: Rng) -> Problem:
    n = int(rng.integers(25, 45))
    g, h = rng.integers(0, 6, n), rng.integers(0, 5, n)
    x = rng.normal(size=n)
    scales = rng.choice([0.0, 0.0, 0.7], size=2)
    y = scales[0] * rng.normal(size=6)[g] + scales[1] * rng.normal(size=5)[h] + x + rng.normal(size=n)
    return Problem("crossed", "y ~ x + (1 | g) + (1 | h)", {"y": y, "g": g, "h": h, "x": x})


def _crossed_slopes(rng: Rng) -> Problem:
    """Two crossed unstructured terms, each of rank one in truth."""
    n = int(rng.integers(35, 50))
    g, h, x = rng.integers(0, 7, n), rng.integers(0, 5, n), rng.normal(size=n)
    Z = np.column_stack([np.ones(n), x])
    y = rng.normal(size=n) + 2 * x
    for codes, size in ((g, 7), (h, 5)):
        y += (Z * (rng.normal(size=(size, 1)) @ _loadings(rng, 2, 1).T)[codes]).sum(axis=1)
    return Problem("crossed_us", "y ~ x + (x | g) + (x | h)", {"y": y, "g": g, "h": h, "x": x})


def _structured(rng: Rng, structure: str, rho: float, hom: bool) -> Problem:
    k, levels, times = int(rng.integers(3, 5)), int(rng.integers(5, 8)), 2
    g = np.repeat(np.arange(levels), k * times)
    f = np.tile(np.arange(k), levels * times)
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    autoregression = np.sign(rho) ** lag * abs(rho) ** lag
    R = np.where(lag == 0, 1.0, max(rho, -1.0 / (k - 1))) if structure == "cs" else autoregression
    values, vectors = np.linalg.eigh(R)
    sd = np.ones(k) if hom else rng.uniform(0.3, 2.0, k)
    b = rng.normal(size=(levels, k)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T * sd
    y = b[g, f] * rng.uniform(0.5, 2.0) + rng.normal(size=len(g))
    suffix = ", hom = TRUE" if hom else ", hom = FALSE"
    formula = f"y ~ 1 + {structure}(0 + f | g{suffix})"
    return Problem(f"{structure}{'_hom' if hom else ''}@{rho:g}", formula, {"y": y, "g": g, "f": f.astype(str)})


def _diagonal(rng: Rng) -> Problem:
    base = _slopes(rng, 3, int(rng.integers(1, 4)))
    return Problem("diag", "y ~ x1 + x2 + diag(1 + x1 + x2 | g)", base.data)


def _nested(rng: Rng) -> Problem:
    a = np.repeat(np.arange(5), 8)
    b = np.tile(np.repeat(np.arange(4), 2), 5)
    scales = rng.choice([0.0, 0.5, 3.0], size=2)
    y = scales[0] * rng.normal(size=5)[a] + scales[1] * rng.normal(size=20)[a * 4 + b] + rng.normal(size=40)
    return Problem("nested", "y ~ 1 + (1 | a/b)", {"y": y, "a": a, "b": b})


_KINDS: tuple[Callable[[Rng], Problem], ...] = (
    _scalar,
    _crossed,
    _crossed_slopes,
    _nested,
    _diagonal,
    lambda rng: _slopes(rng, 2, 1),
    lambda rng: _slopes(rng, 2, 2),
    lambda rng: _slopes(rng, 3, 1),
    lambda rng: _slopes(rng, 3, 2),
    lambda rng: _slopes(rng, 4, 1),
    lambda rng: _slopes(rng, 4, 2),
    lambda rng: _structured(rng, "cs", -1.0, True),
    lambda rng: _structured(rng, "cs", 1.0, True),
    lambda rng: _structured(rng, "cs", -1.0, False),
    lambda rng: _structured(rng, "cs", 1.0, False),
    lambda rng: _structured(rng, "cs", 0.3, False),
    lambda rng: _structured(rng, "ar1", 1.0, True),
    lambda rng: _structured(rng, "ar1", -1.0, True),
    lambda rng: _structured(rng, "ar1", 1.0, False),
    lambda rng: _structured(rng, "ar1", 0.5, False),
)


def problem(seed: int) -> Problem:
    """The problem of a seed; kinds take turns."""
    return _KINDS[seed % len(_KINDS)](np.random.default_rng(seed))


def uses_reml(seed: int) -> bool:
    return (seed // len(_KINDS)) % 2 == 0
