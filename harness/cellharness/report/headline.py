"""Who leads, in plain sentences made of the numbers, claiming no more than they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from cellharness.report.loading import RunData
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.records import records
from cellharness.report.wording import absent, count, listing, number
from cellharness.statistics import ALL
from cellharness.statistics.contrasts import HIGHER, LOWER

_FEW, _FEW_IN_WORDS = 10, "ten"


@dataclass(frozen=True)
class Standing:
    """The order of the methods in one group of images.

    Attributes
    ----------
    group
        Name of the group.
    n
        Images in it.
    leaders
        Labels of the methods with the highest median, as printed; empty where none has one.
    median
        Theirs.
    runner_up, runner_up_median
        The next method, or "" and NaN.
    """

    group: str
    n: int
    leaders: tuple[str, ...]
    median: float
    runner_up: str
    runner_up_median: float


@dataclass(frozen=True)
class Headline:
    """What stands at the top of a report.

    Attributes
    ----------
    sentences
        One or two sentences on who leads.
    caveats
        What the numbers do not show.
    """

    sentences: tuple[str, ...]
    caveats: tuple[str, ...]


def headline(run: RunData, summary: pd.DataFrame, ranked: Ranked | None = None) -> Headline:
    """Put the result into words.

    Parameters
    ----------
    run : RunData
        Names and order.
    summary : DataFrame
        From `cellharness.statistics.summarise`, by modality.
    ranked : Ranked or None
        Says whether the lead is more than chance, and who leads by ranks.
    """
    # Methods that read the truth lead nothing.
    summary = summary[~summary["method"].isin(run.oracles)]
    run = replace(run, methods=tuple(name for name in run.methods if name not in run.oracles))
    if not run.methods:
        return Headline(("Every method of this run reads the truth; none is ranked.",), ())
    rows = summary[(summary["profile"] == run.profile) & (summary["threshold"] == run.threshold)]
    standings = {group: _standing(run.labels, rows, group) for group in run.groups}
    overall = standings[ALL]
    modalities = tuple(standings[g] for g in run.groups if g != ALL)
    sentences = [_overall_sentence(run, overall)]
    if ranked is not None and len(overall.leaders) == 1:
        sentences += _lead_in_words(ranked, overall.leaders[0])
    return Headline(tuple(sentences), tuple(_caveats(run, rows, summary, modalities)))


def _standing(labels: Mapping[str, str], rows: pd.DataFrame, group: str) -> Standing:
    here = rows[rows["modality"] == group].set_index("method")
    # As printed: who differs only in the fourth decimal is not ahead.
    medians = here["median_f1"].dropna().round(3).sort_values(ascending=False, kind="stable")
    n = int(here["n"].iloc[0])
    if medians.empty:
        return Standing(group, n, (), float("nan"), "", float("nan"))
    top = float(medians.iloc[0])
    leaders = tuple(labels[m] for m in medians.index if medians[m] == top)
    behind = medians[medians < top]
    runner_up = labels[behind.index[0]] if len(behind) else ""
    return Standing(
        group, n, leaders, top, runner_up, float(behind.iloc[0]) if len(behind) else float("nan")
    )


def _overall_sentence(run: RunData, overall: Standing) -> str:
    images = count(overall.n, "image")
    at = f"at IoU ≥ {run.threshold:g}"
    where = f"over all {images}" if overall.n > 1 else "on the one image"
    if not overall.leaders:
        return f"No method has an F1 {at} on any of the {images}."
    if len(run.methods) == 1:
        which = " that does not read the truth" if run.oracles else ""
        return (
            f"{overall.leaders[0]} reaches a median F1 of {number(overall.median)} {at} {where}; "
            f"it is the only method of this run{which}, so there is nothing to compare it with."
        )
    if len(overall.leaders) == len(run.methods):
        return (
            f"{_first(where)}, {listing(overall.leaders)} are level, with a median F1 {at} of "
            f"{number(overall.median)}."
        )
    if len(overall.leaders) > 1:
        return (
            f"{_first(where)}, {listing(overall.leaders)} share the highest median F1 {at}: "
            f"{number(overall.median)}{_behind(overall)}."
        )
    return (
        f"{_first(where)}, {overall.leaders[0]} has the {_degree(run)} median F1 {at}: "
        f"{number(overall.median)}{_behind(overall)}."
    )


def _lead_in_words(ranked: Ranked, leader: str) -> list[str]:
    """Say whether the lead is significant, and whether ranks give another leader."""
    labels = ranked.run.labels
    tests = ranked.groups[ALL].tests
    method = next(name for name in ranked.order if labels[name] == leader)
    own = records(tests[tests["method"] == method])
    level = [labels[row["other"]] for row in own if row["verdict"] not in (HIGHER, LOWER)]
    above = [labels[row["other"]] for row in own if row["verdict"] == LOWER]
    said = []
    if own[0]["why_not"]:
        said.append(f"Too few units to show any difference: {own[0]['why_not']}.")
    elif level or above:
        among = f"mean F1, {count(own[0]['n_units'], own[0]['unit'])}"
        if above:
            said.append(
                f"By {among}, {listing(above)} {'is' if len(above) == 1 else 'are'} significantly "
                "higher all the same."
            )
        if level:
            said.append(f"It is not distinguishable from {listing(level)} ({among}).")
    else:
        units = count(own[0]["n_units"], own[0]["unit"])
        said.append(
            f"Its mean F1 is significantly higher than that of every other method ({units})."
        )
    if ranked.order[0] != method:
        said.append(f"By the mean of its ranks over images, {labels[ranked.order[0]]} comes first.")
    return said


def _caveats(
    run: RunData, rows: pd.DataFrame, summary: pd.DataFrame, modalities: tuple[Standing, ...]
) -> list[str]:
    caveats = []
    few = [f"{s.group} ({s.n})" for s in modalities if s.n < _FEW]
    if few:
        caveats.append(f"Fewer than {_FEW_IN_WORDS} images: {listing(few)}.")
    failed = [
        f"{run.labels[row['method']]} failed on {row['n_failed']} of {row['n']}"
        for row in records(rows[rows["modality"] == ALL])
        if row["n_failed"]
    ]
    if failed:
        made_of = "counted as F1 0" if run.profile == "strict" else "left out by this profile"
        caveats.append(f"{listing(failed)} images ({made_of}).")
    flips = _flips(run, summary)
    if flips:
        caveats.append(
            f"Under the challenge profile the {_degree(run)} median is another method's in "
            f"{listing(flips)}."
        )
    return caveats


def _flips(run: RunData, summary: pd.DataFrame) -> list[str]:
    """Name the groups in which the two profiles have different leaders."""
    at = summary[summary["threshold"] == run.threshold]
    if not {"strict", "challenge"} <= set(at["profile"]) or len(run.methods) < 2:
        return []
    strict, challenge = (at[at["profile"] == name] for name in ("strict", "challenge"))
    return [
        "all images" if group == ALL else group
        for group in run.groups
        if _standing(run.labels, strict, group).leaders
        != _standing(run.labels, challenge, group).leaders
    ]


def _behind(standing: Standing) -> str:
    if not standing.runner_up or absent(standing.runner_up_median):
        return ""
    return f", against {number(standing.runner_up_median)} for {standing.runner_up}"


def _degree(run: RunData) -> str:
    return "higher" if len(run.methods) == 2 else "highest"


def _first(text: str) -> str:
    return text[0].upper() + text[1:]
