"""What stays correct: cases above a score, and cells found, before and after a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import beta

from cellharness.statistics.resampling import FEWEST, RESAMPLING, Resampling
from cellharness.statistics.staged_scores import (
    PARTS,
    SEEN,
    ForgettingError,
    StagedScores,
    read_scores,
)
from cellharness.statistics.summary import ALL

#: A case counts as correct from this F1 on.
CORRECT_FROM = 0.5


def retention(
    scores: pd.DataFrame | StagedScores,
    protocol: str | None = None,
    before_protocol: str | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    correct_from: float = CORRECT_FROM,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Share of the cases correct before the training that stay correct after it.

    A case is correct if its F1 is at least `correct_from`. Retention is ``kept / (kept + lost)``.
    A case lost is a forgetting event of Toneva et al. 2019 (*An Empirical Study of Example
    Forgetting during Deep Neural Network Learning*, ICLR, section 3) between two stages. The
    interval is that of Clopper & Pearson 1934 for a share of independent cases, which does not
    close up to nothing where all of a few cases are kept.

    Parameters
    ----------
    scores, protocol, before_protocol, stages
        See `cellharness.statistics.change.change`.
    correct_from : float
        Above 0, at most 1.
    confidence : float
        Of the interval.

    Returns
    -------
    DataFrame
        Columns ``remedy, stage, protocol, before_protocol, modality, seen, n`` (cases scored
        before and after), ``n_missing, kept, lost, won, never`` (correct in both, before only,
        after only, neither), ``retention, low, high`` (NaN where no case was correct before),
        ``correct_from``.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid.
    """
    if not 0 < correct_from <= 1:
        msg = f"correct_from is {correct_from!r}; valid are numbers above 0 and up to 1"
        raise ForgettingError(msg)
    confidence = Resampling(confidence=confidence).confidence
    table = read_scores(scores)
    rows = []
    for pair in table.pairs(protocol, before_protocol, stages):
        for group in table.groups(("overall", "modality")):
            before, after = pair.before[group.rows], pair.after[group.rows]
            paired = ~(np.isnan(before) | np.isnan(after))
            was, is_now = before[paired] >= correct_from, after[paired] >= correct_from
            kept, lost = int((was & is_now).sum()), int((was & ~is_now).sum())
            low, high = _clopper_pearson(kept, kept + lost, confidence)
            rows.append(
                {
                    "remedy": pair.remedy, "stage": pair.stage, "protocol": pair.protocol,
                    "before_protocol": pair.before_protocol, "modality": group.modality,
                    "seen": group.seen, "n": int(paired.sum()), "n_missing": int((~paired).sum()),
                    "kept": kept, "lost": lost, "won": int((~was & is_now).sum()),
                    "never": int((~was & ~is_now).sum()),
                    "retention": kept / (kept + lost) if kept + lost else np.nan,
                    "low": low, "high": high,
                }
            )  # fmt: skip
    return pd.DataFrame(rows).assign(correct_from=correct_from)


def cell_fates(
    true: Mapping[str, Iterable[int]],
    before: Mapping[str, Iterable[int] | None],
    after: Mapping[str, Iterable[int] | None],
) -> pd.DataFrame:
    """What became of the true cells of every case: kept, lost, won or never found.

    A true cell is found where the matcher gave it a predicted cell. With
    ``score = cellharness.scoring.score_pair(gt, pred, "strict", thresholds=0.5, matches=True)`` the
    ids found are ``[m.gt_label for m in score.matches]``, and the true ones all ids of the truth
    but ``score.excluded_true``, whatever the prediction.

    Parameters
    ----------
    true : mapping of str to iterable of int
        Ids of the cells to be found, by case.
    before, after : mapping of str to iterable of int or None
        Ids of the cells found, by case. A case without an entry, or with None, was not scored; one
        whose prediction failed found nothing.

    Returns
    -------
    DataFrame
        One row a case, in the order of `true`: ``case, n_true, scored`` (on both sides), ``kept,
        lost, won, never`` (true cells found in both, before only, after only, in neither; as float,
        NaN where the case was not scored on both sides).

    Raises
    ------
    ForgettingError
        A cell is found that is not there, or twice, or a case is not in `true`.

    Examples
    --------
    >>> fates = cell_fates({"a": [1, 2, 3, 4, 5]}, {"a": [1, 2, 3]}, {"a": [2, 3, 4]})
    >>> fates[["kept", "lost", "won", "never"]].to_numpy().tolist()
    [[2.0, 1.0, 1.0, 1.0]]
    """
    for name, side in (("before", before), ("after", after)):
        unknown = [case for case in side if case not in true]
        if unknown:
            msg = f"{name} has case {unknown[0]!r}, of which the true cells are not given"
            raise ForgettingError(msg)
    rows = []
    for case, ids in true.items():
        cells = set(ids)
        sides = [_found(case, cells, side.get(case)) for side in (before, after)]
        old, new = sides
        if old is None or new is None:
            rows.append((case, len(cells), False, *[np.nan] * 4))
        else:
            fates = (old & new, old - new, new - old, cells - old - new)
            rows.append((case, len(cells), True, *(float(len(f)) for f in fates)))
    columns = ["case", "n_true", "scored", "kept", "lost", "won", "never"]
    return pd.DataFrame(rows, columns=columns)


def cell_retention(
    fates: pd.DataFrame, cases: pd.DataFrame, *, resampling: Resampling = RESAMPLING
) -> pd.DataFrame:
    """Share of the true cells found before that are still found, pooled over cases.

    Cells of one image are not independent, so the bootstrap draws cases with all their cells.

    Parameters
    ----------
    fates : DataFrame
        From `cell_fates`.
    cases : DataFrame
        Columns ``case, modality, seen`` (bool), each case once; a table of scores without its
        repeated cases will do.
    resampling : Resampling
        Samples, seed and confidence.

    Returns
    -------
    DataFrame
        One row a modality (and `ALL`) and part: ``modality, seen, n`` (cases scored on both
        sides), ``n_missing, n_true, kept, lost, won, never`` (cells of these n cases),
        ``retention`` (``kept / (kept + lost)``), ``low, high, recall_before, recall_after,
        confidence, samples, seed``.

    Raises
    ------
    ForgettingError
        A case of `fates` is not in `cases`, or stands there twice.
    """
    about = cases[["case", "modality", "seen"]].drop_duplicates()
    if about["case"].duplicated().any():
        case = about.loc[about["case"].duplicated(), "case"].iloc[0]
        msg = f"case {case!r} stands in the table of cases with two modalities or kinds of seen"
        raise ForgettingError(msg)
    table = fates.merge(about, on="case", how="left").sort_values("case", ignore_index=True)
    lacking = table.loc[table["modality"].isna() | table["seen"].isna(), "case"]
    if not lacking.empty:
        msg = f"the table of cases has no modality or seen for case {lacking.iloc[0]!r}"
        raise ForgettingError(msg)
    rows = []
    for modality in (ALL, *dict.fromkeys(about["modality"])):
        here = table if modality == ALL else table[table["modality"] == modality]
        for part in PARTS:
            chosen = here[here["seen"].astype(bool) == (part == SEEN)]
            group = here if part == ALL else chosen
            scored = group[group["scored"].astype(bool)]
            counts = scored[["kept", "lost", "won", "never"]].to_numpy(float).T
            kept, lost, won, never = counts.sum(axis=1)
            low = high = np.nan
            if len(scored) >= FEWEST:
                drawn = counts[:2] @ resampling.draw(len(scored), str(modality), part)
                with np.errstate(invalid="ignore"):
                    low, high = map(float, resampling.interval(drawn[0] / drawn.sum(axis=0)))
            total = counts.sum()
            rows.append(
                {
                    "modality": modality, "seen": part, "n": len(scored),
                    "n_missing": len(group) - len(scored), "n_true": int(total),
                    "kept": int(kept), "lost": int(lost), "won": int(won), "never": int(never),
                    "retention": kept / (kept + lost) if kept + lost else np.nan,
                    "low": low, "high": high,
                    "recall_before": (kept + lost) / total if total else np.nan,
                    "recall_after": (kept + won) / total if total else np.nan,
                }
            )  # fmt: skip
    return pd.DataFrame(rows).assign(**resampling.settings())


def _found(case: str, cells: set[int], ids: Iterable[int] | None) -> set[int] | None:
    if ids is None:
        return None
    found = [int(label) for label in ids]
    strangers = set(found) - cells
    if strangers:
        msg = f"case {case!r}: cell {min(strangers)} was found, but is none of the true cells"
        raise ForgettingError(msg)
    if len(set(found)) < len(found):
        msg = f"case {case!r}: a cell was found twice; a match is one to one"
        raise ForgettingError(msg)
    return set(found)


def _clopper_pearson(hits: int, trials: int, confidence: float) -> tuple[float, float]:
    if trials == 0:
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high
