"""Levels: their order, and labels that are made for those who ask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from lmmpy.design import build_design
from lmmpy.design.values import combine, factorize


def test_labels_wait_until_they_are_asked_for():
    """A few hundred thousand levels must not become text for a fit that nobody prints."""
    n = 60
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"y": rng.normal(size=n), "g": np.arange(n) % 12, "h": np.arange(n) % 4 // 2})
    terms = build_design("y ~ 1 + (1 | h/g)", data)[0].random
    assert not any("labels" in vars(term.grouping) for term in terms)
    assert all(term.grouping.levels.dtype.kind == "i" for term in terms)
    assert terms[0].levels[:3] == ["0:0", "1:0", "2:1"]


def test_a_combination_has_the_levels_that_occur():
    first, second = (
        factorize(np.array(["b", "a", None, "b", "a"], dtype=object)),
        factorize(np.array([2, 10, 2, 2, 10])),
    )
    joint = combine([first, second])
    assert joint.labels == ["a:10", "b:2"]
    assert joint.codes.tolist() == [1, 0, -1, 1, 0]
    part = replace(joint, codes=joint.codes[:1]).drop_unused()
    assert (part.labels, part.codes.tolist()) == (["b:2"], [0])


def test_a_combination_of_nothing():
    nowhere = factorize(np.array([None, None], dtype=object))
    assert combine([nowhere, factorize(np.array([1, 2]))]).labels == []


def test_letters_that_differ_in_case_alone():
    """Small before capital, but only where nothing else decides."""
    texts = np.array(["B", "a", "b", "A", "aB", "Ab", "_"], dtype=object)
    assert factorize(texts).labels == [
        "_",
        "a",
        "A",
        "aB",
        "Ab",
        "b",
        "B",
    ]


def test_unused_levels_with_missing_values():
    factor = factorize(np.array(["a", "b", None, "c"], dtype=object))
    kept = type(factor)(np.array([2, -1, 0, 2]), factor.levels).drop_unused()
    assert (kept.labels, kept.codes.tolist()) == (["a", "c"], [1, -1, 0, 1])
