"""Newton's method in shares of variance for many problems, side by side.

The shares s of each problem, the last that of the residual, lie on the simplex s ≥ 0, Σs = 1. The criterion does not
depend on the scale of s, so that it is a function on the simplex. Near a point of it the largest share stays positive;
the others are coordinates with the single bounds zero, and the largest is what they leave. A step minimises the
quadratic model (gradient, average information) within the bounds exactly, by the primal active set method (Nocedal &
Wright 2006, §16.5), so that shares reach zero in one step and leave it as soon as their multiplier is negative.

Of one problem nothing depends on the others: it makes the same steps, bit by bit, in any company.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Minima", "minimise_together"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

_NOISE = 1e-13
# A step takes at most this part of the largest share.
_MOST_OF_LARGEST = 0.9
_SUFFICIENT, _SHORTER = 1e-4, 0.25
# Least curvature relative to the largest, that is added to a singular one; and that a correction has to leave.
_FLOOR, _CONVEX = 1e-10, 1e-3
# A secant whose change is that nearly across the step says nothing of the curvature along it.
_SKIP = 1e-3
# How far towards each share that is zero a second minimum is looked for. Those of small samples with kernels of very
# unequal eigenvalues lie anywhere, some next to the corner; found by comparison with grids.
_TOWARDS = (0.05, 0.25, 0.6, 0.9, 0.999)


class _Values(Protocol):
    @property
    def value(self) -> Floats:
        """Shape (a,); infinite where the criterion cannot be computed."""

    @property
    def gradient(self) -> Floats:
        """Shape (a, T)."""

    @property
    def information(self) -> Floats:
        """Shape (a, T, T)."""


class _Problems(Protocol):
    count: int

    def evaluate(self, places: Ints, shares: Floats, derivatives: bool = True) -> _Values:
        """See `engines.block_batch.Problems`."""


@dataclass(frozen=True, eq=False, slots=True)
class Minima:
    """What was found for m problems.

    Attributes
    ----------
    shares : ndarray, shape (m, T)
        Zeros are exact.
    value : ndarray, shape (m,)
        Of the criterion; infinite where it could not be computed at any point that was tried.
    evaluations : ndarray of int, shape (m,)
        How many times value and derivatives were computed, and values only.
    converged : ndarray of bool, shape (m,)
        Whether the next step promised to lower the criterion by less than the tolerance.
    at_boundary : ndarray of bool, shape (m,)
        Whether a share is zero.
    """

    shares: Floats
    value: Floats
    evaluations: Ints
    converged: Mask
    at_boundary: Mask


def minimise_together(
    problems: _Problems,
    start: Floats,
    *,
    probe: Floats | None = None,
    tolerance: float = 1e-10,
    max_evaluations: int = 60,
) -> Minima:
    """
    Minimise the criterion of each problem over the simplex.

    Parameters
    ----------
    problems : Problems
    start : ndarray, shape (T,) or (m, T)
        Where to begin. A share of zero is as good a start as any.
    probe : ndarray, shape (T,) or (m, T), optional
        A second point. Of problems whose minimum has a share of zero the value is computed there, in the middle of the
        simplex, and in some places on the way from the minimum to each corner that it has no share of; where the least
        of these values is lower, another search begins there, and the better of the two minima is taken. It guards
        against a minimum on the boundary that is a local one. Problems that did not converge begin again from the
        least of these values too. Without a second point nothing of this is done.
    tolerance : float
        Stop when the model promises to lower the criterion by less than this.
    max_evaluations : int
        Of each search.

    Returns
    -------
    Minima
    """
    m = problems.count
    everyone = np.arange(m)
    start = np.broadcast_to(start, (m, np.shape(start)[-1]))
    found = _search(problems, everyone, start, tolerance, max_evaluations)
    if probe is None or not m:
        return found
    doubtful = np.flatnonzero(found.at_boundary | ~found.converged)
    if not len(doubtful):
        return found
    place, value = _least_elsewhere(problems, found, doubtful, np.broadcast_to(probe, start.shape)[doubtful])
    chosen = (value < found.value[doubtful] - _noise(value)) | ~found.converged[doubtful]
    if chosen.any():
        again = doubtful[chosen]
        _take_better(found, again, _search(problems, again, place[chosen], tolerance, max_evaluations))
    return found


def _least_elsewhere(problems: _Problems, found: Minima, doubtful: Ints, probe: Floats) -> tuple[Floats, Floats]:
    """Of some points for each doubtful problem that with the least value, the probe first, and the value."""
    place, least = probe.copy(), np.full(len(doubtful), np.inf)
    shares, T = found.shares[doubtful], probe.shape[1]
    everyone = np.ones(len(doubtful), dtype=bool)

    def look(points: Floats, asked: Mask) -> None:
        some = np.flatnonzero(asked)
        if not len(some):
            return
        value = problems.evaluate(doubtful[some], points[some], derivatives=False).value
        found.evaluations[doubtful[some]] += 1
        lower = value < least[some]
        place[some[lower]], least[some[lower]] = points[some[lower]], value[lower]

    look(probe, everyone)
    if T > 2:
        look(np.full_like(probe, 1.0 / T), everyone)
    for corner, part in itertools.product(np.eye(T), _TOWARDS):
        look(shares + part * (corner - shares), (shares * corner).sum(axis=1) == 0.0)
    return place, least


def _take_better(found: Minima, places: Ints, other: Minima) -> None:
    """The lower of two minima; of equal ones that which converged."""
    found.evaluations[places] += other.evaluations
    known = found.value[places]
    better = other.value < known
    better |= other.converged & ~found.converged[places] & (other.value <= known + _noise(known))
    some = places[better]
    found.shares[some], found.value[some] = other.shares[better], other.value[better]
    found.converged[some], found.at_boundary[some] = other.converged[better], other.at_boundary[better]


def _noise(value: Floats) -> Floats:
    """What rounding makes of a value; none of one that cannot be computed."""
    return np.asarray(_NOISE * (1.0 + np.abs(np.where(np.isfinite(value), value, 0.0))))


def _search(problems: _Problems, places: Ints, start: Floats, tolerance: float, most: int) -> Minima:
    """From one start of each of some problems."""
    shares = np.array(start, dtype=float)
    now = problems.evaluate(places, shares)
    value, gradient, information = now.value.copy(), now.gradient.copy(), now.information.copy()
    m, shrink = len(places), np.ones(len(places))
    evaluations, converged = np.ones(m, dtype=np.intp), np.zeros(m, dtype=bool)
    active = np.flatnonzero(np.isfinite(value))
    step, promised, secant = np.zeros_like(shares), np.zeros(m), np.zeros_like(information)
    fresh = active
    while True:
        step[fresh], promised[fresh] = _steps(shares[fresh], gradient[fresh], information[fresh], secant[fresh])
        converged[fresh] = promised[fresh] <= tolerance
        active = active[~converged[active] & (evaluations[active] < most) & (shrink[active] > 1e-10)]
        if not len(active):
            break
        trial = _moved(shares[active], step[active], shrink[active])
        found = problems.evaluate(places[active], trial)
        evaluations[active] += 1
        allowed = value[active] - _SUFFICIENT * shrink[active] * promised[active] + _noise(value[active])
        accepted = found.value <= allowed
        fresh = active[accepted]
        unexplained = found.gradient[accepted] - gradient[fresh]
        secant[fresh] = _updated(
            secant[fresh], found.information[accepted], trial[accepted] - shares[fresh], unexplained
        )
        shares[fresh], value[fresh] = trial[accepted], found.value[accepted]
        gradient[fresh], information[fresh] = found.gradient[accepted], found.information[accepted]
        shrink[active] = np.where(accepted, 1.0, _SHORTER * shrink[active])
    return Minima(shares, value, evaluations, converged, (shares == 0.0).any(axis=1))


def _moved(shares: Floats, step: Floats, part: Floats) -> Floats:
    """The shares after a part of a step; a whole one that ends on a bound ends there exactly."""
    moved = np.maximum(shares + part[:, None] * step, 0.0)
    return np.asarray(moved / _total(moved)[:, None])


def _total(columns: Floats) -> Floats:
    """Sums over the last axis in one order whatever the number of problems."""
    total = columns[..., 0].copy()
    for t in range(1, columns.shape[-1]):
        total += columns[..., t]
    return total


def _updated(secant: Floats, information: Floats, step: Floats, change: Floats) -> Floats:
    """Make it explain, by a term of rank one, what the average information does not of the change of the gradient."""
    rest = change - _times(information + secant, step)
    rest = rest - (_total(rest) / rest.shape[1])[:, None]
    along = _total(rest * step)
    length = np.sqrt(_total(rest * rest) * _total(step * step))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(np.abs(along) > _SKIP * length, 1.0 / along, 0.0)
    return np.asarray(secant + scale[:, None, None] * rest[:, :, None] * rest[:, None, :])


def _steps(shares: Floats, gradient: Floats, information: Floats, secant: Floats) -> tuple[Floats, Floats]:
    """Steps along the simplex, shape (a, T), and what the model promises of them."""
    a, T = shares.shape
    largest = shares.argmax(axis=1)
    others = np.array([[t for t in range(T) if t != r] for r in range(T)], dtype=np.intp).reshape(T, T - 1)[largest]
    line, ref = np.arange(a)[:, None], largest[:, None]
    g = gradient[line, others] - gradient[line, ref]
    B = _along_simplex(information, others, ref)
    B = _convex(B, _along_simplex(secant, others, ref))
    y = shares[line, others]
    s = _bounded_minimiser(g, B, y)
    left = shares[line, ref][:, 0]
    total = _total(s) if T > 1 else np.zeros(a)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(total > _MOST_OF_LARGEST * left, _MOST_OF_LARGEST * left / total, 1.0)
    promised = -_total(g * s) - 0.5 * _quadratic(B, s) if T > 1 else np.zeros(a)
    s = part[:, None] * s
    step = np.empty_like(shares)
    step[line, others] = s
    step[np.arange(a), largest] = -part * total
    return step, promised


def _along_simplex(H: Floats, others: Ints, ref: Ints) -> Floats:
    """A second derivative in all shares as one in all but the largest, which is what they leave."""
    line = np.arange(len(H))[:, None]
    across = H[line, others, ref]
    B = H[line[:, :, None], others[:, :, None], others[:, None, :]]
    return np.asarray(B - across[:, :, None] - across[:, None, :] + H[line, ref, ref][:, :, None])


def _quadratic(B: Floats, s: Floats) -> Floats:
    return _total(s * _times(B, s))


def _times(B: Floats, s: Floats) -> Floats:
    found = B[:, :, 0] * s[:, :1]
    for t in range(1, s.shape[1]):
        found += B[:, :, t] * s[:, t : t + 1]
    return found


def _convex(B: Floats, correction: Floats) -> Floats:
    """Curvature with its correction where that leaves it clearly convex, else without; never quite singular."""
    T = B.shape[1]
    if not T:
        return B
    diagonal = np.arange(T)
    size = B[:, diagonal, diagonal].max(axis=1)
    corrected = B + correction
    least = np.linalg.eigvalsh(corrected)[:, 0]
    found = np.where((least > _CONVEX * size)[:, None, None], corrected, B)
    # Kernels that cannot be told apart leave a minimiser.
    found[:, diagonal, diagonal] += (_FLOOR * (1.0 + size))[:, None]
    return found


def _bounded_minimiser(g: Floats, B: Floats, y: Floats) -> Floats:
    """The minimisers of gᵀs + ½sᵀBs over s ≥ −y, each by steps between faces that never raise it."""
    a, T = g.shape
    s, held = np.zeros((a, T)), (y <= 0.0) & (g >= 0.0)
    working = np.arange(a)
    eye = np.eye(T, dtype=bool)
    for _ in range(4 * T + 4):
        if not len(working) or not T:
            break
        own_s, own_y, own_B, free = s[working], y[working], B[working], ~held[working]
        slope = g[working] + _times(own_B, own_s)
        reduced = np.where(free[:, :, None] & free[:, None, :], own_B, eye)
        move = np.linalg.solve(reduced, np.where(free, -slope, 0.0)[:, :, None])[:, :, 0]
        room = own_y + own_s
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(free & (move < 0.0), room / -move, np.inf)
        first = reach.argmin(axis=1)
        rows = np.arange(len(working))
        part = np.minimum(reach[rows, first], 1.0)
        own_s = own_s + part[:, None] * move
        blocked = reach[rows, first] < 1.0
        own_s[rows[blocked], first[blocked]] = -own_y[rows[blocked], first[blocked]]
        s[working] = own_s
        held[working[blocked], first[blocked]] = True
        multiplier = np.where(held[working], g[working] + _times(own_B, own_s), np.inf)
        worst = multiplier.argmin(axis=1)
        release = ~blocked & (multiplier[rows, worst] < 0.0)
        held[working[release], worst[release]] = False
        working = working[blocked | release]
    return s
