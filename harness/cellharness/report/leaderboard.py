"""Who leads in each modality, how surely, and what fine-tuning changed: a page's first table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cellharness.report.loading import RunData
from cellharness.report.provenance import trainings_behind
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.records import Record, by_key, group_title
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import absent, count, f1_at, listing, number, signed
from cellharness.run_directory import MethodRecord, referenced
from cellharness.statistics import ALL
from cellharness.statistics.contrasts import (
    HIGHER,
    LOWER,
    NOT_SIGNIFICANT,
    TOO_FEW,
    fewest_units,
    units_of,
)
from cellharness.statistics.estimates import how_tested
from cellharness.statistics.levels import median_interval

_CONFIDENCE = 0.95

#: Heading of the changes that fine-tuning made, and what stands behind one that is significant.
CHANGES, SIGNIFICANT = "Fine-tuned less its start, mean F1", "*"

#: How a cell is marked: the highest median, and where nobody's mean is significantly higher, and
#: those whose mean is not told apart from that of the highest median; changes.
BEST, LEADS, LEVEL, GAIN, LOSS = "best", "leads", "level", "gain", "loss"


def leaderboard(run: RunData, ranked: Ranked | None, colours: Mapping[str, str]) -> Table:
    """Lay out the methods by modality, the one with the highest median over all images first.

    Parameters
    ----------
    run : RunData
        The run.
    ranked : Ranked or None
        Its tests; None where there is nothing to compare.
    colours : mapping of str to str
        Hex colour of each method.

    Returns
    -------
    Table
        One row a method, then those that read the truth, then what each fine-tuning changed. Marks
        of cells are `BEST`, `LEADS`, `LEVEL`, `GAIN` and `LOSS`.
    """
    groups = run.groups if len(run.groups) > 2 else (ALL,)
    levels = _levels(run, groups)
    found = by_key(levels, "method", "modality")
    first = {name: found[name, groups[0]]["median_f1"] for name in run.methods}
    order = sorted(run.methods, key=lambda name: -np.nan_to_num(first[name], nan=-1.0))
    competing = [name for name in order if name not in run.oracles]
    marks = {group: _marks(found, ranked, competing, group) for group in groups}
    rows = [
        _method_row(run, found, groups, name, colours, {g: marks[g].get(name, "") for g in groups})
        for name in competing
    ]
    if run.oracles:
        rows.append(Row(("Reads the truth: upper bound, not ranked",), heading=True))
        rows += [
            _method_row(run, found, groups, name, colours, {})
            for name in order
            if name in run.oracles
        ]
    changes = _changes(run, ranked)
    if changes:
        rows.append(Row((CHANGES,), heading=True))
        rows += [_change_row(run, ranked, groups, *pair) for pair in changes]
    sizes = [found[run.methods[0], group] for group in groups]
    heads = [f"{group_title(row['modality'])}\n{_size(row)}" for row in sizes]
    return Table(
        name="leaderboard",
        title=f"Median {f1_at(run.threshold)} over images, profile {run.profile}",
        header=("Method", *heads),
        rows=tuple(rows),
        frame=levels.assign(
            standing=[
                marks[modality].get(method, "")
                for method, modality in zip(levels["method"], levels["modality"], strict=True)
            ]
        ),
        notes=tuple(_notes(ranked, sizes, rows, changed=bool(changes))),
        sortable=True,
    )  # fmt: skip


def starts(run: RunData) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Give each method with weights trained here the one with those that the training started from.

    That is a method that runs the same network, by its SHA256, and has no parameters but those that
    the trained one has as well; of several the one with the fewest set otherwise.

    Returns
    -------
    dict of str to (str, tuple of str)
        Method to the method before, and what both have besides the weights and set otherwise.
    """
    records = {m.name: m for m in run.record.methods if m.name in run.methods}
    found = {}
    for name, record in records.items():
        trainings = trainings_behind(run, record.parameters)
        start = _network(trainings[0].weights) if trainings else set()
        before = [
            (differing, other)
            for other, candidate in records.items()
            if start & _network(candidate.weights)
            and other not in run.oracles
            and trainings[0].name not in referenced(candidate.parameters)
            and set(candidate.parameters) <= set(record.parameters)
            for differing in [_differing(record, candidate)]
        ]
        if before:
            differing, other = min(before, key=lambda pair: len(pair[0]))
            found[name] = (other, differing)
    return found


def _network(weights: Sequence[Mapping[str, Any]]) -> set[str]:
    """SHA256 of the network that a method runs: its first weights, without a size model."""
    hashes = (weights[0].get("sha256") if weights else None) or {}
    return {digest for role, digest in hashes.items() if role != "size"}


def _differing(trained: MethodRecord, before: MethodRecord) -> tuple[str, ...]:
    """Parameters that two methods have both and set otherwise, but for those that name weights."""
    naming = {key for key, value in trained.parameters.items() if referenced({key: value})}
    keys = [
        key
        for key, value in trained.parameters.items()
        if key not in naming and before.parameters.get(key, value) != value
    ]
    return (*keys, *(["input"] if trained.input != before.input else []))


def _levels(run: RunData, groups: tuple[str, ...]) -> pd.DataFrame:
    """Medians of all methods and groups, with intervals by unit."""
    cases, values = run.cases, run.f1_of(run.methods)
    unit, units = units_of(cases["modality"], cases["experiment"], run.unit)
    rows = []
    for group in groups:
        here = ((cases["modality"] == group) | (group == ALL)).to_numpy()
        for name in run.methods:
            mine = values[name].to_numpy(float)[here]
            median, low, high = median_interval(mine, units[here], _CONFIDENCE)
            rows.append(
                {
                    "method": name, "label": run.labels[name], "modality": group,
                    "reads_truth": name in run.oracles, "unit": unit, "n_images": int(here.sum()),
                    "n_scored": int((~np.isnan(mine)).sum()),
                    "n_units": np.unique(units[here]).size, "median_f1": median, "low": low,
                    "high": high, "confidence": _CONFIDENCE,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _marks(
    found: Mapping[tuple[Any, ...], Record],
    ranked: Ranked | None,
    competing: list[str],
    group: str,
) -> dict[str, str]:
    """Say who has the highest median, as printed, and who cannot be told apart from it."""
    medians = {name: round(found[name, group]["median_f1"], 3) for name in competing}
    known = {name: median for name, median in medians.items() if not absent(median)}
    if ranked is None or len(known) < 2:
        return {}
    top = max(known.values())
    leaders = [name for name in known if known[name] == top]
    tests = by_key(ranked.groups[group].tests, "method", "other")
    verdicts = {
        name: [tests[lead, name]["verdict"] for lead in leaders if (lead, name) in tests]
        for name in known
    }
    told = [verdict for found_of in verdicts.values() for verdict in found_of]
    if LOWER in told or all(verdict == TOO_FEW for verdict in told):
        # By the mean another one is ahead, or nobody was compared with the leader.
        return dict.fromkeys(leaders, BEST)
    level = {name: LEVEL for name, found_of in verdicts.items() if NOT_SIGNIFICANT in found_of}
    return level | dict.fromkeys(leaders, LEADS)


def _method_row(
    run: RunData,
    found: Mapping[tuple[Any, ...], Record],
    groups: tuple[str, ...],
    name: str,
    colours: Mapping[str, str],
    marks: Mapping[str, str],
) -> Row:
    cells = []
    for group in groups:
        row = found[name, group]
        text = number(row["median_f1"])
        if row["n_scored"] < row["n_images"]:
            text += f"\nof {count(row['n_scored'], 'image')}"
        elif not absent(row["low"]):
            text += f"\n{number(row['low'], 2)}–{number(row['high'], 2)}"
        cells.append(text)
    marked = {at: marks[group] for at, group in enumerate(groups, 1) if marks.get(group)}
    return Row(
        (run.labels[name], *cells), colour=colours[name], marks=marked,
        strong=frozenset(at for at, mark in marked.items() if mark in (BEST, LEADS)),
    )  # fmt: skip


def _changes(run: RunData, ranked: Ranked | None) -> list[tuple[str, str, tuple[str, ...]]]:
    """Fine-tuned methods with what they started from; in no pair is one that reads the truth."""
    pairs = starts(run) if ranked is not None else {}
    return [
        (name, start, differing)
        for name, (start, differing) in pairs.items()
        if not {name, start} & run.oracles
    ]


def _change_row(
    run: RunData,
    ranked: Ranked | None,
    groups: tuple[str, ...],
    name: str,
    start: str,
    differing: tuple[str, ...],
) -> Row:
    assert ranked is not None  # or there are no changes
    cells, marks = [], {}
    for at, group in enumerate(groups, 1):
        row = by_key(ranked.groups[group].tests, "method", "other")[name, start]
        text = signed(row["estimate"])
        if row["verdict"] == TOO_FEW or absent(row["low"]):
            text += f"\n{count(row['n_units'], row['unit'])}: not tested"
        else:
            text += f"\n{signed(row['low'])} to {signed(row['high'])}"
        if row["verdict"] in (HIGHER, LOWER):
            text = text.replace("\n", f"{SIGNIFICANT}\n")
            marks[at] = GAIN if row["verdict"] == HIGHER else LOSS
        cells.append(text)
    label = f"{run.labels[name]} − {run.labels[start]}"
    if differing:
        label += f"\ndiffers in {listing(differing)} too"
    return Row((label, *cells), marks=marks)


def _size(row: Record) -> str:
    images = count(row["n_images"], "image")
    return images if row["unit"] == "image" else f"{images}, {count(row['n_units'], row['unit'])}"


def _notes(
    ranked: Ranked | None, sizes: list[Record], rows: Sequence[Row], *, changed: bool
) -> list[str]:
    """Explain the marks that occur, and no others."""
    marks = {mark for row in rows for mark in row.marks.values()}
    unit, fewest = sizes[0]["unit"], fewest_units(1 - _CONFIDENCE)
    few = [group_title(row["modality"]) for row in sizes if row["n_units"] < fewest]
    words = f"Under each median its interval of {100 * _CONFIDENCE:g} % by {unit} (Woodruff)."
    if marks & {BEST, LEADS}:
        words += " Bold: the highest median."
    if LEADS in marks:
        words += (
            " Shaded with it in the page, and with a standing in the csv: methods whose mean F1 is "
            "not significantly lower."
        )
    if few:
        words += (
            f" With fewer than {fewest} {unit}s there is no interval, and no two methods can be "
            f"told apart, so nothing is shaded: {listing(few)}."
        )
    told = [at for at, row in enumerate(sizes, 1) if row["n_units"] >= fewest]
    if any(row.marks.get(at) == BEST for row in rows for at in told):
        words += (
            " Nor is anything where the highest median is in no test, or another method's mean F1 "
            "is significantly higher."
        )
    if changed:
        words += f" {SIGNIFICANT}, significant change."
    return [words] if ranked is None else [words, how_tested(ranked.groups[ALL].tests)]
