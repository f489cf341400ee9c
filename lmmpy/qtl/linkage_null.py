"""From a null model and a map of sharing to what a linkage scan needs: who is who, shares' names, the locus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.design.columns import Columns
from lmmpy.errors import DataError, ModelError, shown
from lmmpy.formula import RandomTerm, deparse, parse_formula
from lmmpy.formula.syntax import Name
from lmmpy.markers import IbdMap
from lmmpy.model import LmmFit
from lmmpy.model.mean_variance import has_variance_functions
from lmmpy.model.update import Changes, update_fit
from lmmpy.qtl.linkage_model import LinkageModel
from lmmpy.qtl.linkage_sharing import SharingReader
from lmmpy.qtl.people import People

__all__ = [
    "Locus",
    "check_autosomes",
    "check_null",
    "checked_position",
    "linkage_model",
    "selected_positions",
    "sharing_reader",
]

Ints = NDArray[np.intp]

# Columns of a scan, which no random term may take for its share.
_TAKEN = frozenset({"chromosome", "position", "lod", "lod_raw", "lod_adjusted", "loglik", "p_value", "note"})
_TAKEN_SHARES = frozenset({"h2", "h2q", "c2", "e2"})


@dataclass(frozen=True, slots=True)
class Locus:
    """
    A position as a random term of a formula.

    Attributes
    ----------
    chromosome : str
    position : float
        In cM.
    name : str
        Of its relatedness in the formula.
    """

    chromosome: str
    position: float
    name: str

    @classmethod
    def at(cls, ibd: IbdMap, number: int, name: str, fit: LmmFit) -> Locus:
        """
        A position of a map, under a name such as ibd_1_40 that neither column nor relatedness of the fit has.

        Parameters
        ----------
        ibd : IbdMap
        number : int
            Of the position.
        name : str
            Beginning of the name.
        fit : LmmFit
        """
        chromosome = str(ibd.positions["chromosome"].to_numpy()[number])
        position = float(ibd.positions["position"].to_numpy()[number])
        own = re.sub(r"\W", "_", f"{name}_{chromosome}_{position:g}" if chromosome else f"{name}_{position:g}")
        source = fit.request.source
        taken = {*Columns(source.data).names, *(source.relmat or {}), *fit.blueprint.scope}
        while own in taken:
            own += "_"
        return cls(chromosome, position, own)

    @property
    def label(self) -> str:
        """Chromosome and position."""
        return f"{self.chromosome}:{self.position:g}" if self.chromosome else f"{self.position:g}"

    def term(self, column: str, independent: bool = False) -> str:
        """
        The term as a formula has it.

        Parameters
        ----------
        column : str
            Of the ids.
        independent : bool
            Whether effects on several traits are independent.
        """
        kin = f"kin({deparse(Name(column))}, {self.name})"
        return f"diag(1 | {kin})" if independent else kin

    def added_to(self, fit: LmmFit, reader: SharingReader, number: int, people: People, independent: bool) -> LmmFit:
        """
        A fit with the locus in it.

        Parameters
        ----------
        fit : LmmFit
        reader : SharingReader
        number : int
            Of the position.
        people : People
        independent : bool

        Raises
        ------
        DataError
            When what is said to be shared cannot be a covariance, as estimates of pairs, one by one, need not be.
        """
        pairs = reader(number)
        try:
            related = pairs.relatedness(people.ids)
            related.logdet  # noqa: B018  # looked at here, where the position is known
        except DataError as error:
            raise pairs.explained(error) from error
        relmat = {**(fit.request.source.relmat or {}), self.name: related}
        changes = Changes(formula=f". ~ . + {self.term(people.column, independent)}", relmat=relmat)
        return update_fit(fit, changes, {}, stacklevel=3)


def check_null(fit: LmmFit) -> None:
    """
    Refuse null models whose variances are not all estimated freely.

    Parameters
    ----------
    fit : LmmFit

    Raises
    ------
    ModelError
    """
    if fit.optimum.held:
        raise ModelError("The null model has known variances (varcomp=); linkage estimates them: leave it out.")
    if fit.optimum.constraint is not None:
        raise ModelError("The null model has constraints; linkage estimates all variances freely. Fit it without.")
    residual = fit.blueprint.residual
    if residual is not None and has_variance_functions(residual):
        raise ModelError(
            "The null model's residual variance is a function of the mean, which linkage does not estimate anew at "
            "each position. Take another residual=."
        )


def linkage_model(
    fit: LmmFit, people: People, analysis: Any, known: Sequence[Locus], independent: bool
) -> LinkageModel:
    """
    What is fitted at each position.

    Parameters
    ----------
    fit : LmmFit
        The null model, in which the loci of earlier passes are.
    people : People
    analysis : LmmFit or analysis
        What the user gave as null model.
    known : sequence of Locus
        Those loci.
    independent : bool
        Whether effects of a locus on several traits are independent.
    """
    loci = {locus.term(people.column): f"h2q[{locus.label}]" for locus in known}
    labels, polygenic = _labels(fit, analysis, loci)
    return LinkageModel(
        null=fit.design,
        reml=fit.reml,
        theta=fit.optimum.theta,
        value=float(fit.optimum.value),
        ids=people.ids,
        codes=people.codes,
        term=_term(people.column, independent),
        labels=(*labels, "h2q"),
        polygenic=polygenic,
        independent=independent,
    )


def _term(column: str, independent: bool) -> RandomTerm:
    return parse_formula(f"y ~ {Locus('', 0.0, 'ibd').term(column, independent)}").random[0]


def _labels(fit: LmmFit, analysis: Any, loci: dict[str, str]) -> tuple[list[str], int | None]:
    """What the share of each random term is called, and which is the polygenic one: the first relatedness."""
    terms = fit.design.random
    kin = [t for t, term in enumerate(terms) if not term.relatedness.is_identity and term.name not in loci]
    written = [term.text for term in fit.blueprint.parsed.random]
    polygenic = min(kin, key=lambda t: written.index(terms[t].term.text), default=None)
    household = _household(fit, analysis)
    found: list[str] = []
    for t, term in enumerate(terms):
        name = "h2" if t == polygenic else "c2" if term.name == household else loci.get(term.name, term.name)
        while t != polygenic and term.name != household and name in _TAKEN | _TAKEN_SHARES | set(found):
            name = f"(1 | {name})"
        found.append(name)
    return found, polygenic


def _household(fit: LmmFit, analysis: Any) -> str | None:
    """The household's term, of an analysis that has one: the only term that its estimates do not call by name."""
    estimates = getattr(analysis, "estimates", None)
    if not isinstance(estimates, pd.DataFrame):
        return None
    names = [str(name) for name in estimates["parameter"]]
    if not any(name == "c2" or name.startswith("c2[") for name in names):
        return None
    bare = {name.partition("[")[0] for name in names} | set(names)
    ordinary = [term.name for term in fit.design.random if term.relatedness.is_identity]
    left = [name for name in ordinary if name not in bare and f"(1 | {name})" not in bare]
    return left[0] if len(left) == 1 else None


def sharing_reader(fit: LmmFit, people: People, ibd: IbdMap, nearest: bool = False) -> SharingReader:
    """
    The sharing among the people of a fit.

    Who is not in the map has no sharing with anybody, which is right for people whom the null model, too, has as
    unrelated to all others. Others must be there.

    Parameters
    ----------
    fit : LmmFit
    people : People
    ibd : IbdMap
    nearest : bool
        See `SharingReader`.

    Raises
    ------
    DataError
        Naming people with relatives whom the map does not have.
    """
    place = {id: i for i, id in enumerate(people.ids)}
    numbers = np.array([place.get(id, -1) for id in ibd.people], dtype=np.intp)
    there = np.zeros(len(people.ids), dtype=bool)
    there[numbers[numbers >= 0]] = True
    absent = np.flatnonzero(~there)
    if len(absent) == len(people.ids):
        raise DataError(
            f"{ibd.description}: none of the people of the null model is there. Their ids in column {people.column!r} "
            f"are such as {shown(people.ids[:3])}, those of the sharing {shown(ibd.people[:3])}. Name the right column "
            "with id=."
        )
    related = [people.ids[i] for i in absent if _has_relatives(fit, people, int(i))]
    if related and all(term.relatedness.is_identity for term in fit.design.random):
        raise DataError(
            f"{ibd.description}: {len(related)} people of the null model are not in it, and the null model has no "
            f"relatedness that would say whether they are related to nobody: {shown(related)}. Add their sharing, or "
            "fit the null model without them (subset=)."
        )
    if related:
        raise DataError(
            f"{ibd.description}: {len(related)} people of the null model have relatives there and are not in it: "
            f"{shown(related)}. Add their sharing, or fit the null model without them (subset=). (Who is related to "
            "nobody need not be there.)"
        )
    return SharingReader(ibd, numbers, absent.astype(np.intp), nearest)


def _has_relatives(fit: LmmFit, people: People, one: int) -> bool:
    """Whether a person is related to another of the fit by any of its terms; nobody knows where it has no such term."""
    kernels = [term for term in fit.design.random if not term.relatedness.is_identity]
    if not kernels:
        return True
    first = np.unique(people.codes, return_index=True)[1]
    for term in kernels:
        level = term.codes[first]
        others = np.delete(level, one)
        if np.any(term.relatedness.block(level[[one]], np.unique(others)) != 0.0):
            return True
    return False


def selected_positions(ibd: IbdMap, positions: Any) -> IbdMap:
    """
    The part of a map that is to be scanned.

    Parameters
    ----------
    ibd : IbdMap
    positions : None, str, sequence or DataFrame
        See `linkage`.

    Raises
    ------
    DataError
        For a chromosome or a position that is not there.
    ModelError
        For a position that is no number.
    """
    if positions is None:
        return ibd
    if isinstance(positions, pd.DataFrame):
        missing = [name for name in ("chromosome", "position") if name not in positions]
        if missing:
            raise DataError(f"positions lacks the columns {shown(missing)}.")
        positions = list(zip(positions["chromosome"], positions["position"], strict=True))
    asked = [positions] if isinstance(positions, str | int) or not isinstance(positions, Iterable) else list(positions)
    table = ibd.positions
    known = {at: i for i, at in enumerate(zip(table["chromosome"], table["position"], strict=True))}
    numbers: set[int] = set()
    for one in asked:
        numbers.update(_numbers(ibd, known, one))
    if not numbers:
        raise DataError("positions names no position.")
    return ibd.take(sorted(numbers))


def check_autosomes(ibd: IbdMap) -> None:
    """
    Refuse sex chromosomes, on which relatives share otherwise than by the relatedness of the null model.

    Parameters
    ----------
    ibd : IbdMap

    Raises
    ------
    ModelError
    """
    names = ibd.positions["chromosome"].unique().tolist()
    wrong = [name for name in names if re.fullmatch(r"(?i)(chr)?(X|Y|XY|MT?)", name)]
    if wrong:
        raise ModelError(
            f"Sharing on chromosome {shown(wrong)} is not what linkage is for: men have one X, and shares of variance "
            "differ from those on autosomes. Leave it out: positions=, the other chromosomes."
        )


def checked_position(position: Any) -> float:
    """
    A position in cM.

    Parameters
    ----------
    position : float

    Raises
    ------
    ModelError
        For what is no number.
    """
    if isinstance(position, bool | np.bool_) or not isinstance(position, int | float | np.number):
        raise ModelError(f"A position is a number of cM, such as 40.0, not {position!r}.")
    return float(position)


def _numbers(ibd: IbdMap, known: dict[tuple[str, float], int], one: Any) -> list[int]:
    """Rows of one chromosome, or of one position."""
    if isinstance(one, tuple | list) and len(one) == 2:
        at = (str(one[0]), checked_position(one[1]))
        if at not in known:
            raise DataError(f"positions: there is no position {at[1]:g} on chromosome {at[0]!r}; see ibd.positions.")
        return [known[at]]
    names = ibd.positions["chromosome"].to_numpy()
    found = np.flatnonzero(names == str(one)).tolist()
    if not found:
        raise DataError(
            f"positions: there is no chromosome {str(one)!r}; there are {shown(dict.fromkeys(names), 30)}. Give "
            "chromosomes, or pairs of chromosome and position."
        )
    return found
