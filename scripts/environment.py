"""The environment behind ``make``: system packages, a virtual environment, lmmpy in it.

Nothing is done when the environment was made from the same inputs as those of now (see `fingerprint`).
Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import suitesparse

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
INPUTS = (
    "lmmpy/engines/_block_batch.pyx",
    "lmmpy/engines/_fronts.pyx",
    "lmmpy/engines/_kernels.pyx",
    "lmmpy/markers/_dosages.pyx",
    "lmmpy/relatedness/_pedigree.pyx",
    "pyproject.toml",
    "setup.py",
    "scripts/build_backend.py",
    "scripts/constraints.txt",
    "scripts/environment.py",
    "scripts/suitesparse.py",
)
"""Files whose change makes the environment anew."""


def fingerprint(root: Path, machine: suitesparse.Machine) -> str:
    """Digest of all that decides what the environment holds."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((root / name).read_bytes() + b"\0")
    # Not the patch level of Python: the system packages installed here may raise it under our feet.
    digest.update(f"{root} {sys.version_info[:2]} {machine.headers} {machine.version}".encode())
    return digest.hexdigest()


def up_to_date(venv: Path, wanted: str) -> bool:
    """Tell whether the environment at `venv` was completed with the fingerprint `wanted`."""
    stamp = venv / ".stamp"
    return stamp.is_file() and stamp.read_text() == wanted and (venv / "bin" / "python").exists()


def missing_packages(machine: suitesparse.Machine) -> list[str]:
    """Debian packages that the set-up needs and this machine lacks."""
    packages = [name for need in suitesparse.needs(machine) for name in need.apt]
    if importlib.util.find_spec("ensurepip") is None:
        packages.append(f"{suitesparse.debian_python()}-venv")
    return packages


def privilege(uid: int, has_sudo: bool, has_terminal: bool) -> list[str] | None:
    """Words to put before a command that needs root; None when there is no way."""
    if uid == 0:
        return []
    if not has_sudo:
        return None
    return ["sudo"] if has_terminal else ["sudo", "-n"]


def install_packages(packages: list[str], prefix: list[str] | None, run: Callable[[list[str]], int]) -> bool:
    """Install Debian packages; tell whether that worked."""
    if prefix is None or shutil.which("apt-get") is None:
        return False
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    # A failed update (one unreachable source among several) need not keep the packages away.
    run([*apt, "-q", "update"])
    return run([*apt, "-q", "install", "-y", "--no-install-recommends", *packages]) == 0


def call(command: list[str]) -> int:
    """Show a command, run it, return its exit status."""
    print("+", shlex.join(command), flush=True)
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode


def ensure_packages() -> None:
    """Install the system packages that are missing, or say how to."""
    packages = missing_packages(suitesparse.look())
    if not packages:
        return
    prefix = privilege(os.geteuid(), shutil.which("sudo") is not None, sys.stdin.isatty())
    if install_packages(packages, prefix, call):
        return
    sys.exit(
        f"\nThe set-up needs these system packages, and could not install them itself: {' '.join(packages)}\n"
        f"Please run, as root, then repeat your command:\n\n"
        f"  apt-get update && apt-get install -y {' '.join(packages)}\n\n"
        f"(Fedora: dnf install suitesparse-devel gcc gcc-c++ python3-devel; macOS: brew install suite-sparse)"
    )


def make_environment(venv: Path) -> None:
    """Make the virtual environment anew, with lmmpy (editable) and the tools of its development."""
    shutil.rmtree(venv, ignore_errors=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    steps = [
        [sys.executable, "-m", "venv", str(venv)],
        [*pip, "install", "-q", "-c", str(ROOT / "scripts" / "constraints.txt"), "-e", f"{ROOT}[dev]"],
    ]
    for step in steps:
        if call(step) != 0:
            sys.exit(f"\nThe set-up stopped at: {shlex.join(step)}\nIts own message stands above.")


def main() -> None:
    """Bring the environment up to date."""
    machine = suitesparse.look()
    if up_to_date(VENV, fingerprint(ROOT, machine)):
        return
    ensure_packages()
    make_environment(VENV)
    (VENV / ".stamp").write_text(fingerprint(ROOT, suitesparse.look()))


if __name__ == "__main__":
    main()
