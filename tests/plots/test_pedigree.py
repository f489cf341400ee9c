"""A family's drawing: everybody is there, nobody on somebody else, couples and sibs beside each other."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lmmpy.errors import DataError
from lmmpy.plots import draw_pedigree
from lmmpy.relatedness import Pedigree
from tests.relatedness.naive_pedigree import random_pedigree


@pytest.fixture
def three_generations():
    return Pedigree(
        ["gf", "gm", "a", "b", "wife", "k1", "k2", "k3", "other"],
        [0, 0, "gf", "gf", 0, "a", "a", "a", 0],
        [0, 0, "gm", "gm", 0, "wife", "wife", "wife", 0],
        [1, 2, 1, 2, 2, 1, 2, 2, 0],
        [0, 0, 0, 0, 0, 0, 9, 9, 0],
    )


def test_layout(three_generations):
    frame = three_generations.layout(1).set_index("id")
    assert frame["y"].to_dict() == {
        **dict.fromkeys(["gf", "gm"], 0.0),
        **dict.fromkeys(["a", "b", "wife"], -1.0),
        **dict.fromkeys(["k1", "k2", "k3"], -2.0),
    }
    x = frame["x"]
    assert abs(x["a"] - x["wife"]) < abs(x["b"] - x["wife"])  # a couple stands together
    assert x["k1"] < x["k2"] < x["k3"]
    assert x[["k1", "k2", "k3"]].mean() == pytest.approx(x[["a", "wife"]].mean(), abs=0.3)
    assert frame["twin"]["k3"] == "k2"


@pytest.mark.parametrize("seed", range(8))
def test_nobody_hides_another(seed):
    ped = random_pedigree(np.random.default_rng(seed), 40)
    pedigree = Pedigree(*ped.columns())
    for family in set(pedigree.families()):
        frame = pedigree.layout(family)
        for _, row in frame.groupby("y"):
            assert (np.diff(np.sort(row["x"])) > 1.0 - 1e-9).all()
        y = dict(zip(frame["id"], frame["y"], strict=True))
        for row in frame.itertuples():
            assert all(y[p] > row.y for p in (row.father, row.mother) if p in y)


def test_drawing(three_generations):
    _, ax = plt.subplots()
    assert draw_pedigree(three_generations, 1, ax=ax) is ax
    assert {text.get_text() for text in ax.texts} == set(three_generations.ids) - {"other"}
    assert [len(marks.get_offsets()) for marks in ax.collections] == [3, 5]
    alone = draw_pedigree(three_generations, 2, labels=False)
    assert not alone.texts and len(alone.collections) == 1
    plt.close("all")


def test_which_family(three_generations):
    with pytest.raises(DataError, match="no family None: give a number from 1 to 2"):
        three_generations.layout()
    with pytest.raises(DataError, match="no family 3"):
        draw_pedigree(three_generations, 3)
    one = Pedigree(["c", "f"], ["f", 0], [0, 0])
    assert len(one.layout()) == 2
    assert len(Pedigree(pd.Series(["c", "f"], name="x"), ["f", 0], [0, 0]).layout()) == 2


def test_a_family_too_large_to_be_drawn():
    with pytest.raises(DataError, match="A family of 502 cannot be drawn"):
        Pedigree(range(1, 503), [0, *[1] * 501], [0] * 502).layout()
