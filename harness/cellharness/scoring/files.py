"""Score many pairs of label files without losing a case."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cellharness.data.images import ImageError, read_label
from cellharness.data.label_doubts import serious_doubts
from cellharness.data.label_rows import open_label_rows
from cellharness.scoring.contingency import Labels
from cellharness.scoring.pair import score_pair
from cellharness.scoring.processes import run_in_processes
from cellharness.scoring.strict import count_cells
from cellharness.scoring.validation import (
    ScoringError,
    check_pair,
    check_profile,
    check_strict_options,
    check_thresholds,
)
from cellharness.vocabulary import COUNTS, METRICS, SEGMENTED, STATUSES

_UNKNOWN: dict[str, Any] = dict.fromkeys(METRICS, math.nan)

Progress = Callable[[int, int], None]
Row = dict[str, Any]


class Job(NamedTuple):
    """One case to score.

    Attributes
    ----------
    case : str
        Its name.
    gt, pred : Path or None
        Label files of truth and prediction; None if there is none.
    status : str or None
        What the run recorded for the prediction, one of `STATUSES`. The file of a failed case is
        not read. None, ``"ok"`` and ``"empty"`` leave it to the file to tell which it is.
    """

    case: str
    gt: Path | None
    pred: Path | None
    status: str | None = None


@dataclass(frozen=True)
class CaseScores:
    """The rows of one case, one for each profile and threshold, in that order.

    Attributes
    ----------
    case : str
        Its name.
    rows : tuple of dict
        Each with `profile`, `case`, `threshold`, `status`, all of `METRICS` and `remarks`, the
        text of the remarks. What is not known is NaN, among the counts as well.
    message : str
        Why the case has no scores, or none in one profile; empty if all went well.
    remarks : tuple of str
        What makes the ids of the truth or of the prediction look as if they were not one a cell,
        such as a binary mask; the scores stand.
    """

    case: str
    rows: tuple[Row, ...]
    message: str
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, case: str, rows: Iterable[Row], message: str, remarks: Iterable[str] = ()
    ) -> CaseScores:
        """Put the remarks into the rows."""
        told = tuple(remarks)
        return cls(case, tuple(row | {"remarks": "; ".join(told)} for row in rows), message, told)


@dataclass(frozen=True)
class _Options:
    profiles: tuple[str, ...]
    thresholds: tuple[float, ...]
    border: int
    both_empty: str


def score_files(
    jobs: Iterable[Job],
    profiles: str | Sequence[str] = ("challenge", "strict"),
    thresholds: float | Sequence[float] = (0.5,),
    workers: int = 1,
    progress: Progress | None = None,
    *,
    border: int = 2,
    both_empty: str = "one",
) -> Iterator[CaseScores]:
    """Score label files, reading each once for all profiles and thresholds.

    No case is left out. One that is missing or failed, or whose files cannot be read or do not
    fit together, keeps its row and a status that says so, and

    - in ``strict`` its `tp`, `fp`, `n_pred` and all ratios are 0, and `fn` is `n_true` (both are
      NaN if it is the truth that cannot be read);
    - in ``challenge`` all counts and ratios are NaN, as the official script drops the case.

    A case without a truth cannot be scored in either: all is NaN, and a message says why.

    Parameters
    ----------
    jobs
        The cases, in the order in which they come back.
    profiles
        One or several of ``"challenge"`` and ``"strict"``.
    thresholds
        IoU thresholds in (0, 1].
    workers
        Processes to use. With more than one, a calling script needs the usual
        ``if __name__ == "__main__":`` guard. A worker that dies costs only the case it was at,
        which then has the status ``error``.
    progress
        Called with (cases done, all cases) after each case.
    border, both_empty
        Options of profile ``strict``, as in `score_pair`.

    Returns
    -------
    iterator of CaseScores
        In the order of `jobs`, each as soon as it is known.

    Raises
    ------
    ScoringError
        At the call, if an option or the status of a job is not valid; while iterating, only if
        no worker process can be started.
    """
    names = (profiles,) if isinstance(profiles, str) else tuple(profiles)
    for name in names:
        check_profile(name)
    check_strict_options(border, both_empty)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        msg = f"workers must be a whole number, 1 or more, not {workers!r}."
        raise ScoringError(msg)
    listed = list(jobs)
    for job in listed:
        if job.status is not None and job.status not in STATUSES:
            msg = f"{job.case}: unknown status {job.status!r}; valid are {', '.join(STATUSES)}."
            raise ScoringError(msg)
    options = _Options(names, check_thresholds(thresholds), border, both_empty)
    return _in_order(listed, options, workers, progress)


def _in_order(
    jobs: list[Job], options: _Options, workers: int, progress: Progress | None
) -> Iterator[CaseScores]:
    score = partial(_score_case, options=options)
    finished: Iterable[tuple[int, CaseScores]] = enumerate(map(score, jobs))
    if min(workers, len(jobs)) > 1:
        lost = partial(_lost_case, options=options)
        finished = run_in_processes(score, jobs, min(workers, len(jobs)), lost)
    early: dict[int, CaseScores] = {}
    following = 0
    for done, (index, scores) in enumerate(finished, start=1):
        if progress is not None:
            progress(done, len(jobs))
        early[index] = scores
        while following in early:
            yield early.pop(following)
            following += 1


def _score_case(job: Job, options: _Options) -> CaseScores:
    """Score one case; whatever goes wrong with it becomes its status and message."""
    with ExitStack() as held:
        return _score_held(job, options, held)


def _score_held(job: Job, options: _Options, held: ExitStack) -> CaseScores:
    """Score one case; files that are read by rows stay open as long as `held`."""
    status, message = _recorded_failure(job)
    if job.gt is None:
        rows = _rows_without_truth(job, options, status or "ok")
        return CaseScores.of(job.case, rows, "there is no truth to score it against")
    # Every exception, here and below: one bad file must not cost the table.
    try:
        gt = _labels(job.gt, held)
    except Exception as error:
        rows = _failed_rows(job, options.profiles, options, status or "error", math.nan)
        return CaseScores.of(job.case, rows, _reason(error))
    if status is None and job.pred is not None:
        try:
            return _score_labels(job, gt, _labels(job.pred, held), options)
        except Exception as error:
            status, message = "error", _reason(error)
    n_true = count_cells(gt, options.border)
    rows = _failed_rows(job, options.profiles, options, status or "missing", n_true)
    return CaseScores.of(job.case, rows, message, _remarks(truth=gt))


def _labels(path: Path, held: ExitStack) -> Labels:
    """A label image: in memory, or by rows where it is large."""
    rows = held.enter_context(open_label_rows(path))
    return read_label(path) if rows is None else rows


def _recorded_failure(job: Job) -> tuple[str | None, str]:
    """Return the status of a prediction that need not be read, and why; None if it is there."""
    if job.status is not None and job.status not in SEGMENTED:
        return job.status, f"the run recorded {job.status!r}"
    if job.pred is None:
        return "missing", "there is no prediction"
    if not job.pred.exists():
        return "missing", f"there is no prediction at {job.pred}"
    return None, ""


def _score_labels(job: Job, gt: Labels, pred: Labels, options: _Options) -> CaseScores:
    check_pair(gt, pred)
    status = "ok" if pred.any() else "empty"
    rows: list[Row] = []
    messages = []
    for profile in options.profiles:
        rules: dict[str, Any] = {}
        if profile == "strict":
            rules = {"border": options.border, "both_empty": options.both_empty}
        try:
            scores = score_pair(gt, pred, profile, options.thresholds, **rules)
        # What one profile cannot score, wrapping ids say, the other may.
        except ScoringError as error:
            n_true = count_cells(gt, options.border)
            rows += _failed_rows(job, (profile,), options, "error", n_true)
            messages.append(f"{profile}: {error}")
        else:
            rows += [_row(profile, job.case, status, score.as_dict()) for score in scores]
    remarks = _remarks(truth=gt, prediction=pred)
    return CaseScores.of(job.case, rows, "; ".join(messages), remarks)


def _remarks(**sides: Labels) -> list[str]:
    # Its pieces are more than memory should hold where the image is.
    known = {side: labels for side, labels in sides.items() if isinstance(labels, np.ndarray)}
    return [f"{side}: {text}" for side, labels in known.items() for text in serious_doubts(labels)]


def _row(profile: str, case: str, status: str, score: Row) -> Row:
    head = {"profile": profile, "case": case, "threshold": score["threshold"], "status": status}
    return head | {name: score[name] for name in METRICS}


def _failed_rows(
    job: Job, profiles: Sequence[str], options: _Options, status: str, n_true: float
) -> tuple[Row, ...]:
    """Rows of a failed case: zeros in `strict`, NaN in `challenge`."""
    zeros: Row = dict.fromkeys(METRICS, 0.0) | dict.fromkeys(COUNTS, 0)
    found_nothing = zeros | {"n_true": n_true, "fn": n_true}
    return tuple(
        _row(
            profile,
            job.case,
            status,
            {"threshold": threshold} | (found_nothing if profile == "strict" else _UNKNOWN),
        )
        for profile in profiles
        for threshold in options.thresholds
    )


def _rows_without_truth(job: Job, options: _Options, status: str) -> tuple[Row, ...]:
    return tuple(
        _row(profile, job.case, status, {"threshold": threshold} | _UNKNOWN)
        for profile in options.profiles
        for threshold in options.thresholds
    )


def _lost_case(job: Job, options: _Options) -> CaseScores:
    """Rows of a case whose worker died: its truth is not read here, that may be what kills."""
    message = "the worker process died while scoring this case; it may have run out of memory"
    rows = _failed_rows(job, options.profiles, options, "error", math.nan)
    return CaseScores.of(job.case, rows, message)


def _reason(error: Exception) -> str:
    if isinstance(error, (ImageError, ScoringError)):
        return str(error)
    return f"{type(error).__name__}: {error}"
