"""``lmmpy polygenic``: heritability of a trait in families."""

from __future__ import annotations

import argparse

from lmmpy.cli.files import find_id
from lmmpy.cli.options import (
    Commands,
    Group,
    add_data,
    add_output,
    add_relatives,
    new_command,
    outputs,
    relatives,
    table,
)
from lmmpy.cli.scope import called
from lmmpy.errors import ModelError
from lmmpy.qtl import Polygenic
from lmmpy.qtl import polygenic as polygenic_analysis
from lmmpy.relatedness import Relatedness

__all__ = ["add_command", "add_polygenic", "fit_polygenic", "run"]

_ABOUT = """
Estimate and test the heritability of a quantitative trait in families, by maximum likelihood.

The model is y = Xb + g + Hc + e: relatives share genes (g, covariance h2 x twice the kinship), people of a household
share a home (Hc, covariance c2), and the rest is everybody's own (e2); h2 + c2 + e2 = 1. h2 and c2 are tested by
likelihood ratio, with the half-and-half distribution of a variance that cannot be negative. People count who have the
trait and all covariates.
"""

_END = """
examples:
  lmmpy polygenic "bmi ~ age + sex" phenotypes.csv --pedigree pedigree.csv --household HHID
  lmmpy polygenic "bmi ~ age*sex" phenotypes.csv --pedigree pedigree.csv --screen --out bmi

from SOLAR:
  load pedigree pedigree.csv        --pedigree pedigree.csv   (columns ID FA MO SEX MZTWIN; others by --ped-...)
  load phenotypes phenotypes.csv    DATA
  trait bmi; covariate age sex      "bmi ~ age + sex"         (age^1,2#sex is age*sex + I(age^2)*sex)
  house                             --household HHID
  define t = inormal_bmi            --transform inormal
  polygenic -screen                 --screen                  (-p is --probability)
h2 is SOLAR's H2r; log-likelihoods are printed with and without SOLAR's constant.
"""


def add_command(commands: Commands) -> None:
    """Make it known to the parser."""
    parser = new_command(commands, "polygenic", run, _ABOUT, _END)
    add_data(parser, 'trait and covariates in quotes, "trait ~ age + sex"; further random terms such as (1 | school)')
    add_polygenic(parser)
    group = parser.add_argument_group("tests and intervals")
    group.add_argument("--screen", action="store_true", help="test each covariate, and remove those with large p")
    group.add_argument("--probability", metavar="P", type=float, default=0.1, help="what --screen keeps (default 0.1)")
    group.add_argument(
        "--keep", metavar="TERM", action="append", default=[], help="--screen keeps it; 'all': every one"
    )
    group.add_argument(
        "--interval",
        choices=["wald", "profile"],
        default="wald",
        help="of shares: by standard errors (default), or by profile likelihood, better near 0 and 1",
    )
    group.add_argument("--level", type=float, default=0.95, help="of confidence intervals (default 0.95)")
    add_relatives(parser)
    add_output(
        parser,
        "PREFIX.estimates.tsv, PREFIX.tests.tsv, PREFIX.models.tsv, PREFIX.covariates.tsv",
        "residuals, normal quantiles",
    )


def add_polygenic(parser: argparse.ArgumentParser) -> Group:
    """What the polygenic model has, alone or as the null model of a scan; the group of options, for more."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--household", metavar="COLUMN", help="who lives together; nothing or 0 lives alone. Left out where c2 is zero"
    )
    group.add_argument("--transform", choices=["inormal"], help="replace the trait by its inverse normal transform")
    return group


def fit_polygenic(arguments: argparse.Namespace, **options: object) -> Polygenic:
    """
    The polygenic model that the arguments describe.

    Raises
    ------
    FormulaError, DataError, ModelError
    """
    arguments.id = find_id(arguments.data, arguments.id)
    related = relatives(arguments)
    if len(related) != 1:
        given = "--pedigree FILE, or --kinship FILE" if not related else f"one of {', '.join(related)}"
        raise ModelError(f"A polygenic model needs one relatedness: give {given}.")
    (pedigree,) = related.values()
    found = called(
        polygenic_analysis,
        arguments.formula,
        table(arguments),
        pedigree,
        household=arguments.household,
        transform=arguments.transform,
        id=arguments.id,
        subset=arguments.subset,
        _names={name: one for name, one in related.items() if isinstance(one, Relatedness)},
        **options,
    )
    return found


def run(arguments: argparse.Namespace) -> None:
    """
    Run the command.

    Raises
    ------
    FormulaError, DataError, ModelError
    """
    out = outputs(arguments)
    keep = arguments.keep[0] if arguments.keep == ["all"] else tuple(arguments.keep)
    found = fit_polygenic(
        arguments,
        screen=arguments.screen,
        probability=arguments.probability,
        keep=keep,
        interval=arguments.interval,
        level=arguments.level,
    )
    out.report(found.summary())
    out.table(found.estimates, "estimates")
    out.table(found.tests, "tests")
    out.table(found.models.rename_axis("model").reset_index(), "models")
    if found.covariates is not None:
        out.table(found.covariates.rename_axis("covariate").reset_index(), "covariates")
    out.picture(found.fit.plot.residuals, "residuals")
    out.picture(found.fit.plot.qq, "qq")
