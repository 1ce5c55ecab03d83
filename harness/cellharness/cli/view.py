"""``cellharness view``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cellharness.cli.application import app
from cellharness.cli.console import examples
from cellharness.cli.spreading import SpreadCommand


@app.command(
    cls=SpreadCommand,
    epilog=examples(
        "cellharness view runs/demo round_nuclei_test_01",
        "cellharness view runs/mini cell_00001 --method cellpose omnipose",
    ),
)
def view(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run.")],
    case: Annotated[str, typer.Argument(metavar="CASE", help="Name of one of its cases.")],
    method: Annotated[
        list[str] | None, typer.Option(help="Whose masks to show; default: all.")
    ] = None,
) -> None:
    """Open a case in napari: image, true labels and predicted masks as layers."""
    from cellharness.report.viewing import open_viewer

    open_viewer(run_dir, case, method)
