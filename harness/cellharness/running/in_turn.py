"""A method's cases in one process of its own on this machine."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cellharness.config.run import LimitsConfig
from cellharness.data.manifest import Case
from cellharness.running.kept_process import KeptProcess
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
        Hash of all that its mask depends on.
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
    spec: MethodSpec,
    wanted: Iterable[Wanted],
    timeout_s: float,
    limits: LimitsConfig,
    kept: KeptProcess | None = None,
) -> Generator[tuple[Wanted, Outcome], None, None]:
    """Segment cases one after another, or as many at the same time as the specification says.

    Parameters
    ----------
    spec : MethodSpec
    wanted : iterable of Wanted
        The next is taken when there is room for it.
    timeout_s : float
        Seconds for a case.
    limits : LimitsConfig
        For loading, and for memory.
    kept : KeptProcess or None
        As of :class:`cellharness.running.process.MethodProcess`.

    Yields
    ------
    Wanted, Outcome
        In the order in which they finish; the mask is written.
    """
    process = MethodProcess(spec, timeout_s, limits.load_timeout_s, limits.memory_gb, kept)
    handed: dict[str, Wanted] = {}
    impossible: list[Wanted] = []

    def tasks() -> Iterator[Task]:
        for each in wanted:
            if each.problem:
                impossible.append(each)
                continue
            handed[each.case.case] = each
            yield Task(each.case, each.prediction)

    try:
        for task, outcome in process.segment_each(tasks()):
            yield from _failed(impossible)
            yield handed.pop(task.case.case), outcome
        yield from _failed(impossible)
        process.hand_on()
    finally:
        process.stop()


def _failed(impossible: list[Wanted]) -> Iterator[tuple[Wanted, Outcome]]:
    while impossible:
        each = impossible.pop(0)
        yield each, Outcome("error", each.problem)
