"""What a training gained and lost: overall, by modality and by experiment, with significance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellharness.statistics.paired_change import (
    ALPHA,
    PairedChange,
    adjust_families,
    check_alpha,
    paired_changes,
    verdict,
)
from cellharness.statistics.resampling import RESAMPLING, Resampling, center
from cellharness.statistics.staged_scores import LEVELS, StagedScores, read_scores


def change(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    alpha: float = ALPHA,
    resampling: Resampling = RESAMPLING,
) -> pd.DataFrame:
    """How much every training changed the scores: overall, by modality and by experiment.

    Scores are paired by case. Of the paired differences (after minus before, so a loss is negative)
    stand there the median and the mean with percentile bootstrap intervals, and p of Wilcoxon's
    signed-rank test (see `cellharness.statistics.paired_change`), one-sided for a loss and
    two-sided. Holm's correction runs over a family: the groups of one level and part of one
    training, such as all modalities of its unseen experiments. What is proven of a training so does
    not hang on how many others are looked at beside it.

    Parameters
    ----------
    scores : DataFrame or StagedScores
        See `read_scores`.
    protocol, before_protocol : str, optional
        How the weights after and before the training were evaluated. `protocol` may be left out
        where there is only one; `before_protocol` is the same by default.
    stages : int or mapping of str to int, optional
        Epoch to look at, for all or by remedy; by default the last of each.
    alpha : float
        Level of the verdict.
    resampling : Resampling
        Samples, seed and confidence of the intervals.

    Returns
    -------
    DataFrame
        Columns ``remedy, stage, protocol, before_protocol, level`` (``"overall"``, ``"modality"``
        or ``"experiment"``), ``modality, experiment, seen``; ``n`` (cases with both scores),
        ``n_missing`` (cases that lack one), ``n_changed``; ``median_before, median_after,
        mean_before, mean_after`` (over the n cases); ``median_change, median_low, median_high,
        mean_change, mean_low, mean_high, p_loss, p_gain, p_two_sided``; ``family, family_size``
        (tests that were done), ``p_loss_holm, p_two_sided_holm``; ``verdict`` (``"loss"``,
        ``"gain"``, ``"not proven"`` or ``"no pairs"``, see
        `cellharness.statistics.paired_change.verdict`); ``confidence, samples, seed``. Groups
        without a case of their part have n 0; with one case there are no intervals.

    Raises
    ------
    ForgettingError
        The scores, a protocol or a stage are not valid.
    """
    check_alpha(alpha)
    table = read_scores(scores)
    pairs = table.pairs(protocol, before_protocol, stages)
    rows: list[dict[str, object]] = []
    found: list[PairedChange] = []
    for group in table.groups(LEVELS):
        before = np.stack([pair.before[group.rows] for pair in pairs])
        after = np.stack([pair.after[group.rows] for pair in pairs])
        unpaired = np.isnan(before) | np.isnan(after)
        before[unpaired] = after[unpaired] = np.nan
        changes = paired_changes(after - before, resampling, group.name)
        levels = {
            f"{statistic}_{when}": center(values, statistic)
            for statistic in ("median", "mean")
            for when, values in (("before", before), ("after", after))
        }
        for number, (pair, one) in enumerate(zip(pairs, changes, strict=True)):
            rows.append(
                {
                    "remedy": pair.remedy, "stage": pair.stage, "protocol": pair.protocol,
                    "before_protocol": pair.before_protocol, "level": group.level,
                    "modality": group.modality, "experiment": group.experiment,
                    "seen": group.seen, "n": one.n, "n_missing": one.n_missing,
                    "n_changed": one.n_changed,
                    **{name: values[number] for name, values in levels.items()},
                    **dict(zip(one._fields[3:], one[3:], strict=True)),
                }
            )  # fmt: skip
            found.append(one)
    frame = pd.DataFrame(rows)
    families = (frame["remedy"] + ", " + frame["level"] + ", " + frame["seen"]).tolist()
    two_sided = adjust_families([one.p_two_sided for one in found], families)
    frame["family"] = families
    frame["family_size"] = frame.groupby("family")["p_two_sided"].transform("count").astype(int)
    frame["p_loss_holm"] = adjust_families([one.p_loss for one in found], families)
    frame["p_two_sided_holm"] = two_sided
    frame["verdict"] = [verdict(o, p, alpha) for o, p in zip(found, two_sided, strict=True)]
    order = {pair.remedy: number for number, pair in enumerate(pairs)}
    frame = frame.sort_values("remedy", key=lambda names: names.map(order), kind="stable")
    return frame.assign(**resampling.settings()).reset_index(drop=True)
