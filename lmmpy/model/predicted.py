"""What a fit predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lmmpy.model.predict import predict_rows
from lmmpy.model.results import FitResults
from lmmpy.model.row_frames import labelled_predictions

__all__ = ["Predicted"]


class Predicted(FitResults):
    """What a fit predicts."""

    def predict(
        self,
        newdata: Any = None,
        re_form: Any = "all",
        allow_new_levels: bool = False,
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        relmat: Mapping[str, Any] | None = None,
    ) -> pd.Series | pd.DataFrame:
        """
        Predictions for the data of the fit or for new data, with standard errors and intervals where asked for.

        The prediction is Xβ̂ + offset + Zb̂, with those random effects that `re_form` keeps.

        Its standard error has the uncertainty of β̂, of b̂ given θ, and of both together (their joint errors by
        Henderson's equations); the random effect of a level that was not seen is predicted by zero, and its variance
        zᵀGz is in the standard error. Effects that `re_form` leaves out are not part of what is predicted: with
        ``"none"`` the standard error is that of Xβ̂. Not included is that θ and σ are estimated: with few groups
        intervals are too narrow, and `bootstrap` says by how much. Intervals take quantiles of the normal distribution.

        Of a term with relatedness K any id may be predicted that K has, whether it had rows in the fit or not: its
        effect is the best linear unbiased prediction from its relatives, with the standard error of that. An id that K
        does not have is a level that was not seen, of a variance as if K_ii = 1.

        With several traits all are predicted in each row, with what the records of each say of the others. Residuals of
        new observations are taken as independent of those of the fit, also where those of a group are correlated.

        Parameters
        ----------
        newdata : frame or mapping, optional
            Transformations, contrasts and levels are those of the fit; the response is not needed. A row that misses a
            value has a prediction of NaN.
        re_form : "all", "none", None, sequence of str, or a one-sided formula
            Random terms to include: all (also None, as R's NULL), none (also ``"~0"``), those with these names or
            grouping factors, or the terms of a formula such as ``"~ (1 | Subject)"``, which may have some of the
            effects of a term only.
        allow_new_levels : bool
            Whether levels that were not seen when fitting get a random effect of zero; else they are an error. So are
            missing levels.
        se : bool
            Whether to add the standard error of each prediction.
        interval : {None, "confidence", "prediction"}
            "confidence" is for what is predicted, prediction ± quantile · standard error. "prediction" is for a new
            observation in the row: to the variance come σ²/w and the zᵀGz of all random effects that `re_form` leaves
            out, as of a level that was not seen. With ``re_form="none"`` it is thus for an observation in new groups.
            For related levels zᵀGz is taken K_ii times where the data say which id the row is of.
            For new data the prior weights w are those that the expression ``weights=`` of the fit gives there; where
            the residual has a structure, its variance is that of the row's trait, stratum, covariate or id.
        level : float
            Coverage of the interval.
        relmat : mapping, optional
            Relatednesses of more ids than those of the fit, newborn ones for example, to be used in their place; named
            as in `lmer`, or by the name of the term. Between ids of the fit they must be what they were.

        Returns
        -------
        Series, or DataFrame when `se` or `interval` is given
            With the columns `prediction`, `std_error`, and with an interval `conf_low`, `conf_high`. With several
            traits a DataFrame with a column for each; or with columns of pairs (trait, `prediction`) and so on.

        Raises
        ------
        DataError
            For a missing column, a level that was not seen (of a grouping factor unless allowed; of a factor always),
            weights that are not positive, or a relatedness that is another than in the fit.
        ModelError
            For a random term that the model does not have; when the offset, or for an interval of new observations
            the weights, of the fit were given as numbers, so that new data have none.

        Warns
        -----
        RankDeficiencyWarning
            When columns were dropped from the fit and a row of the new data depends on which.

        References
        ----------
        Henderson (1975), Biometrics 31, 423–447.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> sleepstudy = lmm.datasets.load("sleepstudy")
        >>> fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> fit.predict({"Days": [0, 10], "Subject": ["308", "308"]}).round(1).tolist()
        [253.7, 450.3]
        >>> fit.predict({"Days": [10], "Subject": ["new"]}, allow_new_levels=True, se=True).round(1)
           prediction  std_error
        0       356.1       67.6
        """
        columns = predict_rows(self, self._solution, newdata, re_form, allow_new_levels, se, interval, level, relmat)
        labels = newdata.index if isinstance(newdata, pd.DataFrame) else None
        return labelled_predictions(columns, self.rows, newdata is None, labels)
