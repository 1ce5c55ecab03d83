"""What a training gained and lost: overall, by modality and by experiment, with significance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellharness.statistics.contrasts import OF_SCORES, Estimate, Unit, mean_difference
from cellharness.statistics.estimates import estimate_rows
from cellharness.statistics.staged_scores import (
    LEVELS,
    PARTS,
    UNSEEN,
    Group,
    Pair,
    StagedScores,
    center,
    read_scores,
)


def change(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    primary: str | None = None,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """How much every training changed the scores: overall, by modality and by experiment.

    Scores are paired by case, after minus before, so a loss is negative. Estimates are those of
    `cellharness.statistics.contrast`. Families, within which Holm's correction runs:

    - The primary contrast, `primary` on all unseen experiments, was named beforehand; it is of no
      family and not corrected.
    - Overall, the trainings on a part (seen, unseen or all) are a family, without the primary.
    - The modalities, and the experiments, of a part are one family for each training: what is shown
      of a training does not depend on how many others are looked at beside it.

    Parameters
    ----------
    scores : DataFrame or StagedScores
        See `read_scores`.
    protocol, before_protocol : str, optional
        How the weights after and before the training were evaluated. `protocol` may be left out
        where there is only one; `before_protocol` is the same by default.
    stages : int or mapping of str to int, optional
        Epoch to look at, for all or by remedy; by default the last of each.
    primary : str, optional
        The training of the primary contrast.
    unit : {"experiment", "image"}, optional
        What is independent, see `cellharness.statistics.contrast`.
    confidence : float
        Of the intervals, and of the verdicts.

    Returns
    -------
    DataFrame
        Columns ``remedy, stage, protocol, before_protocol, level`` (``"overall"``, ``"modality"``
        or ``"experiment"``), ``modality, experiment, seen, mean_before, mean_after,
        median_before, median_after`` (over the images scored both before and after),
        ``median_change``, and the `ESTIMATE_COLUMNS`.

    Raises
    ------
    ForgettingError
        The scores, a protocol or a stage are not valid.
    """
    table = read_scores(scores)
    pairs = table.pairs(protocol, before_protocol, stages)
    unit, units = table.units(unit)
    about: list[dict[str, object]] = []
    found: list[Estimate] = []
    families: list[str | None] = []
    for pair in pairs:
        for group in table.groups(LEVELS):
            before, after = pair.before[group.rows], pair.after[group.rows]
            differences = after - before
            unpaired = np.isnan(differences)
            sides = {"before": before, "after": after}
            both = {name: np.where(unpaired, np.nan, side)[None] for name, side in sides.items()}
            about.append(
                {
                    "remedy": pair.remedy, "stage": pair.stage, "protocol": pair.protocol,
                    "before_protocol": pair.before_protocol, "level": group.level,
                    "modality": group.modality, "experiment": group.experiment,
                    "seen": group.seen,
                    **{
                        f"{statistic}_{name}": center(side, statistic)[0]
                        for statistic in ("mean", "median")
                        for name, side in both.items()
                    },
                    "median_change": center(differences[None], "median")[0],
                }
            )  # fmt: skip
            found.append(
                mean_difference(
                    differences,
                    units[group.rows],
                    unit=unit,
                    confidence=confidence,
                    bounds=OF_SCORES,
                )
            )
            families.append(_family(pair, group, primary))
    return estimate_rows(pd.DataFrame(about), found, families)


def _family(pair: Pair, group: Group, primary: str | None) -> str | None:
    if group.level == "overall":
        if pair.remedy == primary and group.seen == UNSEEN:
            return None
        return f"trainings, {group.seen} experiments"
    return f"{group.level} by {group.level}, {pair.remedy}, {group.seen} experiments"


def seed_changes(by_seed: pd.DataFrame, table: StagedScores, protocol: str) -> pd.DataFrame:
    """Mean change under every training of a remedy, at its last stage.

    Parameters
    ----------
    by_seed : DataFrame
        As for `read_scores`, one row a training, with ``seed``; NaN or missing for the weights that
        all trainings started from.
    table : StagedScores
        The same with the mean over the trainings of a remedy.
    protocol : str
        How the weights before and after were evaluated.

    Returns
    -------
    DataFrame
        One row a remedy, part and seed: ``remedy, stage, protocol, seen, seed, n_images, change``.
    """
    rows = []
    for pair in table.pairs(protocol):
        mine = by_seed[
            (by_seed["remedy"] == pair.remedy)
            & (by_seed["protocol"] == protocol)
            & (by_seed["stage"] == pair.stage)
        ]
        for seed in sorted(set(mine["seed"].dropna().astype(int))):
            training = mine[mine["seed"] == seed]
            after = training.set_index("case")["f1"].reindex(table.cases).to_numpy(float)
            differences = after - pair.before
            for part in PARTS:
                known = differences[table.part(part) & ~np.isnan(differences)]
                if known.size:
                    about = (pair.remedy, pair.stage, protocol, part, seed)
                    rows.append((*about, known.size, known.mean()))
    names = ["remedy", "stage", "protocol", "seen", "seed", "n_images", "change"]
    return pd.DataFrame(rows, columns=names)
