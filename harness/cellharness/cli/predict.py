"""``cellharness predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, err, examples, plain, say_path
from cellharness.cli.outcome import tell_remarks
from cellharness.cli.progress import run_bars
from cellharness.cli.spreading import SpreadCommand
from cellharness.cli.summary import print_statuses, say_remarks
from cellharness.errors import UsageError
from cellharness.vocabulary import INPUT_MODES


@app.command(
    cls=SpreadCommand,
    epilog=examples(
        "cellharness predict --method cellpose --images photos/ --out masks/ --set weights=cyto",
        "cellharness predict --method cellpose --images photos/ --out masks/ "
        "--set weights=cyto diameter=30",
        "cellharness predict --method cellpose --images photos/ --out masks/ "
        "--set weights=cyto --overlays --counts --flows",
        "cellharness predict --method otsu-watershed --images photos/ --out masks/",
        "cellharness predict --method otsu-watershed --images slides/ --out masks/ --tile 2048 "
        "--timeout 7200",
    ),
)
def predict(
    method: Annotated[str, typer.Option(help="Registered method, see `cellharness methods`.")],
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for <stem>_label.tiff.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A parameter of the method; may be repeated."
        ),
    ] = None,
    input_mode: Annotated[
        str | None,
        typer.Option("--input", help=f"{', '.join(INPUT_MODES)}; default: the method's."),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(help="Environment that it runs in, see `cellharness environments list`."),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(help="Interpreter that it runs in, in the place of an environment's name."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one image.")] = 900.0,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Segment by overlapping tiles of so many px, such as 2048, for images too large "
            "for memory; default: in one piece."
        ),
    ] = None,
    tile_overlap: Annotated[
        int | None,
        typer.Option(help="Px that tiles share, twice the largest cell or more; default: 256."),
    ] = None,
    overlays: Annotated[
        bool,
        typer.Option(
            "--overlays", help="Also <stem>_overlay.png: the image with its cells outlined."
        ),
    ] = False,
    counts: Annotated[
        bool,
        typer.Option(
            "--counts",
            help="Also counts.csv: cells, median diameter and covered share of each image.",
        ),
    ] = False,
    flows: Annotated[
        bool,
        typer.Option(
            "--flows",
            help="Also <stem>_flows.tiff: what the network gave, such as flows and cell "
            "probability of cellpose, distances of kit-ge.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in --out that are not ours.")
    ] = False,
) -> None:
    """Segment every image of a folder with one method.

    What lies beside them and is no image of its own, such as NAME_label.* of an image NAME.* or
    what Cellpose saved, is passed over, and named.
    """
    from cellharness import api

    with run_bars() as bars:
        result = api.predict(
            method,
            images,
            out_dir,
            parameters=key_values(settings or []),
            input_mode=input_mode,
            timeout_s=timeout,
            tile=tile,
            tile_overlap=tile_overlap,
            overlays=overlays,
            counts=counts,
            flows=flows,
            overwrite=overwrite,
            environment=environment,
            python=python,
            observer=bars,
        )
    print_statuses(result.statuses)
    tell_remarks(result)
    say_remarks(result.doubts, str(out_dir / "provenance.json"))
    say_path("Masks", out_dir)
    if counts:
        say_path("Cells", out_dir / "counts.csv")
    if result.failed:
        for message in result.messages.values():
            err.print(plain(message))
        raise typer.Exit(EXIT_FAILED_CASES)


def key_values(settings: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` texts; a value is YAML, so that numbers are numbers.

    Examples
    --------
    >>> key_values(["diameter=30", "weights=cyto", "net_avg=true"])
    {'diameter': 30, 'weights': 'cyto', 'net_avg': True}
    """
    import yaml

    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            msg = f"--set takes key=value, not '{setting}'"
            raise UsageError(msg)
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            values[key] = text
    return values
