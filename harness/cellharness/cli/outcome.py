"""What a finished run says on the terminal, and the exit code it ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cellharness.cli.console import EXIT_FAILED_CASES, err, plain, say_path
from cellharness.cli.summary import say_remarks

if TYPE_CHECKING:
    from cellharness.running.result import RunResult


def tell(result: RunResult) -> None:
    """Name what failed and where the report is.

    Raises
    ------
    typer.Exit
        With code 1 where a method failed on some case.
    """
    for method, message in result.messages.items():
        err.print(f"[yellow]{plain(method)}[/yellow]: {plain(message)}")
    tell_remarks(result)
    for (method, case), reason in result.unscored.items():
        err.print(f"[yellow]{plain(f'{method}, {case}')}[/yellow]: not scored. {plain(reason)}")
    say_remarks(result.doubts, "scores.csv (remarks) and ledger.csv (details)")
    if result.report is not None:
        say_path("Report", result.report)
    if result.suspended:
        err.print(
            f"{result.suspended} pair(s) of method and case have a mask of an earlier run that "
            "could not be checked; it stays, but counts as F1 0 in profile strict. Put right what "
            "is said above and go on with --resume."
        )
    if result.failed > result.suspended:
        err.print(
            f"{result.failed - result.suspended} pair(s) of method and case have no mask; they "
            "count as F1 0 in profile strict. Try them again with --resume --retry-failed."
        )
    if result.failed:
        raise typer.Exit(EXIT_FAILED_CASES)


def tell_remarks(result: RunResult) -> None:
    """Say what methods remarked on cases that have a mask, such as that an image was flat."""
    for method, counts in result.remarks.items():
        for text, count in counts.items():
            err.print(f"[yellow]{plain(method)}[/yellow], {count} case(s): {plain(text)}")
