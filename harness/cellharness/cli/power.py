"""``cellharness power``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from cellharness.cli.application import app
from cellharness.cli.console import examples, out


@app.command(
    epilog=examples(
        "cellharness power configs/mini.yaml",
        "cellharness power runs/mini --difference 0.05",
        "cellharness power configs/mini.yaml --sd 0.2 --correlation 0.5",
    )
)
def power(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG_OR_RUN",
            help="Configuration of a run or a forgetting study, or a run directory, whose own "
            "scores say how differences vary.",
        ),
    ],
    difference: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1, help="Of mean F1: say how many images it takes to find this one."
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="What is independent: experiment or image; default as in `compare`."),
    ] = None,
    sd: Annotated[
        float | None,
        typer.Option(min=0.001, max=1, help="Standard deviation of paired differences of F1."),
    ] = None,
    correlation: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of differences within an experiment.")
    ] = None,
) -> None:
    """Say which difference between two methods a data set can show, modality by modality.

    A difference is found where 80 % of all such data sets would show it at the 5 % level. Of a
    configuration, the spread of differences is assumed; of a run it is measured, and the median
    over its pairs of methods is told.
    """
    from cellharness import api
    from cellharness.cli.tables import print_table
    from cellharness.report.sensitivity import power_report

    frame = api.power(
        source, difference=difference, unit=cast("Any", unit), sd=sd, correlation=correlation
    )
    print_table(power_report(frame))
    out.print()
