"""Where the command line prints, and how text of others is kept from being read as markup."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

EXIT_FAILED_CASES = 1
EXIT_USAGE = 2

# Names and messages may hold anything, such as ":warning:", which rich would make a picture of.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def plain(text: object) -> str:
    """Make text safe to stand in markup: brackets in a path or message stay what they are."""
    return escape(str(text))


def say_path(what: str, path: Path) -> None:
    """Print where something was written."""
    out.print(f"{what}: {path}", markup=False)


def examples(*lines: str) -> str:
    """Epilog with one example a paragraph, since rich joins lines within one."""
    shown = "\n\n".join(f"[cyan]{plain(line)}[/cyan]" for line in lines)
    return f"[bold]Examples[/bold]\n\n{shown}"
