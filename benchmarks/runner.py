"""Runs one problem by all peers in turn, and condenses what they answered."""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from benchmarks.client import Reply, Worker, WorkerError, WorkerTimeoutError
from benchmarks.job import Written, write_job
from benchmarks.peers import Peer, environment
from benchmarks.problems import Problem

LONG_CALL = 15.0


class Status(StrEnum):
    """How a peer came out of a problem."""

    OK = "ok"
    MISSING = "not installed"
    CANNOT = "cannot"
    FAILED = "failed"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes
    ----------
    rounds : int or None
        Measured rounds; None lets the time budget decide.
    budget : float
        Seconds for the measured rounds of one problem, all peers together.
    time_limit : float or None
        Seconds for one call; None takes the problem's own limit.
    load_limit : float
        Seconds for starting a worker and loading the data.
    threads : int
        BLAS and OpenMP threads of every peer.
    long_call : float
        A peer whose first call takes more seconds than this is measured by that call alone.
    """

    rounds: int | None = None
    budget: float = 30.0
    time_limit: float | None = None
    load_limit: float = 120.0
    threads: int = 2
    long_call: float = LONG_CALL


@dataclass(frozen=True, slots=True)
class PeerResult:
    """One peer on one problem.

    Attributes
    ----------
    peer : str
        Its name.
    status : Status
        `OK` when every call was answered.
    message : str
        Why not, when it was not.
    seconds : tuple of float
        The measured calls, in order; the warm-up is apart. Calls before a failure are kept.
    warmup : float or None
        The first call's seconds; None when that call was so long that it is the one measured.
    reply : Reply or None
        The last answer.
    loaded_rss_mb : float or None
        Memory of the worker before the first fit.
    peak_rss_mb : float or None
        The largest of the peaks during a call.
    stopped_after : float or None
        The limit in seconds, where a call was stopped at it.
    """

    peer: str
    status: Status
    message: str = ""
    seconds: tuple[float, ...] = ()
    warmup: float | None = None
    reply: Reply | None = None
    loaded_rss_mb: float | None = None
    peak_rss_mb: float | None = None
    stopped_after: float | None = None

    @property
    def median(self) -> float | None:
        """Median of the measured calls; None unless every call was answered."""
        return statistics.median(self.seconds) if self.status is Status.OK else None

    @property
    def criterion(self) -> float | None:
        """The criterion of the last answer; None unless every call was answered."""
        return self.reply.criterion if self.status is Status.OK and self.reply else None


@dataclass(frozen=True, slots=True)
class ProblemResult:
    """All peers on one problem."""

    problem: Problem
    n_rows: int
    n_levels: dict[str, int]
    rounds: int
    peers: tuple[PeerResult, ...]

    def baseline(self) -> PeerResult | None:
        """Return the result of the problem's baseline, lme4, if it was run."""
        return next((p for p in self.peers if p.peer == self.problem.baseline), None)

    def ratio(self, result: PeerResult) -> float | None:
        """Return the median time as a ratio to lme4's; below 1 is faster than lme4."""
        base = self.baseline()
        if base is None or base.median is None or result.median is None:
            return None
        return result.median / base.median

    def difference(self, result: PeerResult) -> float | None:
        """Return the criterion less lme4's; below 0 is a better optimum than lme4's."""
        base = self.baseline()
        if base is None or base.criterion is None or result.criterion is None:
            return None
        return result.criterion - base.criterion


@dataclass(slots=True)
class Lane:
    """A peer while its problem runs; after one call over `long_call` seconds it has done its part."""

    peer: Peer
    long_call: float = LONG_CALL
    worker: Worker | None = None
    status: Status = Status.OK
    message: str = ""
    seconds: list[float] = field(default_factory=list)
    reply: Reply | None = None
    peak_rss_mb: float | None = None
    stopped_after: float | None = None

    @property
    def once(self) -> bool:
        """Is the first call so long that a warm-up would change nothing but the bill?"""
        return bool(self.seconds) and self.seconds[0] > self.long_call

    @property
    def running(self) -> bool:
        """Does the peer take part in the rounds to come?"""
        return self.status is Status.OK and not self.once

    def record(self, reply: Reply) -> None:
        """Keep an answer."""
        self.seconds.append(reply.seconds)
        self.reply = reply
        if reply.peak_rss_mb is not None:
            self.peak_rss_mb = max(reply.peak_rss_mb, self.peak_rss_mb or 0.0)

    def stop(self, status: Status, message: str) -> None:
        """Take the peer out of the rounds to come."""
        self.status, self.message = status, message

    def result(self) -> PeerResult:
        """Condense; the first call is the warm-up, unless it is the only one."""
        first = 0 if self.once else 1
        return PeerResult(
            peer=self.peer.name,
            status=self.status,
            message=self.message,
            seconds=tuple(self.seconds[first:]),
            warmup=self.seconds[0] if self.seconds and not self.once else None,
            reply=self.reply,
            loaded_rss_mb=self.worker.ready["loaded_rss_mb"] if self.worker else None,
            peak_rss_mb=self.peak_rss_mb,
            stopped_after=self.stopped_after,
        )


Progress = Callable[[str], None]
Versions = dict[str, dict[str, Any]]


@contextmanager
def _stopping(lane: Lane, progress: Progress) -> Iterator[None]:
    """Turn a worker's failure into the lane's status."""
    try:
        yield
    except WorkerTimeoutError as error:
        lane.stop(Status.TIMED_OUT, str(error))
        if lane.worker is not None:  # else it was the loading
            lane.stopped_after = error.limit
    except WorkerError as error:
        lane.stop(Status.FAILED, str(error))
    if lane.status is not Status.OK:
        progress(f"    {lane.peer.name}: {lane.status}: {lane.message}")


def open_lanes(
    problem: Problem,
    peers: Sequence[Peer],
    job: Path,
    settings: Settings,
    *,
    stack: ExitStack,
    progress: Progress,
) -> list[Lane]:
    """Start a worker for every peer that is there and can run the problem."""
    lanes = [Lane(peer, settings.long_call) for peer in peers]
    for lane in lanes:
        missing = lane.peer.missing()
        if lane.peer.name in problem.cannot:
            lane.stop(Status.CANNOT, problem.cannot[lane.peer.name])
        elif missing is not None:
            lane.stop(Status.MISSING, missing)
        else:
            with _stopping(lane, progress):
                command = (*lane.peer.command, str(job))
                lane.worker = Worker(command, environment(settings.threads), settings.load_limit)
                stack.push(lane.worker)
    return lanes


def rotated(lanes: Sequence[Lane], number: int) -> list[Lane]:
    """Return the lanes in the order of round `number`: each round another peer begins."""
    begin = number % len(lanes) if lanes else 0
    return [*lanes[begin:], *lanes[:begin]]


def run_round(lanes: Sequence[Lane], number: int, limit: float, progress: Progress) -> None:
    """Let each peer that is still running fit once."""
    for lane in rotated([lane for lane in lanes if lane.running], number):
        assert lane.worker is not None
        with _stopping(lane, progress):
            lane.record(lane.worker.fit(limit))


def another(problem: Problem, lanes: Sequence[Lane], settings: Settings, done: int) -> bool:
    """Tell whether one more measured round is wanted after `done` of them."""
    if not any(lane.running for lane in lanes):
        return False
    if settings.rounds is not None:
        return done < settings.rounds
    spent = sum(sum(lane.seconds[1:]) for lane in lanes)  # the warm-ups and the long calls are not of the budget
    return done < problem.min_rounds or (done < problem.most_rounds and spent < settings.budget)


def _measure(problem: Problem, lanes: Sequence[Lane], settings: Settings, progress: Progress) -> int:
    """Run the warm-up and the measured rounds; return how many were measured."""
    limit = problem.time_limit if settings.time_limit is None else settings.time_limit
    run_round(lanes, 0, limit, progress)
    first = [f"{lane.peer.name} {lane.seconds[0]:.3g} s" for lane in lanes if lane.seconds]
    progress(f"    first call: {', '.join(first) or 'none'}")
    done = 0
    while another(problem, lanes, settings, done):
        done += 1
        run_round(lanes, done, limit, progress)
    return done


def run_problem(
    problem: Problem, peers: Sequence[Peer], settings: Settings, progress: Progress = print
) -> tuple[ProblemResult, Versions]:
    """Run one problem by every peer, in turn within each round.

    Returns
    -------
    ProblemResult
        A result for each peer, also for those that could not run.
    dict
        The versions that each started worker told, by peer.
    """
    progress(f"{problem.name}: {problem.formula} ({problem.method})")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        written: Written = write_job(problem, Path(folder))
        lanes = open_lanes(problem, peers, written.path, settings, stack=stack, progress=progress)
        rounds = _measure(problem, lanes, settings, progress)
        versions = {lane.peer.name: lane.worker.ready["versions"] for lane in lanes if lane.worker}
        results = tuple(lane.result() for lane in lanes)
    result = ProblemResult(problem, written.n_rows, written.n_levels, rounds, results)
    for peer in results:
        if peer.median is not None:
            progress(f"    {peer.peer}: median {peer.median:.4g} s of {len(peer.seconds)}")
    return result, versions
