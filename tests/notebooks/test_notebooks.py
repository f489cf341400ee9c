"""Each notebook of the course runs, shows what is stored of it, and says no number that it does not show."""

import re

import pytest

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")
pytest.importorskip("matplotlib")

import course as notebooks

SOURCES = notebooks.sources()
# A stream that carries paths, addresses or the time of a run would differ in the next one.
PASSING = re.compile(r"0x[0-9a-f]{6,}|/tmp/|/home/|ipykernel_|site-packages|Traceback")
# Levels and their complements, which authors choose; they are in the text because they are in everybody's.
CONVENTIONAL = {"1.96", "0.05", "0.01", "0.95", "95", "99", "90", "100", "50", "10"}
YEAR = re.compile(r"\b(1[6-9]|20)\d\d[a-z]?\b")
# Not a number of the text: mathematics, code, links, and headings.
ASIDE = re.compile(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)|<[^>]*>|^#[^\n]*$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?!\w)")


def test_the_course_has_ten_notebooks_and_each_is_stored():
    assert [source.name[:2] for source in SOURCES] == [f"{number:02d}" for number in range(1, 11)]
    assert all(source.with_suffix(".ipynb").exists() for source in SOURCES)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_runs_as_it_is_stored(source):
    fresh = notebooks.run(source)
    assert not list(notebooks.differences(notebooks.read_stored(source), fresh))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_warns_only_where_it_means_to(source):
    for cell in notebooks.read_stored(source).cells:
        warned = any(output.get("name") == "stderr" for output in cell.get("outputs", []))
        assert warned == (notebooks.WARNS in notebooks.tags(cell)), cell.source


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_shows_nothing_of_one_run_only(source):
    for cell in notebooks.read_stored(source).cells:
        for text in notebooks.texts(cell):
            assert not PASSING.search(text), cell.source
        assert not any(output.output_type == "error" for output in cell.get("outputs", []))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_numbers_in_the_text_come_from_the_code_beside_it(source):
    wrong = [
        f"{number} in: {text}"
        for text, shown in passages(notebooks.read_stored(source))
        for number in numbers_of(text)
        if not known(number, shown)
    ]
    assert not wrong, "\n".join(wrong)


def passages(notebook):
    """
    Each text with all that the code of its section says and shows; a section is what stands under one heading.

    For exercises it is all code of the notebook: they go on from its sections, and are solved at its end.
    """
    sections, current = [], []
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.match(r"#+ ", cell.source):
            sections.append(current := [])
        current.append(cell)
    for cells in sections:
        if cells[0].source.startswith("## Further reading"):  # volumes and pages
            continue
        beside = notebook.cells if cells[0].source.startswith("## Exercises") else cells
        code = [cell for cell in beside if cell.cell_type == "code"]
        shown = "\n".join(text for cell in code for text in [cell.source, *notebooks.texts(cell)])
        yield from ((cell.source, shown) for cell in cells if cell.cell_type == "markdown")


def numbers_of(text):
    """The numbers of a text that have a decimal point, or are ten and more; not years, nor what mathematics needs."""
    found = NUMBER.findall(YEAR.sub("", ASIDE.sub("", text)))
    return [n for n in found if n not in CONVENTIONAL and ("." in n or abs(notebooks.value(n)) >= 10)]


def known(number, shown):
    """Whether a number is among those shown, when they are rounded to its places; as a percentage too."""
    wanted, unit = notebooks.value(number), notebooks.place(number)
    shown = re.sub(r"(?<=\d)_(?=\d)", "", shown)  # 5_000 in code
    there = [notebooks.value(found) for found in re.findall(r"[-−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?", shown)]
    return any(abs(abs(value * scale) - abs(wanted)) <= 0.5001 * unit for value in there for scale in (1, 100))


def test_texts_are_the_same_but_for_a_last_place():
    assert notebooks.same("a 1.234  b", "a 1.235 b")
    assert not notebooks.same("a 1.234 b", "a 1.236 b")
    assert not notebooks.same("a 1.2 b", "a 1.2 c")
    assert not notebooks.same("18 groups", "17 groups")
    assert notebooks.same("p 1.00e-15", "p 1.01e-15")
    assert not notebooks.same("p 1.00e-15", "p 1.00e-16")


def test_numbers_are_looked_for_as_they_are_rounded():
    assert numbers_of("In 1987, 398 people ($x = 17$), `n = 20`, 5 of them, had 2.5 % and −0.72.") == [
        "398",
        "2.5",
        "−0.72",
    ]
    assert known("2.5", "share 0.02489") and known("-0.72", "-0.7249") and known("1,200", "[1200]")
    assert not known("2.5", "share 0.02389") and not known("398", "397 399")
