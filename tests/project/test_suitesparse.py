"""Which scikit-sparse a machine gets, and what is said when it can get none."""

import dataclasses
import os

import build_backend
import pytest
import suitesparse
from suitesparse import Machine

DEBIAN_12 = """
#define SUITESPARSE_VER_CODE(main,sub) ((main) * 1000 + (sub))
#define SUITESPARSE_MAIN_VERSION 5
#define SUITESPARSE_SUB_VERSION 12
#define SUITESPARSE_SUBSUB_VERSION 0
#define SUITESPARSE_VERSION \\
    SUITESPARSE_VER_CODE(SUITESPARSE_MAIN_VERSION,SUITESPARSE_SUB_VERSION)
"""
UBUNTU_24 = """
#define SUITESPARSE_MAIN_VERSION   7
#define SUITESPARSE_SUB_VERSION    6
#define SUITESPARSE_SUBSUB_VERSION 1
"""


@pytest.fixture
def machine(tmp_path):
    """A machine that has all that is needed, with Debian 12's SuiteSparse."""
    return Machine(headers=tmp_path, version=(5, 12, 0), lacks_compiler=(), python_h=True, scikit_sparse=None)


@pytest.mark.parametrize(
    ("header", "version"), [(DEBIAN_12, (5, 12, 0)), (UBUNTU_24, (7, 6, 1)), ("/* nothing */", ())]
)
def test_version_of_the_header(header, version):
    assert suitesparse.read_version(header) == version


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ((5, 12, 0), "scikit-sparse>=0.4.16,<0.5"),
        ((7, 3, 1), "scikit-sparse>=0.4.16,<0.5"),
        ((7, 4, 0), "scikit-sparse>=0.4.16"),
        ((8, 0, 0), "scikit-sparse>=0.4.16"),
        ((), "scikit-sparse>=0.4.16,<0.5"),
    ],
)
def test_requirement_follows_suitesparse(machine, version, wanted):
    assert suitesparse.requirement(dataclasses.replace(machine, version=version)) == wanted


@pytest.mark.parametrize(
    ("installed", "wanted"), [("0.5.0", "scikit-sparse>=0.4.16"), ("0.4.4", "scikit-sparse>=0.4.16,<0.5")]
)
def test_an_installed_scikit_sparse_is_kept_when_it_will_do(machine, installed, wanted):
    assert suitesparse.requirement(dataclasses.replace(machine, scikit_sparse=installed)) == wanted


def test_a_complete_machine_passes(machine):
    assert suitesparse.needs(machine) == []
    suitesparse.check(machine, {})


@pytest.mark.parametrize(
    ("lack", "words"),
    [
        ({"headers": None}, ["cholmod.h", "apt-get install libsuitesparse-dev", "dnf install suitesparse-"]),
        ({"headers": None}, ["brew install suite-sparse", "conda install", "SUITESPARSE_INCLUDE_DIR"]),
        ({"lacks_compiler": ("C", "C++")}, ["a C compiler", "apt-get install gcc libc6-dev\n"]),
        ({"lacks_compiler": ("C++",), "version": (7, 4, 0)}, ["a C++ compiler", "apt-get install g++\n"]),
        ({"python_h": False}, ["Python.h", f"apt-get install {suitesparse.debian_python()}-dev"]),
        ({"headers": None, "lacks_compiler": ("C++",)}, ["apt-get install libsuitesparse-dev g++"]),
    ],
)
def test_what_is_missing_is_named_with_its_command(machine, lack, words):
    with pytest.raises(suitesparse.MissingError) as caught:
        suitesparse.check(dataclasses.replace(machine, **lack), {})
    assert [word for word in words if word not in str(caught.value)] == []


def test_cpp_is_needed_only_where_scikit_sparse_0_5_may_come(machine):
    assert suitesparse.needs(dataclasses.replace(machine, lacks_compiler=("C++",))) == []


@pytest.mark.parametrize("language", ["C", "C++"])
def test_the_compiler_is_the_one_a_build_would_call(language):
    variable = suitesparse.COMPILERS[language][0]
    assert suitesparse.compiler_exists(language, {variable: "sh -c"})
    assert not suitesparse.compiler_exists(language, {variable: "no-such-compiler -pthread"})


def test_no_complaint_when_scikit_sparse_is_there_or_the_check_is_waived(machine):
    bare = dataclasses.replace(machine, headers=None, lacks_compiler=("C++",))
    suitesparse.check(dataclasses.replace(bare, scikit_sparse="0.4.16"), {})
    with pytest.raises(suitesparse.MissingError, match="a C compiler"):  # for lmmpy's own loops
        suitesparse.check(dataclasses.replace(bare, scikit_sparse="0.4.16", lacks_compiler=("C",)), {})
    suitesparse.check(bare, {suitesparse.SKIP: "1"})
    with pytest.raises(suitesparse.MissingError):
        suitesparse.check(dataclasses.replace(bare, scikit_sparse="0.4.4"), {})


def test_a_directory_needs_both_headers(tmp_path):
    one, both = tmp_path / "one", tmp_path / "both"
    for directory, names in ((one, ["cholmod.h"]), (both, suitesparse.HEADERS)):
        directory.mkdir()
        for name in names:
            (directory / name).write_text(UBUNTU_24)
    assert suitesparse.find_headers([tmp_path / "absent", one, both]) == both
    assert suitesparse.find_headers([one]) is None


def test_look_reads_the_place_that_the_user_names(tmp_path):
    for name in suitesparse.HEADERS:
        (tmp_path / name).write_text(UBUNTU_24)
    found = suitesparse.look({**os.environ, "SUITESPARSE_INCLUDE_DIR": str(tmp_path)})
    assert (found.headers, found.version) == (tmp_path, (7, 6, 1))


@pytest.mark.parametrize("name", ["SUITESPARSE_INCLUDE_DIR", "CPATH", "C_INCLUDE_PATH"])
def test_places_the_compiler_is_told_of(name):
    places = [str(place) for place in suitesparse.include_directories({name: "/elsewhere"})]
    assert "/elsewhere" in places
    assert "/usr/include/suitesparse" in places


def test_installed_scikit_sparse_is_found_by_directory(tmp_path):
    info = tmp_path / "scikit_sparse-0.5.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-sparse\nVersion: 0.5.0\n")
    assert suitesparse.installed_scikit_sparse([str(tmp_path)]) == "0.5.0"
    assert suitesparse.installed_scikit_sparse([str(tmp_path / "empty")]) is None


@pytest.mark.parametrize("hook", ["get_requires_for_build_wheel", "get_requires_for_build_editable"])
def test_the_backend_stops_before_anything_is_built(monkeypatch, machine, hook):
    bare = dataclasses.replace(machine, headers=None)
    monkeypatch.setattr(suitesparse, "look", lambda: bare)
    monkeypatch.delenv(suitesparse.SKIP, raising=False)
    with pytest.raises(SystemExit, match="libsuitesparse-dev"):
        getattr(build_backend, hook)()
