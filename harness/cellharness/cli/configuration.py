"""``cellharness configuration``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.table import Column, Table

from cellharness.cli.application import app
from cellharness.cli.console import examples, plain, print_whole


@app.command(
    epilog=examples(
        "cellharness configuration",
        "cellharness configuration study",
        "cellharness configuration --markdown > docs/configuration.md",
    ),
)
def configuration(
    kind: Annotated[
        Literal["run", "study"], typer.Argument(help="Of a comparison, or a study of forgetting.")
    ] = "run",
    markdown: Annotated[
        bool,
        typer.Option("--markdown", help="Both, and the columns of a manifest, as a page."),
    ] = False,
) -> None:
    """List the keys of a configuration, with their defaults and what they mean."""
    from cellharness.config.keys import KINDS, keys_of, page

    if markdown:
        typer.echo(page(), nl=False)
        return
    table = Table(Column("key", no_wrap=True), "value", "default", "meaning")
    for key in keys_of(KINDS[kind]):
        table.add_row(*map(plain, (key.name, key.value.replace("`", ""), key.default, key.meaning)))
    print_whole(table)
