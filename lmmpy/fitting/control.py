"""How a search for θ̂ is to go."""

from __future__ import annotations

from dataclasses import dataclass

from lmmpy.engines import ENGINES, MARGINAL_ENGINES
from lmmpy.errors import ModelError, shown

__all__ = ["Control"]

_MOST_EVALUATIONS = {"newton": 500, "cobyqa": 20_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How to fit.

    Attributes
    ----------
    tolerance : float
        Stop when the next step promises to lower the criterion by less than this.
    max_evaluations : int, optional
        Give up, with a warning, after so many evaluations; by default 500, or 20,000 without derivatives.
    check_sizes : {"stop", "ignore"}
        Whether to refuse models with as many random effects as observations.
    engine : {"auto", "blocked", "blocked-dense", "blocked-sparse", "sparse", "marginal", "spectral"}
        How the criterion is computed. "blocked" eliminates the grouping factor with the most random effects level by
        level; what is left is factorised densely or sparsely, by cost or, whatever that is, as the longer names say.
        "sparse" leaves all of the system to CHOLMOD. "marginal" factorises the covariance of the rows, by families
        where they are unrelated; "spectral" reduces one relatedness to a tridiagonal matrix, once for all steps.
        "auto" is "blocked" but for very large crossed factors; with relatedness "sparse" for pedigrees and other
        sparse precisions, and one of the last two, by cost, for other kernels. The fit's `convergence.engine` names
        the one that was used, just "blocked" where nothing is left.
    optimizer : {"newton", "cobyqa"}
        Newton's method with exact derivatives; or, as a check on it, a search that asks for values only.
    progress : bool, optional
        Whether to tell on the standard error stream how far the search is. By default in a terminal, after 5 seconds.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> sleepstudy = lmm.datasets.load("sleepstudy")
    >>> control = lmm.Control(optimizer="cobyqa")
    >>> fit = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, control=control)
    >>> round(fit.sigma, 3)
    30.991
    """

    tolerance: float = 1e-12
    max_evaluations: int | None = None
    check_sizes: str = "stop"
    engine: str = "auto"
    optimizer: str = "newton"
    progress: bool | None = None

    def __post_init__(self) -> None:
        most = self.most_evaluations
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, float | int) or not self.tolerance > 0:
            raise ModelError(f"control: tolerance must be a positive number, not {self.tolerance!r}.")
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ModelError(f"control: max_evaluations must be a whole number from 1, not {most!r}.")
        if self.check_sizes not in ("stop", "ignore"):
            raise ModelError(f"control: check_sizes is 'stop' or 'ignore', not {self.check_sizes!r}.")
        engines = ("auto", *ENGINES, *MARGINAL_ENGINES)
        if self.engine not in engines:
            raise ModelError(f"control: engine is one of {shown(engines)}, not {self.engine!r}.")
        if self.progress not in (None, True, False):
            raise ModelError(f"control: progress is True, False or None, not {self.progress!r}.")
        if self.optimizer not in _MOST_EVALUATIONS:
            raise ModelError(f"control: optimizer is one of {shown(tuple(_MOST_EVALUATIONS))}, not {self.optimizer!r}.")

    @property
    def most_evaluations(self) -> int:
        """`max_evaluations`, or its default."""
        return _MOST_EVALUATIONS.get(self.optimizer, 1) if self.max_evaluations is None else self.max_evaluations
