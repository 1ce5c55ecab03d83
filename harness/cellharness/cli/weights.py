"""``cellharness weights list`` and ``fetch``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column, Table

from cellharness.cli.application import app
from cellharness.cli.console import examples, out, plain, print_whole

weights_app = typer.Typer(no_args_is_help=True, help="Named weights.")
app.add_typer(weights_app, name="weights")


@weights_app.command("list", epilog=examples("cellharness weights list"))
def weights_list() -> None:
    """List the named weights, and which are on this machine."""
    from cellharness.errors import MissingDependencyError
    from cellharness.methods.registry import weight_sources
    from cellharness.weights import WeightsHashError

    table = Table(
        Column("weights", no_wrap=True), "here", "SHA256", "training data", "licence", "source"
    )
    for name, named in weight_sources().items():
        try:
            source = named()
        except MissingDependencyError as error:
            table.add_row(plain(name), "", "", "", "", f"[yellow]{plain(error)}[/yellow]")
            continue
        try:
            found = source.locate()
            here = "yes" if found else "no"
            sha256 = next(iter(found.sha256.values()))[:12] if found else ""
        except WeightsHashError:
            here, sha256 = "[red]changed[/red]", ""
        about = (", ".join(source.training_data), source.licence, source.source)
        table.add_row(plain(name), here, sha256, *map(plain, about))
    print_whole(table)


@weights_app.command(
    "fetch",
    epilog=examples(
        "cellharness weights fetch cyto",
        "cellharness weights fetch cyto cyto2",
        "cellharness weights fetch cyto --force",
    ),
)
def weights_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are not the registered ones.")
    ] = False,
) -> None:
    """Fetch named weights and verify them."""
    from cellharness.methods.registry import weight_source

    for name in names:
        found = weight_source(name).fetch(replace=force)
        for role, path in found.files.items():
            out.print(f"{name} {role}: {path} SHA256 {found.sha256[role]}", markup=False)
