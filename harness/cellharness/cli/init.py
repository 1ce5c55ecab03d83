"""``cellharness init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cellharness.cli.application import app
from cellharness.cli.console import examples, out, say_path


@app.command(epilog=examples("cellharness init comparison/", "cellharness init ."))
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder; made if it is absent.")],
) -> None:
    """Write configurations to start from, an empty manifest and a README into DIR.

    No file that is there already is overwritten.
    """
    from cellharness.config.starter import FIRST_STEPS, write_starter

    for path in write_starter(folder):
        say_path("Written", path)
    enter = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    out.print("Next:")
    for step in (*enter, *FIRST_STEPS):
        out.print(f"  {step}", markup=False)
    say_path("More", folder / "README.md")
