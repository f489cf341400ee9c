"""The README's table of times is what the stored results say."""

import json

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
