"""``lmmpy fit``: a mixed model by a formula."""

from __future__ import annotations

import argparse

from lmmpy.cli.nulls import has_kin
from lmmpy.cli.options import Commands, add_data, add_output, add_relatives, new_command, outputs, relatives, table
from lmmpy.cli.outputs import Outputs
from lmmpy.cli.scope import called
from lmmpy.errors import ModelError
from lmmpy.model import LmmFit, lmer

__all__ = ["add_command", "run"]

_ABOUT = """
Fit a linear mixed model, y = Xb + Zu + e, by restricted maximum likelihood, as lme4's lmer does in R.

The formula is R's. Terms in parentheses are random: (1 | clinic) gives every clinic its own level, (age | clinic) its
own line over age, (1 | school/class) nests. kin(ped) is a random effect of every person that relatives share as the
pedigree of --pedigree says, kin(K) as the matrix of --kinship does. cbind(a, b) ~ ... fits two traits at once.
Columns of numbers are quantities; factor(sex) makes groups of them. The formula is code, and is evaluated: run no
formula that you have not read.
"""

_END = """
examples:
  lmmpy fit "Reaction ~ Days + (Days | Subject)" sleepstudy.csv --ddf satterthwaite
  lmmpy fit "bmi ~ age + factor(SEX) + (1 | HHID) + kin(ped)" phenotypes.csv --pedigree pedigree.csv --out bmi
  lmmpy fit "height ~ age + kin(K)" phenotypes.csv --kinship K=study.csv --ml

from R: lmer(bmi ~ age + (1 | HHID), data) is lmmpy fit "bmi ~ age + (1 | HHID)" data.csv.
from SOLAR: "lmmpy polygenic" has the tests and the report that you know.
"""


def add_command(commands: Commands) -> None:
    """Make it known to the parser."""
    parser = new_command(commands, "fit", run, _ABOUT, _END)
    add_data(parser, 'R formula in quotes: "trait ~ covariates + (1 | group) + kin(ped)"')
    group = parser.add_argument_group("model")
    group.add_argument("--ml", action="store_true", help="maximum likelihood rather than restricted")
    group.add_argument("--weights", metavar="COLUMN", help="prior weights w: the residual variance of a row is s2/w")
    group.add_argument("--offset", metavar="COLUMN", help="a known part of the mean")
    group.add_argument("--residual", metavar="TERM", help="structure of the residuals, such as 'ar1(time | id)'")
    group.add_argument(
        "--ddf",
        choices=["satterthwaite", "kenward-roger"],
        help="t tests of the fixed effects, by these degrees of freedom",
    )
    group.add_argument("--level", type=float, default=0.95, help="of confidence intervals (default 0.95)")
    add_relatives(parser)
    add_output(
        parser,
        "PREFIX.estimates.tsv, PREFIX.varcorr.tsv, PREFIX.ranef.tsv (conditional modes), PREFIX.glance.tsv (AIC and "
        "the like), and with kin() PREFIX.heritability.tsv",
        "residuals, normal quantiles",
    )


def run(arguments: argparse.Namespace) -> None:
    """
    Run the command.

    Raises
    ------
    FormulaError, DataError, ModelError
    """
    out = outputs(arguments)
    related = bool(arguments.pedigree or arguments.kinship)
    if arguments.pedigree and not has_kin(arguments.formula):
        raise ModelError("The formula has no kin() term, so that --pedigree changes nothing: add + kin(ped).")
    fit = called(
        lmer,
        arguments.formula,
        table(arguments, with_id=related or arguments.id is not None),
        reml=not arguments.ml,
        weights=arguments.weights,
        offset=arguments.offset,
        subset=arguments.subset,
        residual=arguments.residual,
        relmat=relatives(arguments) or None,
    )
    ddf = arguments.ddf
    out.report(str(fit.summary(ddf=ddf) if ddf is not None else fit.summary()))
    if out.prefix is not None:
        _write(out, fit, ddf, arguments.level)


def _write(out: Outputs, fit: LmmFit, ddf: str | None, level: float) -> None:
    out.table(fit.tidy(conf_int=True, conf_level=level, ddf=ddf), "estimates")
    out.table(fit.varcorr.to_frame(), "varcorr")
    out.table(fit.glance(), "glance")
    if fit.design.random:
        out.table(fit.tidy("ran_vals"), "ranef")
    if any(not term.relatedness.is_identity for term in fit.design.random):
        out.table(fit.heritability(level), "heritability")
    out.picture(fit.plot.residuals, "residuals")
    out.picture(fit.plot.qq, "qq")
