"""``cellharness methods`` and ``doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, examples, out, plain, print_whole

if TYPE_CHECKING:
    from cellharness.methods.base import Parameters


@app.command(
    epilog=examples(
        "cellharness methods",
        "cellharness methods cellpose",
        "cellharness methods --markdown > docs/methods.md",
    ),
)
def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show its parameters.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="All built-in methods and weights as a page.")
    ] = False,
) -> None:
    """List the methods, or the parameters of one."""
    if markdown:
        from cellharness.methods.catalogue import page

        typer.echo(page(), nl=False)
    elif name is None:
        _print_all()
    else:
        _print_one(name)


def _print_all() -> None:
    from cellharness.errors import MissingDependencyError
    from cellharness.methods import registry

    table = Table(Column("method", no_wrap=True), "input", "licence", "summary")
    for name, method in registry.methods().items():
        try:
            info = method().info
        except MissingDependencyError as error:
            table.add_row(plain(name), "", "", f"[yellow]{plain(error)}[/yellow]")
            continue
        if info.hidden:
            continue
        table.add_row(plain(name), info.input, plain(info.licence), plain(info.summary))
    print_whole(table)


def _print_one(name: str) -> None:
    from cellharness.methods.registry import method_class
    from cellharness.training.trainer import trainer_class

    cls = method_class(name)
    info = cls.info
    out.print(f"[bold]{plain(name)}[/bold]: {plain(info.summary)}")
    for key in ("citation", "licence", "url", "input", "extra", "environment", "limits"):
        if getattr(info, key):
            out.print(f"  {key}: {plain(getattr(info, key))}")
    if info.maps:
        out.print(f"  flows (`predict --flows`): {plain(', '.join(info.maps))}")
    if info.training_data:
        out.print(f"  training data: {plain(', '.join(info.training_data))}")
    if cls.Parameters.model_fields:
        out.print(_parameters(cls.Parameters))
    if cls.trainer:
        out.print("Parameters of its training (`cellharness train`, docs/training.md):")
        out.print(_parameters(trainer_class(name).Parameters))


def _parameters(parameters: type[Parameters]) -> Table:
    table = Table("parameter", "default", "meaning")
    for parameter, field in parameters.model_fields.items():
        default = "(required)" if field.is_required() else plain(repr(field.default))
        table.add_row(plain(parameter), default, plain(field.description or ""))
    return table


@app.command(epilog=examples("cellharness doctor"))
def doctor() -> None:
    """Say what is missing on this machine, and the command that mends it."""
    from cellharness.methods.doctor import examine

    marks = {True: "[green]ok[/green]", False: "[red]mend[/red]", None: "[dim]note[/dim]"}
    sound = True
    for finding in examine():
        out.print(f"{marks[finding.ok]}  {plain(finding.subject)}: {plain(finding.state)}")
        if finding.ok is not True and finding.remedy:
            out.print(f"      -> {plain(finding.remedy)}")
        sound = sound and finding.ok is not False
    if not sound:
        raise typer.Exit(EXIT_FAILED_CASES)
