"""Running times as the challenge counted them, from the ledger."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cellharness.report.loading import RunData
from cellharness.report.records import Record
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import absent, significant
from cellharness.statistics.efficiency import overhead, running_times

_QUARTILES = (("q1", 0.25), ("median", 0.5), ("q3", 0.75))
_TIMES = ("warm_seconds", "cold_seconds", "adjusted_seconds")


def running_time_table(run: RunData, colours: Mapping[str, str]) -> Table:
    """Give warm, cold and tolerance-adjusted running times of every method."""
    times = running_times(run.ledger)
    records = [_record(run, method, times[times["method"] == method]) for method in run.methods]
    rows = [
        Row(
            (
                record["label"],
                f"{record['n']:,}",
                *(_with_range(record, name) for name in _TIMES),
                _share(record["within"]),
            ),
            colour=colours[record["method"]],
        )
        for record in records
    ]
    return Table(
        name="running_time",
        title="Running time of an image",
        header=("Method", "n", "Warm", "Cold", "Adjusted", "Within"),
        rows=tuple(rows),
        frame=pd.DataFrame(records),
        spans=(("", 2), ("Seconds, median (IQR)", 3), ("Tolerance", 1)),
        notes=(
            "Warm, from reading the image to writing the mask, the method being loaded and warmed "
            f"up{_repeats(run)}. Cold, for an image that comes alone: load and warm-up of the "
            "method are added; the start of the interpreter or of a container is not in it. "
            "Adjusted, as the challenge did: cold less the tolerance of 10 s, or of 10 s for every "
            "1,000,000 pixels of larger images, and at least 0. Within, share of the images with "
            "a mask whose cold time is within the tolerance. n, images with a mask; – where no "
            "number of pixels was recorded.",
            *_outside(run),
        ),
    )


def _record(run: RunData, method: str, times: pd.DataFrame) -> Record:
    measured = times[times["warm_seconds"].notna()]
    adjusted = measured["adjusted_seconds"].dropna()
    return {
        "method": method,
        "label": run.labels[method],
        "n": len(measured),
        **{
            f"{name}_{at}": float(measured[name].quantile(share))
            for name in _TIMES
            for at, share in _QUARTILES
        },
        "within": float((adjusted == 0).mean()) if len(adjusted) else float("nan"),
    }


def _with_range(record: Record, name: str) -> str:
    low, middle, high = (significant(record[f"{name}_{at}"]) for at, _ in _QUARTILES)
    return middle if low == middle == high else f"{middle} ({low}–{high})"


def _share(value: float) -> str:
    return "–" if absent(value) else f"{value:.0%}".replace("%", " %")


def _repeats(run: RunData) -> str:
    counts = pd.to_numeric(run.ledger.get("repeats", pd.Series(dtype=float)), errors="coerce")
    most = counts.max()
    return f"; median of {most:.0f} repeats" if most > 1 else ""


def _outside(run: RunData) -> tuple[str, ...]:
    share = overhead(run.ledger)
    if absent(share):
        return ()
    return (
        f"Outside the methods' own phases passed {100 * share:.1f} % of the time of all images: "
        "starting processes, hashing, the ledger. Trainings, scoring and this report are not "
        "counted.",
    )
