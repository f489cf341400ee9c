"""``lmmpy assoc``: a QTL scan over variants."""

from __future__ import annotations

import argparse
import math
import re
import warnings
from functools import partial
from typing import Any

import pandas as pd

from lmmpy.cli.files import read_ids, read_table
from lmmpy.cli.nulls import Relatives, has_kin, null_of, traits_of
from lmmpy.cli.options import (
    Commands,
    add_data,
    add_output,
    add_relatives,
    add_scan,
    new_command,
    outputs,
    relatives,
    scan_file,
    table,
)
from lmmpy.cli.outputs import InterruptionError, Outputs
from lmmpy.cli.polygenic import add_polygenic
from lmmpy.errors import DataError, LmmpyWarning, ModelError, shown
from lmmpy.markers import GenotypeSource, as_genotypes, grm
from lmmpy.qtl.association import association
from lmmpy.qtl.association_scan import AssociationScan
from lmmpy.qtl.export import STYLES, check_style
from lmmpy.qtl.people import null_fit, people_of

__all__ = ["add_command", "run"]

_ABOUT = """
Test variants one by one for association with a quantitative trait, in people who are related.

The model is y = Xb + x*beta + g + Hc + e: x counts the copies of the effect allele, and g, the rest of the genome, is
alike among relatives, so that families and ancestry do not pass for effects. The null model, without x, is fitted once:
that of "lmmpy polygenic", or, with kin() in the formula, the formula's. Then

  --test score           from the null model alone: quickest
  --test wald, lrt       beta over its standard error, or the likelihood ratio, with the variant in the model
  --exact                the variances anew with each variant (GEMMA), not those of the null model (EMMAX, P3D)

Missing genotypes count as the mean of the others. Sex chromosomes are tested as the others are, with copies as the file
has them: on X usually 0 or 2 of men. People of DATA without genotypes are left out, and that is said.
"""

_END = """
genotypes:
  --bfile study             PLINK 1: study.bed, study.bim, study.fam; read in blocks, of any size
  --genotypes dosages.csv   a row a person: ids first, then a column a variant, 0 to 2 copies; .csv or .tsv, perhaps .gz
  --genotypes study.geno    BIMBAM mean genotypes, with --people ids.txt

examples:
  lmmpy assoc "bmi ~ age + sex" phenotypes.csv --pedigree pedigree.csv --genotypes dosages.csv --out bmi --plot
  lmmpy assoc "height ~ age + PC1 + PC2" phenotypes.csv --bfile study --grm standardized --out height --jobs 4
  lmmpy assoc "height ~ age" phenotypes.csv --bfile study --loco --maf 0.01 --out height --resume
  lmmpy assoc "height ~ age" phenotypes.csv --bfile study --loco --grm centered --grm-leave-out X Y --out height
  lmmpy assoc "cbind(bmi, hdl) ~ age" phenotypes.csv --bfile study --grm centered --out both

from GEMMA:
  gemma -bfile study -gk 1 -o K; gemma -bfile study -k output/K.cXX.txt -lmm 4 -o out       is
  lmmpy assoc "trait ~ 1" pheno.csv --bfile study --kinship output/K.cXX.txt --test all --exact --style gemma --out out
  -gk 1: --grm centered; -gk 2: --grm standardized; -lmm 1: --exact --test wald; -lmm 2: lrt; -lmm 3: score
  -c: columns of DATA, in the formula; -maf 0.01 -miss 0.05, GEMMA's defaults: --maf 0.01 --max-missing 0.05
  GEMMA centres K among the analysed. By ML (p_lrt, p_score) that matters: where K is not, as when others are in it,
  these differ from the fourth digit on; p_wald does not.
from SOLAR: mga is --exact --test lrt.
"""


_LOCO = """relatedness without the variant's own chromosome, from the genotypes, in place of that of the null model;
standardized, or as --grm says"""


def add_command(commands: Commands) -> None:
    """Make it known to the parser."""
    parser = new_command(commands, "assoc", run, _ABOUT, _END)
    add_data(parser, 'trait and covariates in quotes, "trait ~ age + sex"; cbind(a, b) ~ ...: each trait, in one pass')
    _add_genotypes(parser)
    _add_tests(parser)
    add_polygenic(parser).add_argument("--reml", action="store_true", help="null model by restricted ML")
    related = add_relatives(parser)
    related.add_argument(
        "--grm",
        choices=["standardized", "centered"],
        help="relatedness from the genotypes (GEMMA's -gk 2, -gk 1), called K in formulas; also that of --loco",
    )
    related.add_argument(
        "--grm-leave-out",
        metavar="CHROMOSOME",
        nargs="+",
        default=[],
        help="chromosomes whose variants are in no relatedness, of --grm or --loco, such as X Y MT; they are scanned",
    )
    add_scan(parser)
    output = add_output(
        parser,
        "PREFIX.assoc.tsv, PREFIX.peaks.tsv, PREFIX.null.txt, PREFIX.scan.tsv (for --resume)",
        "Manhattan and Q-Q plots",
    )
    output.add_argument("--style", choices=STYLES[1:], help="write PREFIX.STYLE.txt, too, in this program's columns")


def _add_genotypes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("genotypes")
    which = group.add_mutually_exclusive_group(required=True)
    which.add_argument("--bfile", metavar="PREFIX", help="PLINK 1 data set")
    which.add_argument("--genotypes", metavar="FILE", help="dosages: .csv or .tsv; BIMBAM .geno or .txt")
    group.add_argument("--people", metavar="FILE", help="ids of a BIMBAM file's columns, one a line")
    group.add_argument(
        "--variants",
        metavar="FILE",
        help="table for what has no .bim: variant, chromosome, position (base pairs), effect_allele, other_allele",
    )
    group.add_argument(
        "--ids", choices=["iid", "fid_iid"], default="iid", help="what people of a PLINK data set are called in DATA"
    )
    group.add_argument("--chromosome", metavar="NAME", help="scan its variants only")


def _add_tests(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tests")
    group.add_argument("--test", choices=["score", "wald", "lrt", "all"], default="score", help="default: score")
    group.add_argument("--exact", action="store_true", help="estimate the variances anew with each variant")
    group.add_argument("--loco", action="store_true", help=_LOCO)
    group.add_argument("--interaction", metavar="COLUMN", help="test variant x covariate, which is in the formula")
    group.add_argument("--maf", metavar="F", type=float, default=0.0, help="least minor allele frequency (default 0)")
    group.add_argument(
        "--max-missing", metavar="F", type=float, default=1.0, help="largest part of missing genotypes (default 1)"
    )
    group.add_argument("--peak", metavar="P", type=float, default=5e-8, help="p-value of peaks (default 5e-8)")
    group.add_argument(
        "--distance", metavar="BP", type=int, default=500_000, help="of a peak's region to both sides (default 500000)"
    )
    group.add_argument(
        "--memory", metavar="GIB", type=_gib, default=2.0**30, help="for a block of genotypes, in GiB (default 1)"
    )


def _gib(text: str) -> float:
    """So many GiB, as bytes."""
    number = float(text)
    if not 0.0 < number < math.inf:
        raise ValueError(text)
    return number * 2**30


_gib.__name__ = "number of GiB"  # as argparse calls it in its error


def run(arguments: argparse.Namespace) -> None:
    """
    Run the command.

    Raises
    ------
    FormulaError, DataError, ModelError, InterruptionError
    """
    out = outputs(arguments)
    resume = scan_file(out, arguments)
    _check(arguments)
    source = _genotypes(arguments)
    data = _genotyped(table(arguments), source, arguments)
    nulls = _nulls(data, _related(data, source, arguments), arguments)
    out.text("\n\n".join(str(null.summary()) for null in nulls.values()), "null.txt")
    scan = association(
        nulls,
        source,
        arguments.test,
        arguments.exact,
        interaction=arguments.interaction,
        loco=_loco(nulls, source, arguments) if arguments.loco else None,
        id=arguments.id,
        variants=arguments.chromosome,
        min_maf=arguments.maf,
        max_missing=arguments.max_missing,
        memory=arguments.memory,
        resume=resume,
        n_jobs=arguments.jobs,
        progress=arguments.progress,
    )
    if not scan.complete:
        done = len(scan.table) // len(nulls)
        raise InterruptionError(f"{done:,} of {scan.n_variants:,} variants done", resume is not None)
    out.report(scan.summary())
    _write(out, scan, arguments)


def _check(arguments: argparse.Namespace) -> None:
    """See before the work what can be seen."""
    if arguments.style is not None:
        check_style(arguments.style, arguments.test, arguments.interaction)
    if not 0.0 < arguments.peak <= 1.0:
        raise ModelError(f"--peak is a p-value, above 0 and at most 1, not {arguments.peak:g}.")
    if arguments.distance < 0:
        raise ModelError(f"--distance is a number of base pairs, at least 0, not {arguments.distance}.")
    if arguments.grm_leave_out and arguments.grm is None and not arguments.loco:
        raise ModelError(
            "--grm-leave-out is of the relatedness that --grm or --loco makes from the genotypes; add one."
        )


# ---- what is scanned, beside which model


def _genotypes(arguments: argparse.Namespace) -> GenotypeSource:
    people = None if arguments.people is None else read_ids(arguments.people)
    variants = None
    if arguments.variants is not None:
        text = ["variant", "chromosome", "effect_allele", "other_allele"]
        variants = read_table(arguments.variants, text)
    where = arguments.bfile if arguments.bfile is not None else arguments.genotypes
    return as_genotypes(where, people=people, variants=variants, ids=arguments.ids)


def _genotyped(data: pd.DataFrame, source: GenotypeSource, arguments: argparse.Namespace) -> pd.DataFrame:
    """The rows of people with genotypes."""
    inside = data[arguments.id].isin(source.people)
    if data.empty:
        raise DataError(f"{arguments.data} has no rows.")
    if not inside.any():
        theirs = f"{shown(source.people[:3])}.{_spelt(data[arguments.id], source)}"
        raise DataError(
            f"Nobody of {arguments.data} is in {source.description}: column {arguments.id!r} has "
            f"{shown(data[arguments.id].head(3))}, and theirs are {theirs} Name the column with --id, or try --ids."
        )
    if not inside.all():
        absent = data.loc[~inside, arguments.id]
        message = f"{len(absent):,} rows of {arguments.data} are of people without genotypes, and are left out: "
        warnings.warn(message + f"{shown(absent)}.{_spelt(absent, source)}", LmmpyWarning, stacklevel=2)
    kept: pd.DataFrame = data[inside].reset_index(drop=True)
    return kept


def _spelt(absent: pd.Series, source: GenotypeSource) -> str:
    """A hint where ids are written with zeros in front in one file only."""
    theirs = {one.lstrip("0"): one for one in source.people}
    for one in absent.dropna():
        other = theirs.get(str(one).lstrip("0"))
        if other is not None:
            return f" Is {one!r} there {other!r}?"
    return ""


def _related(data: pd.DataFrame, source: GenotypeSource, arguments: argparse.Namespace) -> Relatives:
    found = relatives(arguments, source.people)
    if arguments.grm is None and (found or not arguments.loco):
        return found
    if "K" in found:
        raise ModelError("--grm makes a relatedness K, and --kinship gives one: call it another, --kinship K2=FILE.")
    people = list(dict.fromkeys(data[arguments.id]))
    made = grm(
        source,
        people=people,
        leave_out=arguments.grm_leave_out,
        method=arguments.grm or "standardized",
        progress=arguments.progress,
    )
    return {**found, "K": made}


def _loco(nulls: dict[str, Any], source: GenotypeSource, arguments: argparse.Namespace) -> Any:
    """What `association` takes: how to make the relatedness of each chromosome, or these where others are left out."""
    method: Any = arguments.grm or "standardized"
    if not arguments.grm_leave_out:
        return method
    people = dict.fromkeys(id for null in nulls.values() for id in people_of(null_fit(null), arguments.id).ids)
    return grm(
        source,
        people=list(people),
        loco=True,
        leave_out=arguments.grm_leave_out,
        method=method,
        progress=arguments.progress,
    )


def _nulls(data: pd.DataFrame, related: Relatives, arguments: argparse.Namespace) -> dict[str, Any]:
    formula = arguments.formula
    if not related and not has_kin(formula):
        raise ModelError(
            "Say how people are related: --grm standardized makes it from the genotypes; --pedigree and --kinship have "
            "it."
        )
    traits = traits_of(formula)
    if not traits:
        return {formula.split("~", 1)[0].strip(): null_of(formula, data, related, arguments)}
    right = formula.split("~", 1)[1]
    return {trait: null_of(f"{trait} ~ {right}", data, related, arguments) for trait in traits}


# ---- what comes out


def _write(out: Outputs, scan: AssociationScan, arguments: argparse.Namespace) -> None:
    out.table(scan.table, "assoc")
    out.table(scan.peaks(arguments.peak, arguments.distance), "peaks")
    several = len(scan.fits) > 1
    for trait in scan.fits:
        end = "." + re.sub(r"\W+", "_", trait).strip("_") if several else ""
        path = out.path(f"{arguments.style}{end}.txt")
        if arguments.style is not None and path is not None:
            scan.to_tsv(path, arguments.style, trait)
        if scan.table["p_value"].notna().any():
            out.picture(partial(scan.manhattan, trait), f"manhattan{end}")
            out.picture(partial(scan.qq, trait), f"qq{end}")
