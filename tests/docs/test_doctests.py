"""The examples in docstrings give what they show."""

import contextlib
import doctest
import importlib
import pkgutil
import warnings

import pytest

import lmmpy

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.REPORT_NDIFF
# What a module, or its examples, need beside lmmpy itself.
EXTRAS = {
    "lmmpy.plots": ("matplotlib",),
    "lmmpy.scan.cluster": ("distributed",),
    "lmmpy.model.marginal_effects": ("marginaleffects",),
}
UNIMPORTABLE = {"lmmpy.__main__", "lmmpy.engines._cholmod_04", "lmmpy.engines._cholmod_05"}


def modules():
    """The names of all modules of the package that are Python."""
    found = pkgutil.walk_packages(lmmpy.__path__, "lmmpy.")
    return ["lmmpy", *(module.name for module in found if module.name not in UNIMPORTABLE)]


def examples_of(name):
    """The docstrings of a module that have examples."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        if any(name.startswith(room) for room in EXTRAS):
            return []
        raise
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@contextlib.contextmanager
def figures():
    """Figures are drawn without a screen, with matplotlib's own settings, and are closed afterwards."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    backend = mpl.get_backend()
    plt.switch_backend("Agg")
    with mpl.rc_context():
        yield
    plt.close("all")
    with contextlib.suppress(ImportError):  # a screen that is not there
        plt.switch_backend(backend)


@pytest.mark.parametrize("name", modules())
def test_examples(name, monkeypatch, tmp_path):
    for room, extras in EXTRAS.items():
        if name.startswith(room):
            for extra in extras:
                pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    printed = []
    with figures() if name.startswith("lmmpy.plots") else contextlib.nullcontext():
        for test in examples_of(name):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                runner.run(test, out=printed.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(printed)


def test_there_are_examples():
    tests = [test for name in modules() for test in examples_of(name)]
    assert len(tests) > 150


def test_a_wrong_example_fails():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, out=lambda text: None)
    assert runner.failures == 1
