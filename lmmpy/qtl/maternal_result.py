"""The fit and the result of a model of direct and maternal effects."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from lmmpy.engines import make_criterion, one_blas_thread
from lmmpy.errors import ModelError, SingularFitWarning
from lmmpy.fitting import fit_theta
from lmmpy.model import LmmFit
from lmmpy.model.verdict import judge
from lmmpy.qtl.analysis import FamilyAnalysis
from lmmpy.qtl.incidence import JointIncidence
from lmmpy.qtl.mothers import Mothers

__all__ = ["MaternalEffects", "MaternalFit"]


class MaternalFit(LmmFit):
    """A fit with direct and maternal effects, which no formula says, so that it is not fitted anew or to other rows."""

    @classmethod
    def of(cls, base: LmmFit, mothers: Mothers, covaries: bool) -> MaternalFit:
        """
        Put joint effects in the place of the direct effects of a fit.

        Parameters
        ----------
        base : LmmFit
            With direct effects and without maternal ones.
        mothers : Mothers
        covaries : bool
            Whether an individual's two effects have a covariance.
        """
        design = base.design
        random = tuple(term for term in design.random if term.name != mothers.direct)
        design = replace(design, random=random, functions=(mothers.joint(design, covaries),))
        with one_blas_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            criterion = make_criterion(design, reml=False)
            optimum = fit_theta(criterion, base.request.control)
            fit = cls(design, base.blueprint, criterion, optimum, base.request, base._data_index)
            judge(fit, stacklevel=2, response=f"the response {base.blueprint.response_text!r}")
        return fit

    def __init__(self, design: Any, *others: Any, **more: Any) -> None:
        if not any(isinstance(function.structure, JointIncidence) for function in design.functions):
            self._refuse("is not fitted with other terms or data")
        super().__init__(design, *others, **more)

    @staticmethod
    def _refuse(what: str) -> NoReturn:
        raise ModelError(f"A model of direct and maternal effects {what}; call qtl.maternal_effects again.")

    @property
    def formula(self) -> str:
        """The formula, its direct effects standing for both."""
        return f"{self.blueprint.parsed.text} with maternal effects"

    def update(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: no formula says this model."""
        self._refuse("is not fitted with other terms or data")

    def predict(self, newdata: Any = None, *others: Any, **more: Any) -> Any:
        """As of any fit, of its own rows."""
        if newdata is not None:
            self._refuse("does not predict other rows: `breeding_values` of the result has the effects")
        return super().predict(newdata, *others, **more)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class MaternalEffects(FamilyAnalysis):
    """
    Direct and maternal effects; see `maternal_effects` and `FamilyAnalysis`.

    Attributes
    ----------
    mothers : Mothers
    """

    mothers: Mothers

    def breeding_values(self) -> pd.DataFrame:
        """
        Predicted direct and maternal genetic effects of everybody with records, their mothers, and who links them.

        Returns
        -------
        DataFrame
            Index: ids; columns `direct`, `maternal`.
        """
        design = self.fit.design
        (function,) = design.functions
        joint = function.structure
        assert isinstance(joint, JointIncidence)
        T = joint.structure.factor(design.split_rows(self.fit.optimum.theta)[0]).T
        # Over σ², the residual has the covariance I, so that V⁻¹(y − Xβ̂) is the residual itself.
        residual = design.y - self.fit.linear_predictor
        received = np.stack([np.bincount(codes, residual, minlength=len(joint.K)) for codes in joint.codes])
        effects = T @ T.T @ received @ joint.K
        return pd.DataFrame(
            effects.T, index=pd.Index(function.levels, name=self.mothers.families.id), columns=list(joint.labels)
        )
