"""Files of relatedness that other programs write and read: GEMMA, GCTA, PLINK."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lmmpy.errors import DataError, ModelError, shown
from lmmpy.relatedness import Relatedness
from lmmpy.relatedness.labels import as_labels, duplicates

__all__ = ["read_grm", "write_grm"]

Floats = NDArray[np.float64]

_KINDS = (
    "a .grm.bin (GCTA; ids in the .grm.id beside it), a .rel or .rel.bin (PLINK, square; ids in the .rel.id beside "
    "it), or a .txt (GEMMA's .cXX.txt and .sXX.txt, without ids: people=)"
)


def read_grm(path: str | Path, people: Sequence[Any] | None = None, ids: str = "iid") -> Relatedness:
    """
    Read a relatedness.

    Parameters
    ----------
    path : str or Path
        A ``.grm.bin`` (GCTA: lower triangle in single precision) or ``.rel``/``.rel.bin`` (PLINK's ``--make-rel
        square``, perhaps ``bin``), with ids in the ``.id`` file beside it; or a ``.txt`` of GEMMA's.
    people : sequence, optional
        Ids of the rows of a .txt, in order, which GEMMA does not write (`write_grm` does, in a .id file beside it).
    ids : {"iid", "fid_iid"}
        What people are called where a file has ids: by the individual id, or by both ids joined by "_".

    Returns
    -------
    Relatedness

    Raises
    ------
    DataError
        When the file cannot be read, or its length does not suit its ids.
    ModelError
        When the kind of file or `ids` is not known, or `people` is given or lacks.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import lmmpy as lmm
    >>> K = lmm.Relatedness([[1.0, 0.5], [0.5, 1.0]], labels=["a", "b"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lmm.qtl.write_grm(K, pathlib.Path(folder, "K.txt"))
    ...     lmm.qtl.read_grm(pathlib.Path(folder, "K.txt")).to_frame()
         a    b
    a  1.0  0.5
    b  0.5  1.0
    """
    file, kind = Path(path), _kind(path)
    if ids not in {"iid", "fid_iid"}:
        raise ModelError(f"ids is 'iid' or 'fid_iid' (family and individual id joined by '_'); got {ids!r}.")
    if kind == ".txt" and people is None and not _beside(file, kind).exists():
        raise ModelError(f"{file} has no ids: give people=, those of its rows in order.")
    if kind != ".txt" and people is not None:
        raise ModelError(f"people= is not for {file}: the .id file beside it has its ids.")
    try:
        labels = as_labels(people, "people") if people is not None else _read_ids(_beside(file, kind), ids)
        if kind == ".grm.bin":
            K = _from_triangle(np.fromfile(file, dtype="<f4"), len(labels), file)
        elif kind == ".rel.bin":
            K = _square(np.fromfile(file, dtype="<f8"), len(labels), file)
        else:
            K = _text(file, len(labels))
    except OSError as problem:
        raise DataError(f"{problem.filename or file} cannot be read: {problem.strerror}.") from None
    return Relatedness(K, labels)


def write_grm(K: Relatedness, path: str | Path, n_variants: int | None = None) -> None:
    """
    Write a relatedness for another program.

    Parameters
    ----------
    K : Relatedness
        With labels.
    path : str or Path
        Its end says the kind: ``.txt`` (GEMMA's ``-k``; text with all digits, and the ids in a .id file beside it),
        ``.rel`` (PLINK; the same), ``.rel.bin``, or ``.grm.bin`` (GCTA's ``--grm``; single precision).
    n_variants : int, optional
        How many variants K was made from, which GCTA keeps in a .grm.N.bin.

    Raises
    ------
    ModelError
        When K has no labels, or the kind of file is not known.
    DataError
        When a file cannot be written.

    Notes
    -----
    Family ids are not known here; both columns of the .id file hold the label.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import lmmpy as lmm
    >>> K = lmm.Relatedness([[1.0, 0.5], [0.5, 1.0]], labels=["a", "b"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lmm.qtl.write_grm(K, pathlib.Path(folder, "K.txt"))
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['K.id', 'K.txt']
    """
    file, kind = Path(path), _kind(path)
    if K.labels is None:
        raise ModelError("A relatedness without labels cannot be written: the file would not say whose it is.")
    try:
        _write(K.dense(), K.labels, file, kind, n_variants)
    except OSError as problem:
        raise DataError(f"{problem.filename or file} cannot be written: {problem.strerror}.") from None


def _write(dense: Floats, labels: Sequence[str], file: Path, kind: str, n_variants: int | None) -> None:
    if kind == ".grm.bin":
        lower = np.tril_indices(len(dense))
        dense[lower].astype("<f4").tofile(file)
        if n_variants is not None:
            counts = Path(str(file).removesuffix(".bin") + ".N.bin")
            np.full(len(lower[0]), n_variants, dtype="<f4").tofile(counts)
    elif kind == ".rel.bin":
        np.ascontiguousarray(dense, dtype="<f8").tofile(file)
    else:
        np.savetxt(file, dense, fmt="%.17g", delimiter="\t")
    _beside(file, kind).write_text("".join(f"{label}\t{label}\n" for label in labels), encoding="utf-8")


def _kind(path: str | Path) -> str:
    for kind in (".grm.bin", ".rel.bin", ".rel", ".txt"):
        if str(path).endswith(kind):
            return kind
    raise ModelError(f"{path}: a relatedness is {_KINDS}.")


def _beside(file: Path, kind: str) -> Path:
    """The file of the ids: study.grm.id, study.rel.id, study.cXX.id."""
    stem = str(file).removesuffix(".bin" if kind.endswith(".bin") else "" if kind == ".rel" else ".txt")
    return Path(f"{stem}.id")


def _read_ids(path: Path, ids: str) -> tuple[str, ...]:
    """Family and individual ids, or individual ids alone; a first line that begins with # is a header."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise DataError(f"{path} cannot be read as a list of ids: it is no UTF-8 text ({problem}).") from None
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if lines and lines[0][0].startswith("#"):
        lines = lines[1:]
    if not lines:
        raise DataError(f"{path} has no ids.")
    if ids == "fid_iid":
        names = ["_".join(line[:2]) for line in lines]
    else:
        names = [line[1] if len(line) > 1 else line[0] for line in lines]
    again = duplicates(names)
    if again:
        hint = " Try ids='fid_iid'." if ids == "iid" else ""
        raise DataError(f"{path}: ids that occur more than once: {shown(again)}.{hint}")
    return tuple(names)


def _wrong_length(file: Path, found: int, n: int, wanted: int) -> DataError:
    return DataError(f"{file} has {found:,} numbers; {n:,} ids need {wanted:,}. Is the list of ids another one's?")


def _from_triangle(values: NDArray[np.float32], n: int, file: Path) -> Floats:
    if len(values) != n * (n + 1) // 2:
        raise _wrong_length(file, len(values), n, n * (n + 1) // 2)
    K = np.zeros((n, n))
    K[np.tril_indices(n)] = values
    K.T[np.tril_indices(n)] = values
    return K


def _square(values: Floats, n: int, file: Path) -> Floats:
    if len(values) != n * n:
        raise _wrong_length(file, len(values), n, n * n)
    return values.reshape(n, n)


def _text(file: Path, n: int) -> Floats:
    try:
        table = pd.read_csv(file, sep=r"\s+", header=None)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as problem:
        raise DataError(f"{file} cannot be read as a square of numbers: {problem}") from None
    wrong = [j for j, kind in enumerate(table.dtypes) if kind.kind not in "iuf"]
    if wrong:
        values = pd.to_numeric(table.iloc[:, wrong[0]], errors="coerce")
        row = int(np.flatnonzero(values.isna().to_numpy())[0])
        raise DataError(f"{file}: line {row + 1}, column {wrong[0] + 1} is no number: {table.iloc[row, wrong[0]]!r}.")
    if table.shape != (n, n):
        raise DataError(f"{file} has {table.shape[0]:,} lines of {table.shape[1]:,} numbers; there are {n:,} ids.")
    return np.ascontiguousarray(table.to_numpy(dtype=np.float64))
