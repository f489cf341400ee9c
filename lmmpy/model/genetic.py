"""What a fit says of related individuals: heritabilities and breeding values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from lmmpy.engines import one_blas_thread
from lmmpy.model.results import FitResults

if TYPE_CHECKING:
    from lmmpy.model.lmm_fit import LmmFit

__all__ = ["Genetic"]


class Genetic(FitResults):
    """What a fit says of related individuals."""

    def heritability(
        self, level: float = 0.95, method: str = "profile", *, at: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """
        The share of each relatedness term in the variance that the fixed effects leave.

        h² = σ_g²/(σ_g² + … + σ²): the variance of the term over the sum of those of all random terms and the residual,
        estimated as the fit was, by REML or ML. σ_g² is the factor of K as K was given, as in SOLAR, ASReml and GCTA:
        where the diagonal of K is not one, as for inbred individuals, their own genetic variance is σ_g² K_ii. The
        residual variance is that of a row of weight one.

        A term with slopes contributes zᵀCz, which differs between rows. By default numerator and denominator are
        averages over the rows of the fit. With `at` the variables named there have these values in all rows, as in
        ``at={"age": 40}``: the heritability at 40.

        With several traits there is one heritability a trait, with averages over the rows of the trait. The variance of
        a structured residual is its average over those rows.

        Parameters
        ----------
        level : float
            Coverage of the intervals.
        method : {"profile", "wald"}
            "profile": the values at which −2 log-likelihood (the fit's own, restricted by REML) is less than z² above
            its minimum, between 0 and 1; it begins at 0 where `chisq` is less than z². Each limit takes some dozens of
            evaluations of the likelihood, minutes with tens of thousands of animals. "wald": estimate ± z standard
            errors, which need not lie between 0 and 1.
        at : mapping, optional
            Values by column of the data.

        Returns
        -------
        DataFrame
            One row a relatedness term: `term, estimate, std_error, conf_low, conf_high, chisq, p_value`; with several
            traits a row for each, the column `trait` after `term`. The standard error is by the delta method from the
            observed information; NaN where a variance is estimated as zero. `chisq` is twice what
            the (restricted) log-likelihood loses without the term, whose p-value is from the mixture ½χ²₀ + ½χ²₁ for
            one variance and a product of such for ``diag``; NaN for correlated effects, where no closed form is known
            (`parametric_bootstrap_lrt` answers). With several traits the effects of one trait
            are taken from the term, with their covariances; of k correlated effects the p-value of one is then from
            ½χ²_{k−1} + ½χ²_k. With known variance components there is the estimate alone.

        Raises
        ------
        ModelError
            When no term has a relatedness; for what `at` names that no random term has; with constraints.

        References
        ----------
        Self & Liang (1987), J. Am. Stat. Assoc. 82, 605–610; Almasy & Blangero (1998), Am. J. Hum. Genet. 62,
        1198–1211.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> fit = lmm.lmer("bmi ~ age + sex + kin(ped)", lmm.datasets.load("family"))
        >>> fit.heritability(method="wald")[["term", "estimate", "std_error"]].round(3)
               term  estimate  std_error
        0  kin(ped)     0.742      0.076
        """
        from lmmpy.model.heritability import heritability

        with one_blas_thread():
            return heritability(cast("LmmFit", self), level, method, at)

    def correlations(self, level: float = 0.95, method: str = "profile") -> pd.DataFrame:
        """
        Correlations between traits: genetic ones and those of other random terms, of the residual, and phenotypic ones.

        That of a random term is the correlation of the effects of two traits in one level; with slopes, where it
        differs between rows, covariance and variances are averages over the rows that have both traits. The phenotypic
        correlation is that of two traits in one row about the fixed effects, the sum of the covariances over the root
        of the product of the sums of variances, where K has ones on its diagonal.

        Parameters
        ----------
        level : float
            Coverage of the intervals.
        method : {"profile", "wald"}
            "profile": the values at which −2 log-likelihood (the fit's own, restricted by REML) is less than z² above
            its minimum. "wald": estimate ± z standard errors on Fisher's z.

        Returns
        -------
        DataFrame
            Columns `term, trait1, trait2, estimate, std_error, conf_low, conf_high`; terms are random terms whose
            effects of two traits are correlated, ``Residual`` and ``phenotypic``. Without a row that has both traits
            there are those of the random terms alone. Standard errors are by the delta method from the observed
            information; NaN for a perfect correlation and where a variance is zero.

        Raises
        ------
        ModelError
            For a fit with one trait; for profiles of one with constraints.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> fit = lmm.lmer("cbind(bmi, fvii) ~ age + kin(ped)", lmm.datasets.load("family"))
        >>> fit.correlations(method="wald").iloc[:, :4].round(3)
                 term trait1 trait2  estimate
        0    kin(ped)    bmi   fvii     0.563
        1    Residual    bmi   fvii     0.225
        2  phenotypic    bmi   fvii     0.416
        """
        from lmmpy.model.trait_shares import correlations

        with one_blas_thread():
            return correlations(cast("LmmFit", self), level, method)

    def breeding_values(self, term: str | None = None) -> pd.DataFrame:
        """
        Predicted effects of all individuals that a relatedness has, with records or without.

        The prediction of someone without records comes from relatives. Standard errors are √PEV, the root of the
        variance of b̂ − b, in which β̂ is estimated, too (Henderson's C²²); θ and σ are taken as known.

        Parameters
        ----------
        term : str, optional
            Name of the random term; needed when several have a relatedness.

        Returns
        -------
        DataFrame
            One row an individual (and effect): `id`, integers where the column of ids in the data has numbers and all
            ids of the relatedness are whole ones, else text; `trait`, when there are several; `effect`, where it is not
            the intercept alone; `estimate`; `std_error`; `accuracy`, the correlation √(1 − PEV/(σ_g² K_ii)) of
            prediction and truth, for which K_ii is 1 + F of a pedigree; `recorded`, whether rows have the id itself (of
            several traits: and the trait); and `inbreeding`, F, when the relatedness is the additive one of a pedigree.
            Identical twins are both there and have the same values.

        Raises
        ------
        ModelError
            When there is no such term.

        References
        ----------
        Henderson (1975), Biometrics 31, 423–447; Henderson (1977), J. Dairy Sci. 60, 783–787.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> fit = lmm.lmer("bmi ~ age + sex + kin(ped)", lmm.datasets.load("family"))
        >>> fit.breeding_values().head(2).round(2)
           id  estimate  std_error  accuracy  recorded  inbreeding
        0   1      0.57       0.67      0.88      True         0.0
        1   2     -1.56       0.68      0.88      True         0.0
        """
        from lmmpy.model.breeding_values import breeding_values

        with one_blas_thread():
            return breeding_values(cast("LmmFit", self), term)
