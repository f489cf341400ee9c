"""Who reared whom, and how mothers and children are related."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from lmmpy.covariance.diagonal import Diagonal
from lmmpy.covariance.unstructured import Unstructured
from lmmpy.design import Design, RowCovariance
from lmmpy.errors import DataError, shown
from lmmpy.formula import deparse
from lmmpy.formula.syntax import Name
from lmmpy.qtl.families import Families, own_name
from lmmpy.qtl.incidence import JointIncidence
from lmmpy.relatedness import Pedigree, Relatedness
from lmmpy.relatedness.labels import as_texts

__all__ = ["Mothers", "read_mothers"]

_NOBODY = ("", "0", ".")


@dataclass(frozen=True, eq=False, slots=True)
class Mothers:
    """Mothers of the people of a study.

    Attributes
    ----------
    families : Families
        In whose frame a column has the mothers.
    relatedness : Relatedness
        Additive, of the pedigree with a founder for each mother that is not known.
    name : str
        Of it in formulas.
    column : str
        Of the mothers.
    unknown : int
        People without a known mother.
    """

    families: Families
    relatedness: Relatedness
    name: str
    column: str
    unknown: int

    @property
    def direct(self) -> str:
        """The term of the effects of one's own genes."""
        return self.families.kin(self.name)

    @property
    def maternal(self) -> str:
        """The term of the effects of the mother's genes alone."""
        return f"kin({self.term}, {deparse(Name(self.name))})"

    @property
    def term(self) -> str:
        """The mothers as formulas have them."""
        return deparse(Name(self.column))

    def joint(self, design: Design, covaries: bool) -> RowCovariance:
        """
        The covariance of rows that direct and maternal effects make together.

        Parameters
        ----------
        design : Design
            Whose rows are used.
        covaries : bool
            Whether an individual's two effects have a covariance.
        """
        used = self.families.frame.loc[design.rows]
        people, mothers = (as_texts(used[name].to_numpy()) for name in (self.families.id, self.column))
        K = self.relatedness.for_levels(list(dict.fromkeys([*people, *mothers])))
        codes = np.stack([K.positions(people), K.positions(mothers)])
        structure = JointIncidence(
            Unstructured(2) if covaries else Diagonal(2), codes, K.dense(), ("direct", "maternal")
        )
        groups = _joined(K.components()[codes])
        together = Relatedness.identity(int(groups.max()) + 1)
        return RowCovariance(self.direct, groups, structure, np.ones(design.n), groups, together, K.labels or ())


def _joined(components: np.ndarray) -> np.ndarray:
    """Number of the group of each row when the families of its person and its mother are one, shape (n,)."""
    size = int(components.max()) + 1
    links = sparse.csr_array((np.ones(components.shape[1]), (components[0], components[1])), shape=(size, size))
    groups = sparse.csgraph.connected_components(links, directed=False)[1]
    return np.unique(groups[components[0]], return_inverse=True)[1].astype(np.intp)


def read_mothers(families: Families, dam: str | None) -> Mothers:
    """
    Find each person's mother, and add a column of them to the families' frame.

    Parameters
    ----------
    families : Families
        With a pedigree.
    dam : str or None
        Column of the mothers; None for those of the pedigree.

    Raises
    ------
    DataError
        For a column that is not there, or mothers that the pedigree does not have.
    """
    pedigree, frame = families.pedigree, families.frame
    assert pedigree is not None
    table = pedigree.to_frame()
    known = dict(zip(table.iloc[:, 0], map(_text, table["mother"]), strict=True))
    people = as_texts(frame[families.id].to_numpy())
    strangers = list(dict.fromkeys(p for p in people if p is not None and p not in known))
    if strangers:
        raise DataError(f"The pedigree does not have {len(strangers)} of the people in the data: {shown(strangers)}.")
    if dam is None:
        given = [None if person is None else known[person] for person in people]
    else:
        if dam not in families.columns:
            raise DataError(families.columns.not_found(dam))
        given = as_texts(frame[dam].to_numpy())
    given = [None if mother is None or mother.strip() in _NOBODY else mother for mother in given]
    unrelated = list(dict.fromkeys(m for m in given if m is not None and m not in known))
    if unrelated:
        raise DataError(
            f"The pedigree does not have {len(unrelated)} of the mothers in {dam!r}: {shown(unrelated)}. Add them as "
            "founders, if no more is known of them."
        )
    names, extended = _with_unknown(pedigree, people, given, own=dam is None)
    column = own_name("dam", families.columns)
    frame[column] = names
    unknown = len({p for p, mother in zip(people, given, strict=True) if mother is None and p is not None})
    name = own_name(families.name, families.columns)
    return Mothers(families, extended.additive(), name, column, unknown)


def _with_unknown(
    pedigree: Pedigree, people: list[str | None], mothers: list[str | None], own: bool
) -> tuple[list[str | None], Pedigree]:
    """Everybody's mother, one of their own for those without; and the pedigree with these, as founders."""
    table = pedigree.to_frame()
    ids = list(table.iloc[:, 0])
    first = {id: twin if isinstance(twin, str) else id for id, twin in zip(ids, table["twin"], strict=True)}
    mark = "mother of "
    while any(id.startswith(mark) for id in ids):
        mark = f"the {mark}"
    new = {
        first[person]: mark + first[person]
        for person, mother in zip(people, mothers, strict=True)
        if person is not None and mother is None
    }
    names = [
        new[first[person]] if mother is None and person is not None else mother
        for person, mother in zip(people, mothers, strict=True)
    ]
    parents = [_text(mother) for mother in table["mother"]]
    if own:  # a true mother, whose child is hers
        parents = [new.get(first[id]) if parent is None else parent for id, parent in zip(ids, parents, strict=True)]
    return names, _extended(table, ids, parents, list(new.values()))


def _extended(table: pd.DataFrame, ids: list[str], mothers: list[str | None], founders: list[str]) -> Pedigree:
    """The pedigree with other mothers, and founders behind it."""
    nobody: list[str | None] = [None] * len(founders)
    name = str(table.columns[0])
    return Pedigree.from_frame(
        pd.DataFrame(
            {
                name: [*ids, *founders],
                "father": [*map(_text, table["father"]), *nobody],
                "mother": [*mothers, *nobody],
                "sex": [*table["sex"], *(["female"] * len(founders))],
                "twin": [*map(_text, table["twin"]), *nobody],
            },
            dtype=object,
        ),
        name,
        "father",
        "mother",
        "sex",
        "twin",
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
