"""The runner's side of the protocol: a persistent worker process with time limits."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent
GRACE_SECONDS = 5.0


class WorkerError(RuntimeError):
    """The worker said that it failed, or ended without an answer."""


class WorkerTimeoutError(RuntimeError):
    """The worker did not answer within `limit` seconds and was killed."""

    def __init__(self, limit: float) -> None:
        super().__init__(f"over {limit:g} s, stopped")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Reply:
    """One fit's answer; the fields are told in `worker.Answer`."""

    seconds: float
    criterion: float
    beta: list[float]
    theta: list[float] | None
    varcomp: dict[str, Any] | None
    peak_rss_mb: float | None
    warnings: list[str]


class Worker:
    """A running adapter. Use it as a context manager: leaving ends the process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], load_limit: float) -> None:
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self.ready = self._receive(load_limit)
        except (WorkerError, WorkerTimeoutError):
            self.close()
            raise

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self._lines.put(line)
        self._lines.put(None)

    def _receive(self, limit: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=limit)
        except queue.Empty:
            self._kill()
            raise WorkerTimeoutError(limit) from None
        if line is None:
            raise WorkerError(self._last_words())
        message: dict[str, Any] = json.loads(line)
        if message["error"] is not None:
            raise WorkerError(message["error"])
        return message

    def _last_words(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        said = [line.strip() for line in self._stderr if line.strip()]
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"{how}: {said[-1]}" if said else how

    def fit(self, limit: float) -> Reply:
        """Let the worker fit once.

        Raises
        ------
        WorkerError
            It reported an error, or died.
        WorkerTimeoutError
            It took more than `limit` seconds; it has been killed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("fit\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        message = self._receive(limit)
        return Reply(**{name: message[name] for name in Reply.__slots__})

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """End the process: by the end of its input, by force when that is not heeded."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._listener.join()
        self._process.stdout.close()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
