"""``cellharness compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from cellharness.cli.application import app
from cellharness.cli.console import OVERWRITE, err, examples, out, plain, say_path


@app.command(
    epilog=examples(
        "cellharness compare runs/mini runs/mini-baselines",
        "cellharness compare mediar-0.5.csv cellpose-0.5.csv --out comparison/",
        "cellharness compare runs/mini theirs.csv --baseline 'Cellpose (cyto)' --threshold 0.7",
    )
)
def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_OR_CSV...",
            help="Run directories, or CSVs of scores: cellharness's, the official script's, or any "
            "with the columns case and f1 (and method).",
        ),
    ],
    metric: Annotated[str, typer.Option(help="Score to compare, the larger the better.")] = "f1",
    threshold: Annotated[float, typer.Option(help="IoU from which on a cell is correct.")] = 0.5,
    profile: Annotated[str, typer.Option(help="Of run directories: strict or challenge.")] = (
        "strict"
    ),
    baseline: Annotated[
        str | None, typer.Option(help="Compare the others with this method; else all pairs.")
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            help="What is independent: experiment or image. By default experiments where every "
            "case names one, as images of one experiment resemble each other."
        ),
    ] = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Write the tables here: csv, md and tex.")
    ] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Set runs or score tables side by side, with paired statistics on common cases."""
    from cellharness import api
    from cellharness.cli.tables import print_table
    from cellharness.files import refuse_file_for_folder

    if out_dir is not None:
        refuse_file_for_folder(out_dir)
    comparison = api.compare(
        sources,
        metric=metric,
        threshold=threshold,
        profile=profile,
        baseline=baseline,
        unit=cast("Any", unit),
    )
    for warning in comparison.warnings:
        err.print(f"[yellow]warning:[/yellow] {plain(warning)}")
    for table in comparison.tables:
        print_table(table)
    if out_dir is not None:
        comparison.write(out_dir, overwrite=overwrite)
        say_path("Tables", out_dir)
    out.print()
