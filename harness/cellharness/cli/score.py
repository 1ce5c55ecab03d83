"""``cellharness score``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cellharness.cli.application import app
from cellharness.cli.console import (
    EXIT_FAILED_CASES,
    OVERWRITE,
    err,
    examples,
    out,
    plain,
    print_whole,
    say_path,
)
from cellharness.cli.progress import counter
from cellharness.cli.spreading import SpreadCommand
from cellharness.cli.summary import say_passed_over, say_remarks
from cellharness.vocabulary import SEGMENTED

if TYPE_CHECKING:
    import pandas as pd


@app.command(
    cls=SpreadCommand,
    epilog=examples(
        "cellharness score --gt labels/ --pred masks/",
        "cellharness score --gt labels/ --pred masks/ --profile challenge --out scores.csv",
        "cellharness score --gt labels/ --pred masks/ --profile strict "
        "--threshold 0.5 0.7 0.9 --out scores.csv",
    ),
)
def score(
    gt: Annotated[Path, typer.Option(help="Folder of true labels.")],
    pred: Annotated[Path, typer.Option(help="Folder of predicted labels.")],
    profile: Annotated[
        str,
        typer.Option(help="challenge: the official script to the last digit. strict: every case."),
    ] = "strict",
    out_file: Annotated[
        Path | None,
        typer.Option("--out", help="CSV to write, one row a case and threshold; default: print."),
    ] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(help="IoU from which on a cell is correct; default 0.5.")
    ] = None,
    ignore_extra: Annotated[
        bool,
        typer.Option("--ignore-extra", help="Pass over predictions that have no true label."),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Score a folder of masks against a folder of true labels."""
    from cellharness.files import whole_file
    from cellharness.own_files import OwnFiles
    from cellharness.scoring import score_folders

    if out_file is not None:
        OwnFiles(out_file.parent).refuse_foreign([out_file.name], overwrite=overwrite)
    with counter("scoring") as progress:
        table = score_folders(
            gt,
            pred,
            profile,
            threshold or [0.5],
            workers,
            progress=progress,
            ignore_extra=ignore_extra,
        )
    say_passed_over(table.attrs["passed_over"])
    if out_file is not None:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out_file) as partial:
            table.to_csv(partial, index=False)
        OwnFiles(out_file.parent).add([out_file.name])
    else:
        _print_cases(table)
    summary = Table("threshold", "cases", "scored", "median F1", "mean F1", title=profile)
    for value, rows in table.groupby("threshold"):
        scored = rows["f1"].notna()
        f1 = rows.loc[scored, "f1"]
        cells = (
            f"{value:g}",
            str(len(rows)),
            str(scored.sum()),
            f"{f1.median():.4f}",
            f"{f1.mean():.4f}",
        )
        summary.add_row(*cells)
    out.print(summary)
    bad = table[~table["status"].isin(SEGMENTED)]
    messages = table.attrs.get("messages", {})
    for case, status in bad.drop_duplicates("case")[["case", "status"]].itertuples(index=False):
        reason = plain(messages.get(case, ""))
        err.print(f"[yellow]{plain(case)}[/yellow]: {status}. {reason}")
    remarks = [f"{case}: {text}" for case, told in table.attrs["remarks"].items() for text in told]
    where = f"column remarks of {out_file}" if out_file is not None else "the table of --out"
    say_remarks(remarks, where)
    if out_file is not None:
        say_path("Scores", out_file)
    if len(bad):
        raise typer.Exit(EXIT_FAILED_CASES)


def _print_cases(table: pd.DataFrame) -> None:
    """Print one row a case and threshold, with what most look at."""
    names = ["case", "threshold", "status", "n_true", "n_pred", "tp", "fp", "fn", "f1"]
    shown = Table(*names)
    for row in table[names].itertuples(index=False):
        shown.add_row(*(plain(_short(value)) for value in row))
    print_whole(shown)


def _short(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return str(value)
