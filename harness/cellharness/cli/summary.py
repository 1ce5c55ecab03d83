"""Tables that a command ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from cellharness.cli.console import err, out, plain

if TYPE_CHECKING:
    from cellharness.data.folders import PassedOver

_REMARKS_AT_MOST = 20


def print_statuses(statuses: Mapping[str, Mapping[str, int]]) -> None:
    """Print how many cases of each method came to which status."""
    names = sorted({status for counts in statuses.values() for status in counts})
    table = Table("method", *names)
    for method, counts in statuses.items():
        table.add_row(plain(method), *(str(counts.get(name, 0)) for name in names))
    out.print(table)


def say_passed_over(passed_over: Iterable[PassedOver]) -> None:
    """Name the files of a folder that are not read, a line a reason."""
    from cellharness.data.folders import tell

    for line in tell(passed_over):
        err.print(f"[yellow]{plain(line)}[/yellow]")


def say_remarks(remarks: Iterable[str], where: str) -> None:
    """Print what is odd about pixels and ids of files that were read, of many the first."""
    lines = list(remarks)
    for line in lines[:_REMARKS_AT_MOST]:
        err.print(f"[yellow]{plain(line)}[/yellow]")
    if len(lines) > _REMARKS_AT_MOST:
        more = len(lines) - _REMARKS_AT_MOST
        err.print(f"[yellow]and {more} more remarks, all in {plain(where)}[/yellow]")


def print_medians(folder: Path) -> None:
    """Median F1 at the lowest threshold by modality, profile strict: the answer in one look."""
    import pandas as pd

    from cellharness.run_directory import SCORE_TEXT, RunDirectory
    from cellharness.tables import read_table

    scores = read_table(RunDirectory(folder).scores, (*SCORE_TEXT, "status"))
    profiles = set(scores["profile"])
    chosen = scores[scores["profile"] == ("strict" if "strict" in profiles else profiles.pop())]
    chosen = chosen[chosen["threshold"] == chosen["threshold"].min()]
    chosen = chosen.fillna({"modality": "unknown"})
    cells = chosen.pivot_table(
        "f1", "method", "modality", "median", margins=True, margins_name="All"
    )
    title = f"median F1 at IoU {chosen['threshold'].iloc[0]:g}, {chosen['profile'].iloc[0]}"
    table = Table("method", *(plain(name) for name in cells.columns), title=title)
    # A method without a single score has dropped out of the pivot; it still gets its row.
    cells = cells.reindex(list(dict.fromkeys(chosen["method"])))
    for method, row in cells.iterrows():
        table.add_row(plain(method), *("-" if pd.isna(value) else f"{value:.3f}" for value in row))
    out.print(table)
