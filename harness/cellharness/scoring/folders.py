"""Score a folder of predictions against a folder of truths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cellharness.data.folders import LABEL_SUFFIXES, PassedOver, labels_of, tell
from cellharness.errors import UsageError
from cellharness.scoring.files import Job, Progress, Row, score_files
from cellharness.scoring.validation import ScoringError, check_profile
from cellharness.vocabulary import COUNTS, RATIOS, STRICT_RATIOS

if TYPE_CHECKING:
    import pandas as pd

_NAMED_AT_MOST = 10


def score_folders(
    gt_dir: str | os.PathLike[str],
    pred_dir: str | os.PathLike[str],
    profile: str = "challenge",
    thresholds: float | Sequence[float] = (0.5,),
    workers: int = 1,
    progress: Progress | None = None,
    *,
    ignore_extra: bool = False,
    border: int = 2,
    both_empty: str = "one",
) -> pd.DataFrame:
    """Score every truth of a folder; the truths say what must be there.

    Parameters
    ----------
    gt_dir, pred_dir
        Folders of label images, paired as `pair_folders` says.
    profile
        ``"challenge"`` or ``"strict"``, see `score_pair`.
    thresholds
        IoU thresholds in (0, 1].
    workers, progress
        As in `score_files`.
    ignore_extra
        Leave out predictions that have no truth, instead of raising an error.
    border, both_empty
        Options of profile ``strict``, as in `score_pair`.

    Returns
    -------
    DataFrame
        One row a case and threshold, sorted by case, with the columns `case`, `threshold`,
        `status`, `n_true`, `n_pred`, `tp`, `fp`, `fn` (nullable integers), `precision`, `recall`,
        `f1`, `dice`, and for ``strict`` also `sq`, `rq`, `pq`, `ap` and `aji`. `status` is
        ``ok``, ``empty`` (the prediction has no cell), ``missing`` or ``error``; what failed cases
        score is told at `score_files`. Column `remarks`, the last, says where ids do not look like
        one a cell. ``frame.attrs`` has ``"messages"``, the reasons by case, ``"remarks"`` by case,
        and ``"passed_over"``, the `PassedOver` files of both folders.

    Raises
    ------
    ScoringError
        If the folders cannot be paired or an option is not valid.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tifffile
    >>> cells = np.kron(np.array([[0, 1], [2, 0]], np.uint8), np.ones((9, 9), np.uint8))
    >>> with tempfile.TemporaryDirectory() as gt, tempfile.TemporaryDirectory() as pred:
    ...     tifffile.imwrite(f"{gt}/one_label.tiff", cells)
    ...     tifffile.imwrite(f"{pred}/one_label.tiff", cells * (cells == 1))
    ...     table = score_folders(gt, pred, "strict", border=0)
    >>> table[["case", "tp", "fn", "precision", "recall"]].values.tolist()
    [['one', 1, 1, 1.0, 0.5]]
    """
    check_profile(profile)
    jobs, passed_over = _paired(Path(gt_dir), Path(pred_dir), ignore_extra)
    # Processes that score import this module and make no table.
    import pandas as pd

    metrics = COUNTS + RATIOS + (STRICT_RATIOS if profile == "strict" else ())
    rows: list[Row] = []
    messages: dict[str, str] = {}
    remarks: dict[str, tuple[str, ...]] = {}
    for scores in score_files(
        jobs, profile, thresholds, workers, progress, border=border, both_empty=both_empty
    ):
        rows += scores.rows
        if scores.message:
            messages[scores.case] = scores.message
        if scores.remarks:
            remarks[scores.case] = scores.remarks
    frame = pd.DataFrame(rows, columns=["case", "threshold", "status", *metrics, "remarks"])
    frame = frame.astype(dict.fromkeys(COUNTS, "Int64"))
    frame.attrs |= {"messages": messages, "remarks": remarks, "passed_over": passed_over}
    return frame


def pair_folders(
    gt_dir: str | os.PathLike[str],
    pred_dir: str | os.PathLike[str],
    *,
    ignore_extra: bool = False,
) -> list[Job]:
    """Pair truths and predictions by stem.

    The stem of ``<stem>_label.tiff`` and of ``<stem>.tiff`` is the same; all of `LABEL_SUFFIXES`
    serve, on either side; see `cellharness.data.folders.labels_of`. Only the last suffix is cut
    off, so ``a.b`` and ``a.c`` are two cases (the official script takes them for one).

    Returns
    -------
    list of Job
        One a truth, sorted by stem; `pred` is None where there is no prediction.

    Raises
    ------
    ScoringError
        If a folder does not exist, has no truth, has two files for one stem, or there are
        predictions without a truth and `ignore_extra` is False.
    """
    return _paired(Path(gt_dir), Path(pred_dir), ignore_extra)[0]


def _paired(gt_dir: Path, pred_dir: Path, ignore_extra: bool) -> tuple[list[Job], list[PassedOver]]:
    """Pair the files of two folders, and tell which were passed over."""
    try:
        truths, predictions = labels_of(gt_dir), labels_of(pred_dir)
    except UsageError as error:
        raise ScoringError(str(error)) from error
    passed_over = [*truths.passed_over, *predictions.passed_over]
    if not truths.files:
        msg = (
            f"{gt_dir}: no label image; expected <stem>_label or <stem> with one of the suffixes "
            f"{', '.join(LABEL_SUFFIXES)}."
        )
        raise ScoringError(" ".join([msg, *tell(truths.passed_over)]))
    extra = [predictions.files[stem] for stem in sorted(set(predictions.files) - set(truths.files))]
    if extra and not ignore_extra:
        named = ", ".join(path.name for path in extra[:_NAMED_AT_MOST])
        more = f" and {len(extra) - _NAMED_AT_MOST} more" if len(extra) > _NAMED_AT_MOST else ""
        msg = (
            f"{pred_dir}: {len(extra)} predictions have no truth in {gt_dir}: {named}{more}. "
            "Add their truths, take them out, or have them ignored by name (ignore_extra)."
        )
        raise ScoringError(msg)
    passed_over += [PassedOver(path, "a prediction without a truth") for path in extra]
    jobs = [
        Job(stem, truths.files[stem], predictions.files.get(stem)) for stem in sorted(truths.files)
    ]
    return jobs, passed_over
