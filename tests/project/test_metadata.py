"""What several files say of the project is the same in all of them."""

import re
import tomllib
from pathlib import Path

import pytest

import lmmpy

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What builds lmmpy is not constrained.
BUILD = {"cython", "setuptools"}


def least():
    """The oldest versions of what lmmpy and its tests need, as setup.py and pyproject.toml state them."""
    extras = PROJECT["optional-dependencies"]
    names = ("plots", "progress", "qtl", "notebooks", "distributed", "test")
    stated = [line for name in names for line in extras[name]]
    stated += re.findall(r'^ +"(.+)",$', (ROOT / "setup.py").read_text(encoding="utf-8"), re.MULTILINE)
    found = dict(re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line).groups() for line in stated if ">=" in line)
    return {name: version for name, version in found.items() if name not in BUILD}


def pinned():
    """What constraints-oldest.txt says."""
    lines = (ROOT / "scripts" / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_the_oldest_versions_are_constrained():
    assert not set(least()) - set(pinned())


@pytest.mark.parametrize("name", least())
def test_the_oldest_version_is_the_one_that_is_stated(name):
    stated, taken = least()[name].split("."), pinned()[name].split(".")
    assert taken[: len(stated)] == stated


def test_the_citation_has_the_version_and_the_licence():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == lmmpy.__version__
    assert re.search(r"^license: (.+)$", citation, re.MULTILINE)[1] == PROJECT["license"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("BSD 3-Clause License")


def test_the_readme_cites_the_same():
    cited = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    title = re.search(r'^title: "(.+)"$', (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert f"*{title}.* Version {lmmpy.__version__}." in cited
