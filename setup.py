"""The part of the metadata that depends on the machine; the rest is in pyproject.toml.

Which scikit-sparse can be compiled depends on the SuiteSparse that is installed, so the requirements are
computed. A wheel therefore suits the machine that built it: lmmpy is published as a source distribution.
"""

from pathlib import Path

import suitesparse
from setuptools import Extension, setup
from setuptools.command.sdist import sdist


class SourceDistribution(sdist):
    """A source distribution that carries its build backend."""

    def make_distribution(self) -> None:
        """Add the scripts to the files that setuptools finds by itself."""
        self.filelist.extend(str(path) for path in Path("scripts").glob("*") if path.is_file())
        super().make_distribution()


def compiled(source: Path) -> Extension:
    """Return the extension module that a Cython file makes."""
    return Extension(".".join(source.with_suffix("").parts), [str(source)], extra_compile_args=["-O3"])


setup(
    # An editable install is then a path to the clone. By itself it would be a finder, which comes after all paths: from
    # the folder above a clone, the clone's own folder would be taken for lmmpy, an empty package.
    package_dir={"": "."},
    cmdclass={"sdist": SourceDistribution},
    ext_modules=[compiled(source) for source in sorted(Path("lmmpy").glob("*/_*.pyx"))],
    install_requires=[
        "formulaic>=1.1",
        "narwhals>=1.42",
        "numpy>=1.26",
        "pandas>=2.2",
        suitesparse.requirement(suitesparse.look()),
        "scipy>=1.14",
        "threadpoolctl>=3.5",
    ],
)
