"""The root of the command line: its options, and how errors leave it."""

from __future__ import annotations

import os
import shlex
import sqlite3
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from cellharness import __version__
from cellharness.cli.console import (
    EXIT_INTERRUPTED,
    EXIT_STOPPED,
    EXIT_USAGE,
    err,
    out,
    plain,
    reporting,
)
from cellharness.errors import StoppedError, UsageError

app = typer.Typer(
    name="cellharness",
    help="Compare cell-segmentation methods modality by modality.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"cellharness {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and leave.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no progress, results and errors alone.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show where an error came from.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never use the network (CELLHARNESS_OFFLINE).")
    ] = False,
) -> None:
    reporting.update(quiet=quiet, verbose=verbose)
    if offline:
        os.environ["CELLHARNESS_OFFLINE"] = "1"


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; errors that a user can mend are printed without a traceback."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    given = list(args) if args is not None else sys.argv[1:]
    try:
        app(args=given, standalone_mode=True)
    except SystemExit as leaving:
        if leaving.code == EXIT_INTERRUPTED:
            err.print(f"[yellow]stopped.[/yellow] {plain(_to_go_on(given))}")
        raise
    except StoppedError as error:
        err.print(f"[red]stopped:[/red] {plain(error)}. {plain(_to_go_on(given))}")
        sys.exit(EXIT_STOPPED)
    except (UsageError, OSError, sqlite3.DatabaseError) as error:
        if reporting["verbose"]:
            err.print_exception()
        err.print(f"[red]error:[/red] {plain(error)}")
        sys.exit(EXIT_USAGE)


def _to_go_on(given: Sequence[str]) -> str:
    """What is kept of a command that was stopped, and the command that goes on."""
    again = shlex.join(["cellharness", *given])
    # No option in front of a command takes a value.
    command, *rest = [word for word in given if not word.startswith("-")] or [""]
    if command in ("run", "forgetting"):
        resumed = again if "--resume" in given else f"{again} --resume"
        return f"What is finished is kept. This goes on: {resumed}"
    if command == "train":
        return f"Finished trainings and epochs are kept. This goes on: {again}"
    if (command, *rest[:1]) in (("data", "download"), ("weights", "fetch")):
        return f"What was fetched is kept. This goes on: {again}"
    return f"Nothing half written is left. To start again: {again}"
