"""
Pages that are also read on a code host: what they link to and include has another place on the site.

Files keep links that are right where they stand. This module turns them into the site's when a page is read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOTEBOOKS = ROOT / "notebooks"
TUTORIALS = DOCS / "tutorials"

# Files outside of docs/ that a page of the site includes.
PAGES = {
    "README.md": "about/readme.md",
    "CHANGELOG.md": "about/changelog.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "LICENSE": "about/licence.md",
    "CITATION.cff": "about/licence.md",
    "benchmarks/RESULTS.md": "about/benchmarks.md",
    "benchmarks/README.md": "about/benchmark-methods.md",
    "lmmpy/datasets/README.md": "about/data.md",
    "lmmpy/datasets": "reference/datasets.md",
    "notebooks": "tutorials/index.md",
}

# A fence or code between backticks, which are left alone, or the target of a link or a picture.
_PIECES = re.compile(
    r"^(?P<fence>`{3,}|:{3,}|~{3,})[^\n]*\n.*?^(?P=fence)[ \t]*$"
    r"|(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"
    r"|(?P<text>(?<!\\)!?\[(?:[^][]|\[[^][]*\]|!\[[^]]*\]\([^)]*\))*\])\((?P<target>[^()\s]+)\)",
    re.MULTILINE | re.DOTALL,
)
_INCLUDE = re.compile(r"^```\{include\} (\S+)\n(?:.*?\n)??```[ \t]*$", re.MULTILINE | re.DOTALL)


def rewrite(markdown: str, change: Callable[[str, str], str]) -> str:
    """
    Apply `change(text in brackets, target)` to every link and picture of a text, but not in code.

    Parameters
    ----------
    markdown : str
    change : callable
        Gives the whole link anew.

    Returns
    -------
    str
    """

    def one(found: re.Match[str]) -> str:
        return found[0] if found["target"] is None else change(found["text"], found["target"])

    return _PIECES.sub(one, markdown)


def links(markdown: str) -> list[str]:
    """The targets of all links and pictures of a text, in order."""
    found: list[str] = []
    rewrite(markdown, lambda text, target: found.append(target) or "")  # type: ignore[func-returns-value]
    return found


def on_site(path: Path) -> Path:
    """The file of the site that shows a file of the repository; the file itself when none does."""
    if path.parent == NOTEBOOKS and path.suffix in (".ipynb", ".py"):
        return (TUTORIALS / path.name).with_suffix(".ipynb")
    page = PAGES.get(path.relative_to(ROOT).as_posix()) if path.is_relative_to(ROOT) else None
    return path if page is None else DOCS / page


def for_site(markdown: str, written_in: Path, shown_in: Path) -> str:
    """
    A text with its links as they must be on the site.

    Parameters
    ----------
    markdown : str
    written_in : Path
        The directory that its links start from.
    shown_in : Path
        The directory, below docs/, of the page that shows it.

    Returns
    -------
    str
    """

    def change(text: str, target: str) -> str:
        path, mark, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return f"{text}({target})"
        place = on_site((written_in / path).resolve())
        if place.is_dir():
            return text[1:-1]  # a folder of the repository is no page
        return f"{text}({os.path.relpath(place, shown_in)}{mark}{anchor})"

    return rewrite(markdown, change)


def expand_includes(markdown: str, page: Path) -> str:
    """
    The text of a page with the files that it includes put in, and all links as the site needs them.

    Parameters
    ----------
    markdown : str
    page : Path
        The page, below docs/.

    Returns
    -------
    str
    """
    folder = page.parent

    def include(found: re.Match[str]) -> str:
        path = (folder / found[1]).resolve()
        return for_site(path.read_text(encoding="utf-8"), path.parent, folder)

    pieces = re.split(r"(^```\{include\}.*?^```[ \t]*$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        _INCLUDE.sub(include, piece) if _INCLUDE.match(piece) else for_site(piece, folder, folder) for piece in pieces
    )


def copy_notebooks() -> list[str]:
    """
    Copy the executed notebooks to where the site has its tutorials.

    Returns
    -------
    list of str
        Their names.
    """
    wanted = {path.name: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
    for old in TUTORIALS.glob("*.ipynb"):
        if old.name not in wanted:
            old.unlink()
    for name, path in wanted.items():
        content = json.loads(path.read_text(encoding="utf-8"))
        for cell in content["cells"]:
            if cell["cell_type"] == "markdown":
                text = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
                cell["source"] = for_site(text, NOTEBOOKS, TUTORIALS)
        made = json.dumps(content, ensure_ascii=False, indent=1)
        copy = TUTORIALS / name
        if not copy.exists() or copy.read_text(encoding="utf-8") != made:
            copy.write_text(made, encoding="utf-8")
    return list(wanted)
