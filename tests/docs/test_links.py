"""Relative links of all pages lead to a file, and to a heading of it: on a code host, and on the site."""

import functools
import json
import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "docs" / "_ext"))

import repository

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOTEBOOKS = ROOT / "notebooks"
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:")
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)


def pages():
    """All files whose links are looked at."""
    found = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "lmmpy/datasets/README.md")]
    found += sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)
    found += sorted((ROOT / "benchmarks").rglob("*.md")) + sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    return [page for page in found if page.exists()]


PAGES = pages()


@functools.cache
def text_of(page):
    """The Markdown of a page; of a notebook its cells of text."""
    content = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return content
    cells = [cell["source"] for cell in json.loads(content)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join(source if isinstance(source, str) else "".join(source) for source in cells)


def slug(heading):
    """The anchor that a code host and MyST both make of a heading."""
    plain = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", heading.strip().rstrip("#").strip())
    return re.sub(r"[^\w\- ]", "", plain.replace("`", "").lower()).replace(" ", "-")


@functools.cache
def anchors_of(page):
    """The anchors of the headings of a page; the second of the same name ends in -1."""
    counts, found = {}, set()
    for heading in re.findall(r"^#{1,6}\s+(.+)$", FENCE.sub("", text_of(page)), re.MULTILINE):
        name = slug(heading)
        found.add(name if name not in counts else f"{name}-{counts[name]}")
        counts[name] = counts.get(name, 0) + 1
    return found


def wrong_links(page):
    """The relative links of a page that lead nowhere."""
    for target in repository.links(text_of(page)):
        path, _, anchor = target.partition("#")
        if EXTERNAL.match(target):
            continue
        place = (page.parent / path).resolve() if path else page
        if not place.exists():
            yield f"{target}: there is no {path}"
        elif not place.is_relative_to(ROOT):
            yield f"{target}: outside of the repository"
        elif anchor and place.suffix in (".md", ".ipynb") and anchor not in anchors_of(place):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page):
    wrong = list(wrong_links(page))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_are_found_on_the_site_too(page):
    """What leaves docs/ has a page there, is a picture or file to be copied, or a folder, which becomes plain text."""
    shown = repository.on_site(page)
    if not shown.is_relative_to(DOCS):
        return  # no page of the site
    changed = repository.for_site(text_of(page), page.parent, shown.parent)
    for target in repository.links(changed):
        path = target.partition("#")[0]
        if path and not EXTERNAL.match(target):
            place = (shown.parent / path).resolve()
            copied = place.parent == repository.TUTORIALS and (NOTEBOOKS / place.name).exists()
            assert copied or place.is_file(), target


def test_included_pages_exist_and_are_included():
    for path, page in repository.PAGES.items():
        assert (DOCS / page).exists(), page
        if page.startswith("about/") and path.endswith(".md"):
            assert Path(path).name in (DOCS / page).read_text(encoding="utf-8")


def test_links_in_code_are_no_links():
    text = "[a](a.md) `[b](b.md)`\n\n```text\n[c](c.md)\n```\n![d](d.svg) [`e`](e.md#f) [x [y] z](g.md)\n"
    assert repository.links(text) == ["a.md", "d.svg", "e.md#f", "g.md"]


def test_links_are_turned_to_the_site():
    text = "[a](../docs/how-to/scans.md#linkage) [b](02_x.ipynb) [c](../benchmarks/) [d](https://x.org/y.md) [e](#here)"
    turned = repository.for_site(text, NOTEBOOKS, repository.TUTORIALS)
    assert turned == "[a](../how-to/scans.md#linkage) [b](02_x.ipynb) c [d](https://x.org/y.md) [e](#here)"
    readme = repository.for_site("[c](../../CHANGELOG.md)", DOCS / "how-to", DOCS / "how-to")
    assert readme == "[c](../about/changelog.md)"


def test_headings_have_the_anchors_of_a_code_host(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# SOLAR's `polygenic`\n\n## A – b\n\n## A – b\n\n```sh\n# no heading\n```\n")
    assert anchors_of(page) == {"solars-polygenic", "a--b", "a--b-1"}


def test_a_link_that_leads_nowhere_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](no.md) [b](#here) [c](#there)\n")
    assert list(wrong_links(page)) == ["no.md: there is no no.md", "#there: no such heading"]
