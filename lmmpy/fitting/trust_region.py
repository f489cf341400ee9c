"""Trust-region Newton for a profiled criterion: average information, its bend, and what secants add to them.

The average information misses the curvature that comes from the second derivative of V. The engine adds the part that
is all there is where a variance vanishes; a structured secant update learns the rest (Dennis, Gay & Welsch 1981,
NL2SOL, with the symmetric rank-one formula, which a trust region makes safe).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lmmpy.engines import Evaluation

__all__ = ["Minimum", "Step", "minimise"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ACCEPT, _POOR, _GOOD = 1e-4, 0.25, 0.75
_NOISE = 1e-12
_PATIENCE = 6


@dataclass(frozen=True, slots=True)
class Step:
    """One evaluation, as logged.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
    value : float
    accepted : bool
        Whether the search went on from there.
    purpose : str
        What was tried: "start", "scoring", "newton", "boundary", "leap", "equivalent" or "cobyqa".
    gradient_norm : float
        Root of gᵀB⁻¹g, the length of the gradient in the metric of the curvature where the step began; NaN when not
        computed.
    radius : float
        Trust radius of the step, in typical scales of θ; NaN when there was none.
    """

    theta: Floats
    value: float
    accepted: bool
    purpose: str
    gradient_norm: float = np.nan
    radius: float = np.nan


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where the optimiser stopped.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
    evaluation : Evaluation
        Value, gradient and information there.
    converged : bool
    log : list of Step
        Every evaluation.
    """

    theta: Floats
    evaluation: Evaluation
    converged: bool
    log: list[Step] = field(default_factory=list)


class _Model:
    """gᵀs + ½sᵀBs, by the eigenvectors of B."""

    def __init__(self, g: Floats, B: Floats) -> None:
        self._values, self._vectors = np.linalg.eigh(B)
        self._along = self._vectors.T @ g
        size = np.abs(self._values)
        self._floor = 1e-10 * max(1.0, float(size.max()))
        self._held_up = np.maximum(size, self._floor)
        self.gradient_norm = self.norm(g)

    def norm(self, g: Floats) -> float:
        """√(gᵀ|B|⁻¹g), tiny curvatures held up."""
        return float(np.sqrt(((self._vectors.T @ g) ** 2 / self._held_up).sum()))

    def step(self, radius: float) -> tuple[Floats, float]:
        """The minimiser over |s| ≤ radius, and the decrease it promises (Moré & Sorensen 1983)."""
        values, along = self._values, self._along
        lowest, shift = values[0], 0.0
        if lowest <= self._floor or np.linalg.norm(along / values) > radius:
            shift = _shift(along, values, radius, max(0.0, self._floor - lowest))
        coordinates = -along / (values + shift)
        missing = radius**2 - float(coordinates @ coordinates)
        if shift > 0.0 and missing > 0.0 and lowest < -self._floor:
            # The hard case: no gradient along the most negative curvature, so walk along it to the edge.
            coordinates[0] -= np.copysign(np.sqrt(missing), along[0])
        promised = -float(along @ coordinates + 0.5 * values @ coordinates**2)
        return self._vectors @ coordinates, promised


def minimise(
    evaluate: Callable[[Floats, int], Evaluation],
    start: Floats,
    scale: Floats,
    lower: Floats,
    free: Mask,
    *,
    tolerance: float,
    max_evaluations: int,
    known: Evaluation | None = None,
    distant: float = np.inf,
) -> Minimum:
    """
    Minimise a criterion from a start.

    Parameters
    ----------
    evaluate : callable
        (θ, order) → Evaluation, as an engine has it.
    start, scale, lower : ndarray, shape (n_theta,)
        Where to begin, a typical change, and lower bounds of each parameter.
    free : ndarray of bool, shape (n_theta,)
        Which parameters may move.
    tolerance : float
        Stop when the model promises a smaller decrease of the criterion than this.
    max_evaluations : int
    known : Evaluation, optional
        That at the start, when it is at hand.
    distant : float
        Stop, without a minimum, where a parameter is more than so many typical changes from zero.

    Returns
    -------
    Minimum
    """
    theta, radius = start.copy(), 1.0
    now = known if known is not None else evaluate(theta, 2)
    log = [] if known is not None else [Step(theta.copy(), now.value, True, "start")]
    if not np.isfinite(now.value) or not free.any():
        return Minimum(theta, now, not free.any(), log)
    secant, misses = np.zeros((len(theta), len(theta))), 0
    scales = np.outer(scale, scale)
    g, curvature = _scaled(now, scale, scales)
    while len(log) < max_evaluations:
        moving = free & ~((theta <= lower) & (g > 0))
        if not moving.any():
            return Minimum(theta, now, True, log)
        model = _Model(g[moving], (curvature + secant)[np.ix_(moving, moving)])
        step = np.zeros_like(theta)
        step[moving], promised = model.step(radius)
        noise = _NOISE * (1.0 + abs(now.value))
        if promised <= tolerance and model.gradient_norm**2 <= 4.0 * max(tolerance, noise):
            return Minimum(theta, now, True, log)
        candidate = np.maximum(theta + step * scale, lower)
        step = (candidate - theta) / scale
        trial = evaluate(candidate, 2)
        finite = bool(np.isfinite(trial.value))
        if finite:
            trial_g, trial_curvature = _scaled(trial, scale, scales)
            secant = _update(secant, step, trial_g - g - trial_curvature @ step)
        at_noise = promised <= 100.0 * noise
        shorter = finite and model.norm(trial_g[moving]) < model.gradient_norm
        quality = _quality(now.value - trial.value, promised, shorter, at_noise)
        accepted = quality > _ACCEPT
        length = float(np.linalg.norm(step))
        log.append(Step(candidate, trial.value, accepted, "newton", model.gradient_norm, radius))
        if quality < _POOR:
            radius = 0.25 * length
        elif quality > _GOOD and length > 0.9 * radius:
            radius *= 2.0
        if accepted:
            theta, now, g, curvature = candidate, trial, trial_g, trial_curvature
            if np.abs(theta / scale).max() > distant:
                return Minimum(theta, now, False, log)
        elif misses == _PATIENCE or radius < 1e-12:
            return Minimum(theta, now, at_noise or model.gradient_norm**2 <= 1e-6, log)
        misses += at_noise and not accepted
    return Minimum(theta, now, False, log)


def _quality(gain: float, promised: float, gradient_falls: bool, at_noise: bool) -> float:
    """How well a step kept its promise; where gains are rounding, whether it shortened the gradient."""
    if at_noise:
        return 1.0 if gradient_falls else 0.0
    return gain / promised if np.isfinite(gain) and promised > 0 else -1.0


def _scaled(evaluation: Evaluation, scale: Floats, scales: Floats) -> tuple[Floats, Floats]:
    assert evaluation.gradient is not None and evaluation.information is not None
    assert evaluation.bend is not None
    return evaluation.gradient * scale, (evaluation.information + evaluation.bend) * scales


def _shift(along: Floats, values: Floats, radius: float, least: float) -> float:
    """λ ≥ least at which |(B + λ)⁻¹g| meets the radius, by bisection on a logarithmic scale."""

    def length(shift: float) -> float:
        return float(np.linalg.norm(along / (values + shift)))

    if length(least) <= radius:
        return least
    low, high = least, max(least, 1e-8) + float(np.linalg.norm(along)) / radius + abs(float(values[0]))
    for _ in range(80):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        low, high = (middle, high) if length(middle) > radius else (low, middle)
    return high


def _update(secant: Floats, step: Floats, wanted: Floats) -> Floats:
    """Make secant · step equal what the curvature did not explain, as far as a rank-one update can."""
    held = secant @ step
    size = abs(float(step @ held))
    sized = secant * min(1.0, abs(float(step @ wanted)) / size) if size > 0 else secant
    rest = wanted - sized @ step
    along = float(rest @ step)
    if abs(along) < 1e-8 * float(np.linalg.norm(rest) * np.linalg.norm(step)) or along == 0.0:
        return sized
    return sized + np.outer(rest, rest) / along
