"""The numbers of plots of scans: association along the genome, p-values against uniform ones, a region, LOD curves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import beta

from lmmpy.design.values import Floats
from lmmpy.errors import DataError, ModelError, shown, similar
from lmmpy.plots.genome import checked_columns, chromosome_order, genome_places, one_trait
from lmmpy.plots.quantiles import checked_level

__all__ = ["lod_frame", "manhattan_frame", "qq_p_frame", "regional_frame"]

# A p-value that underflowed to 0 is drawn as the smallest number that a double holds.
_LEAST = 5e-324
# Of a Q–Q plot with more points than these: the smallest p-values all, the others evenly along the axis.
_SMALLEST, _ALONG = 1_000, 2_000


def _log_p(table: pd.DataFrame, p: str) -> Floats:
    """−log10 of a column of p-values; NaN where it is NaN."""
    try:
        values = table[p].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"Column {p!r} holds no p-values but {shown(table[p].head(3).tolist())}: {error}.") from error
    wrong = table.loc[(values < 0.0) | (values > 1.0), p]
    if len(wrong):
        raise DataError(f"Column {p!r} has values that are no p-values: {shown(wrong.head(6).tolist())}.")
    logs: Floats = -np.log10(np.maximum(values, _LEAST))
    return logs + 0.0  # no -0 for p = 1


def _placed(table: pd.DataFrame, p: str, what: str) -> pd.DataFrame:
    checked_columns(table, ["chromosome", "position", "variant", p], what)
    one_trait(table, what)
    frame = pd.DataFrame(
        {
            "chromosome": table["chromosome"].astype(str),
            "position": table["position"],
            "variant": table["variant"].astype(str),
            "log_p": _log_p(table, p),
        },
        index=table.index,
    )
    known: pd.DataFrame = frame[frame["log_p"].notna()]
    return known


# ---- association


def manhattan_frame(
    table: pd.DataFrame,
    p: str = "p_value",
    thin: tuple[int, int] | None = (1_200, 400),
    keep: Collection[str] = (),
) -> pd.DataFrame:
    """
    −log10 p along the genome.

    Parameters
    ----------
    table : DataFrame
        Of an association scan: columns `chromosome, position, variant` and `p`. Rows without a p-value are left out.
    p : str
        The column of p-values. One that is 0 is taken as 5e-324.
    thin : pair of int, optional
        Cells along and up; of the points of a chromosome that share a cell only the highest is kept, as nobody could
        see the others. Every point that is highest anywhere stays. None keeps all.
    keep : collection of str
        Variants that stay wherever they are.

    Returns
    -------
    DataFrame
        In natural order of the chromosomes and by position: `chromosome`, `position`, `variant`, `x` (place on the
        axis), `log_p`. The index is that of `table`.

    Raises
    ------
    DataError
        For columns that are not there, values that are no p-values, or no p-value at all.
    ModelError
        For a table of several traits.

    Examples
    --------
    >>> import pandas as pd
    >>> from lmmpy import plots
    >>> places = {"chromosome": ["1", "1", "2"], "position": [100, 900, 50], "variant": ["rs1", "rs2", "rs3"]}
    >>> table = pd.DataFrame(places).assign(p_value=[0.2, 1e-9, 0.6])
    >>> plots.manhattan_frame(table)["log_p"].round(2).tolist()
    [0.7, 9.0, 0.22]
    """
    frame = _placed(table, p, "A Manhattan plot")
    if frame.empty:
        raise DataError(f"Column {p!r} has no p-value to draw: all are missing.")
    frame.insert(3, "x", genome_places(frame["chromosome"], frame["position"]))
    rank = {name: place for place, name in enumerate(chromosome_order(frame["chromosome"].unique()))}
    order = np.lexsort((frame["x"].to_numpy(), frame["chromosome"].map(rank).to_numpy()))
    frame = frame.iloc[order]
    if thin is None:
        return frame
    stays = frame["variant"].isin([str(name) for name in keep]).to_numpy(copy=True)
    stays[_visible(frame, thin)] = True
    return frame[stays]


def _visible(frame: pd.DataFrame, cells: tuple[int, int]) -> NDArray[np.intp]:
    """Numbers of the points that are the highest of their cell, in order."""
    if min(cells) < 1:
        raise ModelError(f"thin must be two numbers of cells, along and up, such as (1200, 400); got {cells!r}.")
    x, y = frame["x"].to_numpy(), frame["log_p"].to_numpy()
    chromosome = pd.factorize(frame["chromosome"])[0].astype(np.int64)
    along = _cell(x, cells[0])
    key = (chromosome * (cells[0] + 1) + along) * (cells[1] + 1) + _cell(y, cells[1])
    highest = np.argsort(-y, kind="stable")
    first = np.unique(key[highest], return_index=True)[1]
    return np.sort(highest[first]).astype(np.intp)


def _cell(values: Floats, n: int) -> NDArray[np.int64]:
    low, span = float(values.min()), float(np.ptp(values))
    return np.floor((values - low) * (n / span if span > 0.0 else 0.0)).astype(np.int64)


def regional_frame(
    table: pd.DataFrame,
    variant: str | None = None,
    *,
    chromosome: object = None,
    start: float | None = None,
    stop: float | None = None,
    window: float = 500_000,
    ld: Any = None,
    p: str = "p_value",
) -> pd.DataFrame:
    """
    −log10 p in a region.

    Parameters
    ----------
    table : DataFrame
        Of an association scan: columns `chromosome, position, variant` and `p`.
    variant : str, optional
        The lead variant; the region is `window` to both sides of it.
    chromosome, start, stop : optional
        The region itself, ends included; without `start` or `stop` to the end of the chromosome. Its variant with the
        smallest p-value leads.
    window : float
        In base pairs.
    ld : mapping or Series of float, or square DataFrame, optional
        r² of each variant with the lead variant, by variant; or of all with all. Who is not in it is drawn without.
    p : str

    Returns
    -------
    DataFrame
        By position: `chromosome`, `position`, `variant`, `log_p`, `r2` (NaN where unknown, 1 for the lead variant),
        `lead`. The index is that of `table`.

    Raises
    ------
    DataError
        For a variant or chromosome that is not there, a region without p-values, r² outside [0, 1].
    ModelError
        When neither a variant nor a chromosome is given, or both.

    Examples
    --------
    >>> import pandas as pd
    >>> from lmmpy import plots
    >>> places = {"chromosome": ["1", "1", "2"], "position": [100, 900, 50], "variant": ["rs1", "rs2", "rs3"]}
    >>> table = pd.DataFrame(places).assign(p_value=[0.2, 1e-9, 0.6])
    >>> plots.regional_frame(table, "rs2")["variant"].tolist()
    ['rs1', 'rs2']
    """
    if (variant is None) == (chromosome is None):
        raise ModelError("A regional plot needs either variant=, or chromosome= with start= and stop=.")
    frame = _placed(table, p, "A regional plot")
    if variant is not None:
        lead = _found(frame, str(variant))
        if lead["position"] == 0:
            raise DataError(f"The position of variant {variant!r} is not known (0), so that it has no surroundings.")
        chromosome, at = lead["chromosome"], float(lead["position"])
        start, stop = at - window, at + window
    inside = frame["chromosome"] == str(chromosome)
    if not inside.any():
        there = chromosome_order(frame["chromosome"].unique())
        raise DataError(f"No variant with a p-value lies on chromosome {chromosome}; there are {shown(there, 30)}.")
    low, high = -np.inf if start is None else start, np.inf if stop is None else stop
    region = frame[inside & frame["position"].between(low, high)].sort_values("position", kind="stable")
    if region.empty:
        raise DataError(
            f"No variant with a p-value lies between {low:,.0f} and {high:,.0f} of chromosome {chromosome}."
        )
    names = region["variant"].to_numpy(dtype=object)
    place = int(region["log_p"].argmax()) if variant is None else names.tolist().index(str(variant))
    return region.assign(r2=_r2(ld, names[place], region["variant"]), lead=np.arange(len(region)) == place)


def _found(frame: pd.DataFrame, variant: str) -> pd.Series:
    rows = frame[frame["variant"] == variant]
    if rows.empty:
        near = similar(variant, frame["variant"].head(100_000))
        hint = f" Did you mean {shown(near)}?" if near else ""
        raise DataError(f"The table has no variant {variant!r} with a p-value.{hint}")
    if len(rows) > 1:
        places = [f"{name}:{at}" for name, at in zip(rows["chromosome"], rows["position"], strict=True)]
        raise DataError(
            f"The table has {len(rows)} variants {variant!r}, at {shown(places)}. Say chromosome=, start= and stop=."
        )
    return rows.iloc[0]


def _r2(ld: Any, lead: str, variants: pd.Series) -> Floats:
    if ld is None:
        return np.full(len(variants), np.nan)
    if isinstance(ld, pd.DataFrame):
        if lead not in ld.columns:
            raise DataError(f"ld has no column of the lead variant {lead!r}.")
        ld = ld[lead]
    if not isinstance(ld, Mapping | pd.Series):
        raise ModelError(f"ld must be a mapping, a Series or a square DataFrame by variant, not {type(ld).__name__}.")
    known = {str(name): float(value) for name, value in ld.items()}
    wrong = {name: value for name, value in known.items() if not (np.isnan(value) or -1e-9 <= value <= 1.0 + 1e-9)}
    if wrong:
        raise DataError(f"ld is r², between 0 and 1; it has {shown(f'{k}: {v:g}' for k, v in wrong.items())}.")
    return np.array([1.0 if name == lead else known.get(name, np.nan) for name in variants])


def qq_p_frame(p_values: Any, level: float = 0.95, group: Any = None, thin: bool = True) -> pd.DataFrame:
    """
    p-values against those of as many tests without effects, both as −log10.

    Parameters
    ----------
    p_values : array-like, shape (m,)
        NaN are left out.
    level : float
        How likely each of the ordered p-values lies within its limits if all are uniform and independent. They are
        pointwise: of many points some lie outside.
    group : array-like, shape (m,), optional
        Such as classes of allele frequency; each group has its own curve.
    thin : bool
        Whether of more than 3,000 points the thousand smallest p-values are kept and of the others those that lie
        apart.

    Returns
    -------
    DataFrame
        By group, in ascending order of p: `group` (if there are any), `rank` (1 is the smallest), `expected` (of
        rank i of m, i/(m + 1)), `observed`, `conf_low`, `conf_high`; and `n` and `lambda_gc` of the group, the latter
        the median χ²₁ statistic over that without effects.

    Raises
    ------
    DataError
        For values that are no p-values, and when none is left.

    References
    ----------
    The i-th smallest of m uniform values is Beta(i, m + 1 − i): David & Nagaraja (2003), Order Statistics, §2.3. λ:
    Devlin & Roeder (1999), Biometrics 55, 997–1004.

    Examples
    --------
    >>> from lmmpy import plots
    >>> plots.qq_p_frame([0.2, 1e-9, 0.6]).round(2)
       rank  expected  observed  conf_low  conf_high  n  lambda_gc
    0     1      0.60      9.00      0.15       2.08  3       3.61
    1     2      0.30      0.70      0.04       1.03  3       3.61
    2     3      0.12      0.22      0.00       0.53  3       3.61
    """
    level = checked_level(level)
    values = pd.Series(np.asarray(p_values, dtype=np.float64).ravel())
    if group is None:
        return _qq_of(values, level, thin)
    groups = pd.Series(np.asarray(group, dtype=object).ravel())
    if len(groups) != len(values):
        raise DataError(f"group has {len(groups)} values and there are {len(values)} p-values; one each is needed.")
    if groups.isna().any():
        raise DataError(f"group is missing for {int(groups.isna().sum())} p-values; name one for them.")
    parts = []
    for name, own in values.groupby(groups, sort=True):
        part = _qq_of(own, level, thin)
        part.insert(0, "group", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _qq_of(values: pd.Series, level: float, thin: bool) -> pd.DataFrame:
    known = np.sort(values.dropna().to_numpy())
    if not len(known):
        raise DataError("There is no p-value to draw: all are missing.")
    m, tail = len(known), 0.5 * (1.0 - level)
    logs = _log_p(pd.DataFrame({"p_value": known}), "p_value")
    rank = np.arange(1, m + 1)
    if thin and m > _SMALLEST + _ALONG:
        even = np.rint(np.geomspace(_SMALLEST, m, _ALONG)).astype(np.int64)
        rank = np.unique(np.concatenate([rank[:_SMALLEST], even, np.linspace(_SMALLEST, m, _ALONG).astype(np.int64)]))
    columns = {
        "rank": rank,
        "expected": -np.log10(rank / (m + 1.0)),
        "observed": logs[rank - 1],
        "conf_low": -np.log10(beta.isf(tail, rank, m + 1 - rank)),
        "conf_high": -np.log10(beta.ppf(tail, rank, m + 1 - rank)),
        "n": m,
        "lambda_gc": float((ndtri(0.5 * np.median(known)) / ndtri(0.25)) ** 2),
    }
    return pd.DataFrame(columns)


# ---- linkage


def lod_frame(lod: Any, chromosome: object = None) -> pd.DataFrame:
    """
    LOD scores along the genome, or along one chromosome.

    Parameters
    ----------
    lod : DataFrame, or mapping of str to DataFrame
        Of a linkage scan: columns `chromosome, position` (cM), `lod`. A column `pass` tells passes apart, or a mapping
        from their names to frames.
    chromosome : str, optional

    Returns
    -------
    DataFrame
        In natural order of the chromosomes and by position: `pass`, `chromosome`, `position`, `x`, `lod`. On one
        chromosome `x` is the position.

    Raises
    ------
    DataError
        For columns or a chromosome that are not there, and no positions.

    Examples
    --------
    >>> import pandas as pd
    >>> from lmmpy import plots
    >>> lod = pd.DataFrame({"chromosome": "1", "position": [0.0, 5.0, 10.0], "lod": [0.2, 3.4, 1.1]})
    >>> plots.lod_frame(lod)[["x", "lod"]]
          x  lod
    0   0.0  0.2
    1   5.0  3.4
    2  10.0  1.1
    """
    frame = _passes(lod)
    checked_columns(frame, ["chromosome", "position", "lod"], "A plot of LOD scores")
    if frame.empty:
        raise DataError("A plot of LOD scores needs positions, and the table has none.")
    frame = frame.assign(chromosome=frame["chromosome"].astype(str))
    there = chromosome_order(frame["chromosome"].unique())
    if chromosome is not None:
        if str(chromosome) not in there:
            raise DataError(f"The scan has no chromosome {chromosome}; it has {shown(there, 30)}.")
        frame = frame[frame["chromosome"] == str(chromosome)]
    frame = frame.assign(x=genome_places(frame["chromosome"], frame["position"]))
    rank = frame["chromosome"].map({name: place for place, name in enumerate(there)})
    number = pd.factorize(frame["pass"])[0]
    ordered = frame.iloc[np.lexsort((frame["x"].to_numpy(), rank.to_numpy(), number))]
    chosen: pd.DataFrame = ordered[["pass", "chromosome", "position", "x", "lod"]].reset_index(drop=True)
    return chosen


def _passes(lod: Any) -> pd.DataFrame:
    if isinstance(lod, pd.DataFrame):
        named: pd.DataFrame = lod.assign(**{"pass": lod["pass"].astype(str) if "pass" in lod.columns else ""})
        return named
    if not isinstance(lod, Mapping) or not lod or not all(isinstance(part, pd.DataFrame) for part in lod.values()):
        raise ModelError("lod must be a frame with chromosome, position and lod, or a mapping from passes to such.")
    every: pd.DataFrame = pd.concat([part.assign(**{"pass": str(name)}) for name, part in lod.items()])
    return every.reset_index(drop=True)
