"""How far the flows of found cells are from the network's, as Cellpose computes it on the CPU.

Same arithmetic as ``cellpose.metrics.flow_error`` (cellpose 3.1.1.3) over the flows of
:mod:`.heat`. A cell depends on no other, so cells are shared out to threads.
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np
from scipy.ndimage import find_objects

from cellharness_adapters.cellpose.cpu.heat import compare_cells


def flow_errors(
    masks: np.ndarray, flows: np.ndarray, *, pool: Executor, threads: int
) -> np.ndarray:
    """Mean squared difference of flows, cell by cell.

    Parameters
    ----------
    masks : ndarray of unsigned int, (H, W)
        0 background, labels 1 to n; none may be missing.
    flows : ndarray of float32, (2, H, W)
        Of the network: flow in y and in x, times 5.
    pool : Executor
        Of threads.
    threads : int
        How many cells to work on at once.

    Returns
    -------
    ndarray of float64, (n,)
        Equal to ``cellpose.metrics.flow_error`` bit by bit.
    """
    boxes = np.array(
        [(rows.start, rows.stop, cols.start, cols.stop) for rows, cols in find_objects(masks)],
        np.int64,
    )
    sizes = boxes[:, 1::2] - boxes[:, ::2]
    # Largest first, each thread every n-th of them, so that all end at about the same time.
    order = np.argsort(-sizes.prod(axis=1) * sizes.sum(axis=1), kind="stable")
    errors = np.empty(len(boxes))
    waiting = [
        pool.submit(compare_cells, masks, flows, boxes, order[part::threads], errors)
        for part in range(min(threads, len(boxes)))
    ]
    for part in waiting:
        part.result()
    return errors
