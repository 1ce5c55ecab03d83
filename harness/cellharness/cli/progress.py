"""Progress bars on stderr."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from cellharness.cli.console import err, plain, reporting
from cellharness.vocabulary import SEGMENTED

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cellharness.run_directory import TrainingRecord
    from cellharness.running.ledger import Outcome
    from cellharness.training.log import EpochRecord

#: Seconds from one line to the next where there is no terminal.
LINE_EVERY_S = 30.0
_FIRST_LINE_S = 0.5


class RunBars:
    """Progress of a run: a bar for each training, one for each method, one for scoring."""

    def __init__(self, progress: Progress, loading: TaskID) -> None:
        self._progress = progress
        self._loading: TaskID | None = loading
        self._task: TaskID | None = None
        # Trainings may run beside each other.
        self._trainings: dict[str, TaskID] = {}
        self._validated: dict[str, str] = {}

    def noted(self, text: str) -> None:
        """Say it above the bars."""
        self._progress.console.print(f"[cyan]{plain(text)}[/cyan]")

    def method_started(self, label: str, total: int, reused: int) -> None:
        """Open a bar."""
        self._loaded()
        text = f"{label} ({reused} there already)" if reused else label
        self._task = self._progress.add_task(plain(text), total=total, completed=reused)

    def _loaded(self) -> None:
        if self._loading is not None:
            self._progress.remove_task(self._loading)
            self._loading = None

    def case_finished(self, label: str, case: str, outcome: Outcome) -> None:
        """Move on; say at once what went wrong."""
        assert self._task is not None
        self._progress.advance(self._task)
        if outcome.status not in SEGMENTED:
            text = f"{label}, {case}: {outcome.status}. {outcome.message}"
            self._progress.console.print(f"[yellow]{plain(text)}[/yellow]")

    def training_started(self, label: str) -> None:
        """Open a bar; its length is known with the first epoch."""
        self._loaded()
        task = self._progress.add_task(f"training {plain(label)}", total=None)
        self._trainings[label] = task

    def images_prepared(self, label: str, done: int, total: int) -> None:
        """Move on before the first epoch."""
        text = f"training {label}, preparing images"
        self._progress.update(
            self._trainings[label], completed=done, total=total, description=plain(text)
        )

    def epoch_finished(self, label: str, record: EpochRecord) -> None:
        """Move on, with the loss and the last validation F1."""
        text = f"training {label}"
        if record.epoch:
            text += f", loss {record.train_loss:.3f}"
        if "all" in record.scores:
            self._validated[label] = f", validation F1 {record.scores['all'].mean_f1:.3f}"
        self._progress.update(
            self._trainings[label],
            completed=record.epoch,
            total=record.epochs,
            description=plain(text + self._validated.get(label, "")),
        )

    def training_finished(self, label: str, record: TrainingRecord, reused: bool) -> None:
        """Say what was there already, or what went wrong."""
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
        # The first sign of life: importing a method's libraries takes seconds.
        yield RunBars(progress, progress.add_task("loading ...", total=None))


@contextmanager
def counter(text: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how many of how many are done while the block lasts."""
    with _progress() as progress:
        task = progress.add_task(plain(text), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bars = err.is_terminal and not reporting["quiet"]
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        console=err,
        disable=not bars,
    )
    done = threading.Event()
    lines = threading.Thread(target=_tell_now_and_then, args=(progress, done), daemon=True)
    # A file or pipe shows no bars: a line now and then says how far it came.
    if not bars and not reporting["quiet"]:
        lines.start()
    try:
        with progress:
            yield progress
    finally:
        done.set()


def _tell_now_and_then(progress: Progress, done: threading.Event) -> None:
    """Print a line for what is going on, first soon and then every `LINE_EVERY_S`."""
    wait = _FIRST_LINE_S
    while not done.wait(wait):
        wait = LINE_EVERY_S
        for task in progress.tasks[-1:]:
            total = "" if task.total is None else f" of {task.total:g}"
            count = f": {task.completed:g}{total}" if total or task.completed else ""
            left = task.time_remaining
            remaining = "" if left is None else f", remaining {_clock(left)}"
            err.print(f"{task.description}{count}, elapsed {_clock(task.elapsed or 0)}{remaining}")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
