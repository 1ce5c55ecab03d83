"""What ``--dry-run`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from cellharness.cli.console import err, out, plain, print_whole
from cellharness.printing.wording import count, duration

if TYPE_CHECKING:
    from cellharness.running.outlook import RunOutlook

_UNKNOWN = "not known"


def print_outlook(outlook: RunOutlook) -> None:
    """Print what a run would do, and how long it would take."""
    cases = ", ".join(f"{name} {number}" for name, number in sorted(outlook.cases.items()))
    out.print(f"{count(outlook.cases.total(), 'case')}: {plain(cases)}")
    if outlook.trainings:
        table = Table("training", "learns from", "held back", "replays", "state", "epochs", "time")
        for training in outlook.trainings:
            record = training.record
            table.add_row(
                plain(record.label or record.name),
                *(str(len(names)) for names in (record.train, record.validation, record.replay)),
                training.state,
                _UNKNOWN if training.epochs is None else str(training.epochs),
                _time(training.seconds),
            )
        print_whole(table)
        for training in outlook.trainings:
            if training.record.message and training.state == "cannot run":
                text = f"{training.record.label}: {training.record.message}"
                err.print(f"[yellow]{plain(text)}[/yellow]")
    table = Table("method", "kept", "to make", "time", "note")
    for method in outlook.methods:
        numbers = (str(method.kept), str(method.to_make), _time(method.seconds))
        table.add_row(plain(method.label), *numbers, plain(method.note))
    print_whole(table)
    for note in outlook.notes:
        err.print(f"[yellow]{plain(note)}[/yellow]")
    total = _UNKNOWN + ": some of it has not run yet"
    total = total if outlook.seconds is None else duration(outlook.seconds)
    out.print(f"time, by what ran here before: {total}")
    out.print(f"Would be written to: {outlook.folder}; nothing was.", markup=False)
    if outlook.holds_run:
        out.print("It holds a run: go on with --resume.")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return duration(seconds) if seconds else "-"
