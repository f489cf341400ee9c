"""What a likelihood ratio is referred to when a larger model adds a correlation in time to its residual.

Without correlation the ρ of `car1` is at the end of its range, so that the statistic is ½χ²(m−1) + ½χ²(m) in large
samples (Self & Liang 1987, case 5), and so is that of `ar1` where all times between rows are even. The two parameters
of `arma11` make no correlation along a whole line, ma = −ar: nothing determines them there, and the statistic is no χ²,
nor a mixture (Andrews & Ploberger 1996).
"""

from __future__ import annotations

from lmmpy.covariance import ARMA11, ContinuousAR1, OrderedAR1, RowStructure
from lmmpy.design import Design
from lmmpy.inference.constraint_tests import UNDETERMINED, Reference
from lmmpy.inference.nested_rows import parts_of

__all__ = ["row_reference"]


def row_reference(small: Design, large: Design, df: int) -> Reference | None:
    """
    The distribution for a correlation in time that only the larger of two nested models has.

    Parameters
    ----------
    small, large : Design
        Without constraints.
    df : int
        Difference of the numbers of parameters.

    Returns
    -------
    Reference or None
        None where residuals do not differ in such a correlation, or its parameters are inside their range.
    """
    if any(_in_time(part) for part in parts_of(small.residual)):
        return None
    added = next((part for part in parts_of(large.residual) if _in_time(part)), None)
    if isinstance(added, ARMA11):
        return UNDETERMINED
    if added is None or (isinstance(added, OrderedAR1) and not added.even):
        return None
    if _terms(small) != _terms(large):
        return Reference(None, "the two models differ in their random terms, too; no mixture is known")
    return Reference({df - 1: 0.5, df: 0.5}, f"½χ²({df - 1}) + ½χ²({df})")


def _in_time(part: RowStructure) -> bool:
    return isinstance(part, ContinuousAR1 | OrderedAR1 | ARMA11)


def _terms(design: Design) -> list[tuple[str, int]]:
    """Each random term and function by its name, and how many parameters it has."""
    random = [(term.name, term.structure.n_theta) for term in design.random]
    return random + [(rows.name, rows.structure.n_theta) for rows in design.functions]
