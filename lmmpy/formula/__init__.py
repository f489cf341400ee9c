"""Text → `ParsedFormula`, by R's rules. Knows no numbers and no data."""

from lmmpy.formula.grouping import Grouping
from lmmpy.formula.kin import Kin
from lmmpy.formula.parsed import STRUCTURES, ParsedFormula, RandomTerm, parse_formula
from lmmpy.formula.reader import read_expression
from lmmpy.formula.residual import INDEPENDENT, ResidualSpec, RowCorrelation, RowVariance, parse_residual
from lmmpy.formula.syntax import Node, deparse, names_in
from lmmpy.formula.terms import Term, Terms, expand_terms
from lmmpy.formula.traits import Trait

__all__ = [
    "INDEPENDENT",
    "STRUCTURES",
    "Grouping",
    "Kin",
    "Node",
    "ParsedFormula",
    "RandomTerm",
    "ResidualSpec",
    "RowCorrelation",
    "RowVariance",
    "Term",
    "Terms",
    "Trait",
    "deparse",
    "expand_terms",
    "names_in",
    "parse_formula",
    "parse_residual",
    "read_expression",
]
