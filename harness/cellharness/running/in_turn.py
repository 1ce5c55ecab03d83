"""A method's cases one after another, in one process of its own on this machine."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from cellharness.config.run import LimitsConfig
from cellharness.data.manifest import Case
from cellharness.running.ledger import Outcome
from cellharness.running.process import MethodProcess
from cellharness.running.worker import MethodSpec, Task


@dataclass(frozen=True)
class Wanted:
    """A case to segment.

    Attributes
    ----------
    case : Case
    identity : str
        Hash of all that its mask hangs on.
    image_sha256 : str
        Of its image as it is now.
    prediction : Path
        Where its mask goes.
    problem : str
        Why it cannot be segmented, or "".
    """

    case: Case
    identity: str
    image_sha256: str
    prediction: Path
    problem: str


def in_turn(
    spec: MethodSpec, wanted: Iterable[Wanted], timeout_s: float, limits: LimitsConfig
) -> Generator[tuple[Wanted, Outcome], None, None]:
    """Segment cases one after another.

    Parameters
    ----------
    spec : MethodSpec
    wanted : iterable of Wanted
        The next is taken when the one before it is done.
    timeout_s : float
        Seconds for a case.
    limits : LimitsConfig
        For loading, and for memory.

    Yields
    ------
    Wanted, Outcome
        In their order; the mask is written.
    """
    process = MethodProcess(spec, timeout_s, limits.load_timeout_s, limits.memory_gb)
    try:
        for each in wanted:
            if each.problem:
                yield each, Outcome("error", each.problem)
            else:
                yield each, process.segment(Task(each.case, each.prediction))
    finally:
        process.stop()
