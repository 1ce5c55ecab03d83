"""What every number of a report can be recomputed from: ``scores.csv`` and ``estimates.csv``."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cellharness.analysis.run_data import RunData
from cellharness.printing.table import Table
from cellharness.run_directory import RunDirectory
from cellharness.statistics.estimates import ESTIMATE_COLUMNS

#: What an estimate is of, in front of the `ESTIMATE_COLUMNS`.
ABOUT = (
    "measure", "subject", "reference", "threshold", "protocol", "before_protocol",
    "trained_protocol", "stage", "modality", "experiment", "part", "estimand", "cases",
)  # fmt: skip

#: Behind them: which share one part of a loss is of the whole, see `decompose`.
SHARES = ("share", "share_low", "share_high", "share_is")

_COLUMNS = [*ABOUT, *ESTIMATE_COLUMNS, *SHARES]

# From which column of a table each is taken, the first that it has.
_TAKEN_FROM = {
    "subject": ("method", "remedy"),
    "reference": ("other", "plain", "team"),
    "part": ("seen",),
}


def write_evidence(run: RunData, tables: Iterable[Table], folder: Path) -> None:
    """Put the scores of a run, and the estimates of its tables, into the folder of the report."""
    shutil.copyfile(RunDirectory(run.path).scores, folder / "scores.csv")
    blocks = [estimates_of(table, run.threshold) for table in tables if table.measure]
    frame = pd.concat(blocks) if blocks else pd.DataFrame(columns=_COLUMNS)
    frame.to_csv(folder / "estimates.csv", index=False)


def estimates_of(table: Table, threshold: float) -> pd.DataFrame:
    """Lay out the estimates of a table as all others, each pair of methods one way round."""
    rows = table.frame.copy()
    if "threshold" in rows:
        # At the main threshold another table has them, with its own family.
        rows = rows[rows["threshold"] != threshold]
    for name, columns in _TAKEN_FROM.items():
        found = [column for column in columns if column in rows]
        if found:
            rows[name] = rows[found[0]]
    for name, value in (("measure", table.measure), ("threshold", threshold)):
        if name not in rows:
            rows[name] = value
    if "other" in table.frame:
        names = zip(rows["modality"], rows["subject"], rows["reference"], strict=True)
        keys = pd.Series([f"{group} {sorted(pair)}" for group, *pair in names], rows.index)
        rows = rows[~keys.duplicated()]
    return rows.reindex(columns=_COLUMNS)
