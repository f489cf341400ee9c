"""`residual="ar1(t | g) * varident(f)"`: how the residuals of rows covary, and how their variances differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from lmmpy.errors import FormulaError
from lmmpy.formula.grouping import Grouping, expand_grouping
from lmmpy.formula.kin import is_kin
from lmmpy.formula.reader import read_expression
from lmmpy.formula.structures import read_homogeneous
from lmmpy.formula.syntax import Binary, Call, Name, Node, Number, Paren, deparse, walk
from lmmpy.formula.terms import expand_terms

__all__ = ["INDEPENDENT", "ResidualSpec", "RowCorrelation", "RowVariance", "parse_residual"]

INDEPENDENT = "independent"
_PLACED, _ORDERED, _TIMED = "0 + f | g", "1 | g", "t | g"
_FORMS = {
    "us": (_PLACED, _ORDERED),
    "cs": (_PLACED, _ORDERED),
    "ar1": (_PLACED, _ORDERED, _TIMED),
    "car1": (_TIMED,),
    "arma11": (_ORDERED, _TIMED),
    "diag": (_PLACED,),
}
_VARIANCES = ("varident", "varpower", "varexp")
_OVER_TRAITS = ("us", "diag", "cs", "ar1")
_USE = (
    "What is understood: a correlation us(0 + f | g), cs(1 | g), ar1(t | g), car1(t | g) or arma11(t | g) between the "
    "rows of each g; a known covariance kin(id, R); variances diag(0 + f | 1) (or varident(f)), varpower(x), "
    "varexp(x); and one correlation times variances, joined by '*'. With cbind() also 'us', 'diag' or 'cs' alone, over "
    "the traits of a row."
)


@dataclass(frozen=True, slots=True)
class RowCorrelation:
    """The covariance between the rows of a group.

    Attributes
    ----------
    kind : {"us", "cs", "ar1", "car1", "arma11"}
    places : tuple of Node
        The factors whose levels (combined) say which row of a group one is; () where order or time does.
    time : Node or None
        The time of a row; None for the order of rows, unless there are `places`.
    group : tuple of Node
        The factors that make the groups; () for one group of all rows.
    homogeneous : bool or None
        `hom=` as written.
    text : str
    """

    kind: str
    places: tuple[Node, ...]
    time: Node | None
    group: tuple[Node, ...]
    homogeneous: bool | None
    text: str

    @property
    def one_variance(self) -> bool:
        """Whether all rows have the same variance."""
        if self.places or (self.time is None and self.kind == "us"):
            return self.kind == "ar1" if self.homogeneous is None else self.homogeneous
        return True


@dataclass(frozen=True, slots=True)
class RowVariance:
    """How the variances of rows differ.

    Attributes
    ----------
    kind : {"varident", "varpower", "varexp"}
    variables : tuple of Node
        The factors that make the strata; or the covariate, () for the mean.
    text : str
    """

    kind: str
    variables: tuple[Node, ...]
    text: str

    @property
    def of_mean(self) -> bool:
        """Whether the variance is a function of the mean of a row."""
        return not self.variables


@dataclass(frozen=True, slots=True)
class ResidualSpec:
    """What `residual=` says.

    Attributes
    ----------
    text : str
        As R would print it.
    correlation : RowCorrelation or None
    known : Grouping or None
        The call of `kin` with a known covariance.
    variances : tuple of RowVariance
    over_traits : bool
        Whether it is a word alone, such as ``"us"``, which speaks of the traits of a row.
    """

    text: str
    correlation: RowCorrelation | None = None
    known: Grouping | None = None
    variances: tuple[RowVariance, ...] = ()
    over_traits: bool = False

    @property
    def of_mean(self) -> bool:
        """Whether a variance is a function of the mean, which is known after a fit only."""
        return any(variance.of_mean for variance in self.variances)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All expressions to evaluate, but for `trait` and `row` of several traits."""
        return tuple(dict.fromkeys(self._nodes()))

    def _nodes(self) -> Iterator[Node]:
        if self.correlation is not None:
            yield from (*self.correlation.places, *self.correlation.group)
            if self.correlation.time is not None:
                yield self.correlation.time
        for variance in self.variances:
            yield from variance.variables
        if self.known is not None:
            yield from self.known.factors


def parse_residual(text: str) -> ResidualSpec:
    """
    Read the covariance of residuals.

    Parameters
    ----------
    text : str
        For example ``"ar1(week | id) * varident(sex)"``.

    Returns
    -------
    ResidualSpec

    Raises
    ------
    FormulaError
        When it is not understood, with what is.
    """
    if not isinstance(text, str):
        raise FormulaError(f"residual must be a text such as 'ar1(t | g)', not a {type(text).__name__}. {_USE}")
    if not text.strip().removeprefix("~").strip():
        raise FormulaError(
            f"residual={text!r} is empty. Leave it out for the default, or say how residuals covary. {_USE}"
        )
    tree = read_expression(text.strip().removeprefix("~"))
    if isinstance(tree, Name) and tree.id in _OVER_TRAITS:
        return _over_traits(tree.id)
    if tree == Name(INDEPENDENT):
        return ResidualSpec(INDEPENDENT)
    correlations: list[RowCorrelation] = []
    known: list[Grouping] = []
    variances: list[RowVariance] = []
    for factor in _factors(tree):
        if is_kin(factor):
            known += expand_grouping(factor)
        else:
            found = _read_factor(factor)
            if isinstance(found, RowVariance):
                variances.append(found)
            else:
                correlations.append(found)
    written = deparse(tree)
    if len(correlations) + len(known) > 1:
        several = ", ".join([c.text for c in correlations] + [k.label for k in known])
        raise FormulaError(f"residual={written!r} has several correlations ({several}); at most one is understood.")
    _check_different(written, variances)
    correlation = correlations[0] if correlations else None
    _check_variances(written, correlation, variances)
    return ResidualSpec(written, correlation, known[0] if known else None, tuple(variances))


def _over_traits(word: str) -> ResidualSpec:
    """A word alone is that structure over the traits of a row."""
    trait, row = (Name("trait"),), (Name("row"),)
    if word == "diag":
        return ResidualSpec(word, variances=(RowVariance("varident", trait, word),), over_traits=True)
    return ResidualSpec(word, RowCorrelation(word, trait, None, row, None, word), over_traits=True)


def _factors(node: Node) -> list[Node]:
    match node:
        case Binary("*", left, right):
            return _factors(left) + _factors(right)
        case Paren(inner) if not isinstance(inner, Binary) or inner.operator == "*":
            return _factors(inner)
    return [node]


def _read_factor(node: Node) -> RowCorrelation | RowVariance:
    if isinstance(node, Call) and node.arguments:
        inner = node.arguments[0].value
        if node.function_name in _FORMS and isinstance(inner, Binary) and inner.operator == "|":
            return _read_bar(node, inner)
    if isinstance(node, Call) and node.function_name in _VARIANCES:
        return _read_variance(node)
    raise FormulaError(f"residual: {deparse(node)!r} is not understood. {_USE}")


def _read_variance(node: Call) -> RowVariance:
    kind, text = node.function_name, deparse(node)
    if len(node.arguments) > 1 or any(argument.name for argument in node.arguments):
        raise FormulaError(f"residual: {text!r} has more than one argument, or a named one. Write {kind}(x).")
    if not node.arguments:
        if kind == "varident":
            raise FormulaError(
                f"residual: {text!r} names no factor. Write varident(f), with a variance for each level."
            )
        return RowVariance(kind, (), text)
    inner = node.arguments[0].value
    if kind != "varident":
        return RowVariance(kind, (inner,), text)
    return RowVariance(kind, _factors_of(inner, text), text)


def _factors_of(node: Node, text: str) -> tuple[Node, ...]:
    """The factors of `f` or `f:h`."""
    terms = expand_terms(node)
    if len(terms.terms) != 1 or len(terms.terms[0].variables) != len(terms.variables):
        raise FormulaError(f"residual: {text!r} needs one factor, or several joined by ':', such as f or f:h.")
    return terms.variables


def _read_bar(node: Call, bar: Binary) -> RowCorrelation | RowVariance:
    kind, text = node.function_name, deparse(node)
    places, time, form = _left(bar.left, text)
    if form not in _FORMS[kind]:
        allowed = " or ".join(f"{kind}({one})" for one in _FORMS[kind])
        advice = " For levels of a whole number write 0 + factor(t)." if form == _TIMED else ""
        raise FormulaError(f"residual: {text!r} is not understood; write {allowed}.{advice}")
    homogeneous = read_homogeneous(node)
    if homogeneous is not None and (not places or kind in ("car1", "arma11")) and kind != "us" and not homogeneous:
        raise FormulaError(
            f"residual: {text!r} gives no levels that could differ in variance. Write {kind}(…) * varident(f)."
        )
    if kind == "diag":
        if homogeneous:
            raise FormulaError(f"residual: {text!r} is one variance without correlation, the default. Leave it out.")
        return RowVariance("varident", places, text)
    return RowCorrelation(kind, places, time, _group(bar.right, text), homogeneous, text)


def _left(node: Node, text: str) -> tuple[tuple[Node, ...], Node | None, str]:
    """What stands left of the bar: factors, a time or the order of rows; and which."""
    terms = expand_terms(node)
    if terms.offsets:
        raise FormulaError(f"residual: offset() in {text!r} has no meaning.")
    if not terms.terms and terms.intercept:
        return (), None, _ORDERED
    if len(terms.terms) == 1 and not terms.intercept:
        return terms.variables, None, _PLACED
    if len(terms.terms) == 1 and len(terms.variables) == 1:
        return (), terms.variables[0], _TIMED
    raise FormulaError(
        f"residual: left of the bar of {text!r} stands 0 + f for the levels of a factor, t for a time, or 1 for the "
        "order of the rows."
    )


def _group(node: Node, text: str) -> tuple[Node, ...]:
    while isinstance(node, Paren):
        node = node.inner
    if node == Number(1.0):
        return ()
    found = expand_grouping(node)
    if len(found) != 1 or any(is_kin(inner) for inner in walk(node)):
        raise FormulaError(
            f"residual: right of the bar of {text!r} stands one grouping factor; combine several by ':', such as g:h, "
            "for the rows of one h in one g. A known covariance is a factor of its own, kin(id, R)."
        )
    return found[0].factors


def _check_different(text: str, variances: list[RowVariance]) -> None:
    """Variances of the same, or of strata of others, cannot be told apart."""
    for one, other in itertools.permutations(variances, 2):
        if one.kind != other.kind:
            continue
        if set(one.variables) == set(other.variables):
            raise FormulaError(
                f"residual={text!r} has the same variance twice: {one.text}, {other.text}. Take one out."
            )
        if one.kind == "varident" and set(one.variables) < set(other.variables):
            raise FormulaError(
                f"residual={text!r}: {other.text} has a variance for each level of {one.text} already. Take one out."
            )


def _check_variances(text: str, correlation: RowCorrelation | None, variances: list[RowVariance]) -> None:
    """Variances of strata must not stand beside those that a correlation has."""
    own = correlation is not None and not correlation.one_variance
    strata = [variance.text for variance in variances if variance.kind == "varident"]
    if correlation is not None and own and strata:
        inside = correlation.text.removesuffix(")")
        raise FormulaError(
            f"residual={text!r}: {correlation.text} has a variance for each level already, beside {strata[0]}. Write "
            f"{inside}, hom = TRUE) for a correlation alone."
        )
