"""What is computed for one simulated family study.

A record maps names to numbers: ``estimate/…`` and ``error/…`` (standard errors), ``cover/…`` whether an interval
contains the truth, ``p/…`` p-values, ``flag/…`` what happened, ``check/…`` whether a short cut of this study agrees
with the package's own call. None stands for what does not exist, such as a standard error at a boundary.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

import lmmpy as lmm
from benchmarks.recovery.designs import SETTINGS, TRAITS, FamilyStudy, Setting, draw_study
from benchmarks.recovery.likelihood import QUANTITIES, statistic
from lmmpy import qtl
from lmmpy.engines import one_blas_thread
from lmmpy.errors import ConvergenceWarning, LmmpyError, SingularFitWarning
from lmmpy.inference.lrt import mixture_p_value
from lmmpy.model.lmm_fit import LmmFit
from lmmpy.qtl.quantities import Quantity, quantities_table
from lmmpy.qtl.traits import Parts, trait_quantities

__all__ = ["CHECKED", "FORMULA", "LEVEL", "Record", "record_of"]

Record = dict[str, float | bool | str | None]

LEVEL, Z = 0.95, float(stats.norm.ppf(0.975))
TERM = "kin(id, ped)"
FORMULA = f"cbind({', '.join(TRAITS)}) ~ age + sex + {TERM}"
# Studies of each setting for which the package's own, slower calls are made, too.
CHECKED = 10
# A constrained fit may be likelier by this, which is rounding.
_ROUNDING = 1e-6
# An estimated correlation beyond is nearer to the end on its side, and the other end need not be tried.
_NEARER = 0.3
# The mixtures of χ² distributions by which hypotheses are tested, and the one that knows of no boundary.
REFERENCES: dict[str, dict[str, dict[int, float]]] = {
    "rho_g = 0": {"chi2(1)": {1: 1.0}},
    "|rho_g| = 1": {"mixture 0:1": {0: 0.5, 1: 0.5}, "chi2(1)": {1: 1.0}},
    "rho_e = 0": {"chi2(1)": {1: 1.0}},
    "rho_p = 0": {"chi2(1)": {1: 1.0}},
    **{f"h2[{trait}] = 0": {"mixture 1:2": {1: 0.5, 2: 0.5}, "chi2(2)": {2: 1.0}} for trait in TRAITS},
    **{f"h2[{trait}] = 0, alone": {"mixture 0:1": {0: 0.5, 1: 0.5}, "chi2(1)": {1: 1.0}} for trait in TRAITS},
}
TESTED = {
    "base": tuple(REFERENCES),
    "no rho_g": ("rho_g = 0",),
    "pleiotropy": ("|rho_g| = 1", "rho_g = 0"),
    "no h2": ("h2[y2] = 0", "h2[y2] = 0, alone"),
    "no rho_e": ("rho_e = 0",),
}


@dataclass(frozen=True, eq=False)
class Analysis:
    """A study with its fits."""

    setting: Setting
    study: FamilyStudy

    def _fit(self, formula: str, reml: bool) -> LmmFit:
        return lmm.lmer(formula, self.study.frame, reml=reml, relmat={"ped": self.study.pedigree})

    @cached_property
    def ml(self) -> LmmFit:
        return self._fit(FORMULA, False)

    @cached_property
    def reml(self) -> LmmFit:
        return self._fit(FORMULA, True)

    def alone(self, trait: str) -> LmmFit:
        """The model of one trait."""
        return self._fit(f"{trait} ~ age + sex + {TERM}", False)

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        every = trait_quantities(Parts(TERM, None, ()), TRAITS)
        return {name: every[name] for name in QUANTITIES}

    @cached_property
    def heritability(self) -> pd.DataFrame:
        """With the tests of each trait's genetic effects."""
        return self.ml.heritability(LEVEL, "wald").set_index("trait")

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Estimates and Wald limits as of `qtl.bivariate`, by ML and REML."""
        fits = {"ML": self.ml, "REML": self.reml}
        return {
            kind: quantities_table(fit, self.quantities, "wald", LEVEL).set_index("parameter")
            for kind, fit in fits.items()
        }

    def statistic(self, name: str, value: float) -> float:
        """Twice what the log-likelihood loses when a quantity has some value; NaN when that is not found."""
        if value == 0.0 and name.startswith("h2"):
            return float(self.heritability.loc[name[3:-1], "chisq"])
        return statistic(self.ml, name, value)

    def of_hypothesis(self, hypothesis: str) -> float:
        """The likelihood-ratio statistic."""
        name = hypothesis.partition(" ")[0]
        if hypothesis.endswith("alone"):
            return float(self.alone(name[3:-1]).heritability(LEVEL, "wald")["chisq"].iloc[0])
        if name == "|rho_g|":
            estimate = float(self.tables["ML"].loc["rho_g", "estimate"])
            ends = (math.copysign(1.0, estimate),) if abs(estimate) > _NEARER else (1.0, -1.0)
            return min(self.statistic("rho_g", end) for end in ends)
        return self.statistic(name, 0.0)


def record_of(setting: str, number: int) -> Record:
    """All that is measured of one study; when lmmpy refuses it, why."""
    with warnings.catch_warnings(record=True) as caught, one_blas_thread():
        warnings.simplefilter("always")
        analysis = Analysis(SETTINGS[setting], draw_study(SETTINGS[setting], number))
        try:
            record = _fitted(analysis)
            said = list(caught)  # by the two fits, before anything is held
            record |= _covered(analysis) | _tested(analysis)
            if number < CHECKED:
                record |= _checked(analysis, record)
        except (LmmpyError, ArithmeticError, np.linalg.LinAlgError) as error:
            record, said = {"failed": f"{type(error).__name__}: {error}"}, []
    record["flag/likelihood without maximum"] = _complete_twins(analysis.study) == 1
    record["flag/says that the fit is singular"] = any(issubclass(w.category, SingularFitWarning) for w in said)
    said, others = ([w for w in made if not _counted_apart(w)] for made in (said, caught))
    convergence = [w for w in others if issubclass(w.category, ConvergenceWarning)]
    record["flag/convergence warning of a fit"] = any(issubclass(w.category, ConvergenceWarning) for w in said)
    record["flag/convergence warning"] = bool(convergence)
    record["flag/other warning"] = len(others) > len(convergence)
    if others:
        record["said"] = str(others[0].message)
    return record


def _complete_twins(study: FamilyStudy) -> int:
    """
    Pairs of identical twins who have all traits, both of them.

    Of one pair the difference is residual alone. A combination of the traits is nil in it, whose residual variance may
    go to zero while the likelihood grows without end; what searches find is the maximum away from there.
    """
    complete = study.frame.loc[study.frame[list(TRAITS)].notna().all(axis=1), "id"]
    return int(study.twins[study.twins.index.isin(complete)].value_counts().eq(2).sum())


def _counted_apart(warning: warnings.WarningMessage) -> bool:
    """What the flags tell already: a singular fit, and a likelihood without maximum."""
    return issubclass(warning.category, SingularFitWarning) or "has no maximum" in str(warning.message)


# ---- estimates


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _fitted(analysis: Analysis) -> Record:
    """Estimates by ML and REML, standard errors, and what lies on a boundary."""
    record: Record = {}
    for kind, fit in (("ML", analysis.ml), ("REML", analysis.reml)):
        table = analysis.tables[kind]
        for name, row in table.iterrows():
            record[f"estimate/{name}/{kind}"] = _number(row["estimate"])
            record[f"error/{name}/{kind}"] = _number(row["std_error"])
        value = table["estimate"]
        for trait in TRAITS:
            record[f"flag/{kind}: h2[{trait}] = 0"] = bool(value[f"h2[{trait}]"] == 0.0)
        for rho in ("rho_g", "rho_e"):
            record[f"flag/{kind}: |{rho}| = 1"] = bool(abs(value[rho]) == 1.0)
        record[f"flag/{kind}: on a boundary"] = bool(fit.optimum.on_boundary.any())
        record[f"flag/{kind}: not converged"] = not fit.optimum.converged
    return record


# ---- intervals


def _covered(analysis: Analysis) -> Record:
    """Whether intervals contain the truth; one that does not exist contains nothing."""
    table, record, on_z = analysis.tables["ML"], {}, _on_z(analysis.ml)
    wald = {"wald": table, "wald, REML": analysis.tables["REML"]}
    for name, truth in analysis.setting.truth.items():
        for kind, limits in wald.items():
            low, high = limits.loc[name, ["conf_low", "conf_high"]].astype(float)
            record[f"cover/{name}/{kind}"] = _inside(low, high, truth)
        if name in on_z:
            record[f"cover/{name}/wald on z"] = _inside(*on_z[name], truth)
        statistic = math.nan if math.isnan(table.loc[name, "estimate"]) else analysis.statistic(name, truth)
        record[f"cover/{name}/profile"] = None if math.isnan(statistic) else statistic <= Z**2
        record[f"flag/likelier at the true {name}"] = statistic < -_ROUNDING
    return record


def _on_z(fit: LmmFit, method: str = "wald") -> dict[str, tuple[float, float]]:
    """Limits of the correlations by `fit.correlations`."""
    frame = fit.correlations(LEVEL, method)
    names = {TERM: "rho_g", "Residual": "rho_e", "phenotypic": "rho_p"}
    limits = frame[["conf_low", "conf_high"]].to_numpy(dtype=float)
    return {names[term]: (low, high) for term, (low, high) in zip(frame["term"], limits.tolist(), strict=True)}


def _inside(low: float, high: float, truth: float) -> bool | None:
    return bool(low <= truth <= high) if math.isfinite(low) and math.isfinite(high) else None


# ---- tests


def _tested(analysis: Analysis) -> Record:
    """The p-values of the setting's hypotheses, and whether a statistic is nil."""
    record: Record = {}
    estimates = analysis.tables["ML"]["estimate"]
    for hypothesis in TESTED[analysis.setting.name]:
        undefined = "rho_g" in hypothesis and math.isnan(estimates["rho_g"])
        statistic = math.nan if undefined else analysis.of_hypothesis(hypothesis)
        record |= p_values(hypothesis, statistic, REFERENCES[hypothesis])
    return record


def p_values(hypothesis: str, statistic: float, references: Mapping[str, dict[int, float]]) -> Record:
    """By each reference; of a statistic that does not exist None."""
    if math.isnan(statistic):
        return {f"p/{hypothesis}/{name}": None for name in references}
    chisq = max(statistic, 0.0)
    record: Record = {f"p/{hypothesis}/{name}": mixture_p_value(chisq, mixed) for name, mixed in references.items()}
    record[f"estimate/{hypothesis}/statistic"] = chisq
    record[f"flag/statistic of {hypothesis} nil"] = chisq < _ROUNDING
    return record


# ---- the public calls


def _checked(analysis: Analysis, record: Record) -> Record:
    """Whether the limits and the tests that a user gets say the same."""
    shares = analysis.ml.heritability(LEVEL, "profile").set_index("trait")[["conf_low", "conf_high"]]
    limits = {f"h2[{trait}]": tuple(shares.loc[trait].astype(float)) for trait in TRAITS}
    limits |= _on_z(analysis.ml, "profile")
    found: Record = {
        f"check/profile of {name}": _inside(*limits[name], truth) == record[f"cover/{name}/profile"]
        for name, truth in analysis.setting.truth.items()
    }
    frame, pedigree = analysis.study.frame, analysis.study.pedigree
    public = qtl.bivariate(TRAITS, "age + sex", frame, pedigree, id="id")
    tests = dict(public.tests[["hypothesis", "p_value"]].to_numpy())
    for trait in TRAITS:
        alone = qtl.polygenic(f"{trait} ~ age + sex", frame, pedigree, id="id").tests
        tests[f"h2[{trait}] = 0, alone"] = float(alone.loc[alone["hypothesis"] == "h2 = 0", "p_value"].iloc[0])
    for hypothesis in TESTED[analysis.setting.name]:
        if hypothesis in tests:
            p = record[f"p/{hypothesis}/{next(iter(REFERENCES[hypothesis]))}"]
            agrees = math.isnan(tests[hypothesis]) if p is None else abs(tests[hypothesis] - p) < 1e-4 * max(p, 1e-2)
            # At a statistic of zero rounding decides whether the mixture gives 1/2 or 1.
            nil = bool(record.get(f"flag/statistic of {hypothesis} nil"))
            found[f"check/test of {hypothesis}"] = bool(agrees or (nil and tests[hypothesis] > 0.49))
    return found
