"""Code blocks of a Markdown file: read them, run them, compare what they print with what the text shows."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from typing import Any

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of Python, the line where its code starts, and the output shown next (None: not shown)."""

    code: str
    line: int
    shown: str | None


def read_blocks(markdown: str) -> list[Block]:
    """Return the ```python blocks; a ```text block that is the next fence shows the output."""
    fences = list(FENCE.finditer(markdown))
    blocks = []
    for fence, following in zip(fences, [*fences, None][1:], strict=True):
        if fence[1] == "python":
            shown = following[2] if following is not None and following[1] == "text" else None
            blocks.append(Block(fence[2], markdown.count("\n", 0, fence.start(2)) + 1, shown))
    return blocks


def run(block: Block, name: str, namespace: dict[str, Any]) -> str:
    """Run a block in `namespace` and return what it prints; a traceback names the line in the file `name`."""
    code = compile("\n" * (block.line - 1) + block.code, name, "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    return printed.getvalue()


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
