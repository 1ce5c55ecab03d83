"""``cellharness predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, err, examples, out, plain, say_path
from cellharness.cli.progress import run_bars
from cellharness.cli.spreading import SpreadCommand
from cellharness.cli.summary import print_statuses
from cellharness.errors import UsageError, first_of
from cellharness.vocabulary import INPUT_MODES


@app.command(
    cls=SpreadCommand,
    epilog=examples(
        "cellharness predict --method cellpose --images photos/ --out masks/ --set weights=cyto",
        "cellharness predict --method cellpose --images photos/ --out masks/ "
        "--set weights=cyto diameter=30",
        "cellharness predict --method otsu-watershed --images photos/ --out masks/",
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
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one image.")] = 900.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace masks in --out that are not ours.")
    ] = False,
) -> None:
    """Segment every image of a folder with one method.

    Label images beside them, NAME_label.* of an image NAME.*, are passed over.
    """
    from cellharness import api
    from cellharness.running.predict import labels_beside

    beside = labels_beside(images) if images.is_dir() else []
    if beside:
        named = first_of(path.name for path in beside)
        out.print(f"{len(beside)} label images passed over: {plain(named)}")
    with run_bars() as bars:
        result = api.predict(
            method,
            images,
            out_dir,
            parameters=key_values(settings or []),
            input_mode=input_mode,
            timeout_s=timeout,
            overwrite=overwrite,
            observer=bars,
        )
    print_statuses(result.statuses)
    say_path("Masks", out_dir)
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
