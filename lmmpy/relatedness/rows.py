"""A pedigree as it was written down: read, matched and checked, individual by individual."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmmpy.errors import DataError, shown
from lmmpy.relatedness.labels import as_labels, as_texts

__all__ = ["FEMALE", "MALE", "UNKNOWN", "Int32", "PedigreeRows", "read_rows"]

Int32 = NDArray[np.int32]
UNKNOWN, MALE, FEMALE = 0, 1, 2
# What text columns hold where nobody is meant, besides nothing but zeros and dots. (NAN or Nan may be a name.)
_NOBODY = {"*", "?", "-", "NA", "na", "N/A", "n/a", "<NA>", "nan", "NaN", "None", "null", "NULL", "unknown", "Unknown"}
_NEGATIVE = re.compile(r"-\d+(\.\d*)?")
_SEX = {
    **dict.fromkeys(("1", "m", "male"), MALE),
    **dict.fromkeys(("2", "f", "female"), FEMALE),
    **dict.fromkeys(("na", "u", "unknown"), UNKNOWN),
}
_NAMES = {MALE: "male", FEMALE: "female", UNKNOWN: "unknown"}


@dataclass(frozen=True, eq=False, slots=True)
class PedigreeRows:
    """
    One row an individual, in the order given; parents without a row of their own behind them, as founders.

    Attributes
    ----------
    ids : tuple of str, length n
    father, mother : ndarray of int32, shape (n,)
        Row of the parent; −1 where unknown.
    sex : ndarray of int8, shape (n,)
        0 unknown, 1 male, 2 female; of parents known by what they are.
    twin : ndarray of int32, shape (n,)
        Row of the first of a group of identical twins; of others their own.
    n_added : int
        How many founders were added.
    """

    ids: tuple[str, ...]
    father: Int32
    mother: Int32
    sex: NDArray[np.int8]
    twin: Int32
    n_added: int

    def taken(self, keep: NDArray[np.intp]) -> PedigreeRows:
        """Some rows, whose parents are among them."""
        new = np.full(len(self.ids) + 1, -1, dtype=np.int32)
        new[keep] = np.arange(len(keep), dtype=np.int32)
        first = np.full(len(self.ids), -1, dtype=np.int32)
        first[self.twin[keep[::-1]]] = new[keep[::-1]]  # the first that is kept of a group, by writing it last
        return PedigreeRows(
            tuple(map(self.ids.__getitem__, keep.tolist())),
            new[self.father[keep]],
            new[self.mother[keep]],
            self.sex[keep],
            first[self.twin[keep]],
            int((keep >= len(self.ids) - self.n_added).sum()),
        )


def read_rows(id: Any, father: Any, mother: Any, sex: Any = None, twin: Any = None) -> PedigreeRows:
    """
    Match the columns of a pedigree.

    Parameters
    ----------
    id, father, mother : sequence, length n
    sex, twin : sequence, length n, optional

    Raises
    ------
    DataError
        Naming the individuals that cannot be what the columns say they are.
    """
    ids = _ids(id)
    columns = {"father": father, "mother": mother, "sex": sex, "twin": twin}
    zeros = {label for label in ids if not label.strip("0.")}
    texts = {name: _texts(name, column, len(ids), zeros) for name, column in columns.items() if column is not None}
    place = {label: i for i, label in enumerate(ids)}
    parents = {name: _parents(texts[name], place, name) for name in ("father", "mother")}
    n_added = len(place) - len(ids)
    everyone = tuple(place)
    nobody = np.full(n_added, -1, dtype=np.int32)
    dad, mom = (np.concatenate([parents[name], nobody]) for name in ("father", "mother"))
    sexes = np.zeros(len(everyone), dtype=np.int8)
    if sex is not None:
        sexes[: len(ids)] = _sexes(texts["sex"], ids)
    sexes = _by_role(sexes, dad, mom, everyone)
    group = np.arange(len(everyone), dtype=np.int32)
    if twin is not None:
        group[: len(ids)], sexes = _twins(texts["twin"], ids, dad, mom, sexes)
    return PedigreeRows(everyone, dad, mom, sexes, group, n_added)


def _read(column: Any, zeros: Container[str]) -> list[str | None]:
    """A column as texts without blanks around them, None where nobody is meant; `zeros` like "0.0" are somebody."""
    texts = as_texts(column if isinstance(column, list | tuple | np.ndarray) else list(column))
    if isinstance(column, np.ndarray) and column.dtype.kind in "iuf":  # numbers have no other code for nobody
        return [None if text == "0" else text for text in texts]
    bare = [None if text is None else text.strip() for text in texts]
    return [
        None if text is None or text in _NOBODY or (not text.strip("0.") and text not in zeros) else text
        for text in bare
    ]


class _ButPlain:
    """All ways to write zero but the plain ones."""

    def __contains__(self, text: object) -> bool:
        return text not in ("", "0", ".")


def _ids(id: Any) -> list[str]:
    texts = _read(id, _ButPlain())
    missing = [i for i, text in enumerate(texts) if text is None]
    if missing:
        raise DataError(
            f"Pedigree: {len(missing)} ids are missing (0, blank, NA, nan, '.', '*', '?' and the like mean nobody), in "
            f"rows {shown(missing)}."
        )
    if not texts:
        raise DataError("Pedigree: there are no rows.")
    return list(as_labels(texts, "Pedigree ids"))


def _texts(name: str, column: Any, n: int, zeros: Container[str]) -> list[str | None]:
    if isinstance(column, str):
        raise DataError(
            f"Pedigree: {name} must be a column, not the text {column!r}; use Pedigree.from_frame for names."
        )
    texts = _read(column, zeros)
    if len(texts) != n:
        raise DataError(f"Pedigree: {name} has {len(texts)} values for {n} ids.")
    return texts


def _parents(texts: list[str | None], place: dict[str, int], name: str) -> Int32:
    """Row of each parent; those who have none get one behind the others, in `place`."""
    found = np.fromiter(map(place.get, texts, repeat(-1)), np.int32, len(texts))  # type: ignore[arg-type]
    for i in np.flatnonzero(found < 0).tolist():
        text = texts[i]
        if text is not None:
            if text[0] == "-":
                _refuse_negative(text, name, texts, "has no row of its own")
            found[i] = place.setdefault(text, len(place))
    return found


def _refuse_negative(text: str, name: str, texts: list[str | None], why: str) -> None:
    """A negative number that looks like a code for what is not known."""
    if _NEGATIVE.fullmatch(text):
        raise DataError(
            f"Pedigree: {name} is {text} in {texts.count(text)} rows and {why}. It looks like a code for unknown: "
            "write 0 or leave it empty."
        )


def _sexes(texts: list[str | None], ids: list[str]) -> NDArray[np.int8]:
    codes = {text: _SEX.get(text.lower()) if text is not None else UNKNOWN for text in set(texts)}
    wrong = [text for text, code in codes.items() if code is None]
    if wrong:
        who = [label for label, text in zip(ids, texts, strict=True) if codes[text] is None]
        raise DataError(
            f"Pedigree: sex {shown(wrong)} is not understood, of {shown(who)}. Use 1, 'M' or 'male'; 2, 'F' or "
            "'female'; 0 or blank when it is not known."
        )
    return np.fromiter((codes[text] for text in texts), np.int8, len(texts))


def _by_role(sex: NDArray[np.int8], father: Int32, mother: Int32, ids: tuple[str, ...]) -> NDArray[np.int8]:
    """Sexes, those of parents filled in; nobody is recorded as the other sex, or both father and mother."""
    is_father, is_mother = np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype=bool)
    is_father[father[father >= 0]] = True
    is_mother[mother[mother >= 0]] = True

    def refuse(wrong: NDArray[np.bool_], what: str, hint: str = "") -> None:
        who = np.flatnonzero(wrong)
        if len(who):
            i = who[0]
            child = ids[int(np.flatnonzero((father == i) | (mother == i))[0])]
            raise DataError(
                f"Pedigree: {what}: {shown(ids[j] for j in who)} (a child of {ids[i]!r} is {child!r}).{hint}"
            )

    codes = " The codes of sex are 1 male, 2 female, 0 not known."
    refuse(is_father & (sex == FEMALE), "fathers who are recorded as female", codes)
    refuse(is_mother & (sex == MALE), "mothers who are recorded as male", codes)
    refuse(is_father & is_mother, "both a father and a mother, which nobody can be")
    sex = sex.copy()
    sex[is_father], sex[is_mother] = MALE, FEMALE
    return sex


def _twins(
    texts: list[str | None], ids: list[str], father: Int32, mother: Int32, sex: NDArray[np.int8]
) -> tuple[Int32, NDArray[np.int8]]:
    """The first of each group of identical twins, by row; and sexes, a twin's where only the other's is known."""
    groups: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        if text is not None:
            groups.setdefault(text, []).append(i)
    for name in groups:
        _refuse_negative(name, "twin", texts, "cannot be the number of twins")
    first = np.arange(len(ids), dtype=np.int32)
    for name, group in groups.items():
        if len(group) == 1:
            raise DataError(
                f"Pedigree: {ids[group[0]]!r} is the only one of twin group {name!r}. Identical twins share a number; "
                "give 0 or blank to all others."
            )
        first[group] = group[0]
    full = np.append(first, np.arange(len(ids), len(sex), dtype=np.int32))
    known = np.append(full, -1)  # the parent −1 is the last
    sex = sex.copy()
    for name, group in groups.items():
        who = shown([ids[i] for i in group])
        if len({(int(known[father[i]]), int(known[mother[i]])) for i in group}) > 1:
            raise DataError(f"Pedigree: {who} of twin group {name!r} do not have the same parents.")
        sexes = {int(sex[i]) for i in group} - {UNKNOWN}
        if len(sexes) > 1:
            raise DataError(f"Pedigree: {who} of twin group {name!r} are of different sex; identical twins cannot be.")
        if sexes:
            sex[group] = sexes.pop()
    return first, sex
