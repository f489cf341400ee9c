"""The file of a finished scan: TSV or Parquet, with what identifies the scan."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lmmpy.errors import DataError, LmmpyWarning, ModelError
from lmmpy.scan.files import checked_folder, replaced
from lmmpy.scan.header import Header, comment, lmmpy_version, read_comment
from lmmpy.scan.journal import Journal
from lmmpy.scan.tables import decoded, names_line, plain_table

__all__ = ["RESULTS", "journal_path", "read_results", "results_path", "write_results"]

RESULTS = "lmmpy scan"
_KEY = RESULTS.encode()
_ADVICE = "Say another file, or delete this one."


def results_path(resume: str | Path) -> Path:
    """
    The file that `resume` says.

    Raises
    ------
    DataError
        When it is neither ``.tsv`` nor ``.parquet``, or its directory is not there.
    ModelError
        When Parquet is asked for and pyarrow is not there.
    """
    path = Path(resume).expanduser()
    if path.suffix not in {".tsv", ".parquet"}:
        raise DataError(f"resume: results are written to a file that ends in .tsv or .parquet, not to {path.name!r}.")
    checked_folder(path)
    if path.suffix == ".parquet":
        _parquet()
    return path


def journal_path(path: Path) -> Path:
    """Where a scan is kept until it is finished."""
    return path.with_name(f"{path.name}.partial")


def read_results(path: Path, header: Header) -> pd.DataFrame | None:
    """
    The table of a finished scan, None when there is no file.

    Raises
    ------
    DataError
        When the file is not lmmpy's, another scan's, or was changed.

    Warns
    -----
    LmmpyWarning
        When another version of lmmpy wrote it.
    """
    if not path.exists():
        return None
    table, version = _read_parquet(path, header) if path.suffix == ".parquet" else _read_tsv(path, header)
    if version != lmmpy_version():
        warnings.warn(
            f"{path} was written by lmmpy {version}, and this is {lmmpy_version()}, whose numbers may differ: these "
            "are the old ones. To compute them again, say another file or delete it.",
            LmmpyWarning,
            stacklevel=4,
        )
    return table


def write_results(path: Path, header: Header, table: pd.DataFrame, journal: Journal) -> None:
    """
    Write the table of a finished scan.

    Parameters
    ----------
    path : Path
    header : Header
    table : DataFrame
    journal : Journal
        Where its rows are, as text too.

    Raises
    ------
    DataError
        When it cannot be written.
    """
    layout = journal.layout
    assert layout is not None
    with replaced(path) as beside:
        if path.suffix == ".parquet":
            _write_parquet(beside, header.as_json(columns=dict(layout)), table)
        else:
            rows = journal.rows()
            first = header.as_json(columns=dict(layout), sha256=hashlib.sha256(rows).hexdigest())
            beside.write_bytes(b"".join([comment(RESULTS, first), names_line(layout), rows]))


def _read_tsv(path: Path, header: Header) -> tuple[pd.DataFrame, str]:
    with path.open("rb") as file:
        found = read_comment(RESULTS, file.readline())
        if found is None:
            raise _not_ours(path)
        header.check(found, path)
        names, rows = file.readline(), file.read()
    if names != names_line(found["columns"]) or hashlib.sha256(rows).hexdigest() != found["sha256"]:
        raise _changed(path)
    return decoded(rows, found["columns"]), found["version"]


def _not_ours(path: Path) -> DataError:
    return DataError(f"{path} is there and is not the result of a scan of lmmpy's. {_ADVICE}")


def _changed(path: Path) -> DataError:
    return DataError(f"{path} was changed since the scan wrote it. {_ADVICE}")


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ModelError("Parquet needs pyarrow: pip install pyarrow, or say a .tsv file.") from None
    return pyarrow, pyarrow.parquet


def _write_parquet(path: Path, first: Mapping[str, Any], table: pd.DataFrame) -> None:
    pyarrow, parquet = _parquet()
    columns = pyarrow.Table.from_pandas(table, preserve_index=False)
    metadata = (columns.schema.metadata or {}) | {_KEY: json.dumps(first).encode()}
    parquet.write_table(columns.replace_schema_metadata(metadata), path, write_page_checksum=True)


def _read_parquet(path: Path, header: Header) -> tuple[pd.DataFrame, str]:
    pyarrow, parquet = _parquet()
    try:
        found = json.loads((parquet.read_schema(path).metadata or {}).get(_KEY, b"null"))
    except (pyarrow.ArrowException, OSError) as error:
        raise _not_ours(path) from error
    if found is None:
        raise _not_ours(path)
    header.check(found, path)
    try:
        columns = parquet.read_table(path, page_checksum_verification=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise _changed(path) from error
    if columns.column_names != list(found["columns"]):
        raise _changed(path)
    return plain_table(columns.to_pandas(), found["columns"]), found["version"]
