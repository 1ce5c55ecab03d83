"""What a forgetting study shows, in plain sentences that claim no more than its numbers carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from cellharness.report.records import Record, by_key, records
from cellharness.report.wording import absent, count, listing, number, signed
from cellharness.statistics.contrasts import HIGHER, LOWER
from cellharness.statistics.decomposition import BEST, DEFINED, IS_GAIN, TOO_FEW
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
    is higher or lower; a remedy keeps more where it is higher. A part of a loss is explained, or
    left, where its interval lies above 0. All else is called not significant, which does not mean
    that there is nothing.

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
        The alternative of the decomposition to speak of; by default the first that it has.
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
    rows = records(
        decomposition[
            (decomposition["remedy"] == training)
            & (decomposition["modality"] == ALL)
            & (decomposition["seen"] == UNSEEN)
        ]
    )
    wanted = [row for row in rows if protocol is None or row["protocol"] == protocol]
    if not wanted:
        have = listing([str(row["protocol"]) for row in rows])
        msg = f"no decomposition of {training!r} by protocol {protocol!r}; there are: {have}"
        raise ValueError(msg)
    row = wanted[0]
    n = row["n"]
    if row["share_is"] == TOO_FEW:
        return [
            f"{of_units(row | {'n_images': n})} under all protocols "
            f"{'is' if n == 1 else 'are'} too few to say what the way of evaluating explains."
        ]
    apparent = _part(row, "apparent_loss", "apparent", f"{_level(row)} interval ")
    if row["share_is"] == IS_GAIN:
        return [f"There is no apparent loss to explain: F1 before less after is {apparent}."]
    if row["share_is"] != DEFINED:
        return [
            f"The apparent loss, {apparent}, is not told apart from 0, so no share of it is "
            "assigned to the way of evaluating."
        ]
    under, usual = (named.get(row[key], row[key]) for key in ("chosen", "trained_protocol"))
    if row["protocol"] == BEST:
        under += " (the best of those tried, so this is rather too much)"
    sentences = [f"On {_WHERE[UNSEEN]} the apparent loss under {usual} is {apparent}."]
    explained, left = (_part(row, name, name) for name in ("explained", "left"))
    match _sign(row, "explained"):
        case 1:
            share = (
                f"{_percent(row['share_explained'])} of it ({_percent(row['share_low'])} to "
                f"{_percent(row['share_high'])})"
            )
            part = f"Evaluated under {under}, the same weights regain {explained}, {share}"
        case -1:
            part = f"Evaluated under {under}, the same weights do worse still: {explained} regained"
        case _:
            part = f"That they regain any of it under {under} is not proven: {explained}"
    match _sign(row, "left"):
        case 1:
            rest = f"{left} is left in the weights"
        case -1:
            rest = f"nothing of it is left in the weights: {left}"
        case _:
            rest = f"that any of it is left in the weights is not proven: {left}"
    sentences.append(f"{part}; {rest}.")
    if row["chosen"] != row["before_protocol"] and not absent(row["left_same_protocol"]):
        same = _part(row, "left_same_protocol", "left_same")
        sentences.append(f"With the weights before evaluated in the same way, the loss is {same}.")
    return sentences


def _sign(row: Record, name: str) -> int:
    """Side of 0 on which an interval lies: 1, -1, or 0 where it holds 0."""
    return int(row[f"{name}_low"] > 0) - int(row[f"{name}_high"] < 0)


def _part(row: Record, name: str, stem: str, prefix: str = "") -> str:
    """Write a loss or a part of one, whose sign needs no plus."""
    low, high = row[f"{stem}_low"], row[f"{stem}_high"]
    if absent(low) or absent(high):
        return f"{_unsigned(row[name])} (no interval)"
    return f"{_unsigned(row[name])} ({prefix}{_unsigned(low)} to {_unsigned(high)})"


def _unsigned(value: float) -> str:
    return signed(value).lstrip("+")


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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "−")
