"""The README's table of times is what the stored results say."""

import json
import re

import pytest

from benchmarks import overview
from benchmarks.pages import END


@pytest.fixture(scope="module")
def results():
    return json.loads(overview.RESULTS.read_text(encoding="utf-8"))


def test_the_readme_shows_what_was_measured(results):
    shown = overview.README.read_text(encoding="utf-8").partition(overview.BEGIN)[2].partition(END)[0]
    assert shown.strip() == overview.table(results).strip()


def test_a_ratio_is_of_medians():
    peers = [{"peer": "lmmpy", "seconds": [3.0, 1.0, 2.0]}, {"peer": "lme4", "seconds": [8.0]}]
    row = overview.Row("what", "short", "one", "lme4")
    assert overview.times({"problems": [{"name": "one", "peers": peers}]}, row).ratio == 0.25


def test_a_row_without_results_fails(results):
    with pytest.raises(KeyError, match="nothing"):
        overview.times(results, overview.Row("what", "short", "nothing", "lme4"))


def test_the_picture_is_drawn(results, tmp_path):
    mpl = pytest.importorskip("matplotlib")
    with mpl.rc_context():  # the style is of this picture only
        overview.draw(results, tmp_path / "overview.svg")
    assert "genomic K, 2,000: GEMMA" in (tmp_path / "overview.svg").read_text(encoding="utf-8")


QUANTITY = re.compile(r"(?<![\w.])([\d,]+(?:\.\d+)?) (µs|ms|s|min|GiB|MB)\b")
UNITS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "GiB": 1024.0, "MB": 1.0}


def quantities(text):
    """Times in seconds and sizes in MB, each with half a unit of its last place."""
    for number, unit in QUANTITY.findall(text):
        decimals = len(number.partition(".")[2])
        yield f"{number} {unit}", float(number.replace(",", "")) * UNITS[unit], 0.51 * UNITS[unit] / 10**decimals


@pytest.mark.parametrize("page", ["how-to/large-data.md", "explanation/engines.md"])
def test_what_pages_quote_is_in_the_results(page):
    results = (overview.ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    measured = [value for _, value, _ in quantities(results)]
    measured += [float(cell.replace(",", "")) for cell in re.findall(r"(?<=\| )[\d,]+(?= )", results)]  # peaks, in MB
    quoted = quantities((overview.ROOT / "docs" / page).read_text(encoding="utf-8"))
    unknown = [text for text, value, half in quoted if not any(abs(value - known) <= half for known in measured)]
    assert not unknown
