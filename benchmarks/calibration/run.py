"""What is computed for one simulated data set.

A record maps names to numbers: ``cover/…`` whether an interval contains the truth, ``p/…`` p-values of true hypotheses,
``estimate/…``, ``flag/…`` what happened, ``check/…`` whether a short cut of this study agrees with the package's own
call. None stands for what does not exist, such as a Wald interval of a standard deviation that is estimated as zero.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy import stats

import lmmpy as lmm
from benchmarks.calibration.bootstrap import exceedances
from benchmarks.calibration.designs import StudyDesign, seed_of
from benchmarks.calibration.likelihood import zeta_of_deviation
from lmmpy.engines import one_blas_thread
from lmmpy.errors import ConvergenceWarning, LmmpyError, SingularFitWarning
from lmmpy.inference.lrt import mixture_p_value, regression_loglik
from lmmpy.model.bootstrap_lrt import parametric_bootstrap_lrt
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.model.ranova import ranova

__all__ = ["PARTS", "Record", "Study", "record_of"]

Floats = NDArray[np.float64]
Record = dict[str, float | bool | str | None]

LEVEL, Z = 0.95, float(stats.norm.ppf(0.975))
N_BOOTSTRAP, STOP_AT = 99, 5
# Data sets for which the package's own, slower calls are made, too.
CHECKED = {"profile": 60, "bootstrap": 30, "ranova": 100, "vpredict": 40}


@dataclass(frozen=True, eq=False)
class Study:
    """A design with its models fitted once, so that other responses only need refits."""

    design: StudyDesign

    def response(self, stream: str, replicate: int) -> Floats:
        """The response of a data set."""
        generator = default_rng(seed_of(self.design.name, stream, replicate))
        return self.design.draw_without_term(generator) if stream == "random" else self.design.draw(generator)

    def _fit(self, formula: str, reml: bool) -> LmmFit:
        """To the first response drawn for this purpose that leads to no zero: refits then start in the interior."""
        for replicate in range(100):
            frame = self.design.frame.assign(y=self.response("template", replicate))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SingularFitWarning)
                fit = lmm.lmer(formula, frame, reml=reml)
            if not fit.is_singular():
                return fit
        raise RuntimeError(f"every fit of {formula} is singular")

    @cached_property
    def reml(self) -> LmmFit:
        return self._fit(self.design.formula, True)

    @cached_property
    def ml(self) -> LmmFit:
        return self._fit(self.design.formula, False)

    @cached_property
    def ml_without_between(self) -> LmmFit:
        return self._fit(self.design.without_between, False)

    @cached_property
    def ml_without_x(self) -> LmmFit:
        return self._fit(self.design.without_within, False)

    @cached_property
    def ml_without_first(self) -> LmmFit:
        return self._fit(self.design.without_first, False)

    @cached_property
    def reml_without_term(self) -> LmmFit | None:
        return None if self.design.without_term is None else self._fit(self.design.without_term, True)

    @cached_property
    def contrasts(self) -> Floats:
        """The within and the between coefficient."""
        names = list(self.reml.fixef.index)
        return np.eye(len(names))[[names.index(self.design.within), names.index(self.design.between)]]

    @cached_property
    def hypothesis(self) -> Floats:
        """That the between effect is zero."""
        names = list(self.reml.fixef.index)
        return np.eye(len(names))[[names.index(name) for name in self.design.tested]]


def record_of(study: Study, part: str, replicate: int) -> Record:
    """All that is measured of one data set; when lmmpy refuses it, why."""
    with warnings.catch_warnings(record=True) as caught, one_blas_thread():
        warnings.simplefilter("ignore", SingularFitWarning)  # counted by the flags
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            record = PARTS[part](study, replicate)
        except (LmmpyError, ArithmeticError, np.linalg.LinAlgError) as error:
            record = {"failed": f"{type(error).__name__}: {error}"}
    strange = [warning for warning in caught if not issubclass(warning.category, ConvergenceWarning)]
    record[f"flag/{part}: convergence warning"] = len(caught) > len(strange)
    if caught:
        record["said"] = str(caught[0].message)
    record[f"flag/{part}: other warning"] = bool(strange)
    return record


# ---- coverage, tests of a fixed effect, bias


def fixed_effects(study: Study, replicate: int) -> Record:
    """Coverage of all intervals, the tests of the between effect, and estimates."""
    y = study.response("fixed", replicate)
    fit, ml, null = study.reml.refit(y), study.ml.refit(y), study.ml_without_between.refit(y)
    record = _wald(study, fit) | _profile(study, ml, y) | _tests(study, fit, ml, null)
    record |= _bootstrap_test(study, null, ml, replicate)
    for kind, made in (("REML", fit), ("ML", ml)):
        estimates = _deviations(study, made)
        record |= {f"estimate/{name}/{kind}": value for name, value in estimates.items()}
        record[f"flag/{kind} fit singular"] = bool(made.optimum.on_boundary.any())
    if replicate < CHECKED["profile"]:
        record |= _checked_profile(study, fit, record)
    return record


def _deviations(study: Study, fit: LmmFit) -> dict[str, float]:
    values = fit.varcorr.to_frame()
    found = values.loc[values["var2"].isna(), "sdcor"].tolist()
    return dict(zip(study.design.sd, found, strict=True))


def _covers(low: float, high: float, truth: float) -> bool | None:
    return bool(low <= truth <= high) if math.isfinite(low) and not math.isnan(high) else None


def _wald(study: Study, fit: LmmFit) -> Record:
    """Intervals from standard errors: of fixed effects by three kinds of degrees of freedom, of deviations by logs."""
    record: Record = {}
    for method in ("asymptotic", "satterthwaite", "kenward-roger"):
        low, high = fit.contrast_tests(method).single(study.contrasts).interval(LEVEL)
        for name, a, b in zip(("within", "between"), low, high, strict=True):
            record[f"cover/{name}/{method}"] = _covers(a, b, 0.0)
            record[f"estimate/width of {name}/{method}"] = float(b - a) if math.isfinite(b - a) else None
    try:
        limits = fit.parameters(LEVEL)[["conf_low", "conf_high"]]
    except OverflowError:  # of a logarithmic interval round nearly zero
        limits = pd.DataFrame(np.nan, index=list(study.design.sd), columns=["conf_low", "conf_high"])
        record["flag/Wald limits overflow"] = True
    for name, truth in study.design.sd.items():
        low, high = limits.loc[name].tolist()
        record[f"cover/{name}/wald"] = _covers(low, high, truth)
        record[f"flag/Wald interval of {name} ends above 10 times the truth"] = high > 10.0 * truth
    return record


def _profile(study: Study, ml: LmmFit, y: Floats) -> Record:
    """Whether profile intervals cover: whether |ζ| at the truth is within the normal quantile."""
    without = {"within": study.ml_without_x, "between": study.ml_without_first}
    zeta = {
        kind: math.sqrt(max(0.0, 2.0 * (ml.loglik - fit.refit(y).loglik))) for kind, fit in without.items()
    } | _zeta_of_deviations(study, ml)
    return {f"cover/{name}/profile": value <= Z for name, value in zeta.items()}


def _zeta_of_deviations(study: Study, fit: LmmFit) -> dict[str, float]:
    places = {name: -1 if name == "sigma" else i for i, name in enumerate(study.design.sd)}
    return {name: zeta_of_deviation(fit, place, study.design.sd[name]) for name, place in places.items()}


def _checked_profile(study: Study, fit: LmmFit, record: Record) -> Record:
    """Whether the limits that a user gets say the same."""
    labels = {"within": study.design.within, "between": study.design.between} | {name: name for name in study.design.sd}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is a check that fails, and counted as such
        table = fit.confint(list(labels.values()), method="profile", level=LEVEL)
    truths = {"within": 0.0, "between": 0.0} | study.design.sd
    return {
        f"check/profile of {label}": _covers(*table.loc[name].tolist(), truths[label])
        == record[f"cover/{label}/profile"]
        for label, name in labels.items()
    }


def _tests(study: Study, fit: LmmFit, ml: LmmFit, null: LmmFit) -> Record:
    L = study.hypothesis
    record: Record = {"p/lrt": float(stats.chi2.sf(max(0.0, 2.0 * (ml.loglik - null.loglik)), len(L)))}
    for method in ("satterthwaite", "kenward-roger"):
        p = fit.contrast_tests(method).joint(L).p_value
        record[f"p/{method}"] = None if math.isnan(p) else p
    return record


def _bootstrap_test(study: Study, null: LmmFit, ml: LmmFit, replicate: int) -> Record:
    """The bootstrap test of the between effect."""
    seed = seed_of(study.design.name, "bootstrap", replicate)
    found, drawn = exceedances(null, ml, study.design.theta, N_BOOTSTRAP, STOP_AT, seed)
    record: Record = {"p/bootstrap": _bootstrap_p(found, drawn), "estimate/bootstrap replicates drawn": drawn}
    if replicate < CHECKED["bootstrap"]:
        own = parametric_bootstrap_lrt(null, ml, N_BOOTSTRAP, seed=seed, stop_at=STOP_AT)
        record["check/bootstrap"] = (own.exceeding, len(own.reference)) == (found, drawn)
    return record


def _bootstrap_p(found: int, drawn: int) -> float:
    """The p-value, after an early stop that of Besag & Clifford (1991), which is above 5 % as that of all 99 is."""
    return found / drawn if found == STOP_AT else (1 + found) / (drawn + 1)


# ---- intervals of standard deviations by the restricted likelihood


def restricted_profile(study: Study, replicate: int) -> Record:
    """Coverage of profile intervals by REML, as `vpredict` has them; on the data sets of `fixed_effects`."""
    fit = study.reml.refit(study.response("fixed", replicate))
    zeta = _zeta_of_deviations(study, fit)
    record: Record = {f"cover/{name}/restricted profile": value <= Z for name, value in zeta.items()}
    if replicate < CHECKED["vpredict"]:
        for name, truth in study.design.sd.items():
            found = _public_variance_interval(study, fit, name)
            agrees = found is not None and _covers(*found, truth**2) == record[f"cover/{name}/restricted profile"]
            record[f"check/vpredict of {name}"] = agrees
    return record


def _public_variance_interval(study: Study, fit: LmmFit, name: str) -> tuple[float, float] | None:
    """The profile limits of the variance that a user gets; None when that fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of is a check that fails, and counted as such
            table = fit.vpredict({"variance": _component(study, name)}, interval="profile", level=LEVEL)
    except OverflowError:
        return None
    low, high = table.loc["variance", ["conf_low", "conf_high"]]
    return float(low), float(high)


def _component(study: Study, name: str) -> str:
    """The variance, as `vpredict` calls it, of a standard deviation."""
    effect, _, group = name.removeprefix("sd_").partition("|")
    if name == "sigma":
        return "Residual"
    return f"`{group}.{effect}`" if len(study.design.covariance) > 1 else group


# ---- the test of a random term


def random_term(study: Study, replicate: int) -> Record:
    """The likelihood-ratio test of a variance that is zero."""
    y = study.response("random", replicate)
    fit, reduced = study.reml.refit(y), study.reml_without_term
    loglik = regression_loglik(fit.design, True) if reduced is None else reduced.refit(y).loglik
    statistic, weights = max(0.0, 2.0 * (fit.loglik - loglik)), study.design.mixture
    naive = float(stats.chi2.sf(statistic, max(weights)))
    mixture = mixture_p_value(statistic, weights)
    record: Record = {
        "p/naive": naive,
        "p/mixture": mixture,
        "flag/statistic of the random term zero": statistic < 1e-8,
    }
    if replicate < CHECKED["ranova"]:
        row = ranova(lmm.lmer(study.design.formula, study.design.frame.assign(y=y))).iloc[1]
        # At a statistic of zero rounding decides whether the mixture gives 1/2 or 1.
        found = [row["Pr(>Chisq)"], row["Pr(mixture)"] if statistic > 1e-6 else mixture]
        record["check/ranova"] = bool(np.allclose(found, [naive, mixture], rtol=1e-3, atol=1e-5))
    return record


PARTS: dict[str, Callable[[Study, int], Record]] = {
    "fixed": fixed_effects,
    "restricted": restricted_profile,
    "random": random_term,
}
