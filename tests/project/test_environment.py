"""The set-up behind make: what it installs, and when it has nothing to do."""

import dataclasses
import importlib.util
import shutil
import subprocess
import sys

import environment
import pytest
from suitesparse import Machine, debian_python


@pytest.fixture
def machine(tmp_path):
    return Machine(headers=tmp_path, version=(7, 6, 1), lacks_compiler=(), python_h=True, scikit_sparse=None)


@pytest.fixture
def project(tmp_path):
    """A directory with the files that decide what the environment holds."""
    for name in environment.INPUTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_inputs_exist():
    assert [name for name in environment.INPUTS if not (environment.ROOT / name).is_file()] == []


@pytest.mark.parametrize("name", environment.INPUTS)
def test_a_changed_input_changes_the_fingerprint(project, machine, name):
    before = environment.fingerprint(project, machine)
    assert before == environment.fingerprint(project, machine)
    (project / name).write_text("changed")
    assert before != environment.fingerprint(project, machine)


def test_another_suitesparse_changes_the_fingerprint(project, machine):
    newer = dataclasses.replace(machine, version=(7, 8, 0))
    assert environment.fingerprint(project, machine) != environment.fingerprint(project, newer)


def test_up_to_date_needs_the_stamp_and_the_interpreter(tmp_path):
    assert not environment.up_to_date(tmp_path, "abc")
    (tmp_path / ".stamp").write_text("abc")
    assert not environment.up_to_date(tmp_path, "abc")  # removed by hand, say
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert environment.up_to_date(tmp_path, "abc")
    assert not environment.up_to_date(tmp_path, "abd")


def test_missing_packages_on_a_bare_machine(monkeypatch, machine):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    bare = dataclasses.replace(machine, headers=None, lacks_compiler=("C", "C++"), python_h=False)
    python = debian_python()
    wanted = ["libsuitesparse-dev", "gcc", "libc6-dev", "g++", f"{python}-dev", f"{python}-venv"]
    assert environment.missing_packages(bare) == wanted


def test_nothing_is_missing_on_a_complete_machine(monkeypatch, machine):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert environment.missing_packages(machine) == []


def test_lmmpy_is_found_beside_a_folder_of_its_name(tmp_path):
    """As a clone is one: a namespace package comes before what is found by setuptools' finder, not before a path."""
    (tmp_path / "lmmpy" / "docs").mkdir(parents=True)
    code = "import lmmpy; print(lmmpy.lmer.__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "lmer\n", done.stderr


@pytest.mark.parametrize(
    ("uid", "has_sudo", "has_terminal", "prefix"),
    [
        (0, False, False, []),
        (0, True, True, []),
        (1000, True, True, ["sudo"]),
        (1000, True, False, ["sudo", "-n"]),
        (1000, False, True, None),
    ],
)
def test_how_to_become_root(uid, has_sudo, has_terminal, prefix):
    assert environment.privilege(uid, has_sudo, has_terminal) == prefix


def test_packages_are_installed_even_when_the_update_fails(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    commands = []

    def run(command):
        commands.append(command)
        return 100 if "update" in command else 0

    assert environment.install_packages(["gcc"], ["sudo"], run)
    assert [command[:4] for command in commands] == [["sudo", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]] * 2
    assert commands[1][-1] == "gcc"
    assert not environment.install_packages(["gcc"], [], lambda command: 1)


@pytest.mark.parametrize(("prefix", "apt"), [(None, "/usr/bin/apt-get"), ([], None)])
def test_without_a_way_the_exact_command_is_said(monkeypatch, machine, prefix, apt):
    bare = dataclasses.replace(machine, headers=None)
    monkeypatch.setattr(environment.suitesparse, "look", lambda: bare)
    monkeypatch.setattr(environment, "privilege", lambda *facts: prefix)
    monkeypatch.setattr(shutil, "which", lambda name: apt if name == "apt-get" else None)
    with pytest.raises(SystemExit, match="apt-get install -y libsuitesparse-dev"):
        environment.ensure_packages()
