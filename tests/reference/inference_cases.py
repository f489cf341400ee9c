"""What R's packages answer about a fit: `inference/<case>_<method>.json`, cut by `trim_inference.py`.

The cases are those of `lme4/` (same file names, so `fit(case)` is the cached fit of `cases.fitted`). Made with R 4.2.2,
lme4 1.1-31, lmerTest 3.1-3, pbkrtest 0.5-2 at a tightened optimum. A case has the fields that apply to it:

- ``se``, ``confint_wald``, ``profile_confint`` (95 %), ``profile_confint90``, ``profile_zeta``: intervals, with lme4's
  names: ``.sig01``, …, ``.sigma`` in the Wald table, ``sd_(Intercept)|Subject``, ``cor_Days.(Intercept)|Subject``, …,
  ``sigma`` in the profiles, then the coefficients; the profile is of the ML fit, so only ``_ML`` cases have one;
- ``lmerTest_summary_satt|kr``, ``lmerTest_anova_satt|kr_I|II|III``, ``lmerTest_drop1_satt``, ``ranova``,
  ``drop1_Chisq``, ``anova_lme4``, ``lrt_fixed``, ``lrt_random``, ``ls_means``, ``diffls``: tables;
- ``lmerTest_vcov_varpar``: covariance of (θ, σ) from the Hessian of the deviance (of the criterion, for REML);
- ``vcovAdj_KR``, ``pbkr`` (a list: ``alt``, ``KR``, ``stats``, ``L``, ``SAT``): Kenward–Roger;
- ``hatvalues``, ``cooks``, ``rstudent`` (at most 400 rows), ``influence`` (case deletion by each grouping factor and by
  ``obs``: ``dfbeta``, ``cooks``, …), ``rePCA_sdev``;
- ``newdata``, ``predict_new_cond``, ``predict_new_fixed``.

A table (R's data frame) is a dict of columns with the row names under ``_rownames``: read it with `frame`. A matrix is
a dict ``rownames``, ``colnames``, ``values``: read it with `matrix`. R's writer gave a vector of one element as a
scalar, and a missing number as null.

Further cases, by `make_inference.R` (here a vector is always a list), are read with `more(case)`, fitted with
`more_fit(case)`, found with `more_names(section)`. Their data are those of `lmmpy.datasets`, or simulated ones under
`inference/more/data`. Beside the model (``formula``, ``REML``, ``weights``, ``contrasts``, ``theta``, ``beta``,
``sigma``, ``criterion``, ``dropped``) a case has the sections that were asked of it:

- ``contest``: a list of ``L`` (list of rows), ``ddf`` ("Satterthwaite" or "Kenward-Roger"), ``joint`` and ``rows``
  (tables of lmerTest), ``rhs`` with ``joint_rhs``; a contrast of dependent rows has no ``joint_rhs``;
- ``anova``: ``satt_I`` … ``kr_III``; ``summary``, ``drop1`` and ``step``: ``satt``, ``kr`` (``drop1`` also ``chisq``;
  of ``step`` the tables ``random`` and ``fixed``, and ``model``); ``ranova``: ``reduced`` and ``removed`` (the
  whole term);
- ``emmeans``: a list of ``specs``, ``at``, ``weights``, ``ddf``, the table ``means`` and ``contrasts`` (``method``,
  ``adjust``, ``table``; ``said`` holds messages; with no ``adjust`` it is emmeans' default for the method);
- ``broom``: of broom.mixed, ``lme4`` (``fixed``, ``ran_pars``, ``ran_pars_vcov``, ``ran_vals``, ``ran_coefs``,
  ``default``, ``glance``, ``augment``), ``lmerTest`` (``fixed``, ``glance``) and ``lmerTest_kr``;
- ``kr``: ``vcov``, ``vcovAdj``, ``P`` and ``W`` of pbkrtest (its parameters: the covariances of each term, σ²), ``ddf``
  of every coefficient, ``tests`` (``L``, the table ``test``, ``aux``). pbkrtest takes every weight for 1: of
  ``crossed_weights`` right is what ``crossed_weights_by_hand`` says, the same model with its columns multiplied by √w;
- ``profile``: ``confint``, ``confint90``, sometimes ``zeta``; ``direct``: the same 95 % limits by brute force, of the
  standard deviations and correlations in ``kinds``; on the boundary it is right, where profile() interpolates or has
  no answer;
- ``prediction``: of ``newdata``, with unseen levels, ``fit`` and ``se`` of x'β̂ + z'b̂ − (x'β + z'b) from Henderson's
  equations, over ``all`` terms, ``none``, and ``by_group`` each alone; ``glmmTMB``: its standard errors with θ held
  (the same) and ``free`` (larger: θ is uncertain, too);
- ``components``: of variances (``vcov``, in the order of a covariance matrix's lower triangle) and of standard
  deviations and correlations (``sdcor``) the covariance and ``_se`` from the Hessian of −2 log-likelihood by
  Richardson's differences, to 1e-6 or so; ``lmerTest_vcov_theta_sigma``; ``glmmTMB`` (``theta`` and ``vcov_full`` in
  log standard deviations, ``d~`` in log variance; Wald ``confint``); sometimes ``nlme`` (``intervals``).
"""

import json
import warnings
from functools import cache
from typing import Any

import pandas as pd

import lmmpy as lmm
from tests.reference.cases import HERE, data, fitted

FOLDER = HERE / "inference"
MORE = FOLDER / "more"


@cache
def inference(case: str) -> dict[str, Any]:
    """The stored fields of a case, e.g. ``inference("sleepstudy_slope_REML")``."""
    stored: dict[str, Any] = json.loads((FOLDER / f"{case}.json").read_text(encoding="utf-8"))
    return stored


@cache
def names(*fields: str) -> list[str]:
    """The cases that have all of the fields; without fields, every case."""
    cases = sorted(path.stem for path in FOLDER.glob("*.json"))
    return [case for case in cases if all(field in inference(case) for field in fields)]


def fit(case: str) -> lmm.LmmFit:
    """lmmpy's fit of a case, made once per process."""
    return fitted("lme4", case).fit


@cache
def more(case: str) -> dict[str, Any]:
    """What `make_inference.R` stored of a case."""
    stored: dict[str, Any] = json.loads((MORE / f"{case}.json").read_text(encoding="utf-8"))
    return stored


@cache
def more_names(*sections: str) -> list[str]:
    """The further cases that have all of the sections; without sections, every one."""
    cases = sorted(path.stem for path in MORE.glob("*.json"))
    return [case for case in cases if all(section in more(case) for section in sections)]


@cache
def more_data(name: str) -> pd.DataFrame:
    """The data of a further case, by their name."""
    path = MORE / "data" / f"{name}.csv"
    if not path.exists():
        return data(name)
    levels = json.loads(path.with_suffix(".levels.json").read_text(encoding="utf-8"))
    made = pd.read_csv(path, dtype=str)
    for column in made:
        factor = levels.get(column)
        made[column] = made[column].astype(float) if factor is None else pd.Categorical(made[column], factor["levels"])
    return made


@cache
def more_fit(case: str) -> lmm.LmmFit:
    """lmmpy's fit of a further case, made once per process; what the fit warns of is not shown."""
    stored = more(case)
    options = {key: stored[key] for key in ("weights", "contrasts") if key in stored}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.LmmpyWarning)
        return lmm.lmer(stored["formula"], more_data(stored["data"]), reml=stored["REML"], **options)


def frame(table: dict[str, Any]) -> pd.DataFrame:
    """A stored data frame of R; null is NaN in columns of numbers, None in columns of text."""
    columns = {name: listed(values) for name, values in table.items() if name != "_rownames"}
    made = pd.DataFrame(columns, index=listed(table["_rownames"]) if "_rownames" in table else None)
    return made.apply(lambda column: column.astype(float) if numeric(column) else column)


def matrix(stored: dict[str, Any]) -> pd.DataFrame:
    """A stored matrix of R, with its row and column names where it has some."""
    names_of = {key: listed(stored[key]) if stored.get(key) is not None else None for key in ("rownames", "colnames")}
    return pd.DataFrame(stored["values"], index=names_of["rownames"], columns=names_of["colnames"], dtype=float)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def numeric(column: pd.Series) -> bool:
    return all(value is None or isinstance(value, (int, float)) for value in column)
