"""The walls between the rooms: they stand, and they are of stone."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    *("formula", "covariance", "relatedness", "design", "engines", "fitting"),
    *("model", "inference", "report", "plots", "datasets", "qtl", "errors", "demo", "scan", "markers", "cli"),
)
VIOLATIONS = [
    ("covariance", "lmmpy.formula"),
    ("relatedness", "lmmpy.covariance"),
    ("formula", "lmmpy.design"),
    ("design", "lmmpy.engines"),
    ("engines", "lmmpy.fitting"),
    ("fitting", "lmmpy.inference"),
    ("inference", "lmmpy.model"),
    ("model", "lmmpy.qtl"),
    ("scan", "lmmpy.markers"),
    ("markers", "lmmpy.qtl"),
    ("report", "lmmpy.inference"),
    ("report", "lmmpy.fitting"),
    ("plots", "lmmpy.model"),
    ("plots", "lmmpy.inference"),
    ("datasets", "lmmpy.formula"),
    ("errors", "lmmpy.formula"),
    ("engines", "pandas"),
    ("covariance", "formulaic"),
]


@pytest.fixture
def skeleton(tmp_path):
    """A package that has every room with the imports it is meant to have, and the real contracts."""
    meant = {
        "design": ["formula", "covariance", "relatedness"],
        "engines": ["design"],
        "fitting": ["engines"],
        "inference": ["engines", "fitting"],
        "model": ["design", "fitting", "inference", "report", "plots"],
        "scan": ["inference"],
        "markers": ["scan", "relatedness"],
        "qtl": [
            "scan",
            "markers",
            "model",
            "inference",
            "report",
            "relatedness",
            "design",
            "formula",
            "fitting",
            "engines",
        ],
        "demo": ["model", "datasets"],
    }
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "lmmpy").mkdir()
    (tmp_path / "lmmpy" / "__init__.py").touch()
    for room in ROOMS:
        imports = [f"import lmmpy.{other}\n" for other in meant.get(room, [])]
        imports += ["import lmmpy.errors\n"] if room not in ("errors", "demo") else []
        (tmp_path / "lmmpy" / f"{room}.py").write_text("".join(imports))
    return tmp_path


def lint(directory):
    """Run import-linter in `directory`; return its exit status and what it prints."""
    pytest.importorskip("importlinter")
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_rooms_as_they_are_meant_pass(skeleton):
    status, printed = lint(skeleton)
    assert status == 0, printed


def test_every_hole_in_a_wall_is_found(skeleton):
    for room, other in VIOLATIONS:
        with (skeleton / "lmmpy" / f"{room}.py").open("a") as file:
            file.write(f"import {other}\n")
    status, printed = lint(skeleton)
    assert status == 1
    assert [pair for pair in VIOLATIONS if f"lmmpy.{pair[0]} -> {pair[1]} (l." not in printed] == []


def test_a_module_without_a_place_in_the_table_is_found(skeleton):
    (skeleton / "lmmpy" / "utilities.py").touch()
    status, printed = lint(skeleton)
    assert status == 1
    assert "utilities" in printed


def test_only_the_adapter_knows_scikit_sparse():
    """The adapter is engines/cholmod.py, with a private module for each line of scikit-sparse beside it."""
    wanted = re.compile(r"^\s*(from|import) (sksparse|\S*_cholmod_|\S+ import _cholmod_)", re.MULTILINE)
    knowing = {
        path.relative_to(ROOT / "lmmpy").as_posix()
        for path in (ROOT / "lmmpy").rglob("*.py")
        if wanted.search(path.read_text(encoding="utf-8"))
    }
    assert "engines/cholmod.py" in knowing
    assert {name for name in knowing if not re.fullmatch(r"engines/(cholmod|_cholmod_\d+)\.py", name)} == set()


def test_the_table_names_every_room_that_exists():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    named = {name.strip(" ()") for layer in rules["layers"] for name in layer.split("|")}
    existing = {path.stem for path in (ROOT / "lmmpy").glob("[a-z]*") if path.name != "py.typed"}
    assert existing <= named
