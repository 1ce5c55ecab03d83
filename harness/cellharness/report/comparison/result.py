"""The result: a leaderboard by modality, what fine-tuning changed, and who leads, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cellharness.analysis.exposure import NOTHING_KNOWN, seen_at_all, seen_before, trainings_behind
from cellharness.analysis.run_data import RunData
from cellharness.printing.table import Row, Table, group_title, highest
from cellharness.printing.wording import absent, count, f1_at, listing, number, signed
from cellharness.records import Record, by_key, records
from cellharness.report.comparison.data import Comparison
from cellharness.report.declare import Section
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
from cellharness.statistics.estimates import how_tested, not_tested_words
from cellharness.statistics.levels import median_interval

result = Section("result", "Result")

_CONFIDENCE = 0.95
# Units below which there is no interval, and no two methods can be told apart.
_FEWEST = fewest_units(1 - _CONFIDENCE)
# Groups with fewer images than these are named.
_FEW = 10

# What stands beside the parameters where two methods get their images in another form.
_INPUT = "input"

#: Heading of the changes that fine-tuning made, and what stands behind one that is significant.
CHANGES, SIGNIFICANT = "Fine-tuned less its start, mean F1", "*"

#: How a cell is marked: the highest median, and where nobody's mean is significantly higher, and
#: those whose mean is not told apart from that of the highest median; changes.
BEST, LEADS, LEVEL, GAIN, LOSS = "best", "leads", "level", "gain", "loss"


@result.table()
def leaderboard(d: Comparison) -> Table:
    """Lay out the methods by modality, the one with the highest median over all images first.

    One row a method, then those that read the truth, then what each fine-tuning changed. Marks of
    cells are `BEST`, `LEADS`, `LEVEL`, `GAIN` and `LOSS`.
    """
    run = d.run
    groups = run.groups if len(run.groups) > 2 else (ALL,)
    levels = _levels(run, groups)
    found = by_key(levels, "method", "modality")
    first = {name: found[name, groups[0]]["median_f1"] for name in run.methods}
    order = sorted(run.methods, key=lambda name: -np.nan_to_num(first[name], nan=-1.0))
    competing = [name for name in order if name not in run.oracles]
    marks = {group: _marks(d, found, competing, group) for group in groups}
    rows = [_method_row(d, found, name, marks) for name in competing]
    if run.oracles:
        rows.append(Row(("Reads the truth: upper bound, not ranked",), heading=True))
        rows += [_method_row(d, found, n, {group: {} for group in groups}) for n in order
                 if n in run.oracles]  # fmt: skip
    changes = _changes(d)
    if changes:
        rows.append(Row((CHANGES,), heading=True))
        rows += [_change_row(d, groups, *pair) for pair in changes]
    sizes = [found[run.methods[0], group] for group in groups]
    heads = [f"{group_title(row['modality'])}\n{_size(row)}" for row in sizes]
    if len(run.competing) > 1:
        heads = ["\n".join((head, *_too_few(d, row)))
                 for head, row in zip(heads, sizes, strict=True)]  # fmt: skip
    places = zip(levels["method"], levels["modality"], strict=True)
    return Table(
        name="leaderboard",
        title=f"Median {f1_at(run.threshold)} over images, profile {run.profile}",
        header=("Method", *heads),
        rows=tuple(rows),
        frame=levels.assign(standing=[marks[group].get(name, "") for name, group in places]),
        notes=tuple(_notes(d, sizes, rows, changes)),
        sortable=True,
    )


def starts(run: RunData) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Give each method with weights trained here the one with those that the training started from.

    That is a method that runs the same network, by its SHA256, and has no parameters but those that
    the trained one has as well; of several the one with the fewest set otherwise.

    Returns
    -------
    dict of str to (str, tuple of str)
        Method to the method before, and what both have besides the weights and set otherwise.
    """
    recorded = {m.name: m for m in run.record.methods if m.name in run.methods}
    found = {}
    for name, record in recorded.items():
        trainings = trainings_behind(run, record.parameters)
        start = _network(trainings[0].weights) if trainings else set()
        before = [
            (differing, other)
            for other, candidate in recorded.items()
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
    return (*keys, *([_INPUT] if trained.input != before.input else []))


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


def _too_few(d: Comparison, row: Record) -> tuple[str, ...]:
    """Say in a head why nothing can be significant there, however far apart."""
    if row["n_units"] < _FEWEST:
        return ("too few to test",)
    pairs = _pairs_beyond(d, row)
    return (f"too few for {pairs} pairs",) if pairs else ()


def _pairs_beyond(d: Comparison, row: Record) -> int:
    """How many pairs are corrected for, where no p of so few units is small enough; else 0."""
    if d.ranked is None or row["n_units"] < _FEWEST:
        return 0
    sizes = d.ranked.groups[row["modality"]].tests["family_size"]
    pairs = int(sizes.max()) if len(sizes) else 0
    return pairs if pairs and row["n_units"] < _needed(pairs) else 0


def _needed(pairs: int) -> int:
    """Units without which none of so many pairs can be told apart."""
    return fewest_units((1 - _CONFIDENCE) / pairs)


def _marks(
    d: Comparison, found: Mapping[tuple[Any, ...], Record], competing: list[str], group: str
) -> dict[str, str]:
    """Say who has the highest median, as printed, and who cannot be told apart from it."""
    medians = {name: found[name, group]["median_f1"] for name in competing}
    known = {name: median for name, median in medians.items() if not absent(median)}
    if d.ranked is None or len(known) < 2:
        return {}
    leaders = highest(known)
    tests = by_key(d.ranked.groups[group].tests, "method", "other")
    verdicts = {
        name: [tests[lead, name]["verdict"] for lead in leaders if (lead, name) in tests]
        for name in known
    }
    told = [verdict for found_of in verdicts.values() for verdict in found_of]
    beyond = _pairs_beyond(d, found[competing[0], group])
    if beyond or LOWER in told or all(verdict == TOO_FEW for verdict in told):
        # No two can be told apart, by the mean another one is ahead, or nobody was compared with
        # the leader.
        return dict.fromkeys(leaders, BEST)
    level = {name: LEVEL for name, found_of in verdicts.items() if NOT_SIGNIFICANT in found_of}
    return level | dict.fromkeys(leaders, LEADS)


def _method_row(
    d: Comparison,
    found: Mapping[tuple[Any, ...], Record],
    name: str,
    marks: Mapping[str, Mapping[str, str]],
) -> Row:
    cells = []
    for group in marks:
        row = found[name, group]
        text = number(row["median_f1"])
        if row["n_scored"] < row["n_images"]:
            text += f"\nof {count(row['n_scored'], 'image')}"
        elif not absent(row["low"]):
            text += f"\n{number(row['low'], 2)}–{number(row['high'], 2)}"
        cells.append(text)
    marked = {at: of[name] for at, of in enumerate(marks.values(), 1) if of.get(name)}
    seen = seen_before(d.exposures, name)
    label = f"{d.run.labels[name]}\n{seen}" if seen else d.run.labels[name]
    return Row(
        (label, *cells), colour=d.colours[name], marks=marked,
        strong=frozenset(at for at, mark in marked.items() if mark in (BEST, LEADS)),
    )  # fmt: skip


def _changes(d: Comparison) -> list[tuple[str, str, tuple[str, ...]]]:
    """Fine-tuned methods with what they started from; in no pair is one that reads the truth."""
    pairs = starts(d.run) if d.ranked is not None else {}
    return [
        (name, start, differing)
        for name, (start, differing) in pairs.items()
        if not {name, start} & d.run.oracles
    ]


def _change_row(
    d: Comparison, groups: tuple[str, ...], name: str, start: str, differing: tuple[str, ...]
) -> Row:
    assert d.ranked is not None  # or there are no changes
    cells, marks = [], {}
    for at, group in enumerate(groups, 1):
        row = by_key(d.ranked.groups[group].tests, "method", "other")[name, start]
        text = signed(row["estimate"])
        if row["verdict"] == TOO_FEW or absent(row["low"]):
            text += f"\n{count(row['n_units'], row['unit'])}: not tested"
        else:
            text += f"\n{signed(row['low'])} to {signed(row['high'])}"
        if row["verdict"] in (HIGHER, LOWER):
            text = text.replace("\n", f"{SIGNIFICANT}\n")
            marks[at] = GAIN if row["verdict"] == HIGHER else LOSS
        cells.append(text)
    label = f"{d.run.labels[name]} − {d.run.labels[start]}"
    if differing:
        label += f"\n{_differs_too(differing)}"
    return Row((label, *cells), marks=marks)


def _differs_too(differing: Sequence[str]) -> str:
    """Name what is set otherwise than for the start, as Provenance names it."""
    parameters = [name for name in differing if name != _INPUT]
    named = ["the input"] * (_INPUT in differing)
    if parameters:
        noun = "parameter" if len(parameters) == 1 else "parameters"
        named.append(f"the {noun} {listing(parameters)}")
    return f"differs in {' and in '.join(named)} too"


def _size(row: Record) -> str:
    images = count(row["n_images"], "image")
    return images if row["unit"] == "image" else f"{images}, {count(row['n_units'], row['unit'])}"


def _notes(
    d: Comparison,
    sizes: list[Record],
    rows: Sequence[Row],
    changes: Sequence[tuple[str, str, tuple[str, ...]]],
) -> list[str]:
    """Explain the marks that occur, and no others."""
    marks = {mark for row in rows for mark in row.marks.values()}
    unit = sizes[0]["unit"]
    few = [group_title(row["modality"]) for row in sizes if row["n_units"] < _FEWEST]
    words = f"Under each median its interval of {100 * _CONFIDENCE:g} % by {unit} (Woodruff)."
    if marks & {BEST, LEADS}:
        words += " Bold: the highest median."
    if LEADS in marks:
        words += (
            " Shaded with it: methods whose mean F1 is not significantly lower "
            "(standing in the csv)."
        )
    if few:
        words += (
            f" With fewer than {_FEWEST} {unit}s there is no interval, and no two methods can be "
            f"told apart, so nothing is shaded: {listing(few)}."
        )
    beyond = {row["modality"]: _pairs_beyond(d, row) for row in sizes}
    for pairs in sorted({pairs for pairs in beyond.values() if pairs}):
        named = [group_title(group) for group, n in beyond.items() if n == pairs]
        words += (
            f" With fewer than {_needed(pairs)} {unit}s none of {pairs} pairs can be significant, "
            f"however far apart, so nothing is shaded: {listing(named)}."
        )
    told = [
        at
        for at, row in enumerate(sizes, 1)
        if row["n_units"] >= _FEWEST and not beyond[row["modality"]]
    ]
    if any(row.marks.get(at) == BEST for row in rows for at in told):
        words += (
            " Nor is anything where the highest median is in no test, or another method's mean F1 "
            "is significantly higher."
        )
    if changes:
        words += f" {SIGNIFICANT}, significant change."
    if any(differing for *_, differing in changes):
        words += " Inputs and parameters of the methods are listed under Provenance."
    if set(d.exposures["seen"]) != {NOTHING_KNOWN}:
        words += (
            " Seen before: images that the method's training had met themselves, or of whose "
            "experiment or data set; what is not named may have been met all the same."
        )
    return [words, how_tested(d.ranked.groups[ALL].tests)] if d.ranked else [words]


class Standing(NamedTuple):
    """Who has the highest median in a group of images, as printed, and who comes next."""

    group: str
    n: int
    leaders: tuple[str, ...]
    median: float
    runner_up: str
    runner_up_median: float


def _standing(labels: Mapping[str, str], rows: pd.DataFrame, group: str) -> Standing:
    here = rows[rows["modality"] == group]
    medians = dict(zip(here["method"], here["median_f1"], strict=True))
    first = highest(medians)
    second = highest({name: value for name, value in medians.items() if name not in first})[:1]
    top, runner_up = (medians[names[0]] if names else float("nan") for names in (first, second))
    leaders, n = tuple(labels[name] for name in first), int(here["n"].iloc[0])
    return Standing(group, n, leaders, top, labels[second[0]] if second else "", runner_up)


def _standings(d: Comparison, profile: str) -> dict[str, Standing]:
    rows = d.summary[(d.summary["profile"] == profile) & d.summary["method"].isin(d.run.competing)]
    rows = rows[rows["threshold"] == d.run.threshold]
    return {group: _standing(d.run.labels, rows, group) for group in d.run.groups}


@result.words("headline")
def headline(d: Comparison) -> str:
    """Say who leads, and whether the lead is more than chance."""
    run, methods = d.run, d.run.competing
    if not methods:
        return "Every method of this run reads the truth; none is ranked."
    overall = _standings(d, run.profile)[ALL]
    images, at = count(overall.n, "image"), f"at IoU ≥ {run.threshold:g}"
    where = f"over all {images}" if overall.n > 1 else "on the one image"
    over = where[0].upper() + where[1:]
    median, who = number(overall.median), listing(overall.leaders)
    if not overall.leaders:
        return f"No method has an F1 {at} on any of the {images}."
    if len(methods) == 1:
        which = " that does not read the truth" if run.oracles else ""
        return (
            f"{who} reaches a median F1 of {median} {at} {where}; it is the only method of this "
            f"run{which}, so there is nothing to compare it with."
        )
    if len(overall.leaders) == len(methods):
        return f"{over}, {who} are level, with a median F1 {at} of {median}."
    behind = ""
    if overall.runner_up:
        behind = f", against {number(overall.runner_up_median)} for {overall.runner_up}"
    if len(overall.leaders) > 1:
        return f"{over}, {who} share the highest median F1 {at}: {median}{behind}."
    first = f"{over}, {who} has the {_degree(methods)} median F1 {at}: {median}{behind}."
    return " ".join([first, *_lead_in_words(d, who)])


def _degree(methods: Sequence[str]) -> str:
    return "higher" if len(methods) == 2 else "highest"


def _lead_in_words(d: Comparison, leader: str) -> list[str]:
    """Say whether the lead is significant, and whether ranks give another leader."""
    ranked, labels = d.ranked, d.run.labels
    assert ranked is not None  # two methods compete
    tests = ranked.groups[ALL].tests
    method = next(name for name in ranked.order if labels[name] == leader)
    own = records(tests[tests["method"] == method])
    level = [labels[row["other"]] for row in own if row["verdict"] not in (HIGHER, LOWER)]
    above = [labels[row["other"]] for row in own if row["verdict"] == LOWER]
    units = count(own[0]["n_units"], own[0]["unit"])
    said = []
    if own[0]["why_not"]:
        said.append(not_tested_words(own[0]))
    elif not (level or above):
        said.append(
            f"Its mean F1 is significantly higher than that of every other method ({units})."
        )
    if above and not own[0]["why_not"]:
        said.append(
            f"By mean F1, {units}, {listing(above)} {'is' if len(above) == 1 else 'are'} "
            "significantly higher all the same."
        )
    if level and not own[0]["why_not"]:
        said.append(f"It is not distinguishable from {listing(level)} (mean F1, {units}).")
    if ranked.order[0] != method:
        said.append(f"By the mean of its ranks over images, {labels[ranked.order[0]]} comes first.")
    return said


@result.block("explorer_link.html")
def _explorer(_: Comparison) -> Mapping[str, Any]:
    return {"what": "methods"}


@result.words("caveat")
def caveats(d: Comparison) -> list[str]:
    """List what takes from the numbers: few images, failures, and a profile that says otherwise."""
    run, methods = d.run, d.run.competing
    if not methods:
        return []
    standings = _standings(d, run.profile)
    said = []
    few = [f"{s.group} ({s.n})" for s in standings.values() if s.group != ALL and s.n < _FEW]
    if few:
        said.append(f"Fewer than {_FEW} images: {listing(few)}.")
    rows = d.main_summary
    rows = rows[(rows["modality"] == ALL) & rows["method"].isin(methods)]
    failed = [
        f"{run.labels[row['method']]} failed on {row['n_failed']} of {row['n']}"
        for row in records(rows)
        if row["n_failed"]
    ]
    if failed:
        made_of = "counted as F1 0" if run.profile == "strict" else "left out by this profile"
        said.append(f"{listing(failed)} images ({made_of}).")
    if {"strict", "challenge"} <= set(run.scores["profile"]) and len(methods) > 1:
        other = _standings(d, "challenge")
        strict = _standings(d, "strict")
        flips = [
            "all images" if g == ALL else g for g in run.groups
            if strict[g].leaders != other[g].leaders
        ]  # fmt: skip
        if flips:
            said.append(
                f"Under the challenge profile the {_degree(methods)} median is another method's in "
                f"{listing(flips)}."
            )
    return said


@result.block("seen_before.html")
def _seen_before(d: Comparison) -> Mapping[str, Any] | None:
    seen = seen_at_all(d.exposures)
    return {"seen": seen} if seen else None
