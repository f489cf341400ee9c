"""The worker for lmmpy with relatedness: what is timed begins with plain tables and ends with h² and its SE."""

from typing import Any

import pandas as pd

import lmmpy as lmm
from benchmarks import bench_lmmpy
from benchmarks.job import Job, read_matrix, read_pedigree
from benchmarks.worker import Adapter, Answer, serve


def heritability(formula: str) -> str:
    """Return h² in the names of the variance components: the kin() term's share of the whole.

    >>> heritability("y ~ x + kin(id, K) + (1 | id)")
    'kin(id, K) / (kin(id, K) + id + Residual)'
    """
    kin = formula[formula.index("kin(") :].partition(")")[0] + ")"
    rest = "id + Residual" if "(1 | id)" in formula else "Residual"
    return f"{kin} / ({kin} + {rest})"


def functions(formula: str) -> dict[str, str]:
    """Return what is asked of the components: h², and the genetic correlation of two traits.

    >>> functions("cbind(a, b) ~ x + kin(ped)")["rg"]
    'kin(ped).b.a / sqrt(kin(ped).a * kin(ped).b)'
    """
    if not formula.startswith("cbind("):
        return {"h2": heritability(formula)}
    one, other = (name.strip() for name in formula[len("cbind(") : formula.index(")")].split(","))
    kin = formula[formula.index("kin(") :].partition(")")[0] + ")"
    return {
        "h2": f"{kin}.{one} / ({kin}.{one} + Residual)",
        "h2_of_the_other": f"{kin}.{other} / ({kin}.{other} + Residual.{other})",
        "rg": f"{kin}.{other}.{one} / sqrt({kin}.{one} * {kin}.{other})",
    }


class Fitted:
    """The tables, read once, and the call on them."""

    def __init__(self) -> None:
        self.tables: Any = None

    def prepare(self, job: Job, frame: pd.DataFrame) -> None:
        """Read the matrix or the pedigree."""
        if self.tables is None:
            assert job.relatives is not None
            self.tables = read_pedigree(job, frame) if job.relatives.kind == "pedigree" else read_matrix(job, frame)

    def fit(self, job: Job, frame: pd.DataFrame) -> Any:
        """Make the relatedness, fit, and take the standard error of h²: the call that is timed."""
        assert job.relatives is not None
        if job.relatives.kind == "pedigree":
            given: Any = lmm.Pedigree.from_frame(self.tables, id="id", father="father", mother="mother")
        else:
            given = lmm.Relatedness(self.tables, labels=list(frame["id"].cat.categories), id="id")
        name = "ped" if job.relatives.kind == "pedigree" else "K"
        model = lmm.lmer(job.formula, frame, reml=job.reml, relmat={name: given})
        return model, model.vpredict(**functions(job.formula))

    def read(self, job: Job, result: Any) -> Answer:
        """Read the criterion, the estimates, and h² with its standard error."""
        model, share = result
        found = bench_lmmpy.read(job, model)
        told = {name: float(share.loc["h2", name]) for name in ("estimate", "std_error")}
        told |= {f"{row} {name}": float(share.loc[row, name]) for row in share.index[1:] for name in told}
        return Answer(found.criterion, found.beta, found.theta, told)


if __name__ == "__main__":
    fitted = Fitted()
    serve(Adapter("lmmpy", fitted.fit, fitted.read, fitted.prepare))
