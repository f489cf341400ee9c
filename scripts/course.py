"""The course: run its sources (`notebooks/*.py`, jupytext's percent format) into the `.ipynb` beside them.

``python scripts/course.py`` runs all, ``python scripts/course.py 03 05`` those whose names begin so, and
``--check`` only says what has changed since they were stored.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
# Of a cell that is meant to warn; of one whose output no two runs share.
WARNS, VARIES = "warns", "varies"
# One thread: the same bits everywhere. The name of a cell stands in warnings, and would be that of a passing file.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "IPYKERNEL_CELL_NAME": "cell",
    "PYTHONHASHSEED": "0",
    "COLUMNS": "120",
}
_NUMBER = re.compile(r"[-+−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?", re.IGNORECASE)


def sources(prefixes: tuple[str, ...] = ()) -> list[Path]:
    """The sources, in order; those whose names begin with one of `prefixes`, if there are any."""
    found = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
    return [path for path in found if not prefixes or path.name.startswith(prefixes)]


def read_source(path: Path) -> NotebookNode:
    """The cells of a source, without outputs."""
    return jupytext.read(path, fmt="py:percent")


def read_stored(path: Path) -> NotebookNode:
    """The notebook stored beside a source."""
    return nbformat.read(path.with_suffix(".ipynb"), as_version=4)


def run(path: Path) -> NotebookNode:
    """
    The notebook of a source with the outputs of a run, and nothing that another run would change.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        When a cell fails.
    """
    notebook = read_source(path)
    with tempfile.TemporaryDirectory() as folder:  # what a notebook writes is gone afterwards
        client = NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],
        )
        client.execute(env={**os.environ, **_ENVIRONMENT, "MPLBACKEND": "", "PYTHONPATH": str(ROOT)})
    return _plain(notebook)


def _plain(notebook: NotebookNode) -> NotebookNode:
    notebook.metadata = nbformat.from_dict(
        {
            "jupytext": {"formats": "ipynb,py:percent"},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return notebook


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs with all pieces of one stream as one, where it begins: how they arrive is a matter of time."""
    joined: list[NotebookNode] = []
    streams: dict[str, NotebookNode] = {}
    for output in outputs:
        if output.output_type != "stream":
            joined.append(output)
        elif output.name in streams:
            streams[output.name].text += output.text
        else:
            streams[output.name] = output
            joined.append(output)
    return joined


def write(path: Path, notebook: NotebookNode) -> None:
    """Store a notebook beside its source."""
    nbformat.validate(notebook)
    nbformat.write(notebook, path.with_suffix(".ipynb"))


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def texts(cell: NotebookNode, streams: tuple[str, ...] = ("stdout", "stderr")) -> list[str]:
    """What a cell shows as text: streams, and the plain form of its results."""
    shown: list[str] = []
    for output in sorted(cell.get("outputs", []), key=lambda one: one.get("name", "")):  # order varies
        if output.output_type == "stream":
            shown += [output.text] if output.name in streams else []
        else:
            data = output.get("data", {})
            shown += [data[kind] for kind in ("text/markdown", "text/plain") if kind in data][:1]
    return shown


def differences(stored: NotebookNode, fresh: NotebookNode) -> Iterator[str]:
    """What is not the same in two notebooks: sources to the letter, texts but for a last place; not pictures."""
    if len(stored.cells) != len(fresh.cells):
        yield f"{len(stored.cells)} cells are stored, the source has {len(fresh.cells)}"
        return
    for number, (old, new) in enumerate(zip(stored.cells, fresh.cells, strict=True)):
        if (old.cell_type, old.source, tags(old)) != (new.cell_type, new.source, tags(new)):
            yield f"cell {number}: its source has changed:\n{new.source}"
        elif VARIES not in tags(new) and not same("\n".join(texts(old)), "\n".join(texts(new))):
            yield f"cell {number} printed\n{texts(old)}\nand now prints\n{texts(new)}"


def same(one: str, other: str) -> bool:
    """Whether two texts agree; their decimals to a unit in the last place that is shown (fill may move)."""
    if [piece.split() for piece in _NUMBER.split(one)] != [piece.split() for piece in _NUMBER.split(other)]:
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(_close(a, b) for a, b in pairs)


def _close(one: str, other: str) -> bool:
    if one == other:
        return True
    if "." not in one + other and "e" not in (one + other).lower():  # a count
        return False
    unit = max(place(one), place(other))
    return abs(value(one) - value(other)) <= 1.01 * unit


def value(number: str) -> float:
    """The value of a number as it is written: 1,234.5 or 1.2e-5."""
    return float(number.replace(",", "").replace("−", "-"))


def place(number: str) -> float:
    """The unit of the last place of a number as it is written."""
    mantissa, _, exponent = number.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - decimals)


def verdict(check: bool, changed: int) -> str:
    """What came of the run, as the end of its last line."""
    if not check:
        return "; stored in notebooks/"
    return f"; {changed} cells are not as stored" if changed else "; all as stored"


def main() -> int:
    """Run the notebooks that were asked for; with ``--check``, tell what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefixes", nargs="*", help="beginnings of names: 01 04; all when none is given")
    parser.add_argument("--check", action="store_true", help="store nothing, tell what differs")
    asked = parser.parse_args()
    changed, begin = 0, time.perf_counter()
    for path in sources(tuple(asked.prefixes)):
        start = time.perf_counter()
        fresh = run(path)
        if asked.check:
            found = list(differences(read_stored(path), fresh))
            changed += len(found)
            print(*found, sep="\n")
        else:
            write(path, fresh)
        print(f"{path.stem}: {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{(time.perf_counter() - begin) / 60:.1f} min in all{verdict(asked.check, changed)}")
    return int(changed > 0)


if __name__ == "__main__":
    sys.exit(main())
