"""What README.md shows is what a reader gets."""

import traceback
from pathlib import Path

import pytest

import lmmpy
from tests.project.blocks import check_file, commands, read_blocks, run

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
# What a page needs beside lmmpy itself.
EXTRAS = {"scans.md": ("bed_reader", "joblib", "distributed", "matplotlib")}

SAMPLE = """\
Some prose.

```python
x = 2
print(x, "  ")
```

This prints

```text
2
```

```sh
make demo
```

```text
not the output of Python
```

```python
print(x + 1)
```
"""


def test_readme(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # a block that writes a file leaves nothing behind
    assert check_file(README.read_text(encoding="utf-8"), "README.md") > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page, monkeypatch, tmp_path):
    for extra in EXTRAS.get(page.name, ()):
        pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    check_file(page.read_text(encoding="utf-8"), page.name)


def test_blocks_know_their_line_and_output():
    first, second = read_blocks(SAMPLE)
    assert (first.line, first.shown) == (4, "2\n")
    assert (second.line, second.code, second.shown) == (23, "print(x + 1)\n", None)


def test_commands_whose_output_is_shown_are_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    lmmpy.datasets.load("sleepstudy").to_csv("sleep.csv", index=False)
    command = 'lmmpy fit "Reaction ~ Days + (1 | Subject)" sleep.csv  \\\n  --ml  # by maximum likelihood\n'
    (block,) = read_blocks(f"```sh\n{command}```\n```text\nno\n```\n```sh\nlmmpy fit\n```\n")
    assert commands(block.code) == [["fit", "Reaction ~ Days + (1 | Subject)", "sleep.csv", "--ml"]]
    assert run(block, "sample", {}).startswith("Linear mixed model fit by maximum likelihood")


def test_a_command_that_fails_fails():
    with pytest.raises(AssertionError, match=r"sample:2: lmmpy fit 'y ~ x' nowhere\.csv"):
        check_file('```sh\nlmmpy fit "y ~ x" nowhere.csv\n```\n```text\n```\n', "sample")


def test_blocks_share_a_namespace_and_outputs_are_compared():
    assert check_file(SAMPLE, "sample") == 1


def test_a_wrong_output_fails():
    with pytest.raises(AssertionError, match="sample:4 prints:\n2"):
        check_file(SAMPLE.replace("```text\n2", "```text\n3"), "sample")


def test_an_error_names_the_line_of_the_file():
    with pytest.raises(NameError) as caught:
        check_file(SAMPLE.replace("print(x + 1)", "\nprint(y)"), "sample")
    last = traceback.extract_tb(caught.tb)[-1]
    assert (last.filename, last.lineno) == ("sample", 24)
