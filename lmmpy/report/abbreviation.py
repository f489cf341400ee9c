"""Short forms of names for narrow tables, the same ones as R's `abbreviate` finds."""

from collections import Counter
from collections.abc import Callable, Sequence

_Rule = Callable[[str], bool]


def _vowel(letter: str) -> bool:
    return letter in "aeiou"


def _lower(letter: str) -> bool:
    return letter.islower()


def _any(letter: str) -> bool:
    return not letter.isspace()


# Which letters go, and whether only at the end of a word; what stands first in a word stays.
_PASSES: tuple[tuple[_Rule, bool], ...] = (
    (_vowel, True), (_vowel, False), (_lower, True), (_lower, False), (_any, False),
)  # fmt: skip


def _goes(letters: list[str], i: int, rule: _Rule, at_end: bool) -> bool:
    if letters[i - 1].isspace() or not rule(letters[i]):
        return False
    return not at_end or i + 1 == len(letters) or letters[i + 1].isspace()


def _shorten(name: str, length: int) -> str:
    """Drop letters from the right, pass by pass, until `length` are left; blanks are not counted."""
    letters = list(name.lstrip())
    if len(letters) < length:
        return "".join(letters)
    blanks = sum(letter.isspace() for letter in letters)
    for rule, at_end in _PASSES:
        for i in range(len(letters) - 1, 0, -1):
            if _goes(letters, i, rule, at_end):
                del letters[i]
            if len(letters) - blanks <= length:
                return _without_blanks(letters, length)
    return _without_blanks(letters, length)


def _without_blanks(letters: list[str], length: int) -> str:
    if len(letters) <= length:
        return "".join(letters)
    return letters[0] + "".join(letter for letter in letters[1:] if not letter.isspace())


def abbreviate(names: Sequence[str], length: int) -> list[str]:
    """Shorten names to about `length` letters, keeping different names different.

    Lower-case vowels go first, then other lower-case letters, then anything, from the right; the first
    letter of a word stays. Names that would become equal are given one letter more until they differ.

    Parameters
    ----------
    names : sequence of str
    length : int
        The length aimed at; a name may stay longer so as to differ from the others.

    Returns
    -------
    list of str, as long as `names`
    """
    short: dict[str, str] = {}
    pending = list(dict.fromkeys(names))
    while pending:
        short |= {name: _shorten(name, length) if len(name) > length else name for name in pending}
        taken = Counter(short.values())
        pending = [name for name, text in short.items() if taken[text] > 1]
        if pending and length > max(map(len, pending)):
            break  # names that differ in their blanks alone
        length += 1
    return [short[name] for name in names]
