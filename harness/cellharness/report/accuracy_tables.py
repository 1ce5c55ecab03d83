"""Tables of how well the methods segment: by modality, experiment, threshold and profile."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cellharness.report.differences import reasons
from cellharness.report.loading import RunData
from cellharness.report.records import Record, by_key, group_title, leaders, records
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import NOTHING, f1_at, number, signed, spread
from cellharness.statistics import ALL, count_statuses, profile_differences, summarise
from cellharness.vocabulary import SEGMENTED, STATUSES

_OTHER_METRICS = {
    "precision": "Precision",
    "recall": "Recall",
    "dice": "Dice",
    "ap": "AP",
    "pq": "PQ",
    "sq": "SQ",
    "aji": "AJI",
}


def accuracy_table(run: RunData, summary: pd.DataFrame, colours: Mapping[str, str]) -> Table:
    """Median, quartiles, mean, cases and failures per modality and method, in both profiles."""
    frame = _with_statuses(run, summary[summary["threshold"] == run.threshold])
    profiles = [p for p in ("strict", "challenge") if p in set(frame["profile"])]
    header, spans = ["Method", "n", "Failed"], [("", 3)]
    for profile in profiles:
        # The official script leaves images out, so its own n stands with its numbers.
        heads = ["Median F1", "IQR", "Mean", *(["n"] if profile == "challenge" else [])]
        header += heads
        spans.append((f"Profile {profile}", len(heads)))
    found = by_key(frame, "profile", "modality", "method")
    rows = []
    for group in run.groups:
        first = found[profiles[0], group, run.methods[0]]
        rows.append(Row((f"{group_title(group)} (n = {first['n']:,})",), heading=True))
        best = {
            p: leaders({m: found[p, group, m]["median_f1"] for m in run.methods}) for p in profiles
        }
        for method in run.methods:
            first = found[profiles[0], group, method]
            cells = [run.labels[method], _cases(first), _failures(first)]
            strong = set()
            for profile in profiles:
                row = found[profile, group, method]
                if method in best[profile]:
                    strong.add(len(cells))
                cells += [number(row["median_f1"]), spread(row["q1"], row["q3"])]
                cells.append(number(row["mean_f1"]))
                if profile == "challenge":
                    cells.append(f"{row['n_scored']:,}")
            rows.append(Row(tuple(cells), strong=frozenset(strong), colour=colours[method]))
    notes = [
        f"F1 at IoU ≥ {run.threshold:g}, one value an image; quartiles interpolate linearly. "
        "n, images; failed, images without a mask, by status."
    ]
    if "strict" in profiles:
        notes.append("strict counts a failed image as F1 0.")
    if "challenge" in profiles:
        notes.append(
            "challenge is the official script, which leaves failed images out; its own n is the "
            "number of images that it scores."
        )
    return Table(
        name="accuracy",
        title=f"{f1_at(run.threshold)} by modality and method",
        header=tuple(header),
        rows=tuple(rows),
        frame=frame,
        spans=tuple(spans),
        notes=(" ".join(notes),),
    )


def difference_table(run: RunData, colours: Mapping[str, str]) -> Table | None:
    """Show what the choice of profile does to each method; None where only one was scored."""
    frame = profile_differences(run.scores, run.threshold)
    if frame.empty:
        return None
    why = reasons(run)
    frame = frame.set_index("method").reindex(list(run.methods)).reset_index()
    frame.insert(1, "label", frame["method"].map(run.labels))
    frame["reasons"] = [why.get(method, "") for method in frame["method"]]
    rows = []
    for row in records(frame):
        cells = [row["label"], f"{row['n']:,}", f"{row['n_dropped']:,}", f"{row['n_differ']:,}"]
        for what in ("median", "mean"):
            strict, challenge = row[f"{what}_strict"], row[f"{what}_challenge"]
            cells += [number(strict), number(challenge), signed(challenge - strict)]
        cells.append(row["reasons"] or NOTHING)
        rows.append(Row(tuple(cells), colour=colours[row["method"]]))
    heads = ("strict", "challenge", "Δ")
    return Table(
        name="profile_differences",
        title="What the choice of profile changes, all images",
        header=("Method", "n", "Dropped", "Differ", *heads, *heads, "Why"),
        rows=tuple(rows),
        frame=frame,
        spans=(("", 4), ("Median F1", 3), ("Mean F1", 3), ("", 1)),
        text=frozenset({0, 10}),
        notes=(
            "Dropped, images that the challenge profile leaves out; differ, other images whose "
            "F1 differs by more than the four decimals that it keeps; Δ, challenge − strict.",
        ),
    )


def sweep_table(run: RunData, summary: pd.DataFrame, colours: Mapping[str, str]) -> Table | None:
    """Give the median F1 at every threshold; None where there is only one."""
    frame = summary[summary["profile"] == run.profile].copy()
    thresholds = sorted(frame["threshold"].unique().tolist())
    if len(thresholds) < 2:
        return None
    frame.insert(1, "label", frame["method"].map(run.labels))
    found = by_key(frame, "modality", "method", "threshold")
    rows = []
    for group in run.groups:
        rows.append(Row((group_title(group),), heading=True))
        for method in run.methods:
            medians = [number(found[group, method, t]["median_f1"]) for t in thresholds]
            rows.append(Row((run.labels[method], *medians), colour=colours[method]))
    return Table(
        name="threshold_sweep",
        title=f"Median F1 by IoU threshold, profile {run.profile}",
        header=("Method", *(f"{t:g}" for t in thresholds)),
        rows=tuple(rows),
        frame=frame,
    )


def experiment_table(run: RunData) -> Table:
    """Give the median F1 of every experiment, one column a method."""
    frame = summarise(run.main, by=("modality", "experiment"))
    frame = frame[(frame["modality"] != ALL) & (frame["experiment"] != ALL)]
    frame = frame.assign(label=frame["method"].map(run.labels))
    found = by_key(frame, "modality", "experiment", "method")
    rows = []
    for group in run.groups[1:]:
        rows.append(Row((group,), heading=True))
        for experiment in sorted({key[1] for key in found if key[0] == group}):
            block = {m: found[group, experiment, m] for m in run.methods}
            best = leaders({m: row["median_f1"] for m, row in block.items()})
            cells = [experiment or "not stated", f"{block[run.methods[0]]['n']:,}"]
            cells += [number(row["median_f1"]) for row in block.values()]
            strong = frozenset(2 + i for i, m in enumerate(run.methods) if m in best)
            rows.append(Row(tuple(cells), strong=strong))
    return Table(
        name="experiments",
        title=f"Median {f1_at(run.threshold)} by experiment",
        header=("Experiment", "n", *(run.labels[m] for m in run.methods)),
        rows=tuple(rows),
        frame=frame,
        notes=("n, images. Experiments have few images each: read single rows with care.",),
    )


def metric_table(run: RunData, colours: Mapping[str, str]) -> Table | None:
    """Give medians of the other measures in the main profile; None where none was scored."""
    have = [m for m in _OTHER_METRICS if m in run.main and run.main[m].notna().any()]
    if not have:
        return None
    parts = {m: by_key(summarise(run.main, value=m), "modality", "method") for m in have}
    rows, raw = [], []
    for group in run.groups:
        rows.append(Row((group_title(group),), heading=True))
        best = {
            m: leaders({k: part[group, k][f"median_{m}"] for k in run.methods})
            for m, part in parts.items()
        }
        for method in run.methods:
            values = {f"median_{m}": parts[m][group, method][f"median_{m}"] for m in have}
            means = {f"mean_{m}": parts[m][group, method][f"mean_{m}"] for m in have}
            names = {"modality": group, "method": method, "label": run.labels[method]}
            raw.append({**names, **values, **means})
            strong = frozenset(i + 1 for i, m in enumerate(have) if method in best[m])
            cells = (run.labels[method], *map(number, values.values()))
            rows.append(Row(cells, strong=strong, colour=colours[method]))
    return Table(
        name="other_metrics",
        title=f"Other measures, medians over images at IoU ≥ {run.threshold:g}",
        header=("Method", *(_OTHER_METRICS[m] for m in have)),
        rows=tuple(rows),
        frame=pd.DataFrame(raw),
        notes=(f"Profile {run.profile}. AP, TP/(TP + FP + FN) at this one threshold.",),
    )


def _with_statuses(run: RunData, summary: pd.DataFrame) -> pd.DataFrame:
    """Add the label of each method and a column ``n_<status>`` for every status."""
    counts = by_key(count_statuses(run.scores), "method", "profile", "modality", "status")
    frame = summary.copy()
    frame.insert(1, "label", frame["method"].map(run.labels))
    places = list(zip(frame["method"], frame["profile"], frame["modality"], strict=True))
    for status in STATUSES:
        frame[f"n_{status}"] = [counts.get((*p, status), {"n": 0})["n"] for p in places]
    return frame


def _cases(row: Record) -> str:
    """Count the cases, and those with a number where the strict profile lacks some."""
    if row["profile"] == "challenge" or row["n_scored"] == row["n"]:
        return f"{row['n']:,}"
    return f"{row['n']:,} ({row['n_scored']:,} scored)"


def _failures(row: Record) -> str:
    counts = {s: int(row[f"n_{s}"]) for s in STATUSES if s not in SEGMENTED}
    parts = [f"{n} {status}" for status, n in counts.items() if n]
    return f"{sum(counts.values()):,}" + (f" ({', '.join(parts)})" if parts else "")
