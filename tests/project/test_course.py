"""The course as files: what running it says at the end, and that Jupyter leaves the sources as they are."""

import shutil

import pytest

pytest.importorskip("nbclient")
command = pytest.importorskip("jupytext.cli").jupytext
course = pytest.importorskip("course")

SOURCE = """\
# %% [markdown]
# # A title

# %% tags=["warns"]
x = 1
x
"""


@pytest.mark.parametrize(
    ("check", "changed", "words"),
    [(False, 0, "; stored in notebooks/"), (True, 0, "; all as stored"), (True, 2, "; 2 cells are not as stored")],
)
def test_the_last_line_says_what_came_of_it(check, changed, words):
    assert course.verdict(check, changed) == words


def test_jupytext_leaves_a_source_as_it_is(tmp_path):
    """Jupyter writes both files of a pair when it saves one; what it knows of kernels is in the notebook alone."""
    shutil.copy(course.FOLDER / "jupytext.toml", tmp_path)
    source = tmp_path / "01_title.py"
    source.write_text(SOURCE)
    notebook = course._plain(course.read_source(source))
    course.write(source, notebook)
    source.write_text("# %%\n")  # older than the notebook, which so is what is written
    command(["--quiet", "--to", "py:percent", "--update-metadata", "{}", str(source.with_suffix(".ipynb"))])
    assert source.read_text() == SOURCE
