"""Accuracy over the checkpoints of a training, with intervals."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from cellharness.statistics.contrasts import OF_SCORES, Unit, mean_difference
from cellharness.statistics.staged_scores import Floats, StagedScores, center, read_scores


def curves(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    *,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Accuracy at every stage, by modality and part, and its change since stage 0.

    The interval is of the paired differences to stage 0. It holds stage by stage, not for a whole
    curve at once.

    Parameters
    ----------
    scores, protocol, before_protocol, unit, confidence
        See `cellharness.statistics.change.change`.

    Returns
    -------
    DataFrame
        One row a training, group and stage (0 first): ``remedy, protocol`` (at stage 0 that of the
        weights before), ``modality, seen, stage, n`` (cases scored), ``n_missing, mean, median``,
        and over the ``n_images`` scored at stage 0 as well, of ``n_units``, the mean difference
        ``change, change_low, change_high``; ``unit, confidence``.

    Raises
    ------
    ForgettingError
        The scores or a protocol are not valid.
    """
    table = read_scores(scores)
    unit, units = table.units(unit)
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
        here = units[group.rows]
        block = pd.DataFrame(about, columns=["remedy", "protocol", "stage"])
        block = block.assign(modality=group.modality, seen=group.seen)
        n = np.count_nonzero(~np.isnan(values), axis=1)
        block = block.assign(n=n, n_missing=group.rows.size - n)
        block = block.assign(mean=center(values, "mean"), median=center(values, "median"))
        found = pd.DataFrame(
            asdict(mean_difference(row, here, unit=unit, confidence=confidence, bounds=OF_SCORES))
            for row in values - values[starts]
        )
        # At stage 0 there is no difference to estimate.
        found.loc[block["stage"] == 0, ["low", "high"]] = np.nan
        ends = {"estimate": "change", "low": "change_low", "high": "change_high"}
        kept = [*ends, "n_images", "n_units", "unit", "confidence"]
        blocks.append(block.join(found[kept].rename(columns=ends)))
    frame = pd.concat(blocks, ignore_index=True)
    columns = [
        "remedy", "protocol", "modality", "seen", "stage", "n", "n_missing", "mean", "median",
        "n_images", "n_units", "unit", "change", "change_low", "change_high", "confidence",
    ]  # fmt: skip
    order = {name: number for number, (name, _, _) in enumerate(about)}
    frame = frame.sort_values("remedy", key=lambda names: names.map(order), kind="stable")
    return frame[columns].reset_index(drop=True)
