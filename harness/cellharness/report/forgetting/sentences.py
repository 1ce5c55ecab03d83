"""What a forgetting study shows, in plain sentences that claim no more than its numbers carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from cellharness.report.records import Record, records
from cellharness.report.wording import absent, count, listing, number, signed
from cellharness.statistics.decomposition import BEST, DEFINED, IS_GAIN, TOO_FEW
from cellharness.statistics.paired_change import GAIN, LOSS, NO_PAIRS
from cellharness.statistics.plasticity import COMPARABLE, LOWER, OPEN
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
    is one: corrected p, test, mean and interval agree. A remedy loses less where `loses_less` is
    true. A part of a loss is explained, or left, where its interval lies above 0. All else is
    called not proven, and one case is said to prove nothing.

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
    >>> rows = [("tuned", s, "p", f"c{i}", "DIC", "e", False, 0.8 - 0.04 * s - 0.01 * i * s)
    ...         for s in (0, 2) for i in range(8)]
    >>> names = ["remedy", "stage", "protocol", "case", "modality", "experiment", "seen", "f1"]
    >>> in_words(change(pd.DataFrame(rows, columns=names)), "tuned").split(":")[0]
    'On experiments not trained on (8 cases), tuned lost F1'
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
    n = row["n"]
    if row["verdict"] == NO_PAIRS:
        return f"No case of {where} was scored before and after, so nothing is said of them."
    if n == 1:
        return (
            f"Of {where} there is one case, whose F1 changed by {signed(row['mean_change'])}; one "
            "case proves nothing about others."
        )
    ends = _interval(row["mean_low"], row["mean_high"], f"{_level(row)} interval ")
    size = f"{signed(row['mean_change'])} ({ends})"
    rest = f"median {signed(row['median_change'])}, {_p(row['p_two_sided_holm'])}"
    start = f"On {where} ({count(n, 'case')}), "
    if row["verdict"] == LOSS:
        return f"{start}{label} lost F1: on average {size}, {rest}."
    if row["verdict"] == GAIN:
        return f"{start}{label} gained F1: on average {size}, {rest}."
    return f"{start}neither a gain nor a loss of {label} is proven: on average {size}, {rest}."


def _by_modality(rows: Sequence[Record], part: str) -> list[str]:
    """Name the modalities with a proven change; nothing where there is one modality."""
    scored = [row for row in rows if row["n"]]
    if len(scored) < 2:
        return []
    parts = []
    for verdict, noun in ((LOSS, "a loss"), (GAIN, "a gain")):
        names = [
            f"{row['modality']} ({signed(row['mean_change'])}, "
            f"{_interval(row['mean_low'], row['mean_high'])})"
            for row in scored
            if row["verdict"] == verdict
        ]
        parts += [f"{noun} is proven in {listing(names)}"] if names else []
    rest = [row["modality"] for row in scored if row["verdict"] not in (LOSS, GAIN)]
    if rest and parts:
        parts.append(f"nothing is proven in {listing(rest)}")
    elif rest:
        parts.append(f"no change is proven in any of {len(rest)} modalities")
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
            f"{count(n, 'case')} under all protocols {'is' if n == 1 else 'are'} too few to say "
            "what the way of evaluating explains."
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
    """Name those that lose less: at a comparable gain with numbers, at a cost, then the rest."""
    rows = records(comparison[comparison["modality"] == ALL])
    known = [row for row in rows if row["n_unseen"]]
    if not known:
        return [f"No case of {_WHERE[UNSEEN]} says what remedies keep."] if rows else []
    plain = named.get(known[0]["plain"], known[0]["plain"])
    better = sorted((row for row in known if row["loses_less"]), key=lambda row: -row["kept_more"])
    rest = [_named(row, named) for row in known if not row["loses_less"]]
    less = f"less than {plain} on {_WHERE[UNSEEN]}"
    if not better:
        if len(rest) == 1:
            return [f"That {rest[0]} loses {less} is not proven."]
        return [f"Of {len(rest)} remedies, none is proven to lose {less}."]
    sentences: list[str] = []
    for gain, cost in _COSTS.items():
        group = [row for row in better if row["gain"] == gain]
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
            sentences += [f"{what}.", *(_in_numbers(row, named) for row in group)]
        else:
            sentences.append(f"{what}." if who == names else f"{what}: {names}.")
    if rest:
        who = "it loses" if len(rest) == 1 else "they lose"
        sentences.append(f"Of {listing(rest)} it is not proven that {who} less.")
    return sentences


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
    COMPARABLE: "and {whose} gain{where} is at most {margin} lower",
    OPEN: "but that {whose} gain{where} is comparable is not shown",
    LOWER: "but at the cost of gain{where}",
}


def _in_numbers(row: Record, named: Mapping[str, str]) -> str:
    kept = _interval(row["kept_more_low"], row["kept_more_high"], f"{_level(row)} interval ")
    gain = _interval(row["gain_difference_low"], row["gain_difference_high"])
    return (
        f"{_named(row, named)} keeps {number(row['kept_more'])} more ({kept}); its gain differs by "
        f"{signed(row['gain_difference'])} ({gain})."
    )


def _named(row: Record, named: Mapping[str, str]) -> str:
    return named.get(row["remedy"], str(row["remedy"]))


def _interval(low: float, high: float, prefix: str = "") -> str:
    if absent(low) or absent(high):
        return "no interval"
    return f"{prefix}{signed(low)} to {signed(high)}"


def _level(row: Record) -> str:
    return f"{100 * row['confidence']:g} %"


def _p(p: float) -> str:
    if absent(p):
        return "no case changed"
    return "Holm-corrected p " + ("< 0.001" if p < 0.001 else f"= {p:.3f}")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "−")
