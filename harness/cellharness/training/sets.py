"""Which training cases are held back for validation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from cellharness.data.manifest import Case


def hold_back(cases: Sequence[Case], fraction: float, seed: int) -> tuple[list[Case], list[Case]]:
    """Split training cases into those to learn from and those to watch.

    Every modality gives its share, so that a validation score per modality exists; a
    modality with a single case gives none.

    Parameters
    ----------
    cases : sequence of Case
        The training split.
    fraction : float
        Share of each modality to hold back, rounded up; 0 holds nothing back.
    seed : int
        The same seed chooses the same cases.

    Returns
    -------
    train, validation : list of Case
        In the order of ``cases``.

    Examples
    --------
    >>> hold_back([], 0.2, seed=0)
    ([], [])
    """
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.modality or ""].append(case)
    held: set[str] = set()
    rng = np.random.default_rng(seed)
    for modality in sorted(groups):
        group = sorted(groups[modality], key=lambda case: case.case)
        # 0.07 of 100 is a little more than 7 in floating point, and would be rounded up to 8.
        share = math.ceil(fraction * len(group) - 1e-9)
        n = min(share, len(group) - 1)
        chosen = rng.choice(len(group), size=n, replace=False)
        held |= {group[index].case for index in chosen}
    return (
        [case for case in cases if case.case not in held],
        [case for case in cases if case.case in held],
    )
