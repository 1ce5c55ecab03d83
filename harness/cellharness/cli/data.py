"""``cellharness data validate``, ``import``, ``download`` and ``phantom``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, err, examples, out, plain
from cellharness.cli.progress import counter
from cellharness.cli.spreading import SpreadCommand
from cellharness.errors import UsageError

data_app = typer.Typer(no_args_is_help=True, help="Manifests and data sets.")
app.add_typer(data_app, name="data")


@data_app.command("validate", epilog=examples("cellharness data validate manifest.csv"))
def data_validate(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="Manifest CSV.")],
    root: Annotated[Path | None, typer.Option(help="Folder its paths start from.")] = None,
    guess: Annotated[
        Path | None,
        typer.Option(
            "--write-guesses",
            metavar="CSV",
            help="Write a manifest with empty modalities guessed, marked as guessed.",
        ),
    ] = None,
) -> None:
    """Read every image and label of a manifest; report faults, leaks and doubts."""
    from cellharness.data.manifest import Manifest
    from cellharness.data.modality_guess import with_guessed_modalities
    from cellharness.data.validation import validate

    if guess is not None and guess.exists():
        msg = f"'{guess}' exists already and is not replaced; give --write-guesses another file"
        raise UsageError(msg)
    cases = Manifest.read(manifest, root)
    with counter("validating") as progress:
        answer = validate(cases, progress=progress)
    colours = {"error": "red", "warning": "yellow", "note": "cyan"}
    for finding in answer.findings:
        colour = colours[finding.level]
        text = f"{finding.case} {finding.code}: {finding.message}"
        out.print(f"[{colour}]{finding.level}[/{colour}] {plain(text)}")
    counts = ", ".join(f"{len(answer.at(level))} {level}(s)" for level in colours)
    out.print(f"{answer.n_cases} cases: {counts}")
    if guess is not None:
        with_guessed_modalities(cases).write(guess)
        out.print(f"Guessed modalities: {guess}", markup=False)
    if not answer.ok:
        raise typer.Exit(EXIT_FAILED_CASES)


@data_app.command(
    "import",
    epilog=examples("cellharness data import neurips22/ --out neurips22/manifest.csv"),
)
def data_import(
    folder: Annotated[Path, typer.Argument(help="Unpacked challenge data.")],
    manifest: Annotated[Path, typer.Option("--out", help="Manifest CSV to write.")],
) -> None:
    """Make a manifest of an unpacked copy of the challenge data."""
    from cellharness.data.challenge import PARTS, import_challenge

    with counter("hashing") as progress:
        answer = import_challenge(folder, manifest, progress=progress)
    table = Table("part", "images", "expected", "labels", "winner's masks")
    for part, count in answer.found.items():
        numbers = (count.images, PARTS[part].expected, count.labels, count.winner_masks)
        table.add_row(plain(part), *map(str, numbers))
    out.print(table)
    for problem in answer.problems:
        err.print(f"[yellow]{plain(problem)}[/yellow]")
    out.print(f"{len(answer.manifest.cases)} cases: {manifest}", markup=False)
    out.print("No file of the record says an image's modality; fill the column, or guess it with")
    command = f"cellharness data validate {manifest} --root {folder} --write-guesses guessed.csv"
    out.print(f"  {command}", markup=False)


@data_app.command(
    "download",
    cls=SpreadCommand,
    epilog=examples(
        "cellharness data download --out neurips22/",
        "cellharness data download --out neurips22/ --part Tuning",
    ),
)
def data_download(
    folder: Annotated[Path, typer.Option("--out", help="Folder for archives and data.")],
    part: Annotated[
        list[str] | None, typer.Option(help="Training-labeled, Tuning or Testing; default all.")
    ] = None,
) -> None:
    """Fetch the challenge data (CC BY-NC-ND 4.0), resumable and hash-checked."""
    from cellharness.data.challenge_download import ARCHIVES, download_challenge

    with counter("bytes") as progress:
        paths = download_challenge(folder, part or tuple(ARCHIVES), progress=progress)
    for path in paths:
        out.print(str(path), markup=False)


@data_app.command(
    "phantom",
    epilog=examples("cellharness data phantom --out phantom/ --seed 0"),
)
def data_phantom(
    folder: Annotated[Path, typer.Option("--out", help="Folder for images, labels, manifest.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    per_experiment: Annotated[
        int | None, typer.Option(min=1, help="Images per experiment and split.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that is not empty.")
    ] = False,
) -> None:
    """Generate the embedded synthetic images of four modalities."""
    from cellharness.data.phantom import generate

    options: dict[str, Any] = {"seed": seed, "overwrite": overwrite}
    if per_experiment is not None:
        options["per_experiment"] = per_experiment
    manifest = generate(folder, **options)
    out.print(f"{len(manifest.cases)} cases: {manifest.path}", markup=False)
