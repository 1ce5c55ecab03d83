"""``cellharness run`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cellharness.cli.application import app
from cellharness.cli.console import OVERWRITE_REPORT, SCHEDULER, examples, say_path
from cellharness.cli.outcome import tell
from cellharness.cli.progress import run_bars
from cellharness.cli.summary import print_medians, print_statuses


@app.command(
    epilog=examples(
        "cellharness run configs/demo.yaml",
        "cellharness run configs/mini.yaml --limit 8 --out runs/try",
        "cellharness run configs/mini.yaml --resume",
        "cellharness run configs/mini.yaml --dry-run",
        "cellharness run configs/mini.yaml --scheduler tcp://node1:8786",
    )
)
def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file, see configs/.")],
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
    """Run the whole comparison of CONFIG: masks, scores and report."""
    if dry_run:
        from cellharness.cli.outlook import print_outlook
        from cellharness.config.cluster import on_scheduler
        from cellharness.config.output import run_folder
        from cellharness.config.run import load_config
        from cellharness.running.outlook import foresee

        settings = on_scheduler(load_config(config), scheduler)
        folder = run_folder(settings, out_dir)
        print_outlook(foresee(settings, folder, limit=limit, retry_failed=retry_failed))
        return
    from cellharness import api

    with run_bars() as bars:
        result = api.run(
            config,
            out_dir,
            limit=limit,
            resume=resume,
            retry_failed=retry_failed,
            overwrite=overwrite,
            scheduler=scheduler,
            observer=bars,
            training_observer=bars,
        )
    print_statuses(result.statuses)
    print_medians(result.folder)
    tell(result)


@app.command(
    epilog=examples("cellharness report runs/demo", "cellharness report runs/demo --for-print")
)
def report(
    run_dir: Annotated[
        Path,
        typer.Argument(metavar="RUN_DIR", help="Folder that `run` or `forgetting` wrote."),
    ],
    for_print: Annotated[
        bool,
        typer.Option("--for-print", help="Write every figure as png (300 dpi) and pdf too."),
    ] = False,
    overwrite: Annotated[bool, OVERWRITE_REPORT] = False,
) -> None:
    """Write the report of a finished run or study again."""
    from cellharness.report import build_report

    report_path = build_report(run_dir, for_print=for_print or None, overwrite=overwrite)
    say_path("Report", report_path)
