"""Who descends from whom, and all relatednesses that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError, shown
from lmmpy.relatedness import _pedigree
from lmmpy.relatedness.additive import Descent, PedigreeForm, ancestors, families
from lmmpy.relatedness.form import Floats, Form
from lmmpy.relatedness.inbreeding import Sampling, inbreeding
from lmmpy.relatedness.kernels import Block, by_family, dominance_block, origin_block, x_descent
from lmmpy.relatedness.labels import Ints, positions
from lmmpy.relatedness.layout import family_layout
from lmmpy.relatedness.pedigree_columns import likely_columns
from lmmpy.relatedness.relatedness import Relatedness
from lmmpy.relatedness.rows import UNKNOWN, Int32, PedigreeRows, read_rows

__all__ = ["Pedigree"]


class Pedigree:
    """
    A pedigree: individuals, their parents, sexes and identical twins, in any order.

    Parameters
    ----------
    id, father, mother : sequence, length n
        Ids of any kind: 1, 1.0 and "1" are the same; blanks around texts do not count. A parent that is 0, None, NaN or
        one of the texts "" (or blanks), "0", "0.0", "000", ".", "*", "?", "-", "NA", "N/A", "n/a", "<NA>", "nan",
        "NaN", "None", "null" or "NULL" is not known; one of the two may be. No id can be one of these. A parent without
        a row is added as a founder; `added` names them. A negative number (-9) can only be a parent who has a row.
    sex : sequence, length n, optional
        1, "M" or "male"; 2, "F" or "female"; 0 or blank when not known. Parents have the sex that they must have.
    twin : sequence, length n, optional
        A number (or any name) that identical twins share, not used by others; 0, blank or another of the codes above
        for all who are none. Twins are one genetic level, named by the first of them, in everything that is computed.

    Attributes
    ----------
    ids : tuple of str
        All individuals, in the order given, those added behind them.
    added : tuple of str
        Parents that had no row.
    labels : tuple of str
        Genetic levels, parents before children.
    id : str or None
        Name of the id column.

    Raises
    ------
    DataError
        Naming the individuals: ids missing or twice, a parent or a twin that looks like a code for unknown, a father
        recorded as female or a mother as male, somebody both father and mother, somebody who is his own ancestor, twins
        of different parents or sex.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> ped = lmm.Pedigree(["a", "b", "c"], father=[None, None, "a"], mother=[None, None, "b"])
    >>> ped.additive().to_frame()
         a    b    c
    a  1.0  0.0  0.5
    b  0.0  1.0  0.5
    c  0.5  0.5  1.0
    """

    def __init__(self, id: Any, father: Any, mother: Any, sex: Any = None, twin: Any = None) -> None:
        name = getattr(id, "name", None)
        self._set(read_rows(id, father, mother, sex, twin), None if name is None else str(name))

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        id: str = "ID",
        father: str = "FA",
        mother: str = "MO",
        sex: str | None = "SEX",
        twin: str | None = "MZTWIN",
    ) -> Pedigree:
        """
        A pedigree in the columns of a frame.

        Parameters
        ----------
        frame : DataFrame
        id, father, mother : str
            Names of columns.
        sex, twin : str or None
            Names of columns; the default names need not be there.

        Returns
        -------
        Pedigree

        Raises
        ------
        DataError
            When a column is not there, and as in the class.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> len(ped), ped.founders[:3]
        (398, ('1', '2', '7'))
        """
        there = list(frame.columns)
        absent = [name for name in (id, father, mother) if name not in there]
        absent += [
            name
            for name, default in ((sex, "SEX"), (twin, "MZTWIN"))
            if name is not None and name != default and name not in there
        ]
        if absent:
            asked = {"id": id, "father": father, "mother": mother, "sex": sex}
            has = shown(map(str, there), 12)
            raise DataError(f"The pedigree has no column {shown(absent)}; it has {has}. {_call(there, asked)}")
        sexes = frame[sex] if sex in there else None
        twins = frame[twin] if twin in there else None
        rows = read_rows(np.asarray(frame[id]), np.asarray(frame[father]), np.asarray(frame[mother]), sexes, twins)
        return cls._of(rows, id)

    @classmethod
    def _of(cls, rows: PedigreeRows, id: str | None) -> Pedigree:
        made = cls.__new__(cls)
        made._set(rows, id)
        return made

    def _set(self, rows: PedigreeRows, id: str | None) -> None:
        self.rows, self.ids, self.id = rows, rows.ids, id
        first = rows.twin == np.arange(len(rows.ids))
        depth = np.full(len(rows.ids), -1, dtype=np.int32)
        father, mother = (np.append(rows.twin, -1)[parent].astype(np.int32) for parent in (rows.father, rows.mother))
        member = _pedigree.generations(father, mother, depth)
        if member >= 0:
            raise DataError(f"Pedigree: nobody can be his own ancestor: {_loop(father, mother, member, rows.ids)}.")
        order = np.flatnonzero(first)
        order = order[np.argsort(depth[order], kind="stable")]
        new = np.full(len(rows.ids) + 1, -1, dtype=np.int32)
        new[order] = np.arange(len(order), dtype=np.int32)
        self._level: Int32 = new[rows.twin]
        self._depth: Int32 = depth[order]
        self._father: Int32 = new[father[order]]
        self._mother: Int32 = new[mother[order]]
        self._sex: NDArray[np.int8] = rows.sex[order]
        self.labels: tuple[str, ...] = tuple(map(rows.ids.__getitem__, order.tolist()))

    # ---- facts

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def added(self) -> tuple[str, ...]:
        """Parents that had no row and became founders."""
        return self.ids[len(self.ids) - self.rows.n_added :]

    @property
    def founders(self) -> tuple[str, ...]:
        """Individuals of whom no parent is known."""
        return tuple(self.ids[i] for i in np.flatnonzero((self.rows.father < 0) & (self.rows.mother < 0)))

    @property
    def generations(self) -> pd.Series:
        """Longest line to a founder, by id; founders are 0."""
        return self._by_id(self._depth, "generation")

    def families(self) -> pd.Series:
        """
        Number of the family (who are connected by descent or a child) by id, from 1 in the order of the rows.

        Who has no relatives in the pedigree has a number as well; `summary` counts these people apart.

        Returns
        -------
        Series of int
            The index is the ids, as text.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> int(ped.families().max())
        22
        """
        of = families(self._father, self._mother)[self._level]
        numbers: Ints = pd.factorize(of)[0].astype(np.intp) + 1
        return pd.Series(numbers, index=pd.Index(self.ids, name=self.id), name="family")

    @cached_property
    def _descent(self) -> Descent:
        F, D = inbreeding(self._father, self._mother, self._depth, Sampling.additive(self._father, self._mother))
        return Descent(self._father, self._mother, D, 1.0 + F)

    def inbreeding(self) -> pd.Series:
        """
        Inbreeding coefficient by id, in the order of `ids`.

        The index is text, as `ids` is, also where the column of ids had integers: look for ``.loc["170"]``, or make
        them numbers with ``.rename(index=int)``, as `LmmFit.breeding_values` has them. `families` and `generations`
        have the same index.

        Returns
        -------
        Series of float

        References
        ----------
        Meuwissen & Luo (1992), Genet. Sel. Evol. 24, 305–313; Colleau (2002), Genet. Sel. Evol. 34, 409–421.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> int((ped.inbreeding() > 0).sum())
        0
        """
        return self._by_id(self._descent.diagonal - 1.0, "inbreeding")

    def _by_id(self, of_levels: NDArray[Any], name: str) -> pd.Series:
        return pd.Series(of_levels[self._level], index=pd.Index(self.ids, name=self.id), name=name)

    def prune(self, ids: Sequence[Any]) -> Pedigree:
        """
        The pedigree of some individuals and all their ancestors.

        Parameters
        ----------
        ids : sequence

        Returns
        -------
        Pedigree

        Raises
        ------
        DataError
            Naming ids that it does not have.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> len(ped), len(ped.prune([57]))
        (398, 5)
        """
        place = {label: i for i, label in enumerate(self.ids)}
        at = positions(place, ids, "The pedigree")
        return Pedigree._of(self.rows.taken(ancestors(self.rows.father, self.rows.mother, at)), self.id)

    # ---- relatednesses

    def additive(self) -> Relatedness:
        """
        Additive genetic relationships, A = 2 × kinship; 1 + F on the diagonal.

        Its inverse and determinant are assembled from the pedigree (Henderson 1976; Quaas 1976); A is never formed.

        Its `labels` have ancestors first, in general not the order of `ids`; ``subset(ids)`` and ``to_frame(ids)`` have
        the order of the ids that they are given, and ``to_frame`` these themselves as index, integers if they are.
        Without ids its index is text, for ``.loc["170"]``, also where the column of ids had integers.

        Returns
        -------
        Relatedness

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> ped.additive().to_frame([43, 47, 57])
             43   47   57
        ID
        43  1.0  0.0  0.5
        47  0.0  1.0  0.5
        57  0.5  0.5  1.0
        """
        return self._related(PedigreeForm(self._descent, self.labels))

    def dominance(self) -> Relatedness:
        """
        Dominance relationships: the probability that two individuals share both alleles by descent.

        ¼(A_ff A_mm + A_fm A_mf) of the parents (Cockerham 1954), which holds without inbreeding.

        Returns
        -------
        Relatedness

        Raises
        ------
        DataError
            When somebody is inbred.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> ped.dominance().to_frame([56, 57])
             56   57
        ID
        56  1.0  1.0
        57  1.0  1.0
        """
        inbred = np.flatnonzero(self._descent.diagonal > 1.0)
        if len(inbred):
            raise DataError(
                f"Dominance relationships are not defined by the pedigree's formula for the inbred: "
                f"{shown(self.labels[i] for i in inbred)}. Leave them out: pedigree.prune(ids) keeps the ids given and "
                "their ancestors, so give it those of others who do not descend from them."
            )
        return self._kernel(dominance_block)

    def x_linked(self) -> Relatedness:
        """
        Twice the kinship of the X chromosome: 2 on the diagonal of males, 1 + F_X of females.

        Kinship is the probability that a random allele of each is the same by descent; a male has one, his mother's.
        Two brothers so have 1, a father and his daughter 1, a father and his son 0.

        Returns
        -------
        Relatedness

        Raises
        ------
        DataError
            When a sex is not known.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> ped.x_linked().to_frame([43, 57])
             43   57
        ID
        43  2.0  1.0
        57  1.0  1.0
        """
        unknown = np.flatnonzero(self._sex == UNKNOWN)
        if len(unknown):
            raise DataError(
                f"X-linked relationships need the sex of everybody; it is not known of "
                f"{shown(self.labels[i] for i in unknown)}."
            )
        return self._related(PedigreeForm(self._x_descent, self.labels))

    @cached_property
    def _x_descent(self) -> Descent:
        return x_descent(self._father, self._mother, self._depth, self._sex)

    def maternal(self) -> Relatedness:
        """
        Relationships through what came from the mothers, for genes expressed from the maternal allele only.

        M_ij is the probability that the allele that i got from i's mother is that which j got from j's, by descent; 1
        on the diagonal. With P the same of `paternal`, and C_ij of i's maternal with j's paternal allele,
        A = ½(M + P + C + Cᵀ).

        Returns
        -------
        Relatedness

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> ped.maternal().to_frame([47, 57])
             47   57
        ID
        47  1.0  0.5
        57  0.5  1.0
        """
        return self._kernel(origin_block(maternal=True))

    def paternal(self) -> Relatedness:
        """
        Relationships through what came from the fathers; see `maternal`.

        Returns
        -------
        Relatedness

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> ped.paternal().to_frame([43, 57])
             43   57
        ID
        43  1.0  0.5
        57  0.5  1.0
        """
        return self._kernel(origin_block(maternal=False))

    def _kernel(self, block: Block) -> Relatedness:
        return self._related(by_family(self._descent, families(self._father, self._mother), self.labels, block))

    def _related(self, form: Form) -> Relatedness:
        rows = self.rows
        others = np.flatnonzero(rows.twin != np.arange(len(self.ids)))
        return Relatedness.of(form, {self.ids[i]: self.ids[rows.twin[i]] for i in others}, self.id)

    # ---- to look at

    def to_frame(self) -> pd.DataFrame:
        """
        One row an individual, in the order given: id, father, mother, sex, twin, generation, family.

        Unknown parents are missing (None or NaN, as pandas holds text), as is the twin of who has none; sex is "male",
        "female" or "unknown"; twins have the id of the first of them.

        Returns
        -------
        DataFrame

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> ped.to_frame().columns.tolist()
        ['ID', 'father', 'mother', 'sex', 'twin', 'generation', 'family']
        """
        rows = self.rows
        names = np.array([*self.ids, None], dtype=object)
        is_twin = np.bincount(rows.twin, minlength=len(self.ids))[rows.twin] > 1
        return pd.DataFrame(
            {
                self.id or "id": names[:-1],
                "father": names[rows.father],
                "mother": names[rows.mother],
                "sex": np.array(["unknown", "male", "female"], dtype=object)[rows.sex],
                "twin": np.where(is_twin, names[rows.twin], names[-1]),
                "generation": self._depth[self._level],
                "family": self.families().to_numpy(),
            }
        )

    def summary(self) -> pd.Series:
        """
        Counts: individuals, founders, half-known, added, twins, families, generations, inbred; mean and largest F.

        Returns
        -------
        Series
            "families" are those of two and more; who has neither parents nor children in the pedigree, and so is alone
            with a number of `families`, is counted as "without relatives".

        Examples
        --------
        >>> import lmmpy as lmm
        >>> ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
        >>> int(ped.summary()["founders"])
        105
        """
        rows = self.rows
        sizes = self.families().value_counts()
        F: Floats = self._descent.diagonal - 1.0
        return pd.Series(
            {
                "individuals": len(self.ids),
                "founders": len(self.founders),
                "half-known": int(((rows.father < 0) != (rows.mother < 0)).sum()),
                "added": rows.n_added,
                "twins": int((np.bincount(rows.twin)[rows.twin] > 1).sum()),
                "families": int((sizes > 1).sum()),
                "without relatives": int((sizes == 1).sum()),
                "generations": int(self._depth[-1]) + 1,
                "inbred": int((F > 0.0)[self._level].sum()),
                "mean F": float(F[self._level].mean()),
                "largest F": float(F.max()),
            },
            dtype=object,
            name="pedigree",
        )

    def layout(self, family: Any = None) -> pd.DataFrame:
        """
        Where to draw the members of a family.

        Parameters
        ----------
        family : int, optional
            Number of a family, of `families`; may be left out when there is one only.

        Returns
        -------
        DataFrame
            One row a member: id, x, y (minus the row from the top), sex, father, mother, twin.

        Raises
        ------
        DataError
            When there is no such family, or it is too large to be drawn.
        """
        frame = self.to_frame()
        numbers = frame["family"]
        if family is None and int(numbers.max()) == 1:
            family = 1
        if family not in set(numbers):
            raise DataError(f"There is no family {family!r}: give a number from 1 to {int(numbers.max())}.")
        return family_layout(frame[numbers == family].rename(columns={self.id or "id": "id"}))

    def __repr__(self) -> str:
        n, last = len(self.ids), int(self._depth[-1])
        named = "" if self.id is None else f", id {self.id!r}"
        k = len(self.added)  # a parent without a row may be one whose id is misspelt
        added = f"; {k} parent{'s' * (k > 1)} added: {shown(self.added, 3)}" if k else ""
        return f"<Pedigree: {n} individuals, {len(self.founders)} founders, {last + 1} generations{named}{added}>"


def _call(there: Sequence[object], asked: dict[str, str | None]) -> str:
    """How to name the columns that are there."""
    likely = likely_columns(there, asked)
    needed = {key: likely.get(key, "…") for key in ("id", "father", "mother")}
    if "sex" in likely and likely["sex"] != "SEX":
        needed["sex"] = likely["sex"]
    return f"Name them: Pedigree.from_frame(frame, {', '.join(f'{key}={name!r}' for key, name in needed.items())})."


def _loop(father: Int32, mother: Int32, member: int, ids: tuple[str, ...]) -> str:
    """A loop through or behind a member: child → parent → … → child."""
    on_the_way: dict[int, bool] = {}  # False for those who turned out to lead to no loop
    way: list[int] = []
    waiting = [(member, False)]
    while waiting:
        i, done = waiting.pop()
        if done:
            on_the_way[way.pop()] = False
        elif on_the_way.get(i) is True:
            return " → ".join(repr(ids[j]) for j in [*way[way.index(i) :], i]) + " (each a child of the next)"
        elif i not in on_the_way:
            on_the_way[i] = True
            way.append(i)
            waiting.append((i, True))
            waiting.extend((int(p), False) for p in (father[i], mother[i]) if p >= 0)
    raise AssertionError("a member of a loop leads to one")
