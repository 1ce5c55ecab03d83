"""The root of the command line: its options, and how errors leave it."""

from __future__ import annotations

import os
import sqlite3
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from cellharness import __version__
from cellharness.cli.console import EXIT_USAGE, err, out, plain
from cellharness.errors import UsageError

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
    offline: Annotated[
        bool, typer.Option("--offline", help="Never use the network (CELLHARNESS_OFFLINE).")
    ] = False,
) -> None:
    if offline:
        os.environ["CELLHARNESS_OFFLINE"] = "1"


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; errors that a user can mend are printed without a traceback."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        app(args=list(args) if args is not None else None, standalone_mode=True)
    except (UsageError, OSError, sqlite3.DatabaseError) as error:
        err.print(f"[red]error:[/red] {plain(error)}")
        sys.exit(EXIT_USAGE)
