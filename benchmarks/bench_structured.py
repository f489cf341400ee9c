"""The worker for lmmpy with several traits or structured residuals; its first argument says what is asked (`CALLS`)."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import lmmpy as lmm
from benchmarks.job import Job, read_matrix, read_pedigree
from benchmarks.worker import Adapter, Answer, serve
from lmmpy.engines import make_criterion, one_blas_thread
from lmmpy.fitting import fit_theta
from lmmpy.model.lmer import gls

STARTS = 20
K = "kin(id, K)"
COVARIANCES = {
    "Vg 11": f"{K}.y1",
    "Vg 21": f"{K}.y2.y1",
    "Vg 22": f"{K}.y2",
    "Ve 11": "Residual",
    "Ve 21": "Residual.y2.y1",
    "Ve 22": "Residual.y2",
}
FAMILY = {
    "h2(bmi)": "kin(ped).bmi / (kin(ped).bmi + Residual)",
    "h2(fvii)": "kin(ped).fvii / (kin(ped).fvii + Residual.fvii)",
    "rho_g": "kin(ped).fvii.bmi / sqrt(kin(ped).bmi * kin(ped).fvii)",
    "rho_e": "Residual.fvii.bmi / sqrt(Residual * Residual.fvii)",
}


@dataclass(slots=True)
class Inputs:
    """What is made before the timed call: tables, or a criterion without what an earlier call left in it."""

    job: Job
    frame: pd.DataFrame
    tables: Any = None
    fit: Any = None
    criterion: Any = None
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked: made ready (not timed), done (timed), and what is told of the result (not timed)."""

    ready: Callable[[Inputs], None]
    do: Callable[[Inputs], Any]
    tell: Callable[[Inputs, Any], dict[str, Any]]


def _criterion(reml: bool, fit: Any) -> float:
    return float(fit.reml_criterion if reml else -2.0 * fit.loglik)


def _tables(inputs: Inputs) -> None:
    if inputs.tables is None:
        read = read_pedigree if inputs.job.relatives and inputs.job.relatives.kind == "pedigree" else read_matrix
        inputs.tables = read(inputs.job, inputs.frame)


# ---- two traits with a dense K, beside GEMMA


def _two_traits(inputs: Inputs) -> tuple[Any, pd.DataFrame]:
    labels = list(inputs.frame["id"].cat.categories)
    given = {"K": lmm.Relatedness(inputs.tables, labels=labels, id="id")}
    fit = lmm.lmer(inputs.job.formula, inputs.frame, reml=inputs.job.reml, relmat=given)
    return fit, fit.vpredict(**COVARIANCES)


def _rotate(inputs: Inputs) -> None:
    """Let the traits and K be rotated; nothing of an earlier fit remains."""
    _tables(inputs)
    if inputs.fit is None:
        inputs.fit, _ = _two_traits(inputs)
    inputs.criterion = make_criterion(inputs.fit.design, inputs.job.reml)


def _after_rotation(inputs: Inputs) -> tuple[Any, pd.DataFrame]:
    """Search, and make a fit of what is found."""
    made = inputs.fit
    with one_blas_thread():
        optimum = fit_theta(inputs.criterion, made.request.control)
        fit = type(made)(made.design, made.blueprint, inputs.criterion, optimum, made.request, made.index, None)
    return fit, fit.vpredict(**COVARIANCES)


def _told_covariances(inputs: Inputs, found: tuple[Any, pd.DataFrame]) -> dict[str, Any]:
    fit, table = found
    columns = {"covariances": "estimate", "their standard errors": "std_error"}
    told = {name: table.loc[list(COVARIANCES), column].tolist() for name, column in columns.items()}
    return {"fit": fit, "compared": told, "note": f"{fit.optimum.evaluations} evaluations"}


# ---- the family study


def _family(inputs: Inputs) -> None:
    inputs.tables = lmm.datasets.load("family_pedigree")


def _bivariate(inputs: Inputs) -> tuple[Any, pd.DataFrame]:
    ped = lmm.Pedigree.from_frame(inputs.tables)
    fit = lmm.lmer(inputs.job.formula, inputs.frame, reml=inputs.job.reml, relmat={"ped": ped})
    return fit, fit.vpredict(**FAMILY)


def _told_family(inputs: Inputs, found: tuple[Any, pd.DataFrame]) -> dict[str, Any]:
    fit, table = found
    told = {name: [float(row["estimate"]), float(row["std_error"])] for name, row in table.iterrows()}
    note = ", ".join(f"{name} {value:.4f} (SE {error:.4f})" for name, (value, error) in told.items())
    return {"fit": fit, "compared": told, "note": note}


def _with_tests(inputs: Inputs) -> Any:
    ped = lmm.Pedigree.from_frame(inputs.tables)
    return lmm.qtl.bivariate(["bmi", "fvii"], "age + sex", inputs.frame, ped)


def _told_tests(inputs: Inputs, found: Any) -> dict[str, Any]:
    table = found.tests
    note = ", ".join(f"{name}: p {p:.3g}" for name, p in zip(table.iloc[:, 0], table["p_value"], strict=True))
    return {"fit": found, "compared": {}, "note": note}


# ---- five traits


def _five_traits(inputs: Inputs, **start: Any) -> Any:
    ped = lmm.Pedigree.from_frame(inputs.tables, id="id", father="father", mother="mother")
    return lmm.lmer(inputs.job.formula, inputs.frame, reml=inputs.job.reml, relmat={"ped": ped}, **start)


def random_start(criterion: Any, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw θ: genetic effects about as large as the residual and correlated, and a residual as the search has it."""
    design, parts = criterion.design, []
    for term, unit in zip(design.random, criterion.units, strict=True):
        draw = 0.7 * rng.normal(size=term.structure.n_theta)
        parts.append(np.where(np.isfinite(term.structure.lower), np.exp(draw), draw) * term.structure.scale(unit))
    for rows in design.row_covariances:
        structure, draw = rows.structure, rng.normal(size=rows.structure.n_theta)
        least = structure.lower + 0.05 * structure.scale()
        parts.append(np.maximum(structure.start() + 0.7 * structure.scale() * draw, least))
    return np.concatenate(parts)


def _told_starts(inputs: Inputs, fit: Any) -> dict[str, Any]:
    """Fit from random starts, once."""
    if not inputs.kept:
        rng = np.random.default_rng(20)
        found = [_five_traits(inputs, start=random_start(fit.criterion, rng)) for _ in range(STARTS)]
        inputs.kept["loglik"] = [float(other.loglik) for other in found]
    apart = np.array(inputs.kept["loglik"]) - fit.loglik
    note = (
        f"{fit.optimum.evaluations} evaluations; of {STARTS} random starts the log-likelihoods are from "
        f"{apart.min():+.1e} to {apart.max():+.1e} off"
    )
    return {"fit": fit, "compared": {}, "note": note, "random starts": apart.tolist()}


# ---- structured residuals, beside nlme


def _nothing(inputs: Inputs) -> None:
    pass


def _residual(residual: str, names: Mapping[str, tuple[str, ...]], *, random: bool = True) -> Call:
    """A call of `lmer`, or of `gls`; `names` are the parameters that nlme tells also, in its words."""

    def do(inputs: Inputs) -> tuple[Any, pd.DataFrame]:
        model = lmm.lmer if random else gls
        fit = model(inputs.job.formula, inputs.frame, reml=inputs.job.reml, residual=residual)
        return fit, fit.parameters()

    def tell(inputs: Inputs, found: tuple[Any, pd.DataFrame]) -> dict[str, Any]:
        fit, table = found
        told = {what: table.loc[list(rows), "estimate"].tolist() for what, rows in names.items()}
        told |= {"beta": fit.fixef.tolist(), "se": fit.se.tolist()}
        return {"fit": fit, "compared": told, "note": f"{fit.optimum.evaluations} evaluations"}

    return Call(_nothing, do, tell)


AGES = ("8", "10", "12", "14")
PAIRS = tuple(f"cor_{later}.{earlier}|Residual" for i, earlier in enumerate(AGES) for later in AGES[i + 1 :])
CALLS: Mapping[str, Call] = {
    "two-traits": Call(_tables, _two_traits, _told_covariances),
    "two-traits-rotated": Call(_rotate, _after_rotation, _told_covariances),
    "bivariate": Call(_family, _bivariate, _told_family),
    "bivariate-tests": Call(_family, _with_tests, _told_tests),
    "five-traits": Call(_tables, _five_traits, _told_starts),
    "ovary-ar1": _residual(
        "ar1(k | Mare)",
        {
            "random": ("sd_(Intercept)|Mare", "sd_s|Mare"),
            "correlation": ("rho|Residual",),
            "sigma": ("sigma",),
        },
    ),
    "orthodont-us": _residual(
        "us(0 + factor(age) | Subject)",
        {"correlation": PAIRS, "sigma": tuple(f"sd_{age}|Residual" for age in AGES)},
        random=False,
    ),
    "slopes-car1": _residual(
        "car1(t | g)",
        {
            "random": ("sd_(Intercept)|g", "sd_t|g", "cor_t.(Intercept)|g"),
            "correlation": ("rho|Residual",),
            "sigma": ("sigma",),
        },
    ),
}


class Asked:
    """One of the calls as an adapter."""

    def __init__(self, what: str) -> None:
        self.call = CALLS[what]
        self.inputs: Inputs | None = None

    def prepare(self, job: Job, frame: pd.DataFrame) -> None:
        """Make ready."""
        if self.inputs is None:
            self.inputs = Inputs(job, frame)
        self.call.ready(self.inputs)

    def fit(self, job: Job, frame: pd.DataFrame) -> Any:
        """The call that is timed."""
        assert self.inputs is not None
        return self.call.do(self.inputs)

    def read(self, job: Job, result: Any) -> Answer:
        """Read the criterion, and what else is told."""
        assert self.inputs is not None
        told = self.call.tell(self.inputs, result)
        fit = told.pop("fit")
        beta = [] if not hasattr(fit, "fixef") else fit.fixef.tolist()
        return Answer(_criterion(job.reml, fit), beta, None, told)


if __name__ == "__main__":
    asked = Asked(sys.argv[1])
    serve(Adapter("lmmpy", asked.fit, asked.read, asked.prepare))
