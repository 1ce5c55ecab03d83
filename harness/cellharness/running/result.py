"""What a run came to, in numbers of cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cellharness.vocabulary import SEGMENTED


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes
    ----------
    folder : Path
        The run directory.
    statuses : dict of str to Counter
        Method name to number of cases by status.
    messages : dict of str to str
        Method name to the first message of a case that failed.
    unscored : dict of (str, str) to str
        Method and case to the reason why a mask could not be scored, such as a missing truth.
    doubts : tuple of str
        What is odd about the pixels of images, or the ids of truths and masks; the scores stand.
        Of a folder of images also which files were passed over.
    remarks : dict of str to Counter
        Method name to what it remarked on cases that have a mask, and on how many.
    report : Path or None
        Page of the report, where one was made.
    suspended : int
        How many of the failed pairs have a mask of an earlier run, which stays but does not count,
        since their image, weights or packages are not to be had now.
    """

    folder: Path
    statuses: Mapping[str, Counter[str]]
    messages: Mapping[str, str]
    unscored: Mapping[tuple[str, str], str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    remarks: Mapping[str, Counter[str]] = field(default_factory=dict)
    report: Path | None = None
    suspended: int = 0

    @property
    def failed(self) -> int:
        """Number of pairs of method and case without a mask, or with one that does not count."""
        return sum(
            count
            for counter in self.statuses.values()
            for status, count in counter.items()
            if status not in SEGMENTED
        )
