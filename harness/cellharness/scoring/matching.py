"""Match cells one to one at an IoU threshold: the most pairs first, then the highest IoU."""

from __future__ import annotations

import numpy as np

from cellharness.scoring.overlaps import Overlaps

# Above this many entries a component is solved sparsely; below, the dense solver is quicker.
_DENSE_ENTRIES = 250_000


def match(overlaps: Overlaps, threshold: float) -> np.ndarray:
    """Choose the pairs that count as correct cells at one IoU threshold.

    Pairs with IoU >= `threshold` are candidates. Of all one-to-one choices among them those with
    the most pairs are best, and of these the one with the largest summed IoU. The number of pairs
    is that of the official script, which runs the Hungarian algorithm on the dense cost
    ``-(iou >= threshold) - iou / (2 * min(n_true, n_pred))``: its second term stays below 1 in
    sum, so it never buys IoU with a pair. Below a threshold of 0.5 that term also weighs pairs
    that are not candidates, so among choices of equal count the script may prefer another one; it
    never reports which.

    Above 0.5 a cell has at most one candidate, and nothing is to be solved. At 0.5 and below,
    only cells with several candidates are, one connected group at a time.

    Parameters
    ----------
    overlaps
        Cells and overlapping pairs, from `find_overlaps`.
    threshold
        In (0, 1].

    Returns
    -------
    ndarray of int64
        Positions of the chosen pairs in `overlaps`, ascending.
    """
    candidates = np.flatnonzero(overlaps.iou >= threshold)
    if threshold > 0.5:
        return candidates
    true, pred = overlaps.true_index[candidates], overlaps.pred_index[candidates]
    rivals = np.maximum(np.bincount(true)[true], np.bincount(pred)[pred]) if len(true) else true
    contested = rivals > 1
    if not contested.any():
        return candidates
    return np.sort(
        np.concatenate([candidates[~contested], _settle(overlaps, candidates[contested])])
    )


def _settle(overlaps: Overlaps, pairs: np.ndarray) -> np.ndarray:
    """Choose among contested pairs, each connected group by itself.

    A pair stays contested with its whole group: a cell with one candidate may lose it to another
    cell, so groups are found over contested pairs and every pair of a group is one of them.
    """
    # Seldom needed, and each process that scores would import it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, true = np.unique(overlaps.true_index[pairs], return_inverse=True)
    _, pred = np.unique(overlaps.pred_index[pairs], return_inverse=True)
    n_true, n_pred = int(true.max()) + 1, int(pred.max()) + 1
    nodes = n_true + n_pred
    graph = coo_array((np.ones(len(pairs), np.int8), (true, n_true + pred)), shape=(nodes, nodes))
    n_groups, group_of_node = connected_components(graph, directed=False)
    group = group_of_node[true]

    # Best pair of each group first; equal IoU is settled by the lower id, for repeatability.
    order = np.lexsort(
        (
            overlaps.pred.ids[overlaps.pred_index[pairs]],
            overlaps.true.ids[overlaps.true_index[pairs]],
            -overlaps.iou[pairs],
            group,
        )
    )
    starts = np.searchsorted(group[order], np.arange(n_groups + 1))
    width_true = np.bincount(group_of_node[:n_true], minlength=n_groups)
    width_pred = np.bincount(group_of_node[n_true:], minlength=n_groups)
    # Where one cell meets several, as a cell cut in halves does, the best pair is the answer.
    star = (width_true == 1) | (width_pred == 1)
    chosen = [pairs[order[starts[:-1][star]]]]
    for number in np.flatnonzero(~star):
        members = order[starts[number] : starts[number + 1]]
        best = _assign(true[members], pred[members], overlaps.iou[pairs[members]])
        chosen.append(pairs[members[best]])
    return np.concatenate(chosen)


def _assign(true: np.ndarray, pred: np.ndarray, iou: np.ndarray) -> np.ndarray:
    """Solve one group exactly; return the positions of the chosen pairs."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    _, rows = np.unique(true, return_inverse=True)
    _, columns = np.unique(pred, return_inverse=True)
    n_rows, n_columns = int(rows.max()) + 1, int(columns.max()) + 1
    # Each pair is worth 1 and its IoU at most half a pair in sum, so count comes first.
    worth = 1 + iou / (2 * min(n_rows, n_columns))
    if n_rows * n_columns <= _DENSE_ENTRIES:
        dense = np.zeros((n_rows, n_columns))
        dense[rows, columns] = worth
        picked = linear_sum_assignment(dense, maximize=True)
    else:
        # A private blank column for each row lets it stay unmatched. The solver drops zeros, so
        # all costs are kept positive: 2 for a blank, less for a pair.
        blanks = np.arange(n_rows)
        costs = csr_array(
            (
                np.concatenate([2 - worth, np.full(n_rows, 2.0)]),
                (np.concatenate([rows, blanks]), np.concatenate([columns, n_columns + blanks])),
            ),
            shape=(n_rows, n_columns + n_rows),
        )
        picked = min_weight_full_bipartite_matching(costs)
    partner = np.full(n_rows, -1)
    partner[picked[0]] = picked[1]
    return np.flatnonzero(partner[rows] == columns)
