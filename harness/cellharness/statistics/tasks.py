"""The accuracy of several sets of weights on the tasks of a study, and its average over tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cellharness.statistics.resampling import Resampling, center, check_statistic, resample
from cellharness.statistics.staged_scores import Floats, ForgettingError, Rows, StagedScores
from cellharness.statistics.summary import ALL

#: What can stand for a task.
TASKS = ("modality", "experiment")


@dataclass(frozen=True)
class TaskAccuracy:
    """R of several sets of weights on one task, or their average over tasks.

    Attributes
    ----------
    about
        Columns that say what it is.
    is_average
        Whether it is the average over tasks.
    accuracy
        R of each set of weights.
    samples : ndarray of float64, shape (sets of weights, samples)
        R in every sample.
    """

    about: dict[str, object]
    is_average: bool
    accuracy: tuple[float, ...]
    samples: Floats


class Tasks:
    """R[set of weights, task], with bootstrap samples drawn task by task.

    Parameters
    ----------
    table
        The scores.
    task, part, statistic
        See `backward_transfer`.
    resampling
        How to draw.
    series
        Scores of the sets of weights, each of shape (cases,); only cases scored in all count.
    """

    def __init__(
        self,
        table: StagedScores,
        task: str,
        part: str,
        statistic: str,
        resampling: Resampling,
        series: tuple[Floats, ...],
    ) -> None:
        if task not in TASKS:
            msg = f"unknown kind of task {task!r}; valid: {', '.join(TASKS)}"
            raise ForgettingError(msg)
        check_statistic(statistic)
        self._fixed: dict[str, object] = {"statistic": statistic, "seen": part}
        self._found: list[TaskAccuracy] = []
        stacked = np.stack(series)
        complete = ~np.isnan(stacked).any(axis=0)
        for modality, experiment, cases in _task_cases(table, task, table.part(part)):
            kept = cases[complete[cases]]
            values = stacked[:, kept]
            weights = resampling.draw(kept.size, modality, experiment, part)
            self._found.append(
                TaskAccuracy(
                    {
                        **self._fixed, "modality": modality, "experiment": experiment,
                        "tasks": int(kept.size > 0), "n": int(kept.size),
                        "n_missing": int(cases.size - kept.size),
                    },
                    False,
                    tuple(center(values, statistic).tolist()),
                    resample(values, weights, statistic),
                )
            )  # fmt: skip
        self._shape = (len(series), resampling.samples)

    def entries(
        self, modalities: set[str] | None = None, *, only_average: bool = False
    ) -> Iterator[TaskAccuracy]:
        """Yield the tasks, then their average, perhaps of some modalities only."""
        chosen = [e for e in self._found if modalities is None or e.about["modality"] in modalities]
        if not only_average:
            yield from chosen
        averaged = [e for e in chosen if e.about["tasks"]]
        values, samples = np.full(self._shape[0], np.nan), np.full(self._shape, np.nan)
        if averaged:
            values = np.mean([e.accuracy for e in averaged], axis=0)
            samples = np.mean([e.samples for e in averaged], axis=0)
        sums = {name: sum(e.about[name] for e in chosen) for name in ("n", "n_missing")}  # type: ignore[misc]
        about = {**self._fixed, "modality": ALL, "experiment": ALL, "tasks": len(averaged), **sums}
        yield TaskAccuracy(about, True, tuple(values.tolist()), samples)


def _task_cases(
    table: StagedScores, task: str, within: np.ndarray
) -> Iterator[tuple[str, str, Rows]]:
    for modality in table.modalities:
        here = within & (table.modality == modality)
        if task == "modality":
            if here.any():
                yield modality, ALL, np.flatnonzero(here)
            continue
        for experiment in dict.fromkeys(table.experiment[here]):
            yield modality, str(experiment), np.flatnonzero(here & (table.experiment == experiment))
