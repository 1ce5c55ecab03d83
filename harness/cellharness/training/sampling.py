"""How often each training image is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np


def balanced_weights(groups: Sequence[str | None]) -> np.ndarray:
    """Probability of each image, such that all groups come equally often.

    Parameters
    ----------
    groups : sequence of str or None
        Modality of each image; unknown ones are a group of their own.

    Returns
    -------
    ndarray of float64, (len(groups),)
        Sums to 1.

    Examples
    --------
    >>> balanced_weights(["DIC", "DIC", "Brightfield"])
    array([0.25, 0.25, 0.5 ])
    """
    sizes = Counter(groups)
    weights = np.array([1.0 / sizes[group] for group in groups])
    return weights / weights.sum()
