"""The tables of the calibration study as Markdown, from stored counts; and the page they stand on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.calibration.plot import draw
from benchmarks.pages import END, begin_of, markdown_table, page_with

__all__ = ["PAGE", "TESTS", "deviations_of", "rate", "tables", "write_page"]

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "calibration.md"
BEGIN = begin_of("python -m benchmarks.calibration --report")
EFFECT_METHODS = {
    "asymptotic": "Wald, normal",
    "profile": "profile",
    "satterthwaite": "Satterthwaite t",
    "kenward-roger": "Kenward–Roger t",
}
DEVIATION_METHODS = {"wald": "Wald on logs", "profile": "profile, ML", "restricted profile": "profile, REML"}
TESTS = {
    "lrt": "LRT, χ²",
    "satterthwaite": "Satterthwaite F",
    "kenward-roger": "Kenward–Roger F",
    "bootstrap": "bootstrap LRT",
}
RANDOM_TESTS = {"naive": "LRT, χ²", "mixture": "LRT, mixture"}
# Fewer singular fits say nothing.
_ENOUGH = 50
# The public call, the part of the study, and how its checks begin.
CHECKS = (
    ("`confint(method='profile')`", "fixed", "check/profile"),
    ("`vpredict(interval='profile')`", "restricted", "check/vpredict"),
    ("`parametric_bootstrap_lrt`", "fixed", "check/bootstrap"),
    ("`ranova`", "random", "check/ranova"),
)

Results = dict[str, Any]


def rate(measure: dict[str, Any], hits: str = "hits") -> tuple[float, float]:
    """Share of all data sets, and its Monte Carlo standard error, in percent; what does not exist is no hit."""
    n, share = measure["n"], measure[hits] / measure["n"]
    return 100.0 * share, 100.0 * math.sqrt(share * (1.0 - share) / n)


def deviations_of(facts: dict[str, Any]) -> dict[str, float]:
    """The standard deviations of a design with their true values."""
    return dict(facts["truth"])


def write_page(results: Path, page: Path) -> None:
    """Put the tables into the page, whose words stay, and draw the plot beside it."""
    found = json.loads(results.read_text(encoding="utf-8"))
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Calibration\n\n{BEGIN}\n{END}\n"
    page.write_text(page_with(text, tables(found), BEGIN), encoding="utf-8")
    draw(found, page.with_suffix(".svg"))


def tables(results: Results) -> str:
    """All tables."""
    sections = (
        ("Designs", _designs),
        ("Coverage of 95 % intervals for fixed effects, %", _effects),
        ("Median width of these intervals, as a ratio to Wald's", _widths),
        ("Coverage of 95 % intervals for standard deviations, %", _deviations),
        ("Rejections of a true hypothesis about the between-group effect, %", _tests),
        ("The same at 5 %, where the REML fit is singular, %", _singular_tests),
        ("Rejections of a variance that is zero, %", _random_tests),
        ("Estimates of standard deviations", _bias),
        ("What happened", _events),
        ("Short cuts of the study that agree with the public call", _agreements),
    )
    blocks = [f"### {title}\n\n{markdown_table(list(make(results)))}\n" for title, make in sections]
    return "\n".join([*blocks, _made(results)])


def _each(results: Results) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Name, facts, and the measures of both parts of every design."""
    for name, parts in results["designs"].items():
        yield name, results["setting"]["designs"][name], parts["fixed"], parts["random"]


def _cell(measure: dict[str, Any], hits: str = "hits", digits: int = 1) -> str:
    value, error = rate(measure, hits)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _designs(results: Results) -> Iterator[list[str]]:
    yield ["design", "model", "groups", "rows", "true standard deviations", "correlation"]
    for name, facts, _, _ in _each(results):
        truth = ", ".join(f"{key} {value:g}" for key, value in deviations_of(facts).items())
        cor = "" if facts["correlation"] is None else f"{facts['correlation']:g}"
        yield [name, f"`{facts['formula']}`", str(len(facts["group sizes"])), str(facts["rows"]), truth, cor]


def _effects(results: Results) -> Iterator[list[str]]:
    yield ["design, coefficient", *EFFECT_METHODS.values(), "data sets"]
    for name, facts, measures, _ in _each(results):
        for kind in ("within", "between"):
            found = [measures[f"cover/{kind}/{method}"] for method in EFFECT_METHODS]
            yield [f"{name}, {facts[kind]} ({kind})", *map(_cell, found), str(found[0]["n"])]


def _widths(results: Results) -> Iterator[list[str]]:
    methods = [method for method in EFFECT_METHODS if method not in ("asymptotic", "profile")]
    yield ["design, coefficient", *(EFFECT_METHODS[method] for method in methods)]
    for name, facts, measures, _ in _each(results):
        for kind in ("within", "between"):
            width = {
                method: measures[f"estimate/width of {kind}/{method}"]["median"] for method in ("asymptotic", *methods)
            }
            ratios = [f"{width[method] / width['asymptotic']:.2f}" for method in methods]
            yield [f"{name}, {facts[kind]} ({kind})", *ratios]


def _deviations(results: Results) -> Iterator[list[str]]:
    yield [
        "design, parameter", *DEVIATION_METHODS.values(), "Wald where it exists", "no Wald interval",
        "Wald above 10 times the truth", "data sets",
    ]  # fmt: skip
    for name, facts, measures, _ in _each(results):
        for parameter in deviations_of(facts):
            every = {**measures, **results["designs"][name]["restricted"]}
            found = [every[f"cover/{parameter}/{method}"] for method in DEVIATION_METHODS]
            wald = found[0]
            wide = measures[f"flag/Wald interval of {parameter} ends above 10 times the truth"]
            none, there = 100.0 * wald["undefined"] / wald["n"], {**wald, "n": wald["n"] - wald["undefined"]}
            cells = [*map(_cell, found), _cell(there), f"{none:.1f}", f"{rate(wide)[0]:.1f}"]
            yield [f"{name}, {parameter}", *cells, str(wald["n"])]


def _tests(results: Results) -> Iterator[list[str]]:
    yield ["design, level", "df", *TESTS.values(), "data sets"]
    for name, facts, measures, _ in _each(results):
        for level in (0.05, 0.01):
            found = [measures[f"p/{test}"] for test in TESTS]
            cells = [_cell(measure, f"hits at {level:g}") for measure in found]
            yield [f"{name}, {100 * level:g} %", str(len(facts["tested"])), *cells, str(found[0]["n"])]


def _singular_tests(results: Results) -> Iterator[list[str]]:
    yield ["design", *TESTS.values(), "singular fits"]
    for name, _, measures, _ in _each(results):
        found = [measures[f"p/{test}"]["in singular fits"] for test in TESTS]
        if found[0]["n"] >= _ENOUGH:
            yield [name, *map(_cell, found), str(found[0]["n"])]


def _random_tests(results: Results) -> Iterator[list[str]]:
    yield ["design, level", "tested", *RANDOM_TESTS.values(), "data sets"]
    for name, facts, _, measures in _each(results):
        tested = "slope: variance and covariance" if facts["correlation"] is not None else "intercept: variance"
        for level in (0.05, 0.01):
            found = [measures[f"p/{test}"] for test in RANDOM_TESTS]
            cells = [_cell(measure, f"hits at {level:g}") for measure in found]
            yield [f"{name}, {100 * level:g} %", tested, *cells, str(found[0]["n"])]


def _bias(results: Results) -> Iterator[list[str]]:
    yield ["design, parameter", "truth", "bias, REML", "bias, ML", "median, REML", "median, ML"]
    for name, facts, measures, _ in _each(results):
        for parameter, truth in deviations_of(facts).items():
            found = [measures[f"estimate/{parameter}/{kind}"] for kind in ("REML", "ML")]
            errors = [made["sd"] / math.sqrt(made["n"] - made["undefined"]) for made in found]
            biases = [f"{made['mean'] - truth:+.3f} ± {error:.3f}" for made, error in zip(found, errors, strict=True)]
            yield [f"{name}, {parameter}", f"{truth:g}", *biases, *(f"{made['median']:.3f}" for made in found)]


def _events(results: Results) -> Iterator[list[str]]:
    yield [
        "design",
        "singular, REML %",
        "singular, ML %",
        "refused",
        "convergence warnings",
        "other warnings",
        "no F test",
    ]
    for name, _, fixed, _ in _each(results):
        parts = results["designs"][name]
        singular = [f"{rate(fixed[f'flag/{kind} fit singular'])[0]:.1f}" for kind in ("REML", "ML")]
        refused = sum(part["failed"]["hits"] for part in parts.values())
        warned = [
            sum(part[f"flag/{which}: {kind} warning"]["hits"] for which, part in parts.items())
            for kind in ("convergence", "other")
        ]
        without = sum(fixed[f"p/{test}"]["undefined"] for test in ("satterthwaite", "kenward-roger"))
        yield [name, *singular, str(refused), *map(str, warned), str(without)]


def _agreements(results: Results) -> Iterator[list[str]]:
    yield ["design", *(call for call, _, _ in CHECKS)]
    for name, _, _, _ in _each(results):
        yield [name, *(_agreement(results["designs"][name][part], prefix) for _, part, prefix in CHECKS)]


def _agreement(measures: dict[str, Any], prefix: str) -> str:
    found = [measure for key, measure in measures.items() if key.startswith(prefix)]
    total, agreed = sum(measure["n"] for measure in found), sum(measure["hits"] for measure in found)
    return f"{agreed} of {total}"


def _made(results: Results) -> str:
    setting = results["setting"]
    return (
        f"± is one Monte Carlo standard error. Made on {setting['date'].partition(' ')[0]} with lmmpy "
        f"{setting['lmmpy']}, numpy {setting['numpy'].partition(' ')[0]}, scipy {setting['scipy'].partition(' ')[0]}, "
        f"Python {setting['Python']}, seed {setting['seed']}, in {setting['CPU minutes']:g} minutes of one core of "
        f"{setting['CPU'].partition(',')[0]}.\n"
    )
