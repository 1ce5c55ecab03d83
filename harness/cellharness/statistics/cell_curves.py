"""Which cells were lost: recall before and after by size, contrast and density of the cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cellharness.statistics.cell_properties import PROPERTIES
from cellharness.statistics.resampling import FEWEST, RESAMPLING, Resampling
from cellharness.statistics.staged_scores import Floats, ForgettingError

_FATES = ("kept", "lost", "won")


def mark_found(
    case: str,
    cells: pd.DataFrame,
    before: Iterable[int],
    after: Iterable[int],
    excluded: Iterable[int] = (),
) -> pd.DataFrame:
    """Put beside the cells of a case whether they were found before and after.

    Parameters
    ----------
    case : str
        Its name.
    cells : DataFrame
        From `cellharness.statistics.cell_properties.measure_cells`.
    before, after : iterable of int
        Ids of the true cells found; see `cellharness.statistics.retention.cell_fates`.
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
        A cell was found that is not among the cells, or is excluded.
    """
    kept = cells[~cells["cell"].isin(list(excluded))]
    sides = {}
    for name, found in (("found_before", before), ("found_after", after)):
        ids = [int(label) for label in found]
        strangers = sorted(set(ids) - set(kept["cell"]))
        if strangers:
            msg = f"case {case!r}: cell {strangers[0]} of {name} is none of the cells scored"
            raise ForgettingError(msg)
        sides[name] = kept["cell"].isin(ids)
    marked = kept.assign(**sides).reset_index(drop=True)
    marked.insert(0, "case", case)
    return marked


def recall_by_property(
    cells: pd.DataFrame,
    properties: Sequence[str] = PROPERTIES,
    bins: int = 5,
    *,
    resampling: Resampling = RESAMPLING,
) -> pd.DataFrame:
    """Recall before and after a training in bins of a property of the cells.

    Bins are quantiles over all cells given, so each holds about as many; equal values stay
    together, which may make fewer bins than asked for. To keep modalities apart, give the cells of
    one at a time. The bootstrap draws cases with all their cells, as cells of one image are not
    independent; bins stay where they are.

    Parameters
    ----------
    cells : DataFrame
        One row a true cell: ``case, cell``, the `properties`, ``found_before, found_after`` (bool);
        see `mark_found`.
    properties : sequence of str
        Columns to bin by, each for itself; NaN where a cell has none.
    bins : int
        How many quantiles.
    resampling : Resampling
        Samples, seed and confidence.

    Returns
    -------
    DataFrame
        One row a property and bin, from the lowest: ``property, bin`` (from 0), ``lower, upper``
        (a bin holds its upper end, and only the first its lower one), ``middle`` (median of
        its cells), ``n`` (cells), ``n_cases, n_undefined`` (cells of the whole table without this
        property, in no bin), ``kept, lost, won, recall_before, before_low, before_high,
        recall_after, after_low, after_high, change`` (of recall, after minus before),
        ``change_low, change_high, confidence, samples, seed``. No intervals where the cells of a
        bin come from one case. No rows for a property that no cell has.

    Raises
    ------
    ForgettingError
        A column is missing, a cell stands there twice, or `bins` is below 1.
    """
    needed = ("case", "cell", *properties, "found_before", "found_after")
    absent = [name for name in needed if name not in cells.columns]
    if absent:
        msg = f"the cells lack the columns {', '.join(absent)}; they need {', '.join(needed)}"
        raise ForgettingError(msg)
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        msg = f"bins is {bins!r}; valid are whole numbers from 1 on"
        raise ForgettingError(msg)
    twice = cells[cells.duplicated(["case", "cell"])]
    if not twice.empty:
        msg = f"cell {twice['cell'].iloc[0]} of case {twice['case'].iloc[0]!r} stands there twice"
        raise ForgettingError(msg)
    was, is_now = (cells[name].to_numpy(bool) for name in ("found_before", "found_after"))
    names = sorted(cells["case"].astype(str).unique())
    case = pd.Index(names).get_indexer(cells["case"].astype(str))
    fates = np.stack([was & is_now, was & ~is_now, ~was & is_now, ~(was | is_now)])
    weights = resampling.draw(len(names))
    blocks = [
        _curve(name, cells[name].to_numpy(np.float64), case, fates, bins, weights, resampling)
        for name in properties
    ]
    frame = pd.concat(blocks, ignore_index=True)
    return frame.assign(**resampling.settings())


def _curve(
    name: str,
    values: Floats,
    case: NDArray[np.intp],
    fates: NDArray[np.bool_],
    bins: int,
    weights: Floats,
    resampling: Resampling,
) -> pd.DataFrame:
    known = ~np.isnan(values)
    upper = _upper_edges(values[known], bins)
    count = len(upper)
    place = np.searchsorted(upper, values[known], side="left")
    # Cells by fate, bin and case.
    cases = len(weights)
    cells = np.stack(
        [
            np.bincount(place[fate] * cases + case[known][fate], minlength=count * cases)
            for fate in fates[:, known]
        ]
    ).reshape(4, count, cases)
    totals = cells.sum(axis=2)
    involved = np.count_nonzero(cells.sum(axis=0), axis=1)
    drawn = cells @ weights
    columns: dict[str, object] = {
        "property": name,
        "bin": np.arange(count),
        "lower": np.r_[values[known].min(initial=np.inf), upper[:-1]][:count],
        "upper": upper,
        "middle": [float(np.median(values[known][place == number])) for number in range(count)],
        "n": totals.sum(axis=0),
        "n_cases": involved,
        "n_undefined": int((~known).sum()),
        **dict(zip(_FATES, totals, strict=False)),
    }
    recall, samples = _recalls(totals.astype(np.float64)), _recalls(drawn)
    samples[:, involved < FEWEST] = np.nan
    for number, (column, stem) in enumerate(
        (("recall_before", "before"), ("recall_after", "after"), ("change", "change"))
    ):
        low, high = resampling.interval(samples[number])
        columns |= {column: recall[number], f"{stem}_low": low, f"{stem}_high": high}
    return pd.DataFrame(columns)


def _upper_edges(values: Floats, bins: int) -> Floats:
    """Quantiles, each once: values that occur, so that every bin up to one holds a cell."""
    if values.size == 0:
        return np.zeros(0)
    # Whole numbers: 3 / 5 of 100 cells are 60, and in floating point a little more.
    places = -(-np.arange(1, bins + 1) * values.size // bins) - 1
    edges: Floats = np.unique(np.sort(values)[places])
    return edges


def _recalls(cells: Floats) -> Floats:
    """Recall before, after and their difference from cells by fate, shape (4, ...)."""
    kept, lost, won, _ = cells
    total = cells.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        before, after = (kept + lost) / total, (kept + won) / total
    return np.stack([before, after, after - before])
