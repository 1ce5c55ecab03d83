"""What the methods cost: seconds by phase, running times as the challenge counted, peak memory."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from cellharness.analysis.run_data import RunData
from cellharness.printing.table import Row, Table
from cellharness.printing.wording import absent, percent, significant
from cellharness.records import Record
from cellharness.report.comparison import bubbles
from cellharness.report.comparison.data import Comparison
from cellharness.report.declare import Section
from cellharness.report.provenance import machine_of
from cellharness.run_directory import details_of
from cellharness.statistics.efficiency import has_loaded, overhead
from cellharness.vocabulary import PHASES, SEGMENTED

cost = Section("cost", "Time and memory")

_START_UP = ("seconds_load", "seconds_warmup")
_PHASES = tuple(f"seconds_{phase}" for phase in PHASES)
_PEAKS = ("peak_host_mb", "peak_gpu_mb", "peak_gpu_driver_mb")
_NUMBERS = (*_PHASES, "seconds_total", *_PEAKS)
_HEADS = {"warmup": "Warm-up", "postprocess": "Post-process"}
_QUARTILES = (("q1", 0.25), ("median", 0.5), ("q3", 0.75))
_TIMES = ("warm_seconds", "cold_seconds", "adjusted_seconds")


@cost.words()
def _left_out(d: Comparison) -> str:
    return d.cost_left_out


@cost.figure(
    "accuracy_cost",
    alt="Bubble plot of median F1 against seconds an image; the numbers stand in the tables",
    caption=bubbles.bubble_caption,
    when=bubbles.has_bubbles,
)
def accuracy_cost(d: Comparison, width_mm: float) -> Figure:
    """Accuracy against time and memory: the paper's Fig. 3b."""
    return bubbles.bubble_figure(d, width_mm)


@cost.table()
def running_time_table(d: Comparison) -> Table | None:
    """Warm, cold and tolerance-adjusted running times; None where not all methods have them."""
    if d.run.untimed:
        return None
    times = d.run.times
    found = [_time_record(d.run, m, times[times["method"] == m]) for m in d.run.methods]
    rows = [
        Row(
            (
                record["label"], f"{record['n']:,}", *(_with_range(record, t) for t in _TIMES),
                "–" if absent(record["within"]) else percent(record["within"]),
            ),
            colour=d.colours[record["method"]],
        )
        for record in found
    ]  # fmt: skip
    return Table(
        name="running_time",
        title="Running time of an image",
        header=("Method", "n", "Warm", "Cold", "Adjusted", "Within"),
        rows=tuple(rows),
        frame=pd.DataFrame(found),
        spans=(("", 2), ("Seconds, median (IQR)", 3), ("Tolerance", 1)),
        notes=(
            "Warm, from reading the image to writing the mask, the method being loaded and warmed "
            f"up{_repeats(d.run)}. Cold, for an image that comes alone: load and warm-up of the "
            "method are added; the start of the interpreter or of a container is not in it. "
            "Adjusted, as the challenge did: cold less the tolerance of 10 s, or of 10 s for every "
            "1,000,000 pixels of larger images, and at least 0. Within, share of the images with "
            "a mask whose cold time is within the tolerance. n, images with a mask and a time; – "
            "where no number of pixels was recorded.",
            *_outside(d.run),
        ),
    )


def _time_record(run: RunData, method: str, times: pd.DataFrame) -> Record:
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


@cost.table()
def cost_table(d: Comparison) -> Table | None:
    """Median seconds per phase and largest peaks of memory; None where not all have times."""
    if d.run.untimed:
        return None
    ledger = d.run.ledger.reindex(columns=["method", "case", "status", *_NUMBERS])
    ledger[list(_NUMBERS)] = ledger[list(_NUMBERS)].apply(pd.to_numeric, errors="coerce")
    # The first case carries the load, also where it failed.
    started = ledger[has_loaded(d.run.ledger)].groupby("method")[list(_START_UP)].max()
    ledger = ledger[ledger["status"].isin(SEGMENTED)]
    costs = [
        _cost(d.run, method, ledger[ledger["method"] == method], started)
        for method in d.run.methods
    ]
    shown = (*_PHASES, "seconds_per_case", *_PEAKS)
    rows = [
        Row(
            (row["label"], f"{row['n']:,}", *(significant(row[name]) for name in shown)),
            colour=d.colours[row["method"]],
        )
        for row in costs
    ]
    heads = (_HEADS.get(phase, phase.capitalize()) for phase in PHASES)
    return Table(
        name="timing",
        title="Seconds by phase and peak memory",
        header=("Method", "n", *heads, "Total", "Host", "GPU", "GPU driver"),
        rows=tuple(rows),
        frame=pd.DataFrame(costs),
        spans=(("", 2), ("Once, s", 2), ("Per image, s", 6), ("Peak, MiB", 3)),
        notes=(
            "Wall-clock seconds. Load (reading weights, building the network) and warm-up are paid "
            "once a method; where its process had to be started again, the longest is given. The "
            "other phases are medians over the n images with a mask, one image at a time: read, "
            "the image file; preprocess, to the form that the method takes; network and "
            "post-process, as the method divides them (one that does not has all of it under "
            "network); write, the mask. Total, median of the whole time of an image without load "
            "and warm-up, so not the sum of the medians.",
            "Host, largest resident memory of the method's process, interpreter and libraries "
            "included. GPU, most memory held by the framework's allocator; GPU driver, most that "
            "the driver counts, contexts and caches included, asked for every 10 ms, of the "
            "process or, where the driver does not tell that, of the whole device; – where no GPU "
            "was used.",
        ),
    )


def _cost(run: RunData, method: str, cases: pd.DataFrame, started: pd.DataFrame) -> Record:
    per_case = cases["seconds_total"] - cases[list(_START_UP)].fillna(0).sum(axis=1)
    return {
        "method": method,
        "label": run.labels[method],
        "n": int(per_case.notna().sum()),
        **{name: float(started[name].get(method, math.nan)) for name in _START_UP},
        **{name: float(cases[name].median()) for name in _PHASES if name not in _START_UP},
        "seconds_per_case": float(per_case.median()),
        "seconds_per_case_q1": float(per_case.quantile(0.25)),
        "seconds_per_case_q3": float(per_case.quantile(0.75)),
        **{name: float(cases[name].max()) for name in _PEAKS},
    }


#: What is told of cases whose seconds are no measure of a method, by what their details hold.
_NOT_ALONE = {
    "worker": (
        "were made by workers beside each other, on machines that they may have shared and that "
        "need not be the one named: their seconds are not comparable with those of a run of one "
        "case at a time."
    ),
    "cases_at_once": (
        "were segmented at the same time as others in one process (cases_at_once). Neither "
        "running time nor memory is then the method's own, and neither is recorded."
    ),
}


@cost.words("note")
def _measured_on(d: Comparison) -> str:
    facts = machine_of(d.run.record)
    parts = (
        [f"Measured on: {'; '.join(f'{key} {value}' for key, value in facts)}."] if facts else []
    )
    details = [details_of(text) for text in d.run.ledger["details"]]
    for name, told in _NOT_ALONE.items():
        count = sum(name in found for found in details)
        if count:
            parts.append(f"Of the {len(details):,} pairs of method and case, {count:,} {told}")
    return " ".join(parts)
