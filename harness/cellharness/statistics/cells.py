"""What became of the true cells: kept, lost or won by a training, altogether and by property."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellharness.statistics.contrasts import Unit, mean_difference, units_of
from cellharness.statistics.staged_scores import PARTS, SEEN, Floats, ForgettingError
from cellharness.statistics.summary import ALL

FATES = ("kept", "lost", "won", "never")

_ABOUT = ("case", "modality", "experiment", "seen")


def mark_found(
    case: str,
    cells: pd.DataFrame,
    before: Iterable[int],
    after: Iterable[int],
    excluded: Iterable[int] = (),
) -> pd.DataFrame:
    """Put beside the cells of a case whether they were found before and after.

    A true cell is found where the matcher gave it a predicted cell. With
    ``score = cellharness.scoring.score_pair(gt, pred, "strict", thresholds=0.5, matches=True)`` the
    ids found are ``[m.gt_label for m in score.matches]``, and those excluded
    ``score.excluded_true``, whatever the prediction. A case whose prediction failed found nothing.

    Parameters
    ----------
    case : str
        Its name.
    cells : DataFrame
        From `cellharness.scoring.cell_properties.measure_cells`.
    before, after : iterable of int
        Ids of the true cells found.
    excluded : iterable of int
        Ids that the border rule took out of the scoring; their rows are left out.

    Returns
    -------
    DataFrame
        ``case``, the columns of `cells`, ``found_before, found_after`` (bool). Tables of several
        cases may be put under each other.

    Raises
    ------
    ForgettingError
        A cell was found that is not among the cells, or is excluded, or was found twice.
    """
    kept = cells[~cells["cell"].isin(list(excluded))]
    sides = {}
    for name, found in (("found_before", before), ("found_after", after)):
        ids = [int(label) for label in found]
        strangers = sorted(set(ids) - set(kept["cell"]))
        if strangers:
            msg = f"case {case!r}: cell {strangers[0]} of {name} is none of the cells scored"
            raise ForgettingError(msg)
        if len(set(ids)) < len(ids):
            msg = f"case {case!r}: {name} has a cell twice; a match is one to one"
            raise ForgettingError(msg)
        sides[name] = kept["cell"].isin(ids)
    marked = kept.assign(**sides).reset_index(drop=True)
    marked.insert(0, "case", case)
    return marked


def cell_retention(
    cells: pd.DataFrame,
    cases: pd.DataFrame,
    *,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Share of the true cells found before that are still found, pooled over cases.

    A pooled share is the mean of the cases' shares, weighted by their cells, so its interval is
    that of `mean_difference`, whose units are experiments or images with all their cells.

    Parameters
    ----------
    cells : DataFrame
        One row a true cell: ``case, cell, found_before, found_after``; see `mark_found`.
    cases : DataFrame
        Columns ``case, modality, experiment, seen`` (bool), each case once, those without a cell
        included; a table of scores without its repeated cases will do.
    unit : {"experiment", "image"}, optional
        See `cellharness.statistics.contrast`.
    confidence : float
        Of the intervals.

    Returns
    -------
    DataFrame
        One row a modality (and `ALL`) and part: ``modality, seen, n`` (cases), ``unit, n_units``
        (with a cell found before), ``n_true`` (cells), ``kept`` (found before and after), ``lost``
        (before only), ``won`` (after only), ``never``; ``retention`` (``kept / (kept + lost)``),
        ``low, high, recall_before, recall_after, confidence``. Intervals as `mean_difference` has
        them, within 0 and 1.

    Raises
    ------
    ForgettingError
        The cells are not valid, or one of their cases is not in `cases`, or stands there twice.
    """
    _check(cells, ())
    about = _about(cells, cases)
    chosen, units = units_of(about["modality"], about["experiment"], unit)
    counts = _count(cells, about["case"], np.zeros(len(cells), np.intp), 1)[:, 0]
    rows = []
    for modality in (ALL, *dict.fromkeys(about["modality"])):
        within = (about["modality"] == modality) | (modality == ALL)
        for part in PARTS:
            here = (within & ((about["seen"].astype(bool) == (part == SEEN)) | (part == ALL))).array
            kept, lost, won, _ = counts[:, here]
            share = _share(kept, kept + lost, units[here], chosen, confidence)
            totals = counts[:, here].sum(axis=1)
            total = totals.sum()
            rows.append(
                {
                    "modality": modality, "seen": part, "n": int(here.sum()), "unit": chosen,
                    "n_units": np.unique(units[here][kept + lost > 0]).size, "n_true": int(total),
                    **dict(zip(FATES, totals.astype(int).tolist(), strict=True)),
                    **dict(zip(("retention", "low", "high"), share, strict=True)),
                    "recall_before": (kept + lost).sum() / total if total else np.nan,
                    "recall_after": (kept + won).sum() / total if total else np.nan,
                }
            )  # fmt: skip
    return pd.DataFrame(rows).assign(confidence=confidence)


def recall_by_property(
    cells: pd.DataFrame,
    cases: pd.DataFrame,
    properties: Sequence[str],
    bins: int = 5,
    *,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Recall before and after a training in bins of a property of the cells.

    Bins are quantiles over all cells given, so each holds about as many; equal values stay
    together, which may make fewer bins than asked for. To keep modalities apart, give the cells of
    one at a time. Intervals are of given bins, and as those of `cell_retention`.

    Parameters
    ----------
    cells : DataFrame
        One row a true cell: ``case, cell``, the `properties` (NaN where a cell has none),
        ``found_before, found_after`` (bool); see `mark_found`.
    cases, unit, confidence
        See `cell_retention`.
    properties : sequence of str
        Columns to bin by, each for itself.
    bins : int
        How many quantiles.

    Returns
    -------
    DataFrame
        One row a property and bin, from the lowest: ``property, bin`` (from 0), ``lower, upper``
        (a bin holds its upper end, and only the first its lower one), ``middle`` (median of
        its cells), ``n`` (cells), ``n_cases, unit, n_units, n_undefined`` (cells of the whole table
        without this property, in no bin), ``kept, lost, won, never, recall_before, before_low,
        before_high, recall_after, after_low, after_high, change`` (of recall, after minus before),
        ``change_low, change_high, confidence``. No rows for a property that no cell has.

    Raises
    ------
    ForgettingError
        A column is missing, a cell stands there twice, a case is not in `cases` or stands there
        twice, or `bins` is below 1.
    """
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        msg = f"bins is {bins!r}; valid are whole numbers from 1 on"
        raise ForgettingError(msg)
    _check(cells, properties)
    about = _about(cells, cases)
    chosen, units = units_of(about["modality"], about["experiment"], unit)
    rows: list[dict[str, object]] = []
    for name in properties:
        values = cells[name].to_numpy(np.float64)
        known = ~np.isnan(values)
        values = values[known]
        upper = _upper_edges(values, bins)
        place = np.searchsorted(upper, values, side="left")
        counts = _count(cells[known], about["case"], place, len(upper))
        for number, end in enumerate(upper):
            kept, lost, won, never = counts[:, number]
            total = kept + lost + won + never
            row: dict[str, object] = {
                "property": name, "bin": number,
                "lower": upper[number - 1] if number else values.min(), "upper": end,
                "middle": float(np.median(values[place == number])), "n": int(total.sum()),
                "n_cases": np.count_nonzero(total), "unit": chosen,
                "n_units": np.unique(units[total > 0]).size, "n_undefined": int((~known).sum()),
                **dict(zip(FATES, counts[:, number].sum(axis=1).astype(int).tolist(), strict=True)),
            }  # fmt: skip
            for column, stem, hits in (
                ("recall_before", "before", kept + lost),
                ("recall_after", "after", kept + won),
                ("change", "change", won - lost),
            ):
                found = _share(hits, total, units, chosen, confidence, signed=stem == "change")
                row |= dict(zip((column, f"{stem}_low", f"{stem}_high"), found, strict=True))
            rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else list(_CURVE)).assign(confidence=confidence)


_CURVE = (
    "property", "bin", "lower", "upper", "middle", "n", "n_cases", "unit", "n_units", "n_undefined",
    *FATES, "recall_before", "before_low", "before_high", "recall_after", "after_low", "after_high",
    "change", "change_low", "change_high",
)  # fmt: skip


def _share(
    hits: Floats,
    totals: Floats,
    units: NDArray[np.int64],
    unit: Unit,
    confidence: float,
    *,
    signed: bool = False,
) -> tuple[float, float, float]:
    """Pooled share of cells, with its interval, from counts by case."""
    some = totals > 0
    found = mean_difference(
        hits[some] / totals[some], units[some], unit=unit, confidence=confidence,
        weights=totals[some], bounds=(-1.0 if signed else 0.0, 1.0),
    )  # fmt: skip
    return found.estimate, found.low, found.high


def _count(cells: pd.DataFrame, cases: pd.Series, place: NDArray[np.intp], bins: int) -> Floats:
    """Cells by fate, bin and case."""
    was, is_now = (cells[name].to_numpy(bool) for name in ("found_before", "found_after"))
    case = pd.Index(cases.astype(str)).get_indexer(pd.Index(cells["case"].astype(str)))
    at = place * len(cases) + case
    fates = (was & is_now, was & ~is_now, ~was & is_now, ~(was | is_now))
    counts = [np.bincount(at[fate], minlength=bins * len(cases)) for fate in fates]
    return np.stack(counts).reshape(len(FATES), bins, len(cases)).astype(np.float64)


def _check(cells: pd.DataFrame, properties: Sequence[str]) -> None:
    needed = ("case", "cell", *properties, "found_before", "found_after")
    absent = [name for name in needed if name not in cells.columns]
    if absent:
        msg = f"the cells lack the columns {', '.join(absent)}; they need {', '.join(needed)}"
        raise ForgettingError(msg)
    twice = cells[cells.duplicated(["case", "cell"])]
    if not twice.empty:
        msg = f"cell {twice['cell'].iloc[0]} of case {twice['case'].iloc[0]!r} stands there twice"
        raise ForgettingError(msg)


def _about(cells: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    absent = [name for name in _ABOUT if name not in cases.columns]
    if absent:
        msg = f"the cases lack the columns {', '.join(absent)}; they need {', '.join(_ABOUT)}"
        raise ForgettingError(msg)
    about = cases[list(_ABOUT)].drop_duplicates().reset_index(drop=True)
    if about["case"].duplicated().any():
        case = about.loc[about["case"].duplicated(), "case"].iloc[0]
        msg = f"case {case!r} stands in the table of cases with two modalities or kinds of seen"
        raise ForgettingError(msg)
    lacking = sorted(set(cells["case"]) - set(about["case"]))
    if lacking:
        msg = f"the table of cases has no modality, experiment and seen for case {lacking[0]!r}"
        raise ForgettingError(msg)
    return about


def _upper_edges(values: Floats, bins: int) -> Floats:
    """Quantiles, each once: values that occur, so that every bin up to one holds a cell."""
    if values.size == 0:
        return np.zeros(0)
    # Whole numbers: 3 / 5 of 100 cells are 60, and in floating point a little more.
    places = -(-np.arange(1, bins + 1) * values.size // bins) - 1
    edges: Floats = np.unique(np.sort(values)[places])
    return edges
