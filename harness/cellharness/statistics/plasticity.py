"""How each remedy differs from plain fine-tuning: what it keeps, and whether it gains as much."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from cellharness.statistics.contrasts import (
    OF_CHANGES,
    OF_SCORES,
    Estimate,
    Unit,
    mean_difference,
)
from cellharness.statistics.estimates import adjust_families, corrected, estimate_rows
from cellharness.statistics.staged_scores import (
    PARTS,
    ForgettingError,
    StagedScores,
    read_scores,
)
from cellharness.statistics.summary import ALL
from cellharness.vocabulary import MARGIN


def compare_with_plain(
    scores: pd.DataFrame | StagedScores,
    plain: str,
    protocol: str | None = None,
    before_protocol: str | None = None,
    stages: int | Mapping[str, int] | None = None,
    *,
    margin: float = MARGIN,
    unit: Unit | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare every remedy with plain fine-tuning, case by case.

    Compared are the changes (after minus before) of the same case under both trainings; where both
    started from the same weights, that is the difference of the scores after.

    That a difference is not significant does not make two trainings comparable. They are called so
    where two one-sided tests (Schuirmann 1987, *Journal of Pharmacokinetics and Biopharmaceutics*
    15:657) show that the mean difference lies between ``-margin`` and ``margin``, Holm-corrected
    over the remedies.

    Parameters
    ----------
    scores, protocol, before_protocol, stages, unit, confidence
        See `cellharness.statistics.change.change`.
    plain : str
        Name of the training without a remedy.
    margin : float
        In F1, above 0; to be chosen before looking at the scores.

    Returns
    -------
    DataFrame
        One row a remedy, modality (and `ALL`) and part: ``remedy, stage, plain, plain_stage,
        protocol, before_protocol, level, modality, seen, median_difference``; the
        `ESTIMATE_COLUMNS` of the change under the remedy less that under plain fine-tuning; of the
        equivalence ``margin, p_comparable, p_comparable_adjusted, comparable``. The remedies are a
        family, on each part and on each modality's part. No rows where there is no remedy.

    Raises
    ------
    ForgettingError
        The scores or a choice are not valid, or `plain` is none of the trainings.
    """
    if not margin > 0:
        msg = f"margin is {margin!r}; valid are numbers above 0, in F1, such as {MARGIN}"
        raise ForgettingError(msg)
    table = read_scores(scores)
    pairs = {pair.remedy: pair for pair in table.pairs(protocol, before_protocol, stages)}
    if plain not in pairs:
        msg = f"no training {plain!r} to compare with; there are: {', '.join(pairs)}"
        raise ForgettingError(msg)
    reference = pairs.pop(plain)
    unit, units = table.units(unit)
    about: list[dict[str, object]] = []
    found: list[Estimate] = []
    equivalent: list[float] = []
    for pair in pairs.values():
        every = (pair.after - pair.before) - (reference.after - reference.before)
        same_start = np.array_equal(pair.before, reference.before, equal_nan=True)
        bounds = OF_SCORES if same_start else OF_CHANGES
        for group in table.groups(("overall", "modality")):
            differences, here = every[group.rows], units[group.rows]
            known = differences[~np.isnan(differences)]
            about.append(
                {
                    "remedy": pair.remedy, "stage": pair.stage, "plain": plain,
                    "plain_stage": reference.stage, "protocol": pair.protocol,
                    "before_protocol": pair.before_protocol, "level": group.level,
                    "modality": group.modality, "seen": group.seen,
                    "median_difference": np.median(known) if known.size else math.nan,
                }
            )  # fmt: skip
            found.append(
                mean_difference(differences, here, unit=unit, confidence=confidence, bounds=bounds)
            )
            above, below = (
                mean_difference(differences + shift, here, unit=unit, confidence=confidence)
                for shift in (margin, -margin)
            )
            equivalent.append(max(above.p_higher, below.p_lower))
    rows = pd.DataFrame(about, columns=list(_ABOUT))
    families = [
        f"remedies against {plain}, {'all modalities' if name == ALL else name}, {part} experiments"
        for name, part in zip(rows["modality"], rows["seen"], strict=True)
    ]
    frame = estimate_rows(rows, found, families)
    order = frame["seen"].map({part: number for number, part in enumerate(PARTS)})
    frame = frame.assign(margin=margin, p_comparable=np.array(equivalent, np.float64))
    frame["p_comparable_adjusted"] = adjust_families(equivalent, families)
    frame["comparable"] = frame["p_comparable_adjusted"] < 1 - confidence
    return frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


_ABOUT = (
    "remedy", "stage", "plain", "plain_stage", "protocol", "before_protocol", "level", "modality",
    "seen", "median_difference",
)  # fmt: skip


def how_compared(rows: pd.DataFrame) -> str:
    """Say when two trainings are called comparable, for the note of a table or a caption.

    Parameters
    ----------
    rows : DataFrame
        From `compare_with_plain`.
    """
    row = rows.iloc[0]
    return (
        f"two one-sided tests at {1 - row['confidence']:.3g}, {corrected(rows)}, show that it "
        f"differs by less than {row['margin']:g}"
    )
