"""Long searches tell how far they are, where somebody watches."""

import io
import sys

import pytest

import lmmpy as lmm


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def sleepstudy():
    return lmm.datasets.load("sleepstudy")


def fit(data, **control):
    return lmm.lmer("Reaction ~ Days + (Days | Subject)", data, control=lmm.Control(**control))


def test_a_search_that_is_watched_tells_each_evaluation_and_ends_the_line(sleepstudy, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    found = fit(sleepstudy, progress=True)
    first, *_, last = stream.getvalue().split("\r")[1:]
    assert first.startswith("lmmpy: 1 evaluations")
    assert f"criterion {found.reml_criterion:.3f}" in last
    assert last.endswith("\n")


def test_a_quick_search_is_silent_in_a_terminal_too(sleepstudy, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    fit(sleepstudy)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("stream", "shown", "expected"), [(Terminal, None, True), (io.StringIO, None, False)])
def test_who_watches_decides(sleepstudy, monkeypatch, stream, shown, expected):
    monkeypatch.setattr("lmmpy.fitting.progress._PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", stream())
    fit(sleepstudy, progress=shown)
    assert bool(sys.stderr.getvalue()) is expected


def test_nothing_else_changes(sleepstudy, capsys):
    assert fit(sleepstudy, progress=True).loglik == fit(sleepstudy).loglik
    assert "evaluations" in capsys.readouterr().err


def test_a_wrong_value_is_refused():
    with pytest.raises(lmm.ModelError, match="progress is True, False or None, not 'yes'"):
        lmm.Control(progress="yes")
