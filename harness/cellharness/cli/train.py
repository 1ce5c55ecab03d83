"""``cellharness train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, SCHEDULER, err, examples, plain, say_path
from cellharness.cli.progress import run_bars


@app.command(
    epilog=examples(
        "cellharness train configs/mini-baselines.yaml",
        "cellharness train configs/mini-baselines.yaml --only cellpose2",
        "cellharness run configs/mini-baselines.yaml --resume   # goes on with the comparison",
    )
)
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file with `training:`.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A training's name; may be repeated.")
    ] = None,
    scheduler: Annotated[str | None, SCHEDULER] = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Run directory; default: runs/<name>.")
    ] = None,
) -> None:
    """Do the trainings of CONFIG without the comparison.

    What finished is used again, what was interrupted goes on.
    """
    from contextlib import ExitStack

    from cellharness.config.cluster import on_scheduler
    from cellharness.config.output import run_folder
    from cellharness.config.run import load_config
    from cellharness.errors import UsageError, unknown_name
    from cellharness.running.claim import locked
    from cellharness.running.run import read_cases, workers_of
    from cellharness.training.session import run_trainings

    settings = on_scheduler(load_config(config), scheduler)
    names = [training.name for training in settings.training]
    if not names:
        msg = f"'{config}' has no training; add a section 'training:', see docs/training.md"
        raise UsageError(msg)
    for name in only or []:
        if name not in names:
            hint = f"'{config}' has these under 'training:'."
            raise unknown_name(kind="training", name=name, known=names, hint=hint)
    folder = run_folder(settings, out_dir)
    with locked(folder), run_bars() as bars, ExitStack() as stack:
        manifest = read_cases(settings, folder)
        workers = workers_of(settings, bars.noted, stack)
        records = run_trainings(
            settings, manifest, folder, only=only, observer=bars, workers=workers
        )
    failed = [record for record in records.values() if record.status != "ok"]
    for record in records.values():
        if record.status == "ok":
            say_path(record.label, folder / "training" / record.name / record.checkpoint)
    for record in failed:
        text = f"{record.label}: {record.status}. {record.message}"
        err.print(f"[yellow]{plain(text)}[/yellow]")
    if failed:
        raise typer.Exit(EXIT_FAILED_CASES)
