"""``cellharness environments list``, ``create`` and ``check``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column, Table

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, examples, out, plain, print_whole
from cellharness.errors import UsageError
from cellharness.printing.wording import count

environments_app = typer.Typer(
    no_args_is_help=True,
    help="Environments of their own for methods that need other packages than ours.",
)
app.add_typer(environments_app, name="environments")


@environments_app.command("list", epilog=examples("cellharness environments list"))
def environments_list() -> None:
    """List the named environments, and which are on this machine."""
    from cellharness.environments import status_of
    from cellharness.methods.registry import environment_sources

    table = Table(Column("environment", no_wrap=True), "here", "what for", "folder")
    for name, named in environment_sources().items():
        source = named()
        about = (status_of(source), source.summary, str(source.folder))
        table.add_row(plain(name), *map(plain, about))
    print_whole(table)


@environments_app.command(
    "create",
    epilog=examples(
        "cellharness environments create cellpose4",
        "cellharness environments create cellpose4 --installer pip",
        "cellharness environments create cellpose4 --overwrite",
    ),
)
def environments_create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    installer: Annotated[
        str, typer.Option(help="auto (uv if found, else venv and pip), uv or pip.")
    ] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Build one again that is there.")
    ] = False,
) -> None:
    """Build a named environment in the cache folder, of exactly the versions of its file."""
    from cellharness.environments import INSTALLERS, create_environment
    from cellharness.methods.registry import environment_source

    if installer not in INSTALLERS:
        msg = f"no installer '{installer}'; choose from {', '.join(INSTALLERS)}"
        raise UsageError(msg)
    source = environment_source(name)
    seconds = create_environment(
        source,
        installer,
        overwrite=overwrite,
        say=lambda text: out.print(plain(text)),
    )
    out.print(f"environment {name} is ready after {seconds:.0f} s: {source.python}", markup=False)


@environments_app.command("check", epilog=examples("cellharness environments check cellpose4"))
def environments_check(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Say whether a named environment is what its file asks for, and what differs."""
    from cellharness.environments import differences, environment_python
    from cellharness.methods.registry import environment_source

    source = environment_source(name)
    environment_python(source)
    told = differences(source)
    for line in told:
        out.print(line, markup=False)
    if told:
        differ = count(len(told), "difference")
        out.print(f"{differ}; build it again with `{source.command()}`", markup=False)
        raise typer.Exit(EXIT_FAILED_CASES)
    out.print(f"environment {name} holds what its file asks for", markup=False)
