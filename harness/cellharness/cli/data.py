"""``cellharness data new``, ``validate``, ``import``, ``download`` and ``phantom``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, OVERWRITE, err, examples, out, plain
from cellharness.cli.progress import counter
from cellharness.cli.spreading import SpreadCommand
from cellharness.errors import UsageError
from cellharness.vocabulary import MODALITIES, TEST_SPLIT

data_app = typer.Typer(no_args_is_help=True, help="Manifests and data sets.")
app.add_typer(data_app, name="data")


@data_app.command(
    "new",
    epilog=examples(
        "cellharness data new --images photos/ --labels masks/ --modality phase --out manifest.csv",
        "cellharness data new --images photos/ --labels photos/ --modality fluo "
        "--experiment-from '^(plate[0-9]+)_' --out manifest.csv",
    ),
)
def data_new(
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    manifest: Annotated[Path, typer.Option("--out", help="Manifest CSV to write, above both.")],
    labels: Annotated[
        Path | None, typer.Option(help="Folder of labels: NAME.* or NAME_label.* of an image NAME.")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="Of all images: " + ", ".join(MODALITIES) + ".")
    ] = None,
    experiment_from: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Finds the experiment in a file's name: its first group, or all."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Of all images: train or test.")] = TEST_SPLIT,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Make a manifest of a folder of images and one of labels."""
    from cellharness.data.own_images import new_manifest

    with counter("hashing") as progress:
        answer = new_manifest(
            images,
            labels,
            manifest,
            modality=modality,
            experiment_from=experiment_from,
            split=split,
            overwrite=overwrite,
            progress=progress,
        )
    for note in answer.notes:
        err.print(f"[yellow]{plain(note)}[/yellow]")
    cases = answer.manifest.cases
    labelled = sum(case.label is not None for case in cases)
    experiments = len({case.experiment for case in cases if case.experiment})
    told = f"{experiments} experiments" if experiments else "no experiments named"
    out.print(f"{len(cases)} cases, {labelled} with labels, {told}: {manifest}", markup=False)


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
    rule: Annotated[
        str,
        typer.Option(
            "--guess-rule",
            metavar="RULE",
            help="cues; or sribdmed-paper, sribdmed-code: colour classes of another purpose, far "
            "worse, for comparison. A rule other than cues is named in column modality_rule.",
        ),
    ] = "cues",
) -> None:
    """Read every image and label of a manifest; report faults, leaks and doubts."""
    from cellharness.data.manifest import Manifest
    from cellharness.data.modality_guess import USUAL_RULE, check_rule, with_guessed_modalities
    from cellharness.data.validation import validate

    check_rule(rule)
    if guess is None and rule != USUAL_RULE:
        msg = f"--guess-rule {rule} has no effect without --write-guesses CSV"
        raise UsageError(msg)
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
        with_guessed_modalities(cases, rule=rule).write(guess)
        out.print(f"Guessed modalities: {guess}", markup=False)
    if not answer.ok:
        raise typer.Exit(EXIT_FAILED_CASES)


@data_app.command(
    "import",
    epilog=examples(
        "cellharness data import neurips22/ --out neurips22/manifest.csv",
        "cellharness data import annotations.json --out labels/",
        "cellharness data import rois/ --images photos/ --out labels/",
    ),
)
def data_import(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Unpacked challenge data; or outlines: COCO json, GeoJSON or ImageJ ROIs, one "
            "file or a folder.",
        ),
    ],
    manifest: Annotated[
        Path, typer.Option("--out", help="Manifest CSV to write; of outlines a folder of labels.")
    ],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images that the outlines are of.")
    ] = None,
) -> None:
    """Make a manifest of the challenge data, or label images of outlines."""
    if images is not None or folder.is_file():
        _draw_outlines(folder, manifest, images)
        return
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


def _draw_outlines(source: Path, labels: Path, images: Path | None) -> None:
    from cellharness.data.annotations import draw_labels

    drawn = draw_labels(source, labels, images)
    for problem in drawn.problems:
        err.print(f"[yellow]{plain(problem)}[/yellow]")
    out.print(f"{len(drawn.written)} label images: {labels}", markup=False)


@data_app.command(
    "download",
    cls=SpreadCommand,
    epilog=examples(
        "cellharness data download --out neurips22/",
        "cellharness data download --out neurips22/ --part Tuning",
        "cellharness data download --out neurips22/ --archives mirror.json",
    ),
)
def data_download(
    folder: Annotated[Path, typer.Option("--out", help="Folder for archives and data.")],
    part: Annotated[
        list[str] | None, typer.Option(help="Training-labeled, Tuning or Testing; default all.")
    ] = None,
    elsewhere: Annotated[
        Path | None,
        typer.Option(
            "--archives",
            metavar="JSON",
            help="Where else archives are, such as on a mirror: name to url and sha256.",
        ),
    ] = None,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Fetch the challenge data (CC BY-NC-ND 4.0), resumable and hash-checked."""
    from cellharness.data.challenge_download import ARCHIVES, download_challenge, read_archives

    archives = ARCHIVES if elsewhere is None else read_archives(elsewhere)
    with counter("bytes") as progress:
        paths = download_challenge(
            folder,
            part or tuple(archives),
            overwrite=overwrite,
            archives=archives,
            progress=progress,
        )
    for path in paths:
        out.print(str(path), markup=False)


@data_app.command(
    "phantom",
    epilog=examples(
        "cellharness data phantom --out phantom/ --seed 0",
        "cellharness data phantom --out phantom/ --experiments-per-kind 6 --size 192",
    ),
)
def data_phantom(
    folder: Annotated[Path, typer.Option("--out", help="Folder for images, labels, manifest.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    per_experiment: Annotated[
        int | None, typer.Option(min=1, help="Images per experiment and split.")
    ] = None,
    experiments_per_kind: Annotated[
        int, typer.Option(min=1, help="Experiments of each kind of image, acquired differently.")
    ] = 1,
    size: Annotated[
        int | None,
        typer.Option(min=128, help="Height and width in px; by default each experiment's own."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that is not empty.")
    ] = False,
) -> None:
    """Generate the embedded synthetic images of four modalities."""
    from cellharness.data.phantom import generate

    options: dict[str, Any] = {
        "seed": seed,
        "overwrite": overwrite,
        "experiments_per_kind": experiments_per_kind,
        "size": size,
    }
    if per_experiment is not None:
        options["per_experiment"] = per_experiment
    manifest = generate(folder, **options)
    out.print(f"{len(manifest.cases)} cases: {manifest.path}", markup=False)
