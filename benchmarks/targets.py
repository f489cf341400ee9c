"""What lmmpy is to reach on a problem, beside what it reached."""

from dataclasses import dataclass

from benchmarks.runner import PeerResult, ProblemResult, Status

AGREEMENT = 1e-3
OURS = "lmmpy"
MB_IN_GIB = 1024.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target beside the measurement.

    Attributes
    ----------
    measured : float or None
        lmmpy's median seconds, or their ratio to lme4's; None where there is nothing to compare.
    bound : bool
        `measured` is an upper bound: lme4 was stopped at its limit.
    memory_gib : float or None
        lmmpy's peak.
    met : str
        `aim`, `must`, or `no` and why.
    faster : tuple of (str, float)
        The peers that reached the optimum in less time than lmmpy, and their time as a ratio to lmmpy's.
    """

    measured: float | None
    bound: bool
    memory_gib: float | None
    met: str
    faster: tuple[tuple[str, float], ...]


def off(result: ProblemResult, peer: PeerResult) -> float:
    """Return by how much the criterion is from lme4's, where that is more than `AGREEMENT`; else 0."""
    difference = result.difference(peer)
    return 0.0 if difference is None or abs(difference) <= AGREEMENT else difference


def _measured(result: ProblemResult, ours: PeerResult, *, seconds: bool) -> tuple[float | None, bool]:
    if seconds:
        return ours.median, False
    base = result.baseline()
    if base is not None and base.status is Status.TIMED_OUT and base.stopped_after and ours.median is not None:
        return ours.median / base.stopped_after, True
    return result.ratio(ours), False


def _faster(result: ProblemResult, ours: PeerResult) -> tuple[tuple[str, float], ...]:
    if ours.median is None:
        return ()
    rivals = ((p.peer, p.median) for p in result.peers if p is not ours and off(result, p) <= 0)
    return tuple((name, median / ours.median) for name, median in rivals if median is not None and median < ours.median)


def judge(result: ProblemResult) -> Verdict | None:
    """Compare a result with its problem's target; None without a target or without lmmpy."""
    target = result.problem.target
    ours = next((p for p in result.peers if p.peer == OURS), None)
    if target is None or ours is None:
        return None
    measured, bound = _measured(result, ours, seconds=target.seconds)
    memory = None if ours.peak_rss_mb is None else ours.peak_rss_mb / MB_IN_GIB
    if ours.median is None:
        met = f"no: {ours.status}"
    elif off(result, ours) > 0:
        met = "no: short of the optimum"
    elif measured is None:
        met = f"not known: {result.problem.baseline} has no time"
    elif target.memory_gib is not None and memory is None:
        met = "not known: memory is not measured here"
    elif target.memory_gib is not None and memory is not None and memory > target.memory_gib:
        met = "no: memory"
    elif measured > target.must:
        met = f"not known: {result.problem.baseline} was stopped" if bound else "no"
    else:
        met = "aim" if measured <= target.aim else "must"
    return Verdict(measured, bound, memory, met, _faster(result, ours))
