"""The tables of the recovery study as Markdown, from stored counts; and the page they stand on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.calibration.report import rate
from benchmarks.pages import END, begin_of, markdown_table, page_with

__all__ = ["PAGE", "RESULTS", "tables", "write_page"]

Results = dict[str, Any]

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "recovery.md"
BEGIN = begin_of("python -m benchmarks.recovery --report")
INTERVALS = {"wald": "Wald", "wald on z": "Wald on Fisher's z", "profile": "profile", "wald, REML": "Wald by REML"}
# Words for the references of tests.
REFERENCES = {
    "chi2(1)": "χ²₁",
    "chi2(2)": "χ²₂",
    "mixture 0:1": "½χ²₀ + ½χ²₁",
    "mixture 1:2": "½χ²₁ + ½χ²₂",
}
# Hypotheses that are true, by setting; where a setting tests others, they are false.
TRUE = {
    "no rho_g": ("rho_g = 0",),
    "pleiotropy": ("|rho_g| = 1",),
    "no h2": ("h2[y2] = 0", "h2[y2] = 0, alone"),
    "no rho_e": ("rho_e = 0",),
}
# Fewer fits on a boundary say nothing.
_ENOUGH = 50


def write_page(results: Path, page: Path) -> None:
    """Put the tables into the page, whose words stay."""
    found = json.loads(results.read_text(encoding="utf-8"))
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Recovery\n\n{BEGIN}\n{END}\n"
    page.write_text(page_with(text, tables(found), BEGIN), encoding="utf-8")


def tables(results: Results) -> str:
    """All tables."""
    sections = (
        ("Settings", _settings),
        ("Estimates", _estimates),
        ("Coverage of 95 % intervals, %", _coverage),
        ("The same where the ML fit lies on a boundary, %", _boundary_coverage),
        ("Rejections of true hypotheses, %", _levels),
        ("Rejections of false hypotheses, %", _power),
        ("What happened", _events),
        ("Short cuts of the study that agree with the public call", _agreements),
    )
    blocks = [f"### {title}\n\n{markdown_table(list(make(results)))}\n" for title, make in sections]
    return "\n".join([*blocks, _made(results)])


def _each(results: Results) -> Iterator[tuple[str, dict[str, float], dict[str, Any]]]:
    """Name, truth and measures of every setting."""
    for name, measures in results["settings"].items():
        yield name, results["setting"]["settings"][name]["truth"], measures


def _cell(measure: dict[str, Any] | None, hits: str = "hits") -> str:
    """A rate and its Monte Carlo standard error; nothing for what does not exist."""
    if measure is None or measure["n"] == 0:
        return ""
    value, error = rate(measure, hits)
    return f"{value:.1f} ± {error:.1f}"


def _settings(results: Results) -> Iterator[list[str]]:
    yield ["setting", "h²₁", "h²₂", "ρ_g", "ρ_e", "ρ_p", "studies"]
    for name, truth, measures in _each(results):
        words = f"{name}: {results['setting']['settings'][name]['title']}"
        values = [truth.get(key) for key in ("h2[y1]", "h2[y2]", "rho_g", "rho_e", "rho_p")]
        yield [words, *("" if v is None else f"{v:.3g}" for v in values), str(measures["failed"]["n"])]


def _estimates(results: Results) -> Iterator[list[str]]:
    yield [
        "setting, parameter", "truth", "bias, ML", "bias, REML", "SD, ML", "mean SE, ML", "no SE, %",
        "95 % of the estimates",
    ]  # fmt: skip
    for name, truths, measures in _each(results):
        for parameter, truth in truths.items():
            ml, reml = (measures[f"estimate/{parameter}/{kind}"] for kind in ("ML", "REML"))
            error = measures[f"error/{parameter}/ML"]
            mean = "" if error["mean"] is None else f"{error['mean']:.3f}"
            yield [
                f"{name}, {parameter}", f"{truth:.3g}", _bias(ml, truth), _bias(reml, truth), f"{ml['sd']:.3f}", mean,
                f"{100.0 * error['undefined'] / error['n']:.1f}", f"{ml['low']:.2f} to {ml['high']:.2f}",
            ]  # fmt: skip


def _bias(estimate: dict[str, Any], truth: float) -> str:
    error = estimate["sd"] / math.sqrt(estimate["n"] - estimate["undefined"])
    return f"{estimate['mean'] - truth:+.3f} ± {error:.3f}"


def _coverage(results: Results) -> Iterator[list[str]]:
    yield ["setting, parameter", *INTERVALS.values(), "no Wald interval"]
    for name, truths, measures in _each(results):
        for parameter in truths:
            found = {kind: measures.get(f"cover/{parameter}/{kind}") for kind in INTERVALS}
            wald = found["wald"]
            none = f"{100.0 * wald['undefined'] / wald['n']:.1f}"
            yield [f"{name}, {parameter}", *(_cell(measure) for measure in found.values()), none]


def _boundary_coverage(results: Results) -> Iterator[list[str]]:
    kinds = [kind for kind in INTERVALS if kind != "wald, REML"]
    yield ["setting, parameter", *(INTERVALS[kind] for kind in kinds), "no Wald interval", "fits on a boundary"]
    for name, truths, measures in _each(results):
        for parameter in truths:
            found = [(measures.get(f"cover/{parameter}/{kind}") or {}).get("on a boundary") for kind in kinds]
            if found[0]["n"] >= _ENOUGH:
                none = f"{100.0 * found[0]['undefined'] / found[0]['n']:.1f}"
                yield [f"{name}, {parameter}", *map(_cell, found), none, str(found[0]["n"])]


def _tests(measures: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Hypothesis, reference and p-values."""
    for key, measure in measures.items():
        if key.startswith("p/"):
            hypothesis, _, reference = key.removeprefix("p/").rpartition("/")
            yield hypothesis, reference, measure


def _levels(results: Results) -> Iterator[list[str]]:
    yield ["setting, hypothesis", "reference", "at 5 %", "at 1 %", "statistic zero", "zero by the reference"]
    for name, _, measures in _each(results):
        for hypothesis, reference, p in _tests(measures):
            if hypothesis in TRUE.get(name, ()):
                nil = _cell(measures[f"flag/statistic of {hypothesis} nil"])
                expected = "50" if reference == "mixture 0:1" else "0"
                cells = [_cell(p, f"hits at {level:g}") for level in (0.05, 0.01)]
                yield [f"{name}, {hypothesis}", REFERENCES[reference], *cells, nil, expected]


def _power(results: Results) -> Iterator[list[str]]:
    """By the reference that is right, the first of each hypothesis."""
    yield ["setting, hypothesis", "reference", "at 5 %", "at 1 %"]
    for name, _, measures in _each(results):
        told = set(TRUE.get(name, ()))
        for hypothesis, reference, p in _tests(measures):
            if hypothesis not in told:
                told.add(hypothesis)
                cells = [_cell(p, f"hits at {level:g}") for level in (0.05, 0.01)]
                yield [f"{name}, {hypothesis}", REFERENCES[reference], *cells]


def _events(results: Results) -> Iterator[list[str]]:
    flags = {
        "on a boundary, ML %": "ML: on a boundary",
        "the same, REML %": "REML: on a boundary",
        "|rho_g| = 1, ML %": "ML: |rho_g| = 1",
        "h2[y2] = 0, ML %": "ML: h2[y2] = 0",
    }
    counted = {
        "h2[y1] = 0": "ML: h2[y1] = 0",
        "|rho_e| = 1": "ML: |rho_e| = 1",
        "said to be singular": "says that the fit is singular",
        "not converged": "ML: not converged",
        "likelihood without maximum": "likelihood without maximum",
        "other warnings of fits": "convergence warning of a fit",
        "and of all calls": "convergence warning",
    }
    yield ["setting", *flags, *counted, "likelier at the truth", "refused"]
    for name, _, measures in _each(results):
        likelier = sum(m["hits"] for key, m in measures.items() if key.startswith("flag/likelier"))
        rates = [f"{rate(measures[f'flag/{flag}'])[0]:.1f}" for flag in flags.values()]
        numbers = [str(measures[f"flag/{flag}"]["hits"]) for flag in counted.values()]
        yield [name, *rates, *numbers, str(likelier), str(measures["failed"]["hits"])]


def _agreements(results: Results) -> Iterator[list[str]]:
    yield ["setting", "`heritability()`, `correlations()`", "`qtl.bivariate`, `qtl.polygenic`"]
    for name, _, measures in _each(results):
        yield [name, *(_agreement(measures, prefix) for prefix in ("check/profile", "check/test"))]


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
