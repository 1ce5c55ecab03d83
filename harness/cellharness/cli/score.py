"""``cellharness score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cellharness.cli.application import app
from cellharness.cli.console import EXIT_FAILED_CASES, err, examples, out, plain, say_path
from cellharness.cli.progress import counter
from cellharness.cli.spreading import SpreadCommand
from cellharness.vocabulary import SEGMENTED


@app.command(
    cls=SpreadCommand,
    epilog=examples(
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
    ],
    out_file: Annotated[
        Path, typer.Option("--out", help="CSV to write, one row a case and threshold.")
    ],
    threshold: Annotated[
        list[float] | None, typer.Option(help="IoU from which on a cell is correct; default 0.5.")
    ] = None,
    ignore_extra: Annotated[
        bool,
        typer.Option("--ignore-extra", help="Pass over predictions that have no true label."),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Score a folder of masks against a folder of true labels."""
    from cellharness.scoring import score_folders

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
    out_file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out_file, index=False)
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
    say_path("Scores", out_file)
    if len(bad):
        raise typer.Exit(EXIT_FAILED_CASES)
