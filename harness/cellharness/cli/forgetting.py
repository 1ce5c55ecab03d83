"""``cellharness forgetting``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cellharness.cli.application import app
from cellharness.cli.console import examples
from cellharness.cli.outcome import tell
from cellharness.cli.progress import run_bars
from cellharness.cli.summary import print_statuses


@app.command(
    epilog=examples(
        "cellharness forgetting configs/mini-forgetting.yaml",
        "cellharness forgetting configs/mini-forgetting.yaml --resume",
        "cellharness forgetting configs/mini-forgetting.yaml --limit 8 --out runs/try",
    )
)
def forgetting(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML file, see configs/forgetting.yaml.")
    ],
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Cases at most, spread over modalities; marked as partial."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on; nothing that finished is made again.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: try failed cases again.")
    ] = False,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Run directory; default: runs/<name>.")
    ] = None,
) -> None:
    """Find what a fine-tuning of CONFIG gained, what it forgot, why, and what helps.

    Trains, predicts, scores, analyses and reports.
    """
    from cellharness.config.output import run_folder
    from cellharness.config.study import load_study_config
    from cellharness.report.forgetting import build_forgetting_report
    from cellharness.running.study import run_study

    study = load_study_config(config)
    folder = run_folder(study, out_dir)
    with run_bars() as bars:
        result = run_study(
            study,
            folder,
            limit=limit,
            resume=resume,
            retry_failed=retry_failed,
            observer=bars,
            training_observer=bars,
        )
    result = replace(result, report=build_forgetting_report(folder))
    print_statuses(result.statuses)
    tell(result)
