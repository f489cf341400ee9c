"""Coordinates ψ near a given x = (θ, log σ), which need not obey the constraints."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import ModelError
from lmmpy.fitting.quantities import Block
from lmmpy.fitting.reparametrisation import Parametrisation

__all__ = ["projected"]

Floats = NDArray[np.float64]

# Away from the boundary, where a search would see no slope: least standard deviation in typical ones, largest |ρ|.
_LEAST, _MOST = 0.05, 0.95
# Correlation matrices that are tried when the given one is none together with those that are held.
_TRIES = 500


def projected(to: Parametrisation, x: Floats, exact: bool = False) -> Floats:
    """
    Coordinates of a point that obeys the constraints, near another.

    Classes have the mean of their members.

    Parameters
    ----------
    to : Parametrisation
    x : ndarray, shape (n_theta + 1,)
    exact : bool
        Whether x obeys the constraints and is to be kept; else it is also moved away from boundaries.

    Returns
    -------
    ndarray, shape (m,)

    Raises
    ------
    ModelError
        When no correlation matrix has the correlations that are held.
    """
    theta, psi = x[:-1], np.zeros(to.size)
    sds, cors = _values(to, theta)
    for i, slot in enumerate(to.slots):
        if slot.kind == "theta":
            psi[i] = theta[slot.key[0]]
        elif slot.kind == "log_sigma":
            psi[i] = x[-1]
        elif slot.kind == "sd":
            psi[i] = _mean(sds, slot.key[0])
            psi[i] = psi[i] if exact else max(psi[i], _LEAST * slot.scale)
        elif slot.kind == "cor":
            rho = _mean(cors, slot.key[0])
            psi[i] = math.asin(max(-1.0, min(1.0, rho)) if exact else max(-_MOST, min(_MOST, rho)))
        elif slot.kind == "parameter":
            psi[i] = _parameter(to, theta, slot.key[0])
    for b in to.triangles:
        _set_angles(to, b, to.classes.blocks[b], theta, psi, exact)
    return psi


def _values(to: Parametrisation, theta: Floats) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """By class the relative standard deviations, and the correlations, of its members at θ."""
    sds: dict[int, list[float]] = {}
    cors: dict[int, list[float]] = {}
    matrices = {b: block.covariance(theta) for b, block in enumerate(to.classes.blocks) if block.matrix is not None}
    for (b, kind, places), c in to.where.items():
        if b < 0 or kind == "parameter":
            continue
        if b not in matrices:
            block = to.classes.blocks[b]
            assert block.rows is not None
            reported = block.rows.reported(theta[block.start : block.end])[places[0]]
            sds.setdefault(c, []).append(reported.value)
            continue
        C = matrices[b]
        if kind == "sd":
            sds.setdefault(c, []).append(math.sqrt(C[places[0], places[0]]))
        elif C[places[0], places[0]] > 0.0 and C[places[1], places[1]] > 0.0:  # else a correlation means nothing
            cors.setdefault(c, []).append(_correlation(C, *places))
    return sds, cors


def _correlation(C: Floats, i: int, j: int) -> float:
    size = math.sqrt(C[i, i] * C[j, j])
    return float(C[i, j] / size) if size > 0.0 else 0.0


def _mean(values: dict[int, list[float]], c: int) -> float:
    return float(np.mean(values[c])) if c in values else 0.0


def _parameter(to: Parametrisation, theta: Floats, c: int) -> float:
    """The mean of entries of θ that are tied."""
    found = []
    for (b, _, places), other in to.where.items():
        if other == c:
            block = to.classes.blocks[b]
            assert block.rows is not None
            found.append(block.rows.reported(theta[block.start : block.end])[places[0]].value)
    return float(np.mean(found))


def _set_angles(to: Parametrisation, b: int, block: Block, theta: Floats, psi: Floats, exact: bool) -> None:
    """The angles of one block, from the correlations that it has at θ."""
    triangle, C, k = to.triangles[b], block.covariance(theta), len(block.labels)
    wanted = np.array([[_correlation(C, i, j) if i != j else 1.0 for j in range(k)] for i in range(k)])
    held = {at: sign * _held(to, c, psi) for at, (c, sign) in triangle.tied.items()}
    # First away from singular matrices; where what is held leaves no room for that, anywhere.
    tries = ((most, R) for most in ((1.0,) if exact else (_MOST, 1.0)) for R in _candidates(wanted))
    for most, R in tries:
        angles = _angles(R, held, triangle.own, most)
        if angles is None:
            continue
        for (i, j), angle in angles.items():
            place = to.place("angle", b, i, j)
            assert place is not None
            psi[place] = angle
        return
    raise ModelError(
        f"constraints: no correlation matrix of {block.name!r} has all the correlations that are held. Relax one of "
        "them."
    )


def _held(to: Parametrisation, c: int, psi: Floats) -> float:
    value = to.classes.classes[c].value
    if value is not None:
        return value
    place = to.place("cor", c)
    assert place is not None
    return math.sin(psi[place])


def _candidates(wanted: Floats) -> Iterator[Floats]:
    """Correlations to try: those given, weaker ones, none, and random ones."""
    k = len(wanted)
    for share in (1.0, 0.5, 0.0):
        yield share * wanted + (1.0 - share) * np.eye(k)
    generator = np.random.default_rng(0)
    for _ in range(_TRIES):
        rows = generator.standard_normal((k, max(2, k - 1)))
        rows /= np.linalg.norm(rows, axis=1)[:, None]
        yield rows @ rows.T


def _angles(
    R: Floats, held: dict[tuple[int, int], float], own: list[int], most: float
) -> dict[tuple[int, int], float] | None:
    """Angles of the free entries of S; None where a held correlation cannot be had beside the others."""
    S, angles = np.zeros_like(R), {}
    for i in own:
        rest = 1.0
        for j in own[: own.index(i)]:
            value = held.get((i, j), R[i, j]) - S[i, :j] @ S[j, :j]
            if (i, j) in held:
                if abs(S[j, j]) < 1e-9 or abs(value / S[j, j]) >= rest * most:
                    return None
                S[i, j] = value / S[j, j]
                rest = math.sqrt(rest**2 - S[i, j] ** 2)
                continue
            share = value / (S[j, j] * rest) if abs(S[j, j]) * rest > 1e-9 else 0.0
            angles[i, j] = math.asin(max(-most, min(most, share)))
            S[i, j] = rest * math.sin(angles[i, j])
            rest *= math.cos(angles[i, j])
        S[i, i] = rest
    return angles
