"""`run_scan`: many small questions in blocks, kept as they are answered."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lmmpy.errors import LmmpyError, LmmpyWarning, ModelError
from lmmpy.scan.answers import Answer
from lmmpy.scan.blocks import Block, rest_of
from lmmpy.scan.header import Header, checked_fingerprint
from lmmpy.scan.journal import Journal, discard_journal, open_journal
from lmmpy.scan.progress import Progress
from lmmpy.scan.results import journal_path, read_results, results_path, write_results
from lmmpy.scan.tables import Layout, layout_of, plain_table
from lmmpy.scan.task import Task
from lmmpy.scan.workers import answers

__all__ = ["Outcome", "run_scan"]


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """
    What a scan found.

    Attributes
    ----------
    table : DataFrame
        Of all blocks that are done, in order.
    complete : bool
        Whether these are all; not after an interruption.
    done, total : int
        Items.
    seconds : float
        That this run took.
    """

    table: pd.DataFrame
    complete: bool
    done: int
    total: int
    seconds: float


def run_scan(
    task: Task,
    blocks: Sequence[Block],
    *,
    fingerprint: Mapping[str, str],
    what: str,
    resume: str | Path | None = None,
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> Outcome:
    """
    Do all blocks and put their tables together.

    The table is the same, bit for bit, whatever the number of processes is and wherever the scan was interrupted. A
    scan can go on in other blocks, smaller ones where memory ran out; where the task gives the same bits for any cut,
    that does not change the table either.

    Parameters
    ----------
    task : Task
    blocks : sequence of Block
        See `blocks_of`.
    fingerprint : mapping of str to str
        What the results depend on, as digests by readable names: "null model", "genotypes"; options in words say what
        they were when they differ: "min_maf" is "0.01". The size of blocks is not among them.
    what : str
        Which scan it is, for messages: "association".
    resume : path, optional
        The results file, ``.tsv`` or ``.parquet``. While the scan runs, what is done is kept beside it in a file that
        ends in ``.partial``. A scan that is there and has the same fingerprint is continued or, when it is finished,
        given back.
    n_jobs : int, optional
        Processes, as joblib counts them (−1 is one a core); None: this process, or what an active
        ``joblib.parallel_config`` says, a Dask cluster too.
    progress : bool, optional
        Whether to tell on the standard error stream how far the scan is; None: in a terminal, after 5 seconds.

    Returns
    -------
    Outcome

    Warns
    -----
    LmmpyWarning
        When it is interrupted (Ctrl-C), with what is done in the outcome.

    Raises
    ------
    DataError
        For a file of another scan, in use, or not to be written; for data of a block that cannot be read.
    ModelError
        For blocks, tasks or processes that are not as they should be.
    """
    started, blocks = time.perf_counter(), tuple(blocks)
    header = Header(what, _checked_total(blocks), checked_fingerprint(fingerprint), _unit(blocks))
    if resume is None:
        tables = _scan(task, blocks, header, None, n_jobs, progress)
        return _outcome(_joined(tables), blocks[len(tables) - 1].stop if tables else 0, header, started, "")
    path = results_path(resume)
    finished = read_results(path, header)
    if finished is not None:
        discard_journal(journal_path(path))
        return _outcome(finished, header.total, header, started, "")
    with open_journal(journal_path(path), header) as journal:
        # another run may have finished it between the two looks
        finished = read_results(path, header)
        if finished is None:
            kept = [] if journal.restored is None else [journal.restored]
            done, left = journal.done, rest_of(blocks, journal.done)
            tables = _scan(task, left, header, journal, n_jobs, progress)
            # Ctrl-C may have come between a block's way to the journal and to the table
            table, done = _joined(kept + tables), left[len(tables) - 1].stop if tables else done
            if done == header.total:
                write_results(path, header, table, journal)
        else:
            table, done = finished, header.total
        if done == header.total:
            journal.remove()
    return _outcome(table, done, header, started, str(resume))


def _scan(
    task: Task,
    blocks: Sequence[Block],
    header: Header,
    journal: Journal | None,
    n_jobs: int | None,
    shown: bool | None,
) -> list[pd.DataFrame]:
    """Tables of blocks, as many as there is time for until the user interrupts."""
    tables: list[pd.DataFrame] = []
    layout: Layout = {} if journal is None or journal.layout is None else journal.layout
    left = sum(map(len, blocks))
    progress = Progress(header.total, header.unit, shown, what=header.what, done=header.total - left)
    with closing(progress), suppress(KeyboardInterrupt), closing(answers(task, blocks, n_jobs)) as found:
        for block, answer in zip(blocks, found, strict=True):
            table = _table(answer, journal)
            layout = _same_layout(table, layout, block)
            table = plain_table(table, layout)
            if journal is not None:
                journal.append(block, table, layout)
            tables.append(table)
            progress.advance(len(block))
    return tables


def _table(answer: Answer, journal: Journal | None) -> pd.DataFrame:
    """The answer, when it is a table; the error with what was kept, when it is an error."""
    if not isinstance(answer, LmmpyError):
        return answer
    if journal is not None:
        text = str(answer)
        kept = f"{text}{'' if text.endswith('.') else '.'} What comes before is kept in {journal.path.name}: once the "
        cause, notes = answer.__cause__, getattr(answer, "__notes__", ())
        answer = type(answer)(f"{kept}data are right again, the same call goes on from there.")
        for note in notes:
            answer.add_note(note)
        raise answer from cause
    raise answer


def _same_layout(table: pd.DataFrame, layout: Layout, block: Block) -> Layout:
    own = layout_of(table, block.label)
    if layout and list(own.items()) != list(layout.items()):
        raise ModelError(f"{block.label}: the table has columns {own}, those of the blocks before have {dict(layout)}.")
    return own


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _outcome(table: pd.DataFrame, done: int, header: Header, started: float, resume: str) -> Outcome:
    complete = done == header.total
    if not complete:
        advice = "They are in the table; with resume= and a file, the next call would go on from there."
        if resume:
            advice = f"The same call, with resume={resume!r}, goes on from there."
        text = f"Interrupted: {done:,} of {header.total:,} {header.unit} are done. {advice}"
        warnings.warn(text, LmmpyWarning, stacklevel=3)
    return Outcome(table, complete, done, header.total, time.perf_counter() - started)


def _unit(blocks: Sequence[Block]) -> str:
    """What is counted: the first word of "variants 2,001-3,000 of study.bed"."""
    return blocks[0].label.partition(" ")[0]


def _checked_total(blocks: Sequence[Block]) -> int:
    """The number of items, when blocks follow each other from the first."""
    if not blocks:
        raise ModelError("There is nothing to scan.")
    total = 0
    for number, block in enumerate(blocks):
        if block.number != number or block.stop <= block.start or block.start != total:
            raise ModelError(f"Blocks of a scan follow each other from item 0, numbered; block {number} is {block}.")
        total = block.stop
    return total
