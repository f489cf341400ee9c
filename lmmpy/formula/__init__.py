"""Text → `ParsedFormula`, by R's rules. Knows no numbers and no data."""

from lmmpy.formula.grouping import Grouping
from lmmpy.formula.kin import Kin
from lmmpy.formula.parsed import STRUCTURES, ParsedFormula, RandomTerm, parse_formula
from lmmpy.formula.reader import read_expression
from lmmpy.formula.syntax import Node, deparse, names_in
from lmmpy.formula.terms import Term, Terms, expand_terms

__all__ = [
    "STRUCTURES",
    "Grouping",
    "Kin",
    "Node",
    "ParsedFormula",
    "RandomTerm",
    "Term",
    "Terms",
    "deparse",
    "expand_terms",
    "names_in",
    "parse_formula",
    "read_expression",
]
