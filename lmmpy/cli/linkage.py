"""``lmmpy linkage``: a QTL scan over segments that relatives share."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from lmmpy.cli.nulls import joint_null, null_of, traits_of
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
from lmmpy.errors import ModelError
from lmmpy.qtl.linkage import linkage
from lmmpy.qtl.linkage_scan import LinkageScan

__all__ = ["add_command", "run"]

_ABOUT = """
Scan the genome for loci that act on a quantitative trait, by variance components in families.

At each position the covariance of relatives gets a further part: y = Xb + g + Hc + q + e, where q, the locus, is shared
as far as relatives have the same segment from a common ancestor (IBD). LOD = (l1 - l0)/ln 10, where l0 is the
log-likelihood of the model without the locus, by maximum likelihood. The null model is that of "lmmpy polygenic", or,
with kin() in the formula, the formula's.
"""

_END = """
IBD files:
  DIR            SOLAR's mibd.CHR.POS.gz, in columns with pedindex.out beside them or in the directory above, or as CSV
  merlin.ibd     Merlin's, one a chromosome; --map for a file with names of markers
  ibd.csv        chromosome, position (cM), id1, id2, ibd: the proportion shared, 1 of a person with itself;
                 pairs that are not there share nothing

examples:
  lmmpy linkage "bmi ~ age + sex" phenotypes.csv --pedigree pedigree.csv --ibd mibddir --out bmi --plot
  lmmpy linkage "bmi ~ age" phenotypes.csv --pedigree pedigree.csv --household HHID --ibd chr1.csv --passes 3
  lmmpy linkage "cbind(bmi, fvii) ~ age" phenotypes.csv --pedigree pedigree.csv --ibd mibddir

from SOLAR: after "polygenic", mibddir DIR; interval 5; chromosome all; multipoint 3 2 is
  --ibd DIR --passes 3 --threshold 3 --threshold 2; chromosome 4 is --chromosome 4.
"""


def add_command(commands: Commands) -> None:
    """Make it known to the parser."""
    parser = new_command(commands, "linkage", run, _ABOUT, _END)
    add_data(parser, 'trait and covariates in quotes, "trait ~ age + sex"; cbind(a, b) ~ ... for two traits at once')
    parser.add_argument(
        "--ibd", metavar="FILE", action="append", required=True, help="sharing; see below. May be repeated"
    )
    parser.add_argument("--map", metavar="FILE", help="Merlin's map: CHROMOSOME MARKER POSITION (cM)")
    parser.add_argument("--chromosome", metavar="NAME", action="append", help="scan this one only; may be repeated")
    add_polygenic(parser)
    group = parser.add_argument_group("passes and peaks")
    group.add_argument(
        "--passes", metavar="N", type=int, default=1, help="scans at most, each with the best loci before in the model"
    )
    group.add_argument(
        "--threshold",
        metavar="LOD",
        type=float,
        action="append",
        help="what a pass must reach for another; repeated: pass by pass (default 3, then 2)",
    )
    group.add_argument("--peak", metavar="LOD", type=float, default=3.0, help="peaks are that high (default 3)")
    group.add_argument("--drop", metavar="LOD", type=float, default=1.0, help="support intervals (default 1-LOD drop)")
    add_relatives(parser)
    add_scan(parser)
    add_output(
        parser, "PREFIX.lod.tsv, PREFIX.peaks.tsv, PREFIX.null.txt, PREFIX.scan.tsv (for --resume)", "LOD curves"
    )
    parser.set_defaults(reml=False)


def run(arguments: argparse.Namespace) -> None:
    """
    Run the command.

    Raises
    ------
    FormulaError, DataError, ModelError, InterruptionError
    """
    out = outputs(arguments)
    resume = scan_file(out, arguments, passes=True)
    for name in ("peak", "drop"):
        if not 0.0 <= getattr(arguments, name) < math.inf:
            raise ModelError(f"--{name} is a LOD, at least 0, not {getattr(arguments, name):g}.")
    ibd = _sharing(arguments)
    data = table(arguments)
    related = relatives(arguments)
    formula = arguments.formula
    several = bool(traits_of(formula))
    null = joint_null(data, related, arguments) if several else null_of(formula, data, related, arguments)
    out.text(str(null.summary()), "null.txt")
    scan = linkage(
        null,
        ibd,
        positions=arguments.chromosome,
        passes=arguments.passes,
        thresholds=tuple(arguments.threshold or (3.0, 2.0)),
        id=arguments.id,
        resume=resume,
        n_jobs=arguments.jobs,
        progress=arguments.progress,
    )
    if not scan.complete:
        raise InterruptionError(
            f"{len(scan.passes[-1].lod):,} positions of pass {len(scan.passes)} done", resume is not None
        )
    out.report(scan.summary())
    _write(out, scan, arguments)


def _sharing(arguments: argparse.Namespace) -> Any:
    from lmmpy.markers.ibd_files import read_ibd_csv
    from lmmpy.markers.ibd_input import as_ibd
    from lmmpy.markers.merlin import read_merlin_ibd
    from lmmpy.markers.solar_mibd import read_mibd

    files = [str(name) for name in arguments.ibd]
    names = [name.lower().removesuffix(".gz") for name in files]
    if all(name.endswith(".ibd") for name in names):
        return read_merlin_ibd(files, map=arguments.map)
    if arguments.map is not None:
        raise ModelError(f"--map is for Merlin's .ibd files; {files[0]} is none.")
    if len(files) == 1:
        return as_ibd(files[0])
    if all(Path(name).name.startswith("mibd.") for name in names):
        return read_mibd(files)
    return read_ibd_csv(files)


def _write(out: Outputs, scan: LinkageScan, arguments: argparse.Namespace) -> None:
    out.table(scan.to_frame() if len(scan.passes) > 1 else scan.lod, "lod")
    peaks = scan.peaks(arguments.peak, arguments.drop)
    out.table(peaks, "peaks")
    out.picture(lambda: scan.plot(drop=arguments.drop, lod=arguments.peak), "lod")
    if scan.lod["chromosome"].nunique() > 1:
        out.picture(lambda: scan.plot(each=True, drop=arguments.drop, lod=arguments.peak), "chromosomes")
