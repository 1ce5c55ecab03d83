"""Small forgetting studies, written down by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: Six cases: two seen and one unseen of brightfield, three unseen of fluorescent.
CASES = {
    "b1": ("Brightfield", "smear", True),
    "b2": ("Brightfield", "smear", True),
    "b3": ("Brightfield", "tissue", False),
    "f1": ("Fluorescent", "nuclei", False),
    "f2": ("Fluorescent", "nuclei", False),
    "f3": ("Fluorescent", "neurons", False),
}


def study(runs, cases=None):
    """Lay out ``{(remedy, stage[, protocol]): [F1 of each case]}`` as the long table."""
    cases = cases or CASES
    rows = []
    for (remedy, stage, *protocol), scores in runs.items():
        for (case, about), f1 in zip(cases.items(), scores, strict=True):
            rows.append((remedy, stage, *(protocol or ["plain"]), case, *about, f1))
    columns = ["remedy", "stage", "protocol", "case", "modality", "experiment", "seen", "f1"]
    return pd.DataFrame(rows, columns=columns)


def unseen(count, modality="DIC", seen=False):
    """Names and facts of many cases of one modality, each an experiment of its own."""
    return {f"c{i:03}": (modality, f"e{i:03}", seen) for i in range(count)}


def simulated(cases=40, stages=(0, 5, 10), remedies=("plain", "replay"), seed=0, holes=0.0):
    """A study of four modalities with a loss on unseen and a gain on seen experiments."""
    rng = np.random.default_rng(seed)
    modalities = ("Brightfield", "Fluorescent", "Phase-contrast", "DIC")
    about = {f"c{i:03}": (modalities[i % 4], f"e{i % 4}{i % 3}", i % 3 == 0) for i in range(cases)}
    ground = rng.beta(5, 2, cases)
    is_seen = np.array([facts[2] for facts in about.values()])
    runs = {}
    for number, remedy in enumerate(remedies):
        for stage in stages:
            drift = np.where(is_seen, 0.01, -0.015 / (number + 1)) * stage
            f1 = (ground + drift + rng.normal(0, 0.05 * (stage > 0), cases)).clip(0, 1)
            f1[rng.random(cases) < holes] = np.nan
            runs[remedy, stage] = f1
    return study(runs, about)


def one(frame, **where):
    """Return the one row with these values."""
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]
