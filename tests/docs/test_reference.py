"""The reference has every public name, and its docstrings say what is taken, returned and held."""

import dataclasses
import importlib
import inspect
import re
from functools import cached_property
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MODULES = ("lmmpy", "lmmpy.qtl", "lmmpy.plots", "lmmpy.datasets")


def public():
    """All public objects that are not modules, by their names."""
    for name in MODULES:
        module = importlib.import_module(name)
        for own in module.__all__:
            value = getattr(module, own)
            if not inspect.ismodule(value):
                yield f"{name}.{own}", value


def own_members(cls):
    """Public properties and methods that lmmpy itself defines for a class."""
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("lmmpy"):
            found |= {name: value for name, value in vars(base).items() if not name.startswith("_")}
    return found


OBJECTS = dict(public())
CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}
RESULTS = {name: cls for name, cls in CLASSES.items() if dataclasses.is_dataclass(cls)}
METHODS = {
    f"{name}.{member}": getattr(cls, member)
    for name, cls in CLASSES.items()
    for member, value in own_members(cls).items()
    if inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
}
FUNCTIONS = {name: value for name, value in OBJECTS.items() if inspect.isfunction(value)} | METHODS
PROPERTIES = {
    f"{name}.{member}": value.func if isinstance(value, cached_property) else value.fget
    for name, cls in CLASSES.items()
    for member, value in own_members(cls).items()
    if isinstance(value, property | cached_property)
}


def listed():
    """The names in the lists of the pages of the reference, and what those document in place."""
    found = set()
    for page in (DOCS / "reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```\{eval-rst\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            module = re.search(r"currentmodule:: (\S+)", text)[1]
            names = re.findall(r"^   ([A-Za-z_][\w.]*)$", block, re.MULTILINE)
            names += re.findall(r"^\.\. auto\w+:: (\S+)$", block, re.MULTILINE)
            found |= {f"{module}.{name}" for name in names}
    return found


def sections(value):
    """The lines of each section of a numpydoc docstring, by its title."""
    lines = (inspect.getdoc(value) or "").splitlines()
    starts = [i for i in range(len(lines) - 1) if lines[i] and re.fullmatch("-{3,}", lines[i + 1])]
    return {lines[i]: lines[i + 2 : end] for i, end in zip(starts, [*starts, len(lines)][1:], strict=True)}


def described(value, section):
    """The names of a section; an entry, which may go on where a line ends in a comma, has one or several."""
    text = "\n".join(line for line in sections(value).get(section, ()) if line and not line.startswith(" "))
    entries = text.replace(",\n", ", ").splitlines()
    return [name.strip().lstrip("*") for entry in entries for name in entry.partition(" : ")[0].split(",")]


def test_every_public_name_is_in_the_reference():
    assert set(OBJECTS) - listed() == set()


def test_the_reference_lists_nothing_that_is_not_there():
    assert [name for name in sorted(listed()) if not is_there(*name.split("."))] == []


def is_there(module, *parts):
    """Whether attributes of a module lead somewhere."""
    value = importlib.import_module(module)
    return all((value := getattr(value, part, None)) is not None for part in parts)


@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES, *PROPERTIES])
def test_begins_with_a_summary_of_one_line(name):
    value = (FUNCTIONS | CLASSES | PROPERTIES)[name]
    # A class has its own; a method may have what the base class says of it.
    doc = inspect.cleandoc(value.__doc__ or "") if inspect.isclass(value) else inspect.getdoc(value)
    assert doc, name
    first, *rest = doc.splitlines()
    assert first.strip().endswith((".", ":")) and (not rest or not rest[0].strip()), first


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_are_those_of_the_signature(name):
    function = FUNCTIONS[name]
    taken = [own for own in inspect.signature(function).parameters if own not in ("self", "cls")]
    doc = described(function, "Parameters")
    assert sorted(doc) == sorted(taken)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_says_what_it_returns(name):
    function = FUNCTIONS[name]
    nothing = inspect.signature(function).return_annotation in (None, "None")
    assert bool(sections(function).keys() & {"Returns", "Yields"}) != nothing


@pytest.mark.parametrize("name", RESULTS)
def test_attributes_are_the_fields(name):
    cls = RESULTS[name]
    fields = {field.name for field in dataclasses.fields(cls) if not field.name.startswith("_")}
    doc = {own for base in cls.__mro__ if dataclasses.is_dataclass(base) for own in described(base, "Attributes")}
    assert doc == fields


@pytest.mark.parametrize("name", [name for name, value in OBJECTS.items() if inspect.isfunction(value)])
def test_every_function_has_an_example(name):
    files = {"lmmpy.qtl.read_mibd", "lmmpy.qtl.read_phi2"}  # they need a directory of SOLAR's
    assert ("Examples" in sections(OBJECTS[name])) != (name in files)
