"""What the columns of a pedigree are called elsewhere, for messages that say which ones to name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["likely_columns"]

# Without their capitals, dots, blanks and underscores.
_NAMES = {
    "id": ("id", "iid", "animal", "animalid", "individual", "ind", "indid", "person", "personid", "ego"),
    "father": ("fa", "father", "fatherid", "idfather", "dad", "dadid", "sire", "sireid", "pat", "patid"),
    "mother": ("mo", "mother", "motherid", "idmother", "mom", "momid", "mum", "mumid", "dam", "damid", "mat", "matid"),
    "sex": ("sex", "gender"),
}


def likely_columns(columns: Iterable[object], asked: Mapping[str, str | None]) -> dict[str, str]:
    """
    The columns that `id`, `father`, `mother` and `sex` may be meant to be.

    Parameters
    ----------
    columns : iterable
        Those that are there.
    asked : mapping
        The names that were looked for, by argument.

    Returns
    -------
    dict
        By argument, in the order of `asked`: the column asked for where it is there, else the one that is called so
        elsewhere. What nothing, or more than one column, is called is left out.
    """
    there = [str(name) for name in columns]
    plain = {name: "".join(letter for letter in name.casefold() if letter.isalnum()) for name in there}
    found = {}
    for key, name in asked.items():
        likely = [name] if name in there else [one for one in there if plain[one] in _NAMES.get(key, ())]
        if len(likely) == 1:
            found[key] = str(likely[0])
    return found
