"""What is published holds all that an installation needs."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys, build_backend as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a build reads, with two rooms only, the compiled loops and a datum."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "setup.py", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    (copy / "README.md").write_text("A copy.")
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    for package in ("lmmpy", "lmmpy/datasets", "lmmpy/engines", "tests", "benchmarks"):
        (copy / package).mkdir()
        (copy / package / "__init__.py").write_text('__version__ = "9.8.7"\n')
    for name in ("_kernels.pyx", "_kernels.pyi"):
        shutil.copy(ROOT / "lmmpy" / "engines" / name, copy / "lmmpy" / "engines")
    (copy / "lmmpy" / "datasets" / "data").mkdir()
    for name in ("lmmpy/py.typed", "lmmpy/datasets/data/sleep.csv", "lmmpy/datasets/data/big.csv.gz"):
        (copy / name).touch()
    return copy


def build(checkout, kind):
    """Build an "sdist" or a "wheel" as pip does, without its isolation; return the file."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, "dist"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": "scripts"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return checkout / "dist" / done.stdout.splitlines()[-1]


def test_a_wheel_holds_the_package_and_its_data_only(checkout):
    names = {name for name in zipfile.ZipFile(build(checkout, "wheel")).namelist() if ".dist-info/" not in name}
    compiled = {name for name in names if name.endswith(EXTENSION_SUFFIXES[0])}
    assert len(compiled) == 1 and compiled < {name for name in names if name.startswith("lmmpy/engines/_kernels.")}
    assert names - compiled == {
        "lmmpy/__init__.py",
        "lmmpy/py.typed",
        "lmmpy/datasets/__init__.py",
        "lmmpy/datasets/data/sleep.csv",
        "lmmpy/datasets/data/big.csv.gz",
        "lmmpy/engines/__init__.py",
        "lmmpy/engines/_kernels.pyi",
    }


def test_a_source_distribution_carries_its_build_backend(checkout):
    with tarfile.open(build(checkout, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "lmmpy/engines/_kernels.pyx",
        "setup.py",
        "pyproject.toml",
        "LICENSE",
        "lmmpy/py.typed",
        "lmmpy/datasets/data/sleep.csv",
    }
    assert wanted | {f"scripts/{path.name}" for path in (ROOT / "scripts").glob("*.py")} <= names
