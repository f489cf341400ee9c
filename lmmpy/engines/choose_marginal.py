"""How to factorise V, or the effects after all, where relatedness has no sparse inverse."""

from __future__ import annotations

from lmmpy.design import Design
from lmmpy.engines.components import Components, connected_components
from lmmpy.engines.covariance_system import CovarianceSystem
from lmmpy.engines.row_blocks import BlockSystem
from lmmpy.engines.spectral import SpectralSystem
from lmmpy.errors import ModelError
from lmmpy.relatedness import Relatedness

__all__ = ["covariance_system", "marginal_engine"]

# Rows of a block of V that "auto" forms (three arrays of 1.1 GiB), and that there is room for at all.
_LARGEST_BLOCK, _MOST_ROWS = 12_000, 40_000
# So many times fewer effects than rows in a block make up for what sparse storage of dense arrays costs.
_FEWER = 3.0
# An eigenvalue that is smaller than so, relatively to the largest, is too near zero to be divided by.
_REGULAR = 1e-6
# A factor with so many fewer columns than levels saves the n × n array.
_LOW_RANK = 0.7


def marginal_engine(design: Design) -> tuple[str, Components]:
    """
    The name of the engine for a design with relatedness that is not sparse, and the components of the design.

    Parameters
    ----------
    design : Design

    Returns
    -------
    engine : {"marginal", "spectral", "sparse"}
        "sparse" where levels are so much fewer than rows that it is worth to invert K, when it can be inverted.
    components : Components
    """
    components = connected_components(design)
    if _is_single(design):
        return "spectral", components
    few = _FEWER * design.q < components.largest or (components.largest > _LARGEST_BLOCK > design.q)
    if few and all(_well_conditioned(term.relatedness) for term in design.random):
        return "sparse", components
    return "marginal", components


def covariance_system(
    design: Design, engine: str, components: Components | None
) -> tuple[CovarianceSystem, Components]:
    """
    What factorises V, and the components of the design.

    Parameters
    ----------
    design : Design
    engine : {"marginal", "spectral"}
    components : Components, optional

    Raises
    ------
    ModelError
        When it cannot take the design.
    """
    components = connected_components(design) if components is None else components
    if engine == "spectral":
        if not _is_single(design):
            raise ModelError(
                "control: engine 'spectral' takes models with one random effect, a single term with one column; this "
                f"one has {sum(term.k for term in design.random)}. Take 'auto' or 'marginal'."
            )
        relatedness = design.random[0].relatedness
        low = relatedness.rank < _LOW_RANK * relatedness.size
        return SpectralSystem(design, components, relatedness.factor() if low else None), components
    if components.largest > _MOST_ROWS:
        raise ModelError(
            f"The covariance of {components.largest:,} rows that are connected by their levels or by relatedness would "
            f"take {3 * 8 * components.largest**2 / 2**30:,.0f} GiB. Give the relatedness as a pedigree or as a sparse "
            "precision (Relatedness.from_precision), or set to zero what is too small to matter."
        )
    return BlockSystem(design, components), components


def _well_conditioned(relatedness: Relatedness) -> bool:
    """Whether the inverse can be relied on."""
    if relatedness.is_sparse:
        return True
    values, _ = relatedness.spectrum()
    return len(values) == relatedness.size and bool(values.min() > _REGULAR * values.max())


def _is_single(design: Design) -> bool:
    return len(design.random) == 1 and design.random[0].k == 1
