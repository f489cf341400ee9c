"""Holds the correlation of two effects, given in orthogonal coordinates however nearly collinear their columns are.

Of the factor T'' of two effects, b'' = L b, let a = T''_11, e = T''_21, c = T''_22 and τ = L_21/L_11. In the effects'
own units their standard deviations are a/L_11 and c/(L_22 cos ψ), and the correlation is sin ψ with

    e = τ a + c tan ψ,   that is   τ cos ψ a − cos ψ e + sin ψ c = 0,   a ≥ 0,  c ≥ 0:

the values with a given correlation are a wedge in a plane. One of its edges is the ray without the second effect,
c = 0, the other is that without the first. In polar coordinates of the plane, the angle swinging between the edges, all
of the wedge and no more is reached without bounds; a, e and c keep their digits where τ and tan ψ are large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmmpy.inference.profile_coordinates import without

__all__ = ["Wedge"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class _Plane:
    """The plane of one ψ: orthonormal directions (the first along c = 0), the wedge's opening, and their ψ-slopes."""

    along: Floats
    across: Floats
    opening: float
    across_slope: Floats
    opening_slope: float


@dataclass(frozen=True, eq=False, slots=True)
class Wedge:
    """
    ψ = arcsin ρ of the first two effects of an unstructured term, for coordinates with a tilt.

    Entries `first` − 1, `first` and `second` of x are (a, e, c). In ω stand the distance m from the apex and the swing
    t for a and e; c is left out. The angle from the edge c = 0 is opening · (1 − cos t)/2.
    """

    first: int
    second: int
    tilt: float

    def embed(self, psi: float, omega: Floats) -> tuple[Floats, Floats, Floats]:
        plane, places = self._plane(psi), self._places
        m, t = omega[places[:2]].tolist()
        share, share_slope = 0.5 * (1.0 - math.cos(t)), 0.5 * math.sin(t)
        point, slope = self._turn(plane, plane.opening * share)
        jacobian = without(len(omega) + 1, self.second).copy()
        x, along = jacobian @ omega, np.zeros(len(omega) + 1)
        x[places] = m * point
        jacobian[np.ix_(places, places[:2])] = np.column_stack([point, m * plane.opening * share_slope * slope])
        sine = math.sin(plane.opening * share)
        along[places] = m * (sine * plane.across_slope + share * plane.opening_slope * slope)
        return x, jacobian, along

    def project(self, x: Floats) -> Floats:
        a, e, c = x[self._places].tolist()
        plane = self._plane(self.angle(x))
        m = math.sqrt(a * a + e * e + c * c)
        edge = np.array([a, e, c])
        phi = math.atan2(float(edge @ plane.across), float(edge @ plane.along))
        share = min(max(phi / plane.opening, 0.0), 1.0)
        omega = np.delete(x, self.second)
        omega[self.first - 1], omega[self.first] = m, 2.0 * math.asin(math.sqrt(share))
        return omega

    def add_bend(self, psi: float, omega: Floats, gradient: Floats, bend: Floats) -> None:
        plane, places = self._plane(psi), self._places
        m, t = omega[places[:2]].tolist()
        point, slope = self._turn(plane, plane.opening * 0.5 * (1.0 - math.cos(t)))
        first, second = plane.opening * 0.5 * math.sin(t), plane.opening * 0.5 * math.cos(t)
        down, up = float(gradient[places] @ point), float(gradient[places] @ slope)
        radial, swing = places[:2]
        bend[radial, swing] += first * up
        bend[swing, radial] += first * up
        bend[swing, swing] += m * (second * up - first**2 * down)

    def angle(self, x: Floats) -> float:
        """ψ at an x."""
        a, e, c = x[self._places].tolist()
        return math.atan2(e - self.tilt * a, c)

    @property
    def _places(self) -> list[int]:
        return [self.first - 1, self.first, self.second]

    @staticmethod
    def _turn(plane: _Plane, phi: float) -> tuple[Floats, Floats]:
        """The unit vector at an angle from the first edge, and its derivative in the angle."""
        cosine, sine = math.cos(phi), math.sin(phi)
        return cosine * plane.along + sine * plane.across, cosine * plane.across - sine * plane.along

    def _plane(self, psi: float) -> _Plane:
        sine, cosine = math.sin(psi), math.cos(psi)
        edge = np.array([1.0, self.tilt, 0.0]) / math.hypot(1.0, self.tilt)
        normal = np.array([self.tilt * cosine, -cosine, sine])
        length = float(np.linalg.norm(normal))
        normal /= length
        change = np.array([-self.tilt * sine, sine, cosine]) / length
        change -= normal * float(normal @ change)
        across, slope = _product(normal, edge), _product(change, edge)
        opening = math.atan2(edge[0], -across[0])
        opening_slope = float(edge[0] * slope[0]) / float(edge[0] ** 2 + across[0] ** 2)
        return _Plane(edge, across, opening, slope, opening_slope)


def _product(u: Floats, v: Floats) -> Floats:
    """The vector product with a v whose last entry is zero; with a normal and the edge its own is positive."""
    return np.array([-u[2] * v[1], u[2] * v[0], u[0] * v[1] - u[1] * v[0]])
