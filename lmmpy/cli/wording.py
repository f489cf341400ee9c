"""Messages that were written for Python, in the words of a shell."""

from __future__ import annotations

import re

__all__ = ["for_report", "for_shell"]

# In this order; what begins with a blank ends what stands before it.
_SHELL = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r" \(Nor is there a variable of that name in your Python scope\.\)", ""),
        (r"it is neither among R's functions that lmmpy has nor in your Python scope", "lmmpy has none of that name"),
        (r" Define it, or compute the column first\.", " Compute the column first."),
        (
            r", neither in relmat nor among your variables\.( Variables that are one: [^.]*\.)? Make it first, or pass "
            r"it: relmat=\{('\w+'): \.\.\.\}\.",
            r".\1 --pedigree FILE gives one that is called ped, --kinship NAME=FILE one that is called NAME.",
        ),
        (
            r"relmat holds ([^.]*), which the formula does not use\. A key is .*",
            r"--pedigree or --kinship gives \1, which the formula does not use: write kin(NAME) with that name.",
        ),
        (r"Variables that are one: ", "There is "),
        (
            r"write (kin\([^()]+, )A\) or relmat=\{[^}]*\} with a pedigree or another relatedness A",
            r"write \1ped) with --pedigree, or \1K) with --kinship",
        ),
        (r", or, if its levels are related, give relmat=\{[^}]*\} with a pedigree or another relatedness A", ""),
        (r", give residual= a structure, or fit it by least squares: lmm\.gls\(formula, data\)", ", or --residual"),
        (r"; control=Control\(check_sizes='ignore'\) fits it all the same", ""),
        (r" See fit\.convergence(?: for what to do)?\.", ""),
        (r" Raise max_evaluations, or compare lmm\.all_fit\(fit\)\.", ""),
        (r"\b(residual|subset|weights|offset)=(?=['\" ])", r"--\1 "),
    )
)
_REPORT = re.compile(r": see fit\.convergence\b")


def for_shell(message: str) -> str:
    """A message in one line, with options in place of arguments, and without what only Python has."""
    text = " ".join(message.split())
    for pattern, words in _SHELL:
        text = pattern.sub(words, text)
    return " ".join(text.split())


def for_report(text: str) -> str:
    """A report without references to a fit that is gone when it is read."""
    return _REPORT.sub("", text)
