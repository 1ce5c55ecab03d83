"""Tables of cells: kept, lost and won, and recall by their properties."""

from __future__ import annotations

import pandas as pd

from cellharness.report.forgetting.cells import CellFindings
from cellharness.report.forgetting.change_tables import Colours, labelled
from cellharness.report.forgetting.look import worth_showing
from cellharness.report.forgetting.study import Study
from cellharness.report.records import by_key, group_title, records
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import change_with_ends, number, share_with_ends, significant
from cellharness.scoring.cell_properties import PROPERTIES
from cellharness.statistics.cells import FATES
from cellharness.statistics.contrasts import FEWEST_UNITS
from cellharness.statistics.staged_scores import SEEN, UNSEEN

_PARTS = (UNSEEN, SEEN)


def cell_retention_table(study: Study, cells: CellFindings, colours: Colours) -> Table | None:
    """Count true cells kept, lost and won; None where none was measured."""
    if not cells.retention:
        return None
    found = {name: by_key(frame, "modality", "seen") for name, frame in cells.retention.items()}
    rows = []
    for group in worth_showing(study.modalities):
        rows.append(Row((group_title(group),), heading=True))
        for part in _PARTS:
            for name, kept in found.items():
                row = kept[group, part]
                counts = (f"{row[key]:,}" for key in ("n", "n_units", "n_true", *FATES))
                cell = share_with_ends(row, "retention", "low", "high")
                recall = (number(row[f"recall_{when}"]) for when in ("before", "after"))
                rows.append(
                    Row((study.labels[name], part, *counts, cell, *recall), colour=colours[name])
                )
    frame = pd.concat(
        [frame.assign(remedy=name) for name, frame in cells.retention.items()], ignore_index=True
    )
    first = ["remedy", *frame.columns.drop("remedy")]
    return Table(
        name="cell_retention",
        title="What became of the true cells",
        header=("Weights", "Experiments", "Images", "Units", "Cells", "Kept", "Lost", "Won",
                "Never found", "Retention (95 % interval)", "Recall before", "Recall after"),
        rows=tuple(rows),
        frame=labelled(study, frame[first]),
        text=frozenset({0, 1}),
        notes=(
            "Pooled over images. Kept, found before and after; lost, before only; won, after only. "
            f"Retention, kept / (kept + lost), with its interval by {frame['unit'].iloc[0]}, the "
            f"units, with all their cells; none below {FEWEST_UNITS} of them.",
        ),
    )  # fmt: skip


def property_table(study: Study, cells: CellFindings, colours: Colours) -> Table | None:
    """Give recall in bins of size, contrast and density; None where no cell was measured."""
    if not cells.curves:
        return None
    rows = []
    for part in _PARTS:
        for prop in PROPERTIES:
            curves = {
                name: records(curve[curve["property"] == prop])
                for (name, where), curve in cells.curves.items()
                if where == part
            }
            if not any(curves.values()):
                continue
            rows.append(Row((f"{prop.capitalize()}, {part} experiments",), heading=True))
            for name, bins in curves.items():
                for row in bins:
                    limits = f"{significant(row['lower'])} to {significant(row['upper'])}"
                    rows.append(
                        Row(
                            (
                                study.labels[name], limits, f"{row['n']:,}", f"{row['n_cases']:,}",
                                number(row["recall_before"]), number(row["recall_after"]),
                                change_with_ends(row, "change", "change"),
                            ),
                            colour=colours[name],
                        )
                    )  # fmt: skip
    frame = pd.concat(
        [
            curve.assign(remedy=name, seen=part)[["remedy", "seen", *curve.columns]]
            for (name, part), curve in cells.curves.items()
        ],
        ignore_index=True,
    )
    return Table(
        name="cells_by_property",
        title="Recall of true cells by size, contrast and density",
        header=("Weights", "From – to", "Cells", "Cases", "Recall before", "Recall after",
                "Change (95 % interval)"),
        rows=tuple(rows),
        frame=labelled(study, frame),
    )  # fmt: skip
