"""What a training made of the abilities that the weights had before it.

Every function takes the scores of a study (`cellharness.statistics.staged_scores.read_scores`) and
returns a table; nothing given is changed. R is the accuracy of a set of weights on a group of
cases: the mean or median F1 over its cases.

The published measures speak of a model that learns tasks one after the other. Here two things
are learned: first whatever the pre-training taught (stage 0), then the training under study. What
the pre-training could do on experiments that the training does not have is the old task, split into
modalities or experiments; the training's own experiments (*seen*) are the new one.

Beside this module: `change` (paired differences with significance), `retention` (cases and cells
that stay correct), `learning_curves`, `plasticity` (remedies side by side), `decomposition` (what
the protocol explains), `cell_properties` and `cell_curves` (which cells were lost).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellharness.statistics.resampling import RESAMPLING, Resampling, center
from cellharness.statistics.staged_scores import (
    UNSEEN,
    Floats,
    StagedScores,
    read_scores,
)
from cellharness.statistics.tasks import Tasks
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


def backward_transfer(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    task: str = "modality",
    part: str = UNSEEN,
    statistic: str = "mean",
    resampling: Resampling = RESAMPLING,
) -> pd.DataFrame:
    """Backward transfer: what the training did to the old tasks, R_last - R_0.

    BWT of Lopez-Paz & Ranzato 2017 (*Gradient Episodic Memory*, NeurIPS, eq. 3),
    ``1 / (T - 1) * sum over i < T of (R[T, i] - R[i, i])``. All old tasks i were learned at
    stage 0, so R[i, i] is R of the weights before training; T is the stage looked at. Negative
    is forgetting.

    Parameters
    ----------
    scores, protocol, before_protocol, stages, resampling
        See `change`.
    task : str
        ``"modality"`` or ``"experiment"`` (of a modality): what is one task.
    part : str
        ``"unseen"``: only cases of experiments that were not trained on, the old tasks proper.
        ``"seen"`` and `ALL` give the same difference for other cases.
    statistic : str
        R is the ``"mean"`` or the ``"median"`` F1 of a task's cases.

    Returns
    -------
    DataFrame
        Columns ``remedy, stage, protocol, before_protocol, statistic, seen, modality, experiment``
        (of the task; both `ALL` in the row of the average over tasks, each weighing the same),
        ``tasks`` (averaged), ``n`` (cases scored before and after), ``n_missing``,
        ``before, last, backward_transfer, low, high, confidence, samples, seed``. Cases are drawn
        task by task; where a task has a single case, there is no interval, neither for it nor for
        the average.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid.
    """
    table = read_scores(scores)
    rows = []
    for pair in table.pairs(protocol, before_protocol, stages):
        tasks = Tasks(table, task, part, statistic, resampling, (pair.before, pair.after))
        for entry in tasks.entries():
            low, high = resampling.interval(entry.samples[1] - entry.samples[0])
            before, last = entry.accuracy
            rows.append(
                {
                    "remedy": pair.remedy, "stage": pair.stage, "protocol": pair.protocol,
                    "before_protocol": pair.before_protocol, **entry.about,
                    "before": before, "last": last, "backward_transfer": last - before,
                    "low": float(low), "high": float(high),
                }
            )  # fmt: skip
    return pd.DataFrame(rows).assign(**resampling.settings())


def forgetting(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    *,
    task: str = "modality",
    part: str = UNSEEN,
    statistic: str = "mean",
    resampling: Resampling = RESAMPLING,
) -> pd.DataFrame:
    """Forgetting in both published senses: from the start, and from the best stage before.

    ``initial_minus_last``
        R_0 - R_last, the accuracy on a task right after it was learned less the accuracy at the
        end: as `avalanche` has it (``ExperienceForgetting``, and ``StreamForgetting`` for the
        average over tasks). It is minus the backward transfer.
    ``max_minus_last``
        f = max over all stages l before the last of R_l, minus R_last: Chaudhry et al. 2018
        (*Riemannian Walk for Incremental Learning*, ECCV, eq. 3); the average over tasks is their
        eq. 4. Stage 0 is one of the stages. It is negative where the last stage is the best.
    ``max_with_last_minus_last``
        The same with the last stage among those of the maximum, as `mammoth` computes it
        (``utils/metrics.py``); never below 0.

    All stages of a training count, and only cases that were scored at every one of them. The best
    stage is looked for anew in every sample. A maximum over noisy stages is too high rather than
    too low, so ``max_minus_last`` overstates forgetting where cases are few and stages many.

    Parameters
    ----------
    scores, protocol, before_protocol, resampling
        See `change`.
    task, part, statistic
        See `backward_transfer`.

    Returns
    -------
    DataFrame
        Columns ``remedy, stage`` (the last), ``protocol, before_protocol, statistic, seen,
        modality, experiment, tasks, n, n_missing`` (as in `backward_transfer`, but for scores at
        every stage), ``stages`` (how many, stage 0 included), ``initial, best`` (before the last
        stage), ``best_stage`` (the first where several are level; -1 in the row of the average
        and where there is no case), ``last, initial_minus_last, initial_low, initial_high,
        max_minus_last, max_low, max_high, max_with_last_minus_last, confidence,
        samples, seed``.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid.
    """
    table = read_scores(scores)
    rows = []
    for pair in table.pairs(protocol, before_protocol):
        stages = (0, *table.stages(pair.remedy, pair.protocol))
        series = (pair.before, *(table.after(pair.remedy, pair.protocol, s) for s in stages[1:]))
        tasks = Tasks(table, task, part, statistic, resampling, series)
        per_task: list[tuple[Floats, Floats]] = []
        for entry in tasks.entries():
            if entry.is_average:
                numbers, samples = _average(per_task, entry.samples.shape[1])
                best_stage = -1
            else:
                numbers = _measures(np.array(entry.accuracy)[:, None])[:, 0]
                samples = _measures(entry.samples)
                known = not np.isnan(numbers).any()
                best_stage = stages[int(np.argmax(entry.accuracy[:-1]))] if known else -1
                if known:
                    per_task.append((numbers, samples))
            low, high = resampling.interval(samples)
            initial, best, last, from_initial, from_max, with_last = numbers.tolist()
            rows.append(
                {
                    "remedy": pair.remedy, "stage": pair.stage, "protocol": pair.protocol,
                    "before_protocol": pair.before_protocol, **entry.about,
                    "stages": len(stages), "initial": initial, "best": best,
                    "best_stage": best_stage, "last": last, "initial_minus_last": from_initial,
                    "initial_low": low[3], "initial_high": high[3], "max_minus_last": from_max,
                    "max_low": low[4], "max_high": high[4],
                    "max_with_last_minus_last": with_last,
                }
            )  # fmt: skip
    return pd.DataFrame(rows).assign(**resampling.settings())


def _measures(accuracy: Floats) -> Floats:
    """From R of all stages, shape (stages, k): initial, best, last and the three differences."""
    initial, last = accuracy[0], accuracy[-1]
    best = accuracy[:-1].max(axis=0)
    with_last = np.maximum(best, last)
    return np.stack([initial, best, last, initial - last, best - last, with_last - last])


def _average(per_task: list[tuple[Floats, Floats]], samples: int) -> tuple[Floats, Floats]:
    if not per_task:
        return np.full(6, np.nan), np.full((6, samples), np.nan)
    return (
        np.mean([numbers for numbers, _ in per_task], axis=0),
        np.mean([drawn for _, drawn in per_task], axis=0),
    )


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
