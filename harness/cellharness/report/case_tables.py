"""Tables of single cases: the best, the worst, and those without a mask."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cellharness.report.loading import RunData
from cellharness.report.records import Record, by_key, records
from cellharness.report.rendering import Row, Table
from cellharness.report.selection import extremes
from cellharness.report.wording import NOTHING, absent, f1_at, number
from cellharness.vocabulary import SEGMENTED


def extremes_table(run: RunData, colours: Mapping[str, str], k: int) -> Table:
    """List the k best and k worst cases of every method."""
    rows, parts = [], []
    for method in run.methods:
        rows.append(Row((run.labels[method],), heading=True, colour=colours[method]))
        pair = extremes(run.main[run.main["method"] == method], k)
        for rank, block in zip(("best", "worst"), pair, strict=True):
            parts.append(block.assign(rank=rank, label=run.labels[method]))
            for row in records(block):
                cells = (rank, row["case"], row["modality"], row["experiment"], number(row["f1"]))
                counts = (_whole(row.get(name)) for name in ("tp", "fp", "fn"))
                rows.append(Row((*cells, *counts)))
    frame = pd.concat(parts, ignore_index=True)
    keep = ["method", "label", "rank", "case", "modality", "experiment", "status", "f1"]
    keep += [name for name in ("tp", "fp", "fn") if name in frame]
    return Table(
        name="best_worst",
        title=f"Best and worst images of each method, {f1_at(run.threshold)}",
        header=("", "Case", "Modality", "Experiment", "F1", "TP", "FP", "FN"),
        rows=tuple(rows),
        frame=frame[keep],
        text=frozenset(range(4)),
        notes=("Among images with a mask; failures have a table of their own.",),
    )


def failure_table(run: RunData, colours: Mapping[str, str]) -> Table | None:
    """List every case without a mask, and why; None where there is none."""
    scores = run.main
    failed = scores[~scores["status"].isin(SEGMENTED)]
    if failed.empty:
        return None
    told = by_key(run.ledger.drop_duplicates(["method", "case"]), "method", "case")
    frame = failed[["method", "case", "modality", "experiment", "status"]].copy()
    places = zip(frame["method"], frame["case"], strict=True)
    frame["message"] = [failure_message(told.get(place, {})) for place in places]
    frame.insert(1, "label", frame["method"].map(run.labels))
    rows = []
    for method in run.methods:
        block = frame[frame["method"] == method]
        if not block.empty:
            rows.append(Row((run.labels[method],), heading=True, colour=colours[method]))
        rows += [
            Row((row["case"], row["modality"], row["status"], row["message"] or NOTHING))
            for row in records(block)
        ]
    return Table(
        name="failures",
        title="Cases without a mask",
        header=("Case", "Modality", "Status", "Message"),
        rows=tuple(rows),
        frame=frame,
        text=frozenset(range(4)),
    )


def failure_message(entry: Record) -> str:
    """Say why a case has no mask, from its row of the ledger; "" where nothing is known."""
    text = entry.get("message")
    if isinstance(text, str) and text:
        return text
    made = entry.get("status") in SEGMENTED
    return "a mask was made, but it is gone or cannot be scored" if made else ""


def _whole(value: float | None) -> str:
    return NOTHING if value is None or absent(value) else f"{int(value):,}"
