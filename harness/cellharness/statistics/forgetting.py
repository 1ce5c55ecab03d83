"""What a training made of the abilities that the weights had before it.

Every function takes the scores of a study (`cellharness.statistics.staged_scores.read_scores`) and
returns a table; nothing given is changed. R is the accuracy of a set of weights on a group of
cases: the mean or median F1 over its cases.

The published measures speak of a model that learns tasks one after the other. Here two things
are learned: first whatever the pre-training taught (stage 0), then the training under study. What
the pre-training could do on experiments that the training does not have is the old task, split into
modalities or experiments; the training's own experiments (*seen*) are the new one.

Beside this module: `change` (paired differences), `learning_curves`, `plasticity` (remedies side by
side), `decomposition` (what the way of evaluating makes of a loss) and `cells` (which cells were
lost).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellharness.statistics.contrasts import OF_SCORES, Unit, equal_weights, mean_difference
from cellharness.statistics.estimates import estimate_rows
from cellharness.statistics.staged_scores import (
    UNSEEN,
    Floats,
    StagedScores,
    center,
    read_scores,
)
from cellharness.vocabulary import PRETRAINED


def accuracy_frame(
    scores: pd.DataFrame | StagedScores, protocol: str | None = None
) -> pd.DataFrame:
    """R[stage, modality, seen]: accuracy of every set of weights on every group of cases.

    The matrix R of Lopez-Paz & Ranzato 2017 (*Gradient Episodic Memory*, NeurIPS, section 2), one
    row an entry. Every training has its own stage 0, be it that of the shared `PRETRAINED`.

    Parameters
    ----------
    scores : DataFrame or StagedScores
        See `read_scores`.
    protocol : str, optional
        Only this one.

    Returns
    -------
    DataFrame
        Columns ``remedy, protocol, stage, modality, seen`` (``"seen"``, ``"unseen"`` or `ALL`),
        ``n`` (cases with a score), ``n_missing`` (cases without), ``mean``, ``median`` (of the
        cases' F1; NaN where there is none), and, where the scores have the counts of
        cells, ``pooled_precision, pooled_recall, pooled_f1`` from the counts summed over cases.

    Raises
    ------
    ForgettingError
        The scores are not valid or there is no such protocol.
    """
    table = read_scores(scores)
    protocols = table.protocols if protocol is None else (table.only_protocol(protocol),)
    rows, about = [], []
    for remedy in table.remedies:
        for evaluated in protocols:
            own = {s: r for (m, p, s), r in table.runs.items() if (m, p) == (remedy, evaluated)}
            shared = table.runs.get((PRETRAINED, evaluated, 0))
            if own and 0 not in own and shared is not None:
                own[0] = shared
            for stage in sorted(own):
                rows.append(own[stage])
                about.append((remedy, evaluated, stage))
    blocks = []
    for group in table.groups(("overall", "modality")):
        values = table.f1[rows][:, group.rows]
        n = np.count_nonzero(~np.isnan(values), axis=1)
        block = pd.DataFrame(about, columns=["remedy", "protocol", "stage"])
        block = block.assign(modality=group.modality, seen=group.seen)
        block = block.assign(n=n, n_missing=group.rows.size - n)
        block = block.assign(mean=center(values, "mean"), median=center(values, "median"))
        if table.counts is not None:
            block = block.assign(**_pooled(table.counts[:, rows][:, :, group.rows]))
        blocks.append(block)
    frame = pd.concat(blocks)
    return frame.sort_index(kind="stable", ignore_index=True)


def forgetting_measures(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    *,
    part: str = UNSEEN,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Give the published measures of forgetting, each modality weighing the same.

    ``backward transfer``
        R_last - R_0, averaged over the old tasks, here the modalities: BWT of Lopez-Paz & Ranzato
        2017 (*Gradient Episodic Memory*, NeurIPS, eq. 3). Every old task was learned at stage 0.
        Forgetting from the start, as `avalanche` has it, is minus this.
    ``best minus last``
        max over all stages before the last of R, minus R_last: Chaudhry et al. 2018 (*Riemannian
        Walk for Incremental Learning*, ECCV, eqs. 3 and 4), on images scored at every stage. The
        best stage is chosen on the same images, so it overstates forgetting where they are few and
        stages many, and its interval does not know of the choice. NaN where only one stage after
        the start was scored.

    Parameters
    ----------
    scores, protocol, before_protocol, unit, confidence
        See `cellharness.statistics.change.change`.
    part : str
        ``"unseen"``, experiments that were not trained on, ``"seen"`` or `ALL`.

    Returns
    -------
    DataFrame
        One row a training and measure: ``measure, remedy, stage, protocol, before_protocol, seen,
        modalities`` (averaged over), and the `ESTIMATE_COLUMNS`. The trainings are a family.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid.
    """
    table = read_scores(scores)
    unit, units = table.units(unit)
    rows = np.flatnonzero(table.part(part))
    modality, units = table.modality[rows], units[rows]
    about, found = [], []
    for pair in table.pairs(protocol, before_protocol):
        stages = table.stages(pair.remedy, pair.protocol)
        series = [pair.before, *(table.after(pair.remedy, pair.protocol, s) for s in stages)]
        matrix = np.stack(series)[:, rows]
        for measure, differences in (
            (BACKWARD_TRANSFER, matrix[-1] - matrix[0]),
            # With one stage only there is nothing to choose the best of.
            (BEST_MINUS_LAST, _best(matrix, modality) - matrix[-1])
            if len(stages) > 1
            else (BEST_MINUS_LAST, np.full(len(rows), np.nan)),
        ):
            about.append(
                {
                    "measure": measure, "remedy": pair.remedy, "stage": pair.stage,
                    "protocol": pair.protocol, "before_protocol": pair.before_protocol,
                    "seen": part, "modalities": len(set(modality[~np.isnan(differences)])),
                }
            )  # fmt: skip
            weights = equal_weights(differences, modality)
            found.append(
                mean_difference(
                    differences,
                    units,
                    unit=unit,
                    confidence=confidence,
                    weights=weights,
                    bounds=OF_SCORES,
                )
            )
    frame = pd.DataFrame(about)
    families = [f"{measure} of the trainings, {part} experiments" for measure in frame["measure"]]
    return estimate_rows(frame, found, families)


BACKWARD_TRANSFER, BEST_MINUS_LAST = "backward transfer", "best minus last"


def _best(matrix: Floats, modality: NDArray[np.str_]) -> Floats:
    """Scores at the stage before the last that is best, on average, for their modality."""
    complete = ~np.isnan(matrix).any(axis=0)
    best = np.full(matrix.shape[1], np.nan)
    for name in dict.fromkeys(modality):
        here = complete & (modality == name)
        if here.any():
            best[here] = matrix[np.argmax(matrix[:-1, here].mean(axis=1)), here]
    return best


def _pooled(counts: Floats) -> dict[str, Floats]:
    """Ratios of counts summed over the cases that have all three; shape (3, runs, cases)."""
    known = ~np.isnan(counts).any(axis=0)
    tp, n_true, n_pred = np.where(known, counts, 0.0).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "pooled_precision": np.where(n_pred > 0, tp / n_pred, np.nan),
            "pooled_recall": np.where(n_true > 0, tp / n_true, np.nan),
            "pooled_f1": np.where(n_true + n_pred > 0, 2 * tp / (n_true + n_pred), np.nan),
        }
