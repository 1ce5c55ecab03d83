"""Stability against plasticity: what each remedy gained and lost, and how it differs from none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellharness.statistics.paired_change import ALPHA, adjust_families, check_alpha, paired_changes
from cellharness.statistics.resampling import (
    RESAMPLING,
    Resampling,
    center,
    check_statistic,
    resample,
)
from cellharness.statistics.staged_scores import (
    SEEN,
    UNSEEN,
    ForgettingError,
    StagedScores,
    read_scores,
)
from cellharness.statistics.summary import ALL

#: How much less gain on seen experiments still counts as comparable, in F1.
MARGIN = 0.05

#: Below this many pairs even differences of one sign have a two-sided p of 0.0625 or more.
FEWEST_FOR_A_CLAIM = 6

#: What can be said of a gain beside that of plain fine-tuning.
COMPARABLE, LOWER, OPEN = "comparable", "lower", "not shown"


def stability_plasticity(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    statistic: str = "mean",
    resampling: Resampling = RESAMPLING,
) -> pd.DataFrame:
    """Place every training: gain on seen experiments against loss on unseen ones.

    The two axes of the dilemma of Mermillod et al. 2013 (*The stability-plasticity dilemma*,
    Frontiers in Psychology 4:504), measured on paired differences of F1.

    Parameters
    ----------
    scores, protocol, before_protocol, stages, resampling
        See `cellharness.statistics.change.change`.
    statistic : str
        ``"mean"`` or ``"median"`` of the paired differences.

    Returns
    -------
    DataFrame
        One row a training: ``remedy, stage, protocol, before_protocol, statistic, n_seen,
        n_missing_seen, gain_seen, gain_low, gain_high`` (after minus before), ``n_unseen,
        n_missing_unseen, loss_unseen, loss_low, loss_high`` (before minus after, so a loss is
        positive), ``confidence, samples, seed``.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid.
    """
    check_statistic(statistic)
    table = read_scores(scores)
    pairs = table.pairs(protocol, before_protocol, stages)
    change = np.stack([pair.after - pair.before for pair in pairs])
    frame = pd.DataFrame(
        {
            "remedy": [pair.remedy for pair in pairs],
            "stage": [pair.stage for pair in pairs],
            "protocol": [pair.protocol for pair in pairs],
            "before_protocol": [pair.before_protocol for pair in pairs],
            "statistic": statistic,
        }
    )
    for name, part, sign in (("gain", SEEN, 1.0), ("loss", UNSEEN, -1.0)):
        values = sign * change[:, table.part(part)]
        weights = resampling.draw(values.shape[1], ALL, ALL, part)
        low, high = resampling.interval(resample(values, weights, statistic))
        n = np.count_nonzero(~np.isnan(values), axis=1)
        frame[f"n_{part}"], frame[f"n_missing_{part}"] = n, values.shape[1] - n
        frame[f"{name}_{part}"] = center(values, statistic)
        frame[f"{name}_low"], frame[f"{name}_high"] = low, high
    return frame.assign(**resampling.settings())


def compare_with_plain(
    scores: pd.DataFrame | StagedScores,
    plain: str,
    protocol: str | None = None,
    before_protocol: str | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    margin: float = MARGIN,
    alpha: float = ALPHA,
    resampling: Resampling = RESAMPLING,
) -> pd.DataFrame:
    """Compare every remedy with plain fine-tuning, case by case.

    Compared are the changes (after minus before) of the same case under both trainings; where both
    started from the same weights, that is the difference of the scores after. On unseen
    experiments the question is whether the remedy loses less: Wilcoxon's signed-rank test, one
    side, Holm's correction over the remedies. On seen experiments it is whether the gain is
    comparable: not that no difference was proven, which few cases always achieve, but that the
    interval of the mean difference does not reach below ``-margin`` (non-inferiority).

    Parameters
    ----------
    scores, protocol, before_protocol, stages, resampling
        See `cellharness.statistics.change.change`.
    plain : str
        Name of the training without a remedy.
    margin : float
        F1 that the mean gain on seen experiments may be lower and still be called comparable.
    alpha : float
        Level of `loses_less`.

    Returns
    -------
    DataFrame
        One row a modality (and `ALL`) and remedy: ``remedy, stage, plain, plain_stage, protocol,
        before_protocol, level, modality``; on unseen experiments ``n_unseen, n_missing_unseen,
        kept_more`` (mean change of the remedy less that of plain fine-tuning), ``kept_more_low,
        kept_more_high, kept_more_median, p_loses_less, p_loses_less_holm`` (family: the rows of one
        level), ``loses_less`` (adjusted p below `alpha` and the interval above 0); on seen ones
        ``n_seen, n_missing_seen, gain_difference`` (mean), ``gain_difference_low,
        gain_difference_high, gain_difference_median, p_gain_differs`` (two-sided, not adjusted),
        ``gain`` (``"comparable"``, ``"lower"`` or ``"not shown"``; with fewer than
        `FEWEST_FOR_A_CLAIM` cases always the last), ``margin, confidence, samples, seed``. No rows
        where there is no remedy beside `plain`.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid, or `plain` is none of the trainings.
    """
    check_alpha(alpha)
    if not margin >= 0:
        msg = f"margin is {margin!r}; valid are numbers from 0 on, in F1, such as {MARGIN}"
        raise ForgettingError(msg)
    table = read_scores(scores)
    pairs = {pair.remedy: pair for pair in table.pairs(protocol, before_protocol, stages)}
    if plain not in pairs:
        msg = f"no training {plain!r} to compare with; there are: {', '.join(pairs)}"
        raise ForgettingError(msg)
    reference = pairs.pop(plain)
    base = reference.after - reference.before
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for group in table.groups(("overall", "modality")):
        if group.seen not in (SEEN, UNSEEN) or not pairs:
            continue
        changes = np.stack([pair.after - pair.before for pair in pairs.values()])
        differences = (changes - base)[:, group.rows]
        found = paired_changes(differences, resampling, group.name)
        for pair, one in zip(pairs.values(), found, strict=True):
            row = rows.setdefault(
                (group.modality, pair.remedy),
                {
                    "remedy": pair.remedy, "stage": pair.stage, "plain": plain,
                    "plain_stage": reference.stage, "protocol": pair.protocol,
                    "before_protocol": pair.before_protocol, "level": group.level,
                    "modality": group.modality,
                },
            )  # fmt: skip
            name = "kept_more" if group.seen == UNSEEN else "gain_difference"
            row |= {
                f"n_{group.seen}": one.n, f"n_missing_{group.seen}": one.n_missing,
                name: one.mean_change, f"{name}_low": one.mean_low,
                f"{name}_high": one.mean_high, f"{name}_median": one.median_change,
            }  # fmt: skip
            if group.seen == UNSEEN:
                row["p_loses_less"] = one.p_gain
            else:
                row["p_gain_differs"] = one.p_two_sided
                row["gain"] = _gain(one.n, one.mean_low, one.mean_high, margin)
    frame = pd.DataFrame(list(rows.values()), columns=list(_COLUMNS))
    frame["p_loses_less_holm"] = adjust_families(
        frame["p_loses_less"].tolist(), frame["level"].tolist()
    )
    frame["loses_less"] = (frame["p_loses_less_holm"] < alpha) & (frame["kept_more_low"] > 0)
    return frame.assign(margin=margin, **resampling.settings())


def _gain(n: int, low: float, high: float, margin: float) -> str:
    if n < FEWEST_FOR_A_CLAIM:
        return OPEN
    if low >= -margin:
        return COMPARABLE
    return LOWER if high < 0 else OPEN


_COLUMNS = (
    "remedy", "stage", "plain", "plain_stage", "protocol", "before_protocol", "level", "modality",
    "n_unseen", "n_missing_unseen", "kept_more", "kept_more_low", "kept_more_high",
    "kept_more_median", "p_loses_less", "p_loses_less_holm", "loses_less", "n_seen",
    "n_missing_seen", "gain_difference", "gain_difference_low", "gain_difference_high",
    "gain_difference_median", "p_gain_differs", "gain",
)  # fmt: skip
