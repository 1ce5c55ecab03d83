"""What a forgetting study shows, in plain sentences that claim no more than its numbers carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from cellharness.analysis.findings import COMPARABLE, LESS, OPEN, gain_verdict
from cellharness.printing.wording import (
    absent,
    count,
    listing,
    percent,
    signed,
    with_interval,
    without_plus,
)
from cellharness.records import Record, by_key, records
from cellharness.statistics.contrasts import HIGHER, LOWER
from cellharness.statistics.decomposition import (
    ALIKE,
    APPARENT,
    DEFINED,
    IMAGES,
    MODALITIES,
    OF_PROTOCOLS,
)
from cellharness.statistics.estimates import CORRECTED, level_words
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.statistics.summary import ALL

_WHERE = {SEEN: "experiments trained on", UNSEEN: "experiments not trained on"}


def change_words(changes: pd.DataFrame, training: str, named: Mapping[str, str]) -> str:
    """Say what a training changed, over all and by modality.

    A change is called a gain or a loss where the verdict of `cellharness.statistics.change.change`
    is higher or lower. All else is called not significant, which does not mean that there is
    nothing. `named` says how remedies are called in print.

    Examples
    --------
    >>> from cellharness.statistics.change import change
    >>> rows = [("tuned", s, "p", f"c{i}", "DIC", f"e{i}", False, 0.8 - 0.04 * s - 0.01 * i * s)
    ...         for s in (0, 2) for i in range(8)]
    >>> names = ["remedy", "stage", "protocol", "case", "modality", "experiment", "seen", "f1"]
    >>> change_words(change(pd.DataFrame(rows, columns=names)), "tuned", {}).split(":")[0]
    'On experiments not trained on (8 images of 8 experiments), tuned lost F1'
    """
    mine = changes[changes["remedy"] == training]
    sentences = []
    for part in (UNSEEN, SEEN):
        sentences.append(overall_words(changes, training, part, named))
        modalities = mine[(mine["level"] == "modality") & (mine["seen"] == part)]
        sentences += _by_modality(records(modalities), part)
    missing = by_key(mine[mine["level"] == "overall"], "seen")[ALL,]["n_missing"]
    if missing:
        sentences.append(
            f"{count(missing, 'case')} without a score before or after "
            f"{'is' if missing == 1 else 'are'} not part of this."
        )
    return " ".join(sentences)


def overall_words(changes: pd.DataFrame, training: str, part: str, named: Mapping[str, str]) -> str:
    """Say of one part, seen or unseen, what a training changed over all its images."""
    rows = changes[(changes["remedy"] == training) & (changes["level"] == "overall")]
    row, label, where = by_key(rows, "seen")[part,], named.get(training, training), _WHERE[part]
    if not row["n_images"]:
        return f"No image of {where} was scored before and after, so nothing is said of them."
    start = f"On {where} ({of_units(row)}), "
    if row["why_not"]:
        return (
            f"{start}F1 of {label} changed by {signed(row['estimate'])} on average; nothing is "
            f"concluded from {row['why_not']}."
        )
    told = {LOWER: f"{label} lost F1", HIGHER: f"{label} gained F1"}.get(
        row["verdict"], f"the change under {label} is not significant"
    )
    return f"{start}{told}: on average {_whole(row)}, {p_in_words(row)}."


def _by_modality(rows: Sequence[Record], part: str) -> list[str]:
    """Name the modalities with a significant change; nothing where there is one modality."""
    scored = [row for row in rows if row["n_images"]]
    if len(scored) < 2:
        return []
    parts = []
    for verdict, noun in ((LOWER, "loss"), (HIGHER, "gain")):
        names = [
            f"{row['modality']} ({signed(row['estimate'])}, {_ends(row)})"
            for row in scored
            if row["verdict"] == verdict
        ]
        parts += [f"the {noun} is significant in {listing(names)}"] if names else []
    few = [row["modality"] for row in scored if row["why_not"]]
    tested = [row for row in scored if not row["why_not"]]
    rest = [row["modality"] for row in tested if row["verdict"] not in (LOWER, HIGHER)]
    if rest and parts:
        parts.append(f"not in {listing(rest)}")
    elif rest:
        parts.append(f"no change is significant ({listing(rest)})")
    if few:
        have = "has" if len(few) == 1 else "have"
        parts.append(f"{listing(few)} {have} too few {scored[0]['unit']}s to show any")
    return [f"By modality, on {_WHERE[part]}, {'; '.join(parts)}."]


def cause_words(decomposition: pd.DataFrame, protocol: str, named: Mapping[str, str]) -> str:
    """Say what the way of evaluating makes of an apparent loss.

    Parameters
    ----------
    decomposition : DataFrame
        From `cellharness.statistics.decomposition.decompose`, of one training.
    protocol : str
        The one for both that is spoken of.
    named : mapping of str to str
        How protocols are called in print.
    """
    whole = (decomposition["modality"] == ALL) & (decomposition["seen"] == UNSEEN)
    found = by_key(decomposition[whole], "estimand", "measure", "protocol")
    apparent = found[IMAGES, APPARENT, ""]
    alike, between = (found[IMAGES, measure, protocol] for measure in (ALIKE, OF_PROTOCOLS))
    if apparent["why_not"]:
        return (
            f"What the way of evaluating makes of a loss is not told: {apparent['why_not']}, under "
            "all protocols."
        )
    usual, other, both = (
        named.get(name, name)
        for name in (apparent["before_protocol"], apparent["trained_protocol"], protocol)
    )
    sentences = []
    if between["share_is"] == DEFINED:
        text = f"The protocols make {share_of_loss(between)} of the apparent loss"
        weighed = found[MODALITIES, OF_PROTOCOLS, protocol]
        if weighed["share_is"] == DEFINED and len(set(decomposition["modality"])) > 2:
            text += f", with every modality weighing the same {share_of_loss(weighed)}"
        sentences.append(f"{text}.")
    sentences.append(
        f"As published, with the weights before under {usual} and those after under {other}, the "
        f"apparent loss on {_WHERE[UNSEEN]} ({of_units(apparent)}) is "
        f"{without_plus(_whole(apparent))}, {p_in_words(apparent)}."
    )
    verdict = "" if alike["verdict"] in (HIGHER, LOWER) else ", which is not significant"
    text = f"With both under {both} the loss is {without_plus(with_interval(alike))}, "
    text += f"{p_in_words(alike)}{verdict}"
    if between["share_is"] != DEFINED:
        text += f"; no share of the apparent loss is given: {between['share_is']}"
    sentences.append(f"{text}.")
    if alike["opposed"]:
        names = str(alike["opposed"]).split(", ")
        verb = "points" if len(names) == 1 else "point"
        sentences.append(f"These means hide that {listing(names)} {verb} the other way.")
    return " ".join(sentences)


def share_of_loss(row: Record) -> str:
    """Write the share of the apparent loss that the protocols make, or why there is none."""
    if row["share_is"] != DEFINED:
        return str(row["share_is"])
    ends = (row["share_low"], row["share_high"])
    low, high = ("unbounded" if math.isinf(end) else percent(end) for end in ends)
    return f"{percent(row['share'])} ({low.removesuffix(' %')} to {high})"


def remedy_words(rows: Sequence[tuple[Record, Record]], named: Mapping[str, str]) -> str:
    """Name the remedies that are shown to lose less, and what is known of their gain.

    `rows` are those of `compare_with_plain` over all unseen and all seen images, of each remedy.
    """
    known = [both for both in rows if both[0]["n_images"]]
    if not known:
        return ""
    first, alone = known[0][0], len(known) == 1
    less = f"less than {named.get(first['plain'], first['plain'])} on unseen experiments"
    better = [both for both in known if both[0]["verdict"] == HIGHER]
    better.sort(key=lambda both: -both[0]["estimate"])
    if not better:
        if first["why_not"]:
            return f"Whether remedies lose {less} cannot be told: {first['why_not']}."
        return f"No remedy is shown to lose {less}."
    names: dict[str, list[str]] = {}
    for kept, gain in better:
        name = named.get(kept["remedy"], kept["remedy"])
        names.setdefault(gain_verdict(gain), []).append(name)
    who = f"Of {len(known)} remedies, {len(better)}"
    if len(better) == len(known):
        who = "Both remedies" if len(known) == 2 else f"All {len(known)} remedies"
    text = f"{name if alone else who} {'is' if len(better) == 1 else 'are'} shown to lose {less}"
    if COMPARABLE not in names and OPEN in names:
        whom = "it" if len(better) == 1 else "any of them"
        text += f"; a comparable gain on seen ones is not shown for {whom}"
    for what, how in ((COMPARABLE, "at a comparable"), (LESS, "at the cost of")):
        if what in names:
            text += f"; {how} gain on seen ones" + f": {listing(names[what])}" * (not alone)
    return f"{text}."


def _ends(row: Record) -> str:
    return f"{signed(row['low'])} to {signed(row['high'])}"


def _whole(row: Record) -> str:
    """Write an estimate with its interval, naming it."""
    return f"{signed(row['estimate'])} ({level_words(row)} interval {_ends(row)})"


def p_in_words(row: Record) -> str:
    """Write p, and over how many tests it was corrected."""
    p = row["p_adjusted"]
    if absent(p):
        return "not tested"
    value = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    if row["family"] and row["family_size"] > 1:
        value += f", {CORRECTED} over {row['family_size']}"
    return value


def of_units(row: Record) -> str:
    """Say on how many images and experiments an estimate rests."""
    images = count(row["n_images"], "image")
    return images if row["unit"] == "image" else f"{images} of {count(row['n_units'], row['unit'])}"
