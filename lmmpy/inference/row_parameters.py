"""What users know the covariances between rows by: those of the residual, and of random functions of a covariate.

Names follow those of the random terms. A parameter is ``sd_a|Residual``, ``cor_b.a|Residual`` or ``rho|Residual``; a
component ``Residual.a``, a variance, ``Residual.b.a``, a covariance, or ``Residual.rho``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmmpy.covariance import Indexed, Reported
from lmmpy.covariance.directions import covariance_slopes
from lmmpy.design import Design, RowCovariance
from lmmpy.design.values import Floats

__all__ = [
    "Functions",
    "components_from_parameters",
    "covariance_of_places",
    "row_components",
    "row_parameter_kinds",
    "row_parameter_names",
    "row_parameters",
    "row_turned_names",
    "row_variance_names",
]

# Parameters between −1 and 1, and such as cannot be negative.
_CORRELATIONS, _POSITIVE = ("rho", "ar", "ma"), ("decay",)


@dataclass(frozen=True, eq=False, slots=True)
class Functions:
    """Functions of the variance parameters.

    Attributes
    ----------
    names : tuple of str
    values : ndarray, shape (m,)
    jacobian : ndarray, shape (m, n_theta + 1)
        In (θ, log σ).
    """

    names: tuple[str, ...]
    values: Floats
    jacobian: Floats


@dataclass(frozen=True, slots=True)
class _Component:
    """A component by the places of the reported parameters that make it up: a variance, a covariance, or itself."""

    name: str
    places: tuple[int, ...]
    squared: bool = False

    def value(self, parameters: Floats) -> Floats:
        """Of standard deviations, correlations and others, shape (…, m)."""
        if self.squared:
            return np.asarray(parameters[..., self.places[0]] ** 2)
        if len(self.places) == 1:
            return np.asarray(parameters[..., self.places[0]])
        rho, a, b = (parameters[..., place] for place in self.places)
        return np.where(a * b == 0.0, 0.0, rho * a * b)

    def slopes(self, parameters: Floats) -> Floats:
        """∂/∂parameters at one vector of them, shape (m,)."""
        found = np.zeros(len(parameters))
        if self.squared:
            found[self.places[0]] = 2.0 * parameters[self.places[0]]
        elif len(self.places) == 1:
            found[self.places[0]] = 1.0
        else:
            rho, a, b = (parameters[place] for place in self.places)
            found[list(self.places)] = a * b, rho * b, rho * a
        return found


def _reported(rows: RowCovariance, phi: Floats | None = None) -> list[Reported]:
    return rows.structure.reported(rows.structure.start() if phi is None else phi)


def _parameter_name(rows: RowCovariance, found: Reported) -> str:
    if found.kind in ("sd", "cor"):
        return f"{found.kind}_{'.'.join(found.labels)}|{rows.name}"
    return f"{'.'.join(found.labels)}|{rows.name}"


def row_parameter_names(design: Design) -> list[str]:
    """Names of the parameters of all covariances between rows, as they follow in θ."""
    return [_parameter_name(rows, found) for rows in design.row_covariances for found in _reported(rows)]


def row_parameter_kinds(design: Design) -> list[str]:
    """
    On which scale each of them is nearly normal: "sd" on the logarithm, "cor" on Fisher's z, "beta" on its own.

    Parameters
    ----------
    design : Design
    """
    kinds = []
    for found in (found for rows in design.row_covariances for found in _reported(rows)):
        label = found.labels[-1] if found.labels else ""
        positive, bounded = found.kind == "sd" or label in _POSITIVE, found.kind == "cor" or label in _CORRELATIONS
        kinds.append("sd" if positive else "cor" if bounded else "beta")
    return kinds


def row_turned_names(design: Design) -> dict[str, str]:
    """The name of each covariance by that with its two places the other way round."""
    found = {}
    for rows in design.row_covariances:
        reported = _reported(rows)
        for component in _plan(rows):
            if len(component.places) == 3:
                later, earlier = reported[component.places[0]].labels
                found[f"{rows.name}.{earlier}.{later}"] = component.name
    return found


def row_variance_names(design: Design) -> list[str]:
    """Names of those components that are variances."""
    return [component.name for rows in design.row_covariances for component in _plan(rows) if component.squared]


def row_parameters(design: Design, theta: Floats, sigma: float) -> Functions:
    """
    Standard deviations (in the units of the response), correlations and others, as `row_parameter_names` orders them.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    sigma : float
    """
    names: list[str] = []
    values: list[float] = []
    slopes: list[Floats] = []
    start = design.n_theta_random
    for rows, phi in zip(design.row_covariances, design.split_rows(theta), strict=True):
        for found in _reported(rows, phi):
            scale = sigma if found.kind == "sd" else 1.0
            slope = np.zeros(len(theta) + 1)
            slope[start : start + len(phi)] = scale * found.gradient
            slope[-1] = scale * found.value if found.kind == "sd" else 0.0
            names.append(_parameter_name(rows, found))
            values.append(scale * found.value)
            slopes.append(slope)
        start += len(phi)
    return Functions(tuple(names), np.array(values), np.array(slopes).reshape(len(names), len(theta) + 1))


def row_components(design: Design, theta: Floats, sigma: float) -> Functions:
    """
    Variances, covariances and other parameters of all covariances between rows.

    Parameters
    ----------
    design : Design
    theta : ndarray, shape (n_theta,)
    sigma : float
    """
    at, start, offset = row_parameters(design, theta, sigma), 0, design.n_theta_random
    parts: list[Functions] = []
    for rows, phi in zip(design.row_covariances, design.split_rows(theta), strict=True):
        plan, end = _plan(rows), start + len(_reported(rows))
        values, jacobian = at.values[start:end], at.jacobian[start:end]
        slopes = np.array([component.slopes(values) for component in plan]).reshape(len(plan), end - start)
        # A parameter without slope of its own adds none, whatever another's is where a standard deviation is zero.
        changes = np.where(slopes[:, :, None] == 0.0, 0.0, slopes[:, :, None] * jacobian[None]).sum(axis=1)
        found = Functions(
            tuple(component.name for component in plan),
            np.array([float(component.value(values)) for component in plan]),
            changes,
        )
        parts.append(_of_places(rows, phi, sigma, found, offset) if isinstance(rows.structure, Indexed) else found)
        start, offset = end, offset + len(phi)
    return Functions(
        tuple(name for part in parts for name in part.names),
        np.concatenate([np.empty(0), *(part.values for part in parts)]),
        np.concatenate([np.empty((0, len(theta) + 1)), *(part.jacobian for part in parts)]),
    )


def _plan(rows: RowCovariance) -> list[_Component]:
    """The components of one covariance, in the order of a random term's: a variance, then its covariances."""
    reported, plan, used = _reported(rows), [], set()
    sds = {found.labels[-1]: i for i, found in enumerate(reported) if found.kind == "sd"}
    alone = rows.codes is not None and len(sds) == 1
    for label, place in sds.items():
        plan.append(_Component(rows.name if alone else f"{rows.name}.{label}", (place,), squared=True))
        used.add(place)
        # In a product correlations are those of something else than what the deviations are of.
        for i, found in enumerate(reported if isinstance(rows.structure, Indexed) else ()):
            if found.kind == "cor" and found.labels[1] == label and set(found.labels) <= set(sds):
                plan.append(_Component(f"{rows.name}.{'.'.join(found.labels)}", (i, sds[found.labels[0]], place)))
                used.add(i)
    for i, found in enumerate(reported):
        if i not in used:
            label = ".".join(found.labels)
            plan.append(_Component(f"{rows.name}.{'cor_' * (found.kind == 'cor')}{label}", (i,)))
    return plan


def _of_places(rows: RowCovariance, phi: Floats, sigma: float, found: Functions, start: int) -> Functions:
    """Variances and covariances straight from the matrix, which has slopes also where a correlation has none."""
    places = covariance_of_places(rows, phi)
    assert places is not None
    labels, C, slopes = places
    values, jacobian = found.values.copy(), found.jacobian.copy()
    cells = {".".join((rows.name, label)): (i, i) for i, label in enumerate(labels)}
    cells |= {f"{rows.name}.{labels[a]}.{labels[b]}": (a, b) for b in range(len(labels)) for a in range(b + 1, len(C))}
    for i, name in enumerate(found.names):
        if name in cells:
            a, b = cells[name]
            values[i] = sigma**2 * C[a, b]
            jacobian[i] = 0.0
            jacobian[i, start : start + len(phi)] = sigma**2 * slopes[:, a, b]
            jacobian[i, -1] = 2.0 * values[i]
    return Functions(found.names, values, jacobian)


def covariance_of_places(rows: RowCovariance, phi: Floats) -> tuple[tuple[str, ...], Floats, Floats] | None:
    """
    The covariance of traits, strata or occasions relative to σ², where rows stand at such places; else None.

    They are in the order in which they are reported, of which the reference need not be the first.

    Parameters
    ----------
    rows : RowCovariance
    phi : ndarray, shape (n_phi,)

    Returns
    -------
    labels : tuple of str, length k
    ndarray, shape (k, k)
    ndarray, shape (n_phi, k, k)
        Its derivatives.
    """
    structure = rows.structure
    if not isinstance(structure, Indexed):
        return None
    factor, order = structure.factor(phi), np.array(structure.order)
    C = np.asarray(factor.T @ factor.T.T, dtype=float)
    cells = np.ix_(order, order)
    return tuple(structure.labels[i] for i in order), C[cells], covariance_slopes(factor)[:, order[:, None], order]


def components_from_parameters(design: Design, parameters: Floats) -> Floats:
    """
    The components from the parameters, for many vectors of them at once.

    Parameters
    ----------
    design : Design
    parameters : ndarray, shape (…, m)
        As `row_parameter_names` orders them.

    Returns
    -------
    ndarray, shape (…, n_components)
        As `row_components` orders them.
    """
    found, start = [], 0
    for rows in design.row_covariances:
        end = start + len(_reported(rows))
        found += [component.value(parameters[..., start:end]) for component in _plan(rows)]
        start = end
    return np.stack(found, axis=-1) if found else np.empty((*parameters.shape[:-1], 0))
