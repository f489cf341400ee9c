"""Drawings of scans: every number is where it belongs, and thinning does not show."""

from __future__ import annotations

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb

from lmmpy.errors import DataError, ModelError
from lmmpy.plots.canvas import ACCENT
from lmmpy.plots.scan_drawings import lod_curves, manhattan, qq, regional
from tests.plots.test_scan_builders import linkage, scan


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def drawn(ax) -> np.ndarray:
    """All points of the scatters of an Axes."""
    scatters = [part for part in ax.collections if isinstance(part, PathCollection)]
    return np.concatenate([np.asarray(part.get_offsets()) for part in scatters])


def lines_at(ax) -> list[float]:
    """Heights of level lines across the Axes."""
    return [float(np.unique(line.get_ydata())[0]) for line in ax.lines if list(line.get_xdata()) == [0, 1]]


# ---- Manhattan


def test_manhattan_shows_every_variant():
    table = scan(300)
    ax = manhattan(table, thin=False)
    y = np.sort(drawn(ax)[:, 1])
    assert y == pytest.approx(np.sort(-np.log10(table["p_value"])))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "10", "X"]
    assert lines_at(ax) == pytest.approx([-np.log10(5e-8), 5.0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Chromosome", "−log₁₀ p")


def test_hits_are_highlighted_and_named():
    table = scan(300)
    table.loc[table.index[[3, 8]], "p_value"] = [1e-12, 1e-9]
    names = table["variant"].iloc[[3, 8]].tolist()
    ax = manhattan(table, labels=names, suggestive=None)
    last = ax.collections[-1]
    assert np.sort(np.asarray(last.get_offsets())[:, 1]) == pytest.approx([9.0, 12.0])
    assert to_hex(last.get_facecolors()[0]) == ACCENT.lower()
    assert sorted(text.get_text() for text in ax.texts) == sorted(names)
    assert len(lines_at(ax)) == 1
    with pytest.raises(DataError, match="No point of 'rsX'"):
        manhattan(table, labels=["rsX"])


def test_one_chromosome_has_positions_in_megabases():
    ax = manhattan(scan(100).assign(chromosome="7"))
    ax.get_figure().canvas.draw()
    assert ax.get_xlabel() == "Position on chromosome 7, Mb"
    assert "10" in [label.get_text() for label in ax.get_xticklabels()]


def picture(table: pd.DataFrame, thin: bool) -> np.ndarray:
    with mpl.rc_context():
        mpl.rcdefaults()
        ax = manhattan(table, thin=thin)
        file = io.BytesIO()
        ax.get_figure().savefig(file, dpi=100)
        file.seek(0)
        return plt.imread(file)[:, :, :3]


def test_thinning_does_not_show():
    table = scan(60_000, seed=4)
    table["p_value"] = table["p_value"] ** 1.5
    whole, thinned = picture(table, False), picture(table, True)
    ink = (whole < 0.99).any(axis=2).mean()
    assert ink > 0.05
    # In grey levels of 255; without every second point, taken blindly, it is far more.
    root = 255 * np.sqrt(np.mean((whole - thinned) ** 2))
    fewer = 255 * np.sqrt(np.mean((whole - picture(table.iloc[::2], False)) ** 2))
    assert root < 4.0
    assert fewer > 2.5 * root


def test_vector_files_of_many_variants_are_small(tmp_path):
    ax = manhattan(scan(100_000))
    ax.get_figure().savefig(tmp_path / "m.pdf")
    assert (tmp_path / "m.pdf").stat().st_size < 300_000


def test_own_axes_and_colours():
    figure, own = plt.subplots()
    ax = manhattan(scan(50), ax=own, colors=["red", "blue", "green"])
    assert ax is own
    assert {to_hex(part.get_facecolors()[0]) for part in ax.collections} == {"#ff0000", "#0000ff", "#008000"}
    with pytest.raises(ModelError, match="ax must be matplotlib Axes"):
        manhattan(scan(50), ax=figure)


# ---- Q-Q


def test_qq_points_band_and_lambda():
    p = scan(80)["p_value"]
    ax = qq(p)
    points = drawn(ax)
    assert points[:, 1] == pytest.approx(-np.log10(np.sort(p)))
    assert points[:, 0] == pytest.approx(-np.log10(np.arange(1, 81) / 81))
    assert ax.texts[0].get_text().startswith("λ = ")


def test_qq_by_group_has_a_legend():
    ax = qq(scan(80)["p_value"], group=np.repeat(["a", "b"], 40))
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [text[:6] for text in texts] == ["a: λ =", "b: λ ="]


# ---- region


def test_region_is_coloured_by_ld():
    table = scan(40).assign(chromosome="5")
    lead = table["variant"].iloc[0]
    plain = regional(table, lead, window=20_000_000)
    assert plain.get_legend() is None
    assert len(drawn(plain)) == 40
    ax = regional(table, lead, window=20_000_000, ld=dict.fromkeys(table["variant"].iloc[1:11], 0.9))
    sizes = sorted(len(part.get_offsets()) for part in ax.collections if len(part.get_offsets()))
    assert sizes == [1, 10, 29]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "0.8–1",
        "0.6–0.8",
        "0.4–0.6",
        "0.2–0.4",
        "0–0.2",
        "unknown",
    ]
    assert ax.texts[0].get_text() == lead


# ---- LOD


def test_lod_curves_genome_wide():
    ax = lod_curves(linkage(), thresholds=(3.0, 2.0))
    curves = [line.get_ydata().tolist() for line in ax.lines if len(line.get_xdata()) > 2]
    assert curves == [[0.0, 3.5, 3.0, 0.2], [0.1, 2.0, 1.0]]
    assert lines_at(ax)[:2] == [3.0, 2.0]
    assert ax.get_legend() is None


def test_lod_curves_of_each_chromosome():
    axes = lod_curves(linkage(), each=True)
    assert [ax.get_xlabel() for ax in axes] == [f"Position on chromosome {c}, cM" for c in "12"]
    one = lod_curves(linkage(), "2")
    assert one.lines[0].get_xdata().tolist() == [0.0, 5.0, 10.0]
    with pytest.raises(ModelError, match="needs 2 Axes"):
        lod_curves(linkage(), ["1", "2"], ax=one)


def test_support_intervals_are_bars_below():
    support = pd.DataFrame(
        {"chromosome": ["1", "2"], "position": [5.0, 5.0], "low": [2.5, np.nan], "high": [11.0, 9.0]}
    )
    ax = lod_curves(linkage(), "1", support=support)
    bars = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] < 0]
    assert [bar.get_xdata().tolist() for bar in bars] == [[2.5, 11.0]]
    both = lod_curves(linkage(), support=support)
    open_end = [line.get_xdata() for line in both.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] < 0][1]
    second = next(line.get_xdata() for line in both.lines if len(line.get_xdata()) == 3)
    assert open_end[0] == second[0]
    assert open_end[1] - open_end[0] == pytest.approx(9.0)


def test_passes_have_their_colours():
    ax = lod_curves({"first": linkage(), "second": linkage().assign(lod=0.4)})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["first", "second"]
    colours = {to_rgb(line.get_color()) for line in ax.lines if len(line.get_xdata()) > 2}
    assert len(colours) == 2
