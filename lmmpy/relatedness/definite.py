"""Is a symmetric matrix a covariance? Cheap when it is, and exact about what is wrong when it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh, lapack

from lmmpy.errors import DataError
from lmmpy.relatedness.form import Labels, name_of

__all__ = [
    "INDEFINITE",
    "ROUNDING",
    "Verdict",
    "asymmetry",
    "checked_diagonal",
    "judge",
    "judge_all",
    "judge_values",
    "lower_root",
]

Floats = NDArray[np.float64]
# All relative to the mean of the diagonal. An eigenvalue above −ROUNDING is zero; below −INDEFINITE it is no rounding
# of the figures of a file (seven decimals for 4,000 levels change eigenvalues by 4e-6), and K is no covariance, unless
# its entries show that it was written with fewer (see `rounding_of`).
ROUNDING, INDEFINITE = 1e-10, 1e-5
# Entries that differ by less across the diagonal, relative to the diagonal, are equal.
ASYMMETRY = 1e-8
_TILE = 512
# Blocks up to this size are factorised in stacks.
_SMALL = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a symmetric block is.

    Attributes
    ----------
    logdet : float
        −∞ when it is singular.
    smallest : float
        Its smallest eigenvalue over the mean of its diagonal; nan when it was not needed.
    """

    logdet: float
    smallest: float = np.nan

    @property
    def changes(self) -> bool:
        """Whether negative eigenvalues must be set to zero."""
        return self.smallest < -ROUNDING


def checked_diagonal(diagonal: Floats, labels: Labels) -> None:
    """
    A diagonal of finite positive numbers, or a DataError that names the levels.

    Raises
    ------
    DataError
    """
    wrong = np.flatnonzero(~(diagonal > 0.0))
    if len(wrong):
        which = ", ".join(f"{name_of(labels, i)} ({diagonal[i]:g})" for i in wrong[:5])
        raise DataError(
            f"The diagonal of K must be positive; it is not for {len(wrong)} levels: {which}. "
            "An individual's relatedness with itself is its variance."
        )


def asymmetry(K: Floats) -> tuple[float, int, int]:
    """Largest |K − Kᵀ| and where it is; by tiles, since a transposed walk of a large array is slow."""
    n = len(K)
    worst, at = 0.0, (0, 0)
    for i in range(0, n, _TILE):
        for j in range(0, i + 1, _TILE):
            gap = np.abs(K[i : i + _TILE, j : j + _TILE] - K[j : j + _TILE, i : i + _TILE].T)
            largest = float(gap.max())
            if largest > worst:
                a, b = np.unravel_index(int(gap.argmax()), gap.shape)
                worst, at = largest, (i + int(a), j + int(b))
    return worst, *at


def lower_root(K: Floats, jitter: float = 0.0) -> Floats | None:
    """Cholesky factor L, its strict upper triangle not set to zero; None where K + jitter·I has none."""
    work = np.array(K, order="C")
    if jitter:
        work.flat[:: len(work) + 1] += jitter
    L, info = lapack.dpotrf(work.T, lower=1, clean=0, overwrite_a=1)
    return L if info == 0 else None


def judge(K: Floats) -> Verdict:
    """
    Whether a symmetric block with a positive diagonal is a covariance.

    One Cholesky factorisation when it is regular, two when it is singular; eigenvalues only when both fail.
    """
    if len(K) == 1:
        return Verdict(float(np.log(K[0, 0])))
    diagonal = K.diagonal()
    scale = float(diagonal.mean())
    L = lower_root(K)
    if L is not None:
        pivots = L.diagonal() ** 2
        if (pivots > _rounding(len(K)) * diagonal).all():
            return Verdict(float(np.log(pivots).sum()))
    if lower_root(K, ROUNDING * scale) is not None:
        return Verdict(-np.inf)
    smallest = eigvalsh(K, subset_by_index=[0, 0], check_finite=False)[0]
    return Verdict(-np.inf, float(smallest) / scale)


def judge_all(blocks: list[Floats]) -> list[Verdict]:
    """The same of many blocks; small ones of one size are factorised together."""
    verdicts: dict[int, Verdict] = {}
    by_size: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        by_size.setdefault(len(block), []).append(number)
    for size, numbers in by_size.items():
        if size <= _SMALL and len(numbers) > 1:
            verdicts.update(zip(numbers, _judge_stack(np.stack([blocks[i] for i in numbers])), strict=True))
        else:
            verdicts.update({i: judge(blocks[i]) for i in numbers})
    return [verdicts[i] for i in range(len(blocks))]


def _judge_stack(stack: Floats) -> list[Verdict]:
    try:
        pivots = np.diagonal(np.linalg.cholesky(stack), axis1=1, axis2=2) ** 2
    except np.linalg.LinAlgError:  # one of them is not regular: which, and what it is, is looked at one by one
        return [judge(block) for block in stack]
    regular = np.asarray((pivots > _rounding(stack.shape[1]) * np.diagonal(stack, axis1=1, axis2=2)).all(axis=1))
    logdets = np.log(np.maximum(pivots, np.finfo(float).tiny)).sum(axis=1)
    return [Verdict(float(x)) if good else judge(K) for x, good, K in zip(logdets, regular, stack, strict=True)]


def _rounding(n: int) -> float:
    """What of a pivot, relative to the diagonal, may be rounding: a pivot is a level's variance given those before."""
    return 10.0 * n * float(np.finfo(float).eps)


def judge_values(values: Floats, scale: float) -> Verdict:
    """The same from all eigenvalues, ascending."""
    smallest = float(values[0]) / scale
    if smallest < ROUNDING:
        return Verdict(-np.inf, smallest)
    return Verdict(float(np.log(values).sum()), smallest)
