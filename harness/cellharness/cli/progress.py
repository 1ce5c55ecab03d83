"""Progress bars on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cellharness.cli.console import err, plain
from cellharness.vocabulary import SEGMENTED

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cellharness.run_directory import TrainingRecord
    from cellharness.running.ledger import Outcome
    from cellharness.training.log import EpochRecord


class RunBars:
    """Progress of a run: a bar for each training, one for each method, one for scoring."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._validated = ""

    def method_started(self, label: str, total: int, reused: int) -> None:
        """Open a bar."""
        text = f"{label} ({reused} there already)" if reused else label
        self._task = self._progress.add_task(plain(text), total=total, completed=reused)

    def case_finished(self, label: str, case: str, outcome: Outcome) -> None:
        """Move on; say at once what went wrong."""
        assert self._task is not None
        self._progress.advance(self._task)
        if outcome.status not in SEGMENTED:
            text = f"{label}, {case}: {outcome.status}. {outcome.message}"
            self._progress.console.print(f"[yellow]{plain(text)}[/yellow]")

    def training_started(self, label: str) -> None:
        """Open a bar; its length is known with the first epoch."""
        self._task = self._progress.add_task(f"training {plain(label)}", total=None)

    def epoch_finished(self, label: str, record: EpochRecord) -> None:
        """Move on, with the loss and the last validation F1."""
        assert self._task is not None
        text = f"training {label}"
        if record.epoch:
            text += f", loss {record.train_loss:.3f}"
        if "all" in record.scores:
            self._validated = f", validation F1 {record.scores['all'].mean_f1:.3f}"
        self._progress.update(
            self._task,
            completed=record.epoch,
            total=record.epochs,
            description=plain(text + self._validated),
        )

    def training_finished(self, label: str, record: TrainingRecord, reused: bool) -> None:
        """Say what was there already, or what went wrong."""
        self._validated = ""
        if reused:
            self._progress.console.print(f"training {plain(label)}: there already")
        elif record.status != "ok":
            text = f"training {label}: {record.status}. {record.message}"
            self._progress.console.print(f"[yellow]{plain(text)}[/yellow]")

    def scoring_started(self, total: int) -> None:
        """Open the last bar."""
        self._task = self._progress.add_task("scoring", total=total)

    def pair_scored(self) -> None:
        """Move on."""
        assert self._task is not None
        self._progress.advance(self._task)


@contextmanager
def run_bars() -> Iterator[RunBars]:
    """Show the progress of a run while the block lasts."""
    with _progress() as progress:
        yield RunBars(progress)


@contextmanager
def counter(text: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how many of how many are done while the block lasts."""
    with _progress() as progress:
        task = progress.add_task(plain(text), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _progress() -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
    )
