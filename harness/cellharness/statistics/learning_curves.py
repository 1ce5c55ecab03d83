"""Accuracy over the checkpoints of a training, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cellharness.statistics.resampling import RESAMPLING, Resampling, center, resample
from cellharness.statistics.staged_scores import Floats, StagedScores, read_scores


def curves(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    *,
    resampling: Resampling = RESAMPLING,
) -> pd.DataFrame:
    """Accuracy at every stage, by modality and part, with percentile bootstrap intervals.

    All stages and trainings of a group share the draws of its cases, so the curves of a sample
    belong together. The interval of R says where the accuracy on such cases may lie; that of the
    change is of the paired differences to stage 0, and much narrower where cases differ more from
    each other than stages do: whether a curve has left its start is to be read from the change.
    Intervals hold stage by stage, not for a whole curve at once.

    Parameters
    ----------
    scores, protocol, before_protocol, resampling
        See `cellharness.statistics.change.change`.

    Returns
    -------
    DataFrame
        One row a training, group and stage (0 first): ``remedy, protocol`` (at stage 0 that of the
        weights before), ``modality, seen, stage, n`` (cases scored), ``n_missing, mean, mean_low,
        mean_high, median, median_low, median_high``, and over the ``n_paired`` cases scored at
        stage 0 as well the mean difference ``change, change_low, change_high``; ``confidence,
        samples, seed``.

    Raises
    ------
    ForgettingError
        The scores or a protocol are not valid.
    """
    table = read_scores(scores)
    about: list[tuple[str, str, int]] = []
    series: list[Floats] = []
    starts: list[int] = []
    for pair in table.pairs(protocol, before_protocol):
        start = len(series)
        about.append((pair.remedy, pair.before_protocol, 0))
        series.append(pair.before)
        for stage in table.stages(pair.remedy, pair.protocol):
            about.append((pair.remedy, pair.protocol, stage))
            series.append(table.after(pair.remedy, pair.protocol, stage))
        starts += [start] * (len(series) - start)
    matrix = np.stack(series)
    blocks = []
    for group in table.groups(("overall", "modality")):
        values = matrix[:, group.rows]
        differences = values - values[starts]
        weights = resampling.draw(group.rows.size, *group.name)
        n = np.count_nonzero(~np.isnan(values), axis=1)
        block = pd.DataFrame(about, columns=["remedy", "protocol", "stage"])
        block = block.assign(modality=group.modality, seen=group.seen)
        block = block.assign(n=n, n_missing=group.rows.size - n)
        for name, what, statistic in (
            ("mean", values, "mean"),
            ("median", values, "median"),
            ("change", differences, "mean"),
        ):
            low, high = resampling.interval(resample(what, weights, statistic))
            block[name] = center(what, statistic)
            block[f"{name}_low"], block[f"{name}_high"] = low, high
        block["n_paired"] = np.count_nonzero(~np.isnan(differences), axis=1)
        blocks.append(block)
    frame = pd.concat(blocks, ignore_index=True)
    columns = [
        "remedy", "protocol", "modality", "seen", "stage", "n", "n_missing", "mean", "mean_low",
        "mean_high", "median", "median_low", "median_high", "n_paired", "change", "change_low",
        "change_high",
    ]  # fmt: skip
    order = {name: number for number, (name, _, _) in enumerate(about)}
    frame = frame.sort_values("remedy", key=lambda names: names.map(order), kind="stable")
    return frame[columns].assign(**resampling.settings()).reset_index(drop=True)
