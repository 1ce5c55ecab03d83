"""Tables of causes: the loss taken apart, and F1 under every protocol."""

from __future__ import annotations

import pandas as pd

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import worth_showing
from cellharness.report.forgetting.study import Study
from cellharness.report.records import Record, by_key, group_title, records
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import (
    NOTHING,
    absent,
    count,
    loss_with_ends,
    number,
    share_with_ends,
    spread,
)
from cellharness.statistics.decomposition import BEST, DEFINED
from cellharness.statistics.staged_scores import SEEN, UNSEEN


def split_tables(study: Study, findings: Findings) -> list[Table]:
    """Give the parts of the loss on unseen experiments, of means and of medians; none without."""
    causes = findings.causes
    if not causes.can_be_split:
        return []
    made = (
        ("decomposition", causes.split, "mean"),
        ("decomposition_median", causes.median_split, "median"),
    )
    return [
        _split_table(study, name, frame, what) for name, frame, what in made if frame is not None
    ]


def _split_table(study: Study, name: str, frame: pd.DataFrame, statistic: str) -> Table:
    rows = []
    here = frame[frame["seen"] == UNSEEN]
    first = records(frame)[0]
    for group in worth_showing(study.modalities):
        mine = records(here[here["modality"] == group])
        n, apparent = mine[0]["n"], loss_with_ends(mine[0], "apparent_loss", "apparent")
        title = f"{group_title(group)}: {count(n, 'case')}"
        rows.append(Row((f"{title}, apparent loss {apparent}" if n else title,), heading=True))
        rows += [Row(_cells(study, row)) for row in mine if n]
    used = (first["before_protocol"], first["trained_protocol"])
    before, after = (study.protocol_labels[name] for name in used)
    return Table(
        name=name,
        title=f"What the protocol explains of the loss of {statistic} F1 on unseen experiments",
        header=("Evaluated instead under", "Explained", "Left in the weights", "Share explained",
                "Left, both alike"),
        rows=tuple(rows),
        frame=frame,
        notes=(
            f"Apparent loss: before under “{before}”, after under “{after}”. Explained: what the "
            "same weights regain under the other protocol; left: the rest. The two add up. Left, "
            "both alike: the loss with the weights before evaluated under that protocol too. "
            "Share: only where the interval of the apparent loss lies above 0. Best takes the "
            "protocol with the highest F1, anew in every sample, which explains rather too "
            f"much. Of {statistic}s over the images scored under all protocols; "
            f"{100 * first['confidence']:g} % intervals by {first['unit']}, percentile bootstrap, "
            f"{first['samples']:,} samples.",
        ),
    )  # fmt: skip


def _cells(study: Study, row: Record) -> tuple[str, ...]:
    if row["protocol"] == BEST:
        chosen = study.protocol_labels.get(row["chosen"], NOTHING)
        name = f"Best: {chosen}"
    else:
        name = study.protocol_labels[row["protocol"]]
    share = share_with_ends(row, "share_explained", "share_low", "share_high")
    return (
        name,
        loss_with_ends(row, "explained", "explained"),
        loss_with_ends(row, "left", "left"),
        share if row["share_is"] == DEFINED else str(row["share_is"]),
        loss_with_ends(row, "left_same_protocol", "left_same"),
    )


def protocol_table(study: Study, findings: Findings) -> Table:
    """Give mean F1 before and after under every protocol, unseen and seen experiments."""
    accuracy = findings.causes.accuracy.assign(after=lambda rows: rows["stage"] > 0)
    found = by_key(accuracy, "modality", "seen", "protocol", "after")
    protocols = [p.name for p in study.record.protocols if p.name in set(accuracy["protocol"])]
    rows = []
    for group in worth_showing(study.modalities):
        rows.append(Row((group_title(group),), heading=True))
        for protocol in protocols:
            cells = [study.protocol_labels[protocol]]
            for part in (UNSEEN, SEEN):
                pair = [found.get((group, part, protocol, after)) for after in (False, True)]
                n = max((row["n"] for row in pair if row is not None), default=0)
                cells += [f"{n:,}", *(_mean(row) for row in pair)]
            rows.append(Row(tuple(cells)))
    columns = ("n", "Before (95 % interval)", "After (95 % interval)")
    return Table(
        name="protocols",
        title=f"Mean F1 before and after {study.labels[findings.subject]} under every protocol",
        header=("Protocol", *columns, *columns),
        rows=tuple(rows),
        frame=findings.causes.accuracy,
        spans=(("", 1), ("Unseen experiments", 3), ("Seen experiments", 3)),
    )


def _mean(row: Record | None) -> str:
    if row is None or absent(row["mean"]):
        return NOTHING
    if absent(row["mean_low"]):
        return number(row["mean"])
    return f"{number(row['mean'])} ({spread(row['mean_low'], row['mean_high'])})"
