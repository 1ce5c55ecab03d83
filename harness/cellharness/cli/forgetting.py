"""``cellharness forgetting``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cellharness.cli.application import app
from cellharness.cli.console import OVERWRITE_REPORT, SCHEDULER, examples
from cellharness.cli.outcome import tell
from cellharness.cli.progress import run_bars
from cellharness.cli.summary import print_statuses


@app.command(
    epilog=examples(
        "cellharness forgetting configs/mini-forgetting.yaml",
        "cellharness forgetting configs/mini-forgetting.yaml --resume",
        "cellharness forgetting configs/mini-forgetting.yaml --dry-run",
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
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would run, and how long; write nothing."),
    ] = False,
    scheduler: Annotated[str | None, SCHEDULER] = None,
    overwrite: Annotated[bool, OVERWRITE_REPORT] = False,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Run directory; default: runs/<name>.")
    ] = None,
) -> None:
    """Find what a fine-tuning of CONFIG gained, what it forgot, why, and what helps.

    Trains, predicts, scores, analyses and reports.
    """
    from cellharness.config.cluster import on_scheduler
    from cellharness.config.output import run_folder
    from cellharness.config.study import load_study_config
    from cellharness.own_files import OwnFiles
    from cellharness.report import build_report
    from cellharness.run_directory import RunDirectory
    from cellharness.running.study import run_study

    study = on_scheduler(load_study_config(config), scheduler)
    folder = run_folder(study, out_dir)
    if dry_run:
        from cellharness.cli.outlook import print_outlook
        from cellharness.running.outlook import foresee
        from cellharness.running.study import expand

        settings, _ = expand(study)
        print_outlook(foresee(settings, folder, limit=limit, retry_failed=retry_failed))
        return
    OwnFiles(RunDirectory(folder).report).refuse_foreign(overwrite=overwrite)
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
    result = replace(result, report=build_report(folder, overwrite=overwrite))
    print_statuses(result.statuses)
    tell(result)
