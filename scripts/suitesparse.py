"""SuiteSparse on this machine: where it is, which scikit-sparse it allows, what to do when it is missing.

scikit-sparse is published as source only, so installing lmmpy compiles it against the SuiteSparse at hand.
The build backend (``pip install``) and the set-up behind ``make`` both ask this module. It runs before
anything is installed, hence the standard library only.

``python scripts/suitesparse.py`` prints what was found.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

HEADERS = ("cholmod.h", "SuiteSparse_config.h")
OLDEST_SCIKIT_SPARSE = (0, 4, 16)
OLDEST_FOR_0_5 = (7, 4)
"""scikit-sparse 0.5 does not compile against an older SuiteSparse; 0.4.16 does."""

COMPILERS = {"C": ("CC", ("gcc", "libc6-dev"), "gcc"), "C++": ("CXX", ("g++",), "gcc-c++")}
"""Language: variable that names the compiler, its Debian packages, its Fedora package."""

SKIP = "LMMPY_SKIP_SUITESPARSE_CHECK"


class MissingError(RuntimeError):
    """Something that scikit-sparse needs to be compiled is not on this machine."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is missing, and the package that brings it."""

    what: str
    apt: tuple[str, ...]
    dnf: tuple[str, ...]
    brew: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine offers.

    Attributes
    ----------
    headers : Path or None
        Directory that holds `HEADERS`.
    version : tuple of int
        SuiteSparse's version by its header; empty when there is none.
    lacks_compiler : tuple of str
        The compilers, of "C" and "C++", that a build of an extension would call and that are not there.
    python_h : bool
        Whether Python's own headers are there.
    scikit_sparse : str or None
        Version that is installed already in the environment lmmpy goes into.
    """

    headers: Path | None
    version: tuple[int, ...]
    lacks_compiler: tuple[str, ...]
    python_h: bool
    scikit_sparse: str | None


def look(environ: Mapping[str, str] = os.environ) -> Machine:
    """Take stock of this machine."""
    headers = find_headers(include_directories(environ))
    return Machine(
        headers=headers,
        version=read_version((headers / HEADERS[1]).read_text(errors="replace")) if headers else (),
        lacks_compiler=tuple(name for name in COMPILERS if not compiler_exists(name, environ)),
        python_h=Path(sysconfig.get_path("include"), "Python.h").is_file(),
        scikit_sparse=installed_scikit_sparse([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]),
    )


def include_directories(environ: Mapping[str, str]) -> list[Path]:
    """Directories in which scikit-sparse and the compiler look for headers, in their order."""
    named = [environ[name] for name in ("SUITESPARSE_INCLUDE_DIR",) if environ.get(name)]
    if conda := environ.get("CONDA_PREFIX"):
        named.append(f"{conda}/include/suitesparse")
    if brew := brew_prefix():
        named.append(f"{brew}/include/suitesparse")
    named += [f"{sys.prefix}/include", "/usr/include/suitesparse"]
    for name in ("CPATH", "C_INCLUDE_PATH"):
        named += [part for part in environ.get(name, "").split(os.pathsep) if part]
    return [Path(part) for part in [*named, "/usr/local/include", "/usr/include"]]


def brew_prefix() -> str:
    """Where Homebrew keeps SuiteSparse; empty without Homebrew."""
    brew = shutil.which("brew")
    if brew is None:
        return ""
    answer = subprocess.run(
        [brew, "--prefix", "suite-sparse"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""


def find_headers(directories: list[Path]) -> Path | None:
    """Return the first directory that holds all of `HEADERS`."""
    return next((d for d in directories if all((d / name).is_file() for name in HEADERS)), None)


def read_version(header: str) -> tuple[int, ...]:
    """Version (main, sub, subsub) that the text of SuiteSparse_config.h defines; empty when none."""
    found = []
    for part in ("MAIN", "SUB", "SUBSUB"):
        match = re.search(rf"^\s*#\s*define\s+SUITESPARSE_{part}_VERSION\s+(\d+)", header, re.MULTILINE)
        if match is None:
            break
        found.append(int(match[1]))
    return tuple(found)


def compiler_exists(language: str, environ: Mapping[str, str]) -> bool:
    """Tell whether the compiler that a build of an extension would call is there."""
    variable = COMPILERS[language][0]
    command = environ.get(variable) or sysconfig.get_config_var(variable) or ""
    # The first word may be a launcher such as ccache; that it exists is as much as can be known here.
    return bool(command) and shutil.which(shlex.split(command)[0]) is not None


def installed_scikit_sparse(site_packages: list[str]) -> str | None:
    """Version of scikit-sparse in the given directories.

    pip's isolated builds hide the environment's packages from import, yet run its interpreter, so the
    directories are still known.
    """
    found = metadata.distributions(name="scikit-sparse", path=list(dict.fromkeys(site_packages)))
    return next((dist.version for dist in found), None)


def _recent_enough(version: str | None) -> bool:
    return version is not None and tuple(map(int, re.findall(r"\d+", version)[:3])) >= OLDEST_SCIKIT_SPARSE


def requirement(machine: Machine) -> str:
    """Return the requirement on scikit-sparse that this machine can meet."""
    oldest = "scikit-sparse>=" + ".".join(map(str, OLDEST_SCIKIT_SPARSE))
    if _recent_enough(machine.scikit_sparse) or machine.headers is None:
        return oldest
    return oldest if machine.version >= OLDEST_FOR_0_5 else oldest + ",<0.5"


def needs(machine: Machine) -> list[Need]:
    """List what is missing to compile scikit-sparse, where it is not installed, and lmmpy's own loops."""
    found = []
    has_scikit_sparse = _recent_enough(machine.scikit_sparse)
    if machine.headers is None and not has_scikit_sparse:
        what = f"the headers of SuiteSparse ({', '.join(HEADERS)})"
        found.append(Need(what, ("libsuitesparse-dev",), ("suitesparse-devel",), "brew install suite-sparse"))
    for language in machine.lacks_compiler:
        # scikit-sparse 0.5 compiles C++ as well; without SuiteSparse it is open which one it will be.
        cpp = not has_scikit_sparse and (machine.headers is None or machine.version >= OLDEST_FOR_0_5)
        if language == "C" or cpp:
            _, apt, dnf = COMPILERS[language]
            found.append(Need(f"a {language} compiler", apt, (dnf,), "xcode-select --install"))
    if not machine.python_h:
        package = f"{debian_python()}-dev"
        found.append(Need("Python's headers (Python.h)", (package,), ("python3-devel",), "brew install python"))
    return found


def debian_python() -> str:
    """Name of the Debian package of this interpreter."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def advice(missing: list[Need]) -> str:
    """Say what is missing and which command brings it."""
    apt, dnf = ([name for need in missing for name in getattr(need, tool)] for tool in ("apt", "dnf"))
    return "\n".join(
        [
            "lmmpy and scikit-sparse are compiled on this machine. Not found:",
            *(f"  - {need.what}" for need in missing),
            "Install what is missing, then repeat the command that you gave:",
            f"  Debian, Ubuntu   sudo apt-get install {' '.join(apt)}",
            f"  Fedora           sudo dnf install {' '.join(dnf)}",
            f"  macOS            {' && '.join(dict.fromkeys(need.brew for need in missing))}",
            "  conda            conda install -c conda-forge scikit-sparse",
            "A SuiteSparse in a place of its own is found through SUITESPARSE_INCLUDE_DIR and",
            f"SUITESPARSE_LIBRARY_DIR. {SKIP}=1 leaves this check out.",
        ]
    )


def check(machine: Machine, environ: Mapping[str, str] = os.environ) -> None:
    """Raise `MissingError` when lmmpy, or a scikit-sparse that is not installed, cannot be compiled."""
    if environ.get(SKIP):
        return
    if missing := needs(machine):
        raise MissingError(advice(missing))


def main() -> int:
    """Print what was found."""
    machine = look()
    print(f"SuiteSparse {'.'.join(map(str, machine.version)) or 'not found'} ({machine.headers})")
    print(f"requirement {requirement(machine)}")
    try:
        check(machine)
    except MissingError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
