"""Code blocks of a Markdown file: read them, run them, compare what they print with what the text shows."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from typing import Any

from lmmpy.cli import main

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One block, the line where it starts, the output shown next (None: not shown), and whether it is for a shell."""

    code: str
    line: int
    shown: str | None
    commands: bool = False


def read_blocks(markdown: str) -> list[Block]:
    """
    Return the ```python blocks, and the ```sh blocks of `lmmpy` commands whose output is shown.

    A ```text block that is the next fence shows the output.
    """
    fences = list(FENCE.finditer(markdown))
    blocks = []
    for fence, following in zip(fences, [*fences, None][1:], strict=True):
        shown = following[2] if following is not None and following[1] == "text" else None
        commands = fence[1] == "sh" and shown is not None and fence[2].startswith("lmmpy ")
        if fence[1] == "python" or commands:
            blocks.append(Block(fence[2], markdown.count("\n", 0, fence.start(2)) + 1, shown, commands))
    return blocks


def run(block: Block, name: str, namespace: dict[str, Any]) -> str:
    """Run a block in `namespace` and return what it prints; a traceback names the line in the file `name`."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if block.commands:
            for words in commands(block.code):
                assert main(words) == 0, f"{name}:{block.line}: lmmpy {shlex.join(words)}"
        else:
            exec(compile("\n" * (block.line - 1) + block.code, name, "exec"), namespace)
    return printed.getvalue()


def commands(code: str) -> list[list[str]]:
    """The words after `lmmpy` of each command; a backslash at the end of a line continues it."""
    lines = code.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    assert all(own[0] == "lmmpy" for own in words if own), code
    return [own[1:] for own in words if own]


def normalised(text: str) -> list[str]:
    """Lines without white space at their ends, without empty lines at top and bottom."""
    return [line.rstrip() for line in text.strip("\n").rstrip().splitlines()]


def check_file(markdown: str, name: str) -> int:
    """Run all blocks in order in one namespace; return how many outputs were compared."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    compared = 0
    for block in read_blocks(markdown):
        printed = run(block, name, namespace)
        if block.shown is not None:
            assert normalised(printed) == normalised(block.shown), f"{name}:{block.line} prints:\n{printed}"
            compared += 1
    return compared
