"""Why the two profiles differ on a case, in words."""

from __future__ import annotations

from collections import Counter

from cellharness.data.images import ImageError, read_label
from cellharness.report.loading import RunData
from cellharness.report.records import Record, by_key, records
from cellharness.statistics import differing_cases
from cellharness.vocabulary import SEGMENTED

# From this many pixels on the official script works patch by patch.
_PATCHED_FROM = 25_000_000


def reasons(run: RunData) -> dict[str, str]:
    """Say for each method why its scores differ between the profiles.

    Parameters
    ----------
    run : RunData
        The run; masks of differing cases are opened to learn their size.

    Returns
    -------
    dict of str to str
        Method to a text such as ``"2 timeout; 1 both empty"``; methods without a difference are
        left out.
    """
    cases = differing_cases(run.scores, run.threshold)
    if cases.empty:
        return {}
    strict = by_key(run.main, "method", "case")
    counts: dict[str, Counter[str]] = {}
    for row in records(cases):
        score = strict[row["method"], row["case"]]
        reason = _reason(run, score, row["status_challenge"])
        counts.setdefault(row["method"], Counter())[reason] += 1
    return {
        method: "; ".join(f"{n} {reason}" for reason, n in counter.most_common())
        for method, counter in counts.items()
    }


def _reason(run: RunData, score: Record, status_challenge: str) -> str:
    if score["status"] not in SEGMENTED:
        return f"failed ({score['status']})"
    if status_challenge not in SEGMENTED:
        return f"not scored by the official script ({status_challenge})"
    if score.get("n_true") == 0 and score.get("n_pred") == 0:
        return "without cells on either side"
    try:
        pixels = read_label(run.prediction(score["method"], score["case"])).size
    except (ImageError, OSError):
        return "not explained (mask not readable)"
    return "scored in patches" if pixels >= _PATCHED_FROM else "other"
