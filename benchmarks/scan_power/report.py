"""The tables and the picture of the study of scans, from stored counts; and the page they stand on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.pages import END, begin_of, markdown_table, page_with
from benchmarks.scan_power.plot import draw

__all__ = ["PAGE", "RESULTS", "TESTS", "tables", "write_page"]

Results = dict[str, Any]

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "scan-power.md"
BEGIN = begin_of("python -m benchmarks.scan_power --report")
TESTS = {
    "lm": "ordinary regression",
    "score": "score",
    "wald_at_null": "Wald",
    "lrt_at_null": "LRT",
    "wald": "Wald, exact (REML)",
    "lrt": "LRT, exact (ML)",
    "pedigree": "pedigree",
    "covariate": "pedigree, population as covariate",
    "grm": "genomic relatedness",
    "cone": "(2−√2)/4·(χ²₀ + χ²₃) + √2/4·(χ²₁ + χ²₂), `cone`",
    "solar": "¼χ²₀ + ½χ²₁ + ¼χ²₃, `solar`",
    "variances": "¼χ²₀ + ½χ²₁ + ¼χ²₂, `variances`",
    "lod": "as they are",
    "lod_adjusted": "adjusted",
}
LOD_HEADS = ("LOD ≥ 0.59 (5 %)", "≥ 1.18 (1 %)", "≥ 2.07 (0.1 %)", "≥ 3 (0.01 %)")
P_HEADS = ("5 %", "1 %", "0.1 %")


def write_page(results: Path, page: Path) -> None:
    """Put the tables into the page, whose words stay, and the picture beside it."""
    found = json.loads(results.read_text(encoding="utf-8"))
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Scans\n\n{BEGIN}\n{END}\n"
    page.write_text(page_with(text, tables(found), BEGIN), encoding="utf-8")
    draw(found, page.with_suffix(".svg"))


def tables(results: Results) -> str:
    """All tables."""
    sections = (
        ("Settings", _settings),
        ("Linkage where there is no locus: LODs that are as high, %", _linkage_levels),
        ("Two traits, no locus: rejections, %", _bivariate_levels),
        ("`lod_adjust`: LODs that are as high where there is no locus, %", _adjusted),
        ("Linkage where there is a locus: LODs that are as high, %, and what theory says", _linkage_power),
        ("SNPs without effect: rejections, %", _association_levels),
        ("Two populations, SNPs without effect: rejections, %", _structure_levels),
        ("SNPs with an effect: rejections, %, and what theory says", _association_power),
        ("What happened", _events),
    )
    blocks = [f"### {title}\n\n{markdown_table(list(make(results)))}\n" for title, make in sections]
    return "\n".join([*blocks, _made(results)])


def _each(results: Results, kind: str, there: bool | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Settings of a kind, with or without something to be found."""
    for name, found in results["settings"].items():
        words = results["setting"]["settings"][name]
        if words["kind"] == kind and there in (None, words["share"] > 0.0):
            yield name, found


def _percent(rate: dict[str, Any]) -> str:
    """A rate and its Monte Carlo standard error, with a decimal more where it is small."""
    value, error = 100.0 * rate["rate"], 100.0 * rate["error"]
    digits = 1 if value >= 3.0 else 2 if value >= 0.3 else 3
    return "0" if value == 0.0 else f"{value:.{digits}f} ± {error:.{digits}f}"


def _rates(test: dict[str, Any], without: int = 0) -> list[str]:
    rates = list(test["rates"].values())
    return [_percent(rate) for rate in rates[: len(rates) - without]]


def _settings(results: Results) -> Iterator[list[str]]:
    yield ["setting", "h²", "c²", "null model", "studies", "loci or SNPs in each"]
    for name, found in results["settings"].items():
        words = results["setting"]["settings"][name]
        yield [
            f"{name}: {words['title']}", f"{words['h2']:g}", f"{words['c2']:g}", f"`{words['formula']}`",
            str(found["studies"]), str(found["items"]),
        ]  # fmt: skip


def _linkage_levels(results: Results) -> Iterator[list[str]]:
    yield ["setting", *LOD_HEADS, "LOD zero (50 %)", "mean share of the locus"]
    for name, found in _each(results, "linkage", there=False):
        mean = found["means"]["h2q"]["mean"]
        yield [name, *_rates(found["tests"]["lod"]), _percent(found["LOD zero"]), f"{mean:.3f}"]


def _bivariate_levels(results: Results) -> Iterator[list[str]]:
    yield ["reference", *P_HEADS, "0.01 %"]
    for _, found in _each(results, "bivariate"):
        for key, test in found["tests"].items():
            yield [TESTS[key], *_rates(test)]


def _adjusted(results: Results) -> Iterator[list[str]]:
    yield ["setting, LODs", *LOD_HEADS[:3], "multiplier, mean", "in 95 % of the studies"]
    for name, found in _each(results, "adjusted"):
        multiplier = found["means"]["multiplier"]
        for key, test in found["tests"].items():
            numbers = [f"{multiplier['mean']:.2f}", f"{multiplier['low']:.2f} to {multiplier['high']:.2f}"]
            yield [f"{name}, {TESTS[key]}", *_rates(test, 1), *(numbers if key == "lod_adjusted" else ["", ""])]


def _linkage_power(results: Results) -> Iterator[list[str]]:
    heads = [word.partition(" (")[0] for word in LOD_HEADS]
    yield ["setting", "mean LOD", "theory", "mean share", *(x for head in heads for x in (head, "theory"))]
    for name, found in _each(results, "linkage", there=True):
        lod, theory = found["means"]["lod"], found["theory"]
        share = found["means"]["h2q"]["mean"]
        yield [
            name, f"{lod['mean']:.2f} ± {lod['error']:.2f}", f"{theory['LOD']:.2f}", f"{share:.3f}",
            *_beside(found["tests"]["lod"], theory),
        ]  # fmt: skip


def _beside(test: dict[str, Any], theory: dict[str, Any]) -> Iterator[str]:
    """Each rate, and what theory says it is."""
    for level, rate in test["rates"].items():
        yield _percent(rate)
        yield f"{100.0 * theory['power'][level]:.1f}"


def _association_levels(results: Results) -> Iterator[list[str]]:
    yield ["setting, test", *P_HEADS]
    for name, found in _each(results, "association", there=False):
        for key, test in found["tests"].items():
            yield [f"{name}, {TESTS[key]}", *_rates(test, 1)]


def _structure_levels(results: Results) -> Iterator[list[str]]:
    yield ["null model", *P_HEADS]
    for _, found in _each(results, "structure"):
        for key, test in found["tests"].items():
            yield [TESTS[key], *_rates(test, 1)]


def _association_power(results: Results) -> Iterator[list[str]]:
    yield ["setting, test", "5 %", "theory", "1 %", "theory", "0.1 %", "theory", "5·10⁻⁸", "theory"]
    for name, found in _each(results, "association", there=True):
        for key, test in found["tests"].items():
            if key != "lm":  # whose level is not the one it says
                yield [f"{name}, {TESTS[key]}", *_beside(test, found["theory"])]


def _events(results: Results) -> Iterator[list[str]]:
    yield ["setting", "refused", "warned", "not converged", "loci with a note", "without p-value"]
    for name, found in results["settings"].items():
        happened = found["happened"]
        undefined = max(test["undefined"] for test in found["tests"].values())
        numbers = [happened["refused"], happened["warned"], happened["not converged"], happened.get("noted", "")]
        yield [name, *(str(number) for number in numbers), str(undefined)]


def _made(results: Results) -> str:
    setting = results["setting"]
    numpy, scipy = (setting[name].partition(" ")[0] for name in ("numpy", "scipy"))
    return (
        f"± is one Monte Carlo standard error, from differences between studies. Made on "
        f"{setting['date'].partition(' ')[0]} with lmmpy {setting['lmmpy']}, numpy {numpy}, scipy {scipy}, Python "
        f"{setting['Python']}, seed {setting['seed']}, in "
        f"{setting['CPU minutes']:g} minutes of one core of {setting['CPU'].partition(',')[0]}.\n"
    )
