"""What a forgetting study shows, in plain sentences that claim no more than its numbers carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from cellharness.report.records import Record, by_key, records
from cellharness.report.wording import absent, count, listing, number, percent, signed, without_plus
from cellharness.statistics.contrasts import HIGHER, LOWER
from cellharness.statistics.decomposition import (
    ALIKE,
    APPARENT,
    DEFINED,
    IMAGES,
    MODALITIES,
    OF_PROTOCOLS,
)
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.statistics.summary import ALL

_WHERE = {SEEN: "experiments trained on", UNSEEN: "experiments not trained on"}


def in_words(
    changes: pd.DataFrame,
    training: str,
    comparison: pd.DataFrame | None = None,
    decomposition: pd.DataFrame | None = None,
    *,
    protocol: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Write a paragraph about one training, and the remedies beside it.

    A change is called a gain or a loss where the verdict of `cellharness.statistics.change.change`
    is higher or lower; a remedy keeps more where it is higher. All else is called not significant,
    which does not mean that there is nothing.

    Parameters
    ----------
    changes : DataFrame
        From `cellharness.statistics.change.change`.
    training : str
        Remedy that the paragraph is about: plain fine-tuning.
    comparison : DataFrame, optional
        From `cellharness.statistics.plasticity.compare_with_plain`.
    decomposition : DataFrame, optional
        From `cellharness.statistics.decomposition.decompose`.
    protocol : str, optional
        The protocol for both that is spoken of; by default the first of the decomposition.
    labels : mapping of str to str, optional
        How remedies and protocols are called in print.

    Returns
    -------
    str
        Sentences, without line breaks.

    Raises
    ------
    ValueError
        `training` or `protocol` has no rows.

    Examples
    --------
    >>> from cellharness.statistics.change import change
    >>> rows = [("tuned", s, "p", f"c{i}", "DIC", f"e{i}", False, 0.8 - 0.04 * s - 0.01 * i * s)
    ...         for s in (0, 2) for i in range(8)]
    >>> names = ["remedy", "stage", "protocol", "case", "modality", "experiment", "seen", "f1"]
    >>> in_words(change(pd.DataFrame(rows, columns=names)), "tuned").split(":")[0]
    'On experiments not trained on (8 images of 8 experiments), tuned lost F1'
    """
    named = labels or {}
    mine = changes[changes["remedy"] == training]
    if mine.empty:
        have = listing(list(dict.fromkeys(changes["remedy"])))
        msg = f"no changes of training {training!r}; there are those of {have or 'none'}"
        raise ValueError(msg)
    label = named.get(training, training)
    sentences = []
    overall = {row["seen"]: row for row in records(mine[mine["level"] == "overall"])}
    for part in (UNSEEN, SEEN):
        sentences.append(_overall(overall[part], label))
        modalities = mine[(mine["level"] == "modality") & (mine["seen"] == part)]
        sentences += _by_modality(records(modalities), part)
    missing = overall[ALL]["n_missing"]
    if missing:
        sentences.append(
            f"{count(missing, 'case')} without a score before or after "
            f"{'is' if missing == 1 else 'are'} not part of this."
        )
    if decomposition is not None:
        sentences += _causes(decomposition, training, protocol, named)
    if comparison is not None:
        sentences += _remedies(comparison, named)
    return " ".join(sentences)


def overall_in_words(
    changes: pd.DataFrame, training: str, part: str, labels: Mapping[str, str] | None = None
) -> str:
    """Say of one part, seen or unseen, what a training changed over all its images."""
    rows = changes[(changes["remedy"] == training) & (changes["level"] == "overall")]
    return _overall(by_key(rows, "seen")[part,], (labels or {}).get(training, training))


def _overall(row: Record, label: str) -> str:
    where = _WHERE[row["seen"]]
    n = row["n_images"]
    if not n:
        return f"No image of {where} was scored before and after, so nothing is said of them."
    start = f"On {where} ({of_units(row)}), "
    if row["why_not"]:
        return (
            f"{start}F1 of {label} changed by {signed(row['estimate'])} on average; nothing is "
            f"concluded from {row['why_not']}."
        )
    ends = _interval(row["low"], row["high"], f"{_level(row)} interval ")
    rest = f"{signed(row['estimate'])} ({ends}), {p_in_words(row)}"
    if row["verdict"] == LOWER:
        return f"{start}{label} lost F1: on average {rest}."
    if row["verdict"] == HIGHER:
        return f"{start}{label} gained F1: on average {rest}."
    return f"{start}the change under {label} is not significant: on average {rest}."


def _by_modality(rows: Sequence[Record], part: str) -> list[str]:
    """Name the modalities with a significant change; nothing where there is one modality."""
    scored = [row for row in rows if row["n_images"]]
    if len(scored) < 2:
        return []
    parts = []
    for verdict, noun in ((LOWER, "loss"), (HIGHER, "gain")):
        names = [
            f"{row['modality']} ({signed(row['estimate'])}, {_interval(row['low'], row['high'])})"
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
        what = "has" if len(few) == 1 else "have"
        unit = f"{scored[0]['unit']}s"
        parts.append(f"{listing(few)} {what} too few {unit} to show any")
    return [f"By modality, on {_WHERE[part]}, {'; '.join(parts)}."]


def _causes(
    decomposition: pd.DataFrame, training: str, protocol: str | None, named: Mapping[str, str]
) -> list[str]:
    here = decomposition[
        (decomposition["remedy"] == training)
        & (decomposition["modality"] == ALL)
        & (decomposition["seen"] == UNSEEN)
    ]
    have = list(dict.fromkeys(here.loc[here["measure"] == ALIKE, "protocol"]))
    if not have or protocol not in (None, *have):
        msg = (
            f"no decomposition of {training!r} by protocol {protocol!r}; there are: {listing(have)}"
        )
        raise ValueError(msg)
    chosen = protocol or have[0]
    found = by_key(here, "estimand", "measure", "protocol")
    apparent = found[IMAGES, APPARENT, ""]
    alike, between = (found[IMAGES, measure, chosen] for measure in (ALIKE, OF_PROTOCOLS))
    if apparent["why_not"]:
        return [
            f"What the way of evaluating makes of a loss is not told: {apparent['why_not']}, under "
            "all protocols."
        ]
    usual, other, both = (
        named.get(name, str(name))
        for name in (apparent["before_protocol"], apparent["trained_protocol"], chosen)
    )
    loss = f"{_part(apparent, f'{_level(apparent)} interval ')}, {p_in_words(apparent)}"
    sentences = [
        f"As published, with the weights before under {usual} and those after under {other}, the "
        f"apparent loss on {_WHERE[UNSEEN]} ({of_units(apparent)}) is {loss}."
    ]
    verdict = "" if alike["verdict"] in (HIGHER, LOWER) else ", which is not significant"
    text = f"With both under {both} the loss is {_part(alike)}, {p_in_words(alike)}{verdict}"
    if between["share_is"] == DEFINED:
        text += f"; the protocols make {share_of_loss(between)} of the apparent loss"
        weighed = found[MODALITIES, OF_PROTOCOLS, chosen]
        if weighed["share_is"] == DEFINED and len(set(decomposition["modality"])) > 2:
            text += f", with every modality weighing the same {share_of_loss(weighed)}"
    else:
        text += f"; no share of the apparent loss is given: {between['share_is']}"
    sentences.append(f"{text}.")
    if alike["opposed"]:
        names = listing(str(alike["opposed"]).split(", "))
        sentences.append(f"This mean hides that {names} point{_s(alike['opposed'])} the other way.")
    return sentences


def _s(names: str) -> str:
    return "" if ", " in names else "s"


def share_of_loss(row: Record) -> str:
    """Write the share of the apparent loss that the protocols make, or why there is none."""
    if row["share_is"] != DEFINED:
        return str(row["share_is"])
    ends = (row["share_low"], row["share_high"])
    low, high = ("unbounded" if math.isinf(end) else percent(end) for end in ends)
    return f"{percent(row['share'])} ({low.removesuffix(' %')} to {high})"


def _part(row: Record, prefix: str = "") -> str:
    """Write a loss with its interval."""
    ends = _interval(row["low"], row["high"], prefix)
    return without_plus(f"{signed(row['estimate'])} ({ends})")


def _remedies(comparison: pd.DataFrame, named: Mapping[str, str]) -> list[str]:
    """Name those that keep more: at a comparable gain with numbers, at a cost, then the rest."""
    kept, gains = (by_key(rows_of(comparison, part), "remedy") for part in (UNSEEN, SEEN))
    known = [row for row in kept.values() if row["n_images"]]
    if not known:
        return [f"No image of {_WHERE[UNSEEN]} says what remedies keep."] if kept else []
    plain = named.get(known[0]["plain"], known[0]["plain"])
    better = sorted((r for r in known if r["verdict"] == HIGHER), key=lambda r: -r["estimate"])
    rest = [_named(row, named) for row in known if row["verdict"] != HIGHER]
    less = f"less than {plain} on {_WHERE[UNSEEN]}"
    if not better:
        if known[0]["why_not"]:
            return [f"Whether remedies lose {less} cannot be told: {known[0]['why_not']}."]
        if len(rest) == 1:
            return [f"Whether {rest[0]} loses {less} is not significant."]
        return [f"Of {len(rest)} remedies, none loses significantly {less}."]
    sentences: list[str] = []
    for gain, cost in _COSTS.items():
        group = [row for row in better if gain_verdict(gains.get((row["remedy"],))) == gain]
        if not group:
            continue
        one = len(group) == 1
        names = listing([_named(row, named) for row in group])
        who = names if len(known) == 1 else of_remedies(len(group), len(known))
        if sentences:
            who = f"{len(group)} more"
        what = f"{who} {'loses' if one else 'lose'} {'less' if sentences else less}, "
        what += cost.format(
            whose="its" if one else "their", margin=number(group[0]["margin"], 2),
            where="" if sentences else f" on {_WHERE[SEEN]}",
        )  # fmt: skip
        if gain == COMPARABLE:
            numbers = [_in_numbers(row, gains[row["remedy"],], named) for row in group]
            sentences += [f"{what}.", *numbers]
        else:
            sentences.append(f"{what}." if who == names else f"{what}: {names}.")
    if rest:
        who = "it loses" if len(rest) == 1 else "they lose"
        sentences.append(f"That {who} less is not significant for {listing(rest)}.")
    return sentences


#: What can be said of the gain of a remedy beside that of plain fine-tuning.
COMPARABLE, LESS, OPEN = "comparable", "lower", "not shown"


def gain_verdict(row: Record | None) -> str:
    """Say whether a remedy gains as much on seen experiments as plain fine-tuning."""
    if row is None:
        return OPEN
    if row["comparable"]:
        return COMPARABLE
    return LESS if row["verdict"] == LOWER else OPEN


def rows_of(comparison: pd.DataFrame, part: str, modality: str = ALL) -> pd.DataFrame:
    """Choose the rows of `compare_with_plain` on a part, and all modalities or one."""
    return comparison[(comparison["modality"] == modality) & (comparison["seen"] == part)]


def of_remedies(chosen: int, among: int) -> str:
    """Say how many of several remedies.

    Examples
    --------
    >>> of_remedies(1, 3), of_remedies(2, 2), of_remedies(3, 3)
    ('Of 3 remedies, 1', 'Both remedies', 'All 3 remedies')
    """
    if chosen < among:
        return f"Of {among} remedies, {chosen}"
    return "Both remedies" if among == 2 else f"All {among} remedies"


#: What can be said of the gain of a remedy that loses less; best news first.
_COSTS: Mapping[str, str] = {
    COMPARABLE: "and {whose} gain{where} is comparable (within {margin})",
    OPEN: "but that {whose} gain{where} is comparable is not shown",
    LESS: "but at the cost of gain{where}",
}


def _in_numbers(row: Record, gain: Record, named: Mapping[str, str]) -> str:
    kept = _interval(row["low"], row["high"], f"{_level(row)} interval ")
    ends = _interval(gain["low"], gain["high"])
    return (
        f"{_named(row, named)} keeps {number(row['estimate'])} more ({kept}); its gain differs by "
        f"{signed(gain['estimate'])} ({ends})."
    )


def _named(row: Record, named: Mapping[str, str]) -> str:
    return named.get(row["remedy"], str(row["remedy"]))


def _interval(low: float, high: float, prefix: str = "") -> str:
    if absent(low) or absent(high):
        return "no interval"
    return f"{prefix}{signed(low)} to {signed(high)}"


def _level(row: Record) -> str:
    return f"{100 * row['confidence']:g} %"


def p_in_words(row: Record) -> str:
    """Write p, and over how many tests it was corrected."""
    p = row["p_adjusted"]
    if absent(p):
        return "not tested"
    value = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    if not row["family"]:
        return value
    return f"{value}, Holm-corrected over {row['family_size']}" if row["family_size"] > 1 else value


def of_units(row: Record) -> str:
    """Say on how many images and experiments an estimate rests.

    Examples
    --------
    >>> of_units({"n_images": 26, "n_units": 19, "unit": "experiment"})
    '26 images of 19 experiments'
    """
    images = count(row["n_images"], "image")
    return images if row["unit"] == "image" else f"{images} of {count(row['n_units'], row['unit'])}"
