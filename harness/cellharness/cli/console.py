"""Where the command line prints, and how text of others is kept from being read as markup."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

_ENDLESS = 10_000

#: Of commands that write files.
OVERWRITE = typer.Option("--overwrite", help="Replace files that are not ours, or were changed.")
#: Of commands that write a report.
OVERWRITE_REPORT = typer.Option(
    "--overwrite", help="Replace a report that is not ours, or was changed since."
)

#: Of commands that segment or train.
SCHEDULER = typer.Option(
    metavar="ADDRESS",
    help="Work on the workers of this Dask scheduler, such as tcp://node1:8786.",
)

EXIT_FAILED_CASES = 1
EXIT_USAGE = 2
#: What a run works with was lost; it can go on.
EXIT_STOPPED = 3
#: As shells give it for a program that Ctrl-C ended.
EXIT_INTERRUPTED = 130

# Names and messages may hold anything, such as ":warning:", which rich would make a picture of.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

#: What the options of the whole command line say.
reporting = {"quiet": False, "verbose": False}


def plain(text: object) -> str:
    """Make text safe to stand in markup: brackets in a path or message stay what they are."""
    return escape(str(text))


def say_path(what: str, path: Path) -> None:
    """Print where something was written."""
    out.print(f"{what}: {path}", markup=False)


def print_whole(table: Table) -> None:
    """Print a table; where no terminal has an edge, with every row on one line."""
    if out.is_terminal:
        out.print(table)
        return
    # What reads a pipe or file wants one row a line.
    natural = Measurement.get(out, out.options.update(max_width=_ENDLESS), table).maximum
    edge = out.width
    out.width = max(natural, edge)
    out.print(table)
    out.width = edge


def examples(*lines: str) -> str:
    """Epilog with one example a paragraph, since rich joins lines within one."""
    shown = "\n\n".join(f"[cyan]{plain(line)}[/cyan]" for line in lines)
    return f"[bold]Examples[/bold]\n\n{shown}"
