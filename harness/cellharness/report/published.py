"""The values that the paper's text prints, as reference rows beside measured ones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cellharness.analysis.run_data import RunData
from cellharness.printing.table import Row, Table
from cellharness.printing.wording import NOTHING, absent, number, spread
from cellharness.records import Record, by_key, records

#: What must stand wherever a published value is shown.
CAVEAT = "Published (other images: not comparable case by case)"

#: Where the values stand.
PREPRINT = "Ma et al., The Multi-modality Cell Segmentation Challenge: Towards Universal Solutions"

_NUMBERS = ("n", "median_f1", "q1", "q3")
_NO_NUMBER = "no number in the text"
_FILE = Path(__file__).with_name("published.csv")


def published() -> pd.DataFrame:
    """Read the published medians.

    Only numbers printed in the text of the preprint "The Multi-modality Cell Segmentation
    Challenge: Towards Universal Solutions" are given, as fractions (89.7 % is 0.897); where
    the text has none, the cell is NaN and the note says what it does say.

    Returns
    -------
    DataFrame
        Columns ``method, modality, n, median_f1, q1, q3, source, note``; modality ``All`` is the
        whole test set of 422 images.
    """
    return pd.read_csv(_FILE, keep_default_na=False, na_values={c: [""] for c in _NUMBERS})


def published_wanted(run: RunData) -> bool:
    """Whether a report shows the published medians: yes, unless its configuration says no."""
    return bool((run.config.get("report") or {}).get("published", True))


def median_and_iqr(row: Record) -> str:
    """Write a median F1, and the quartiles in brackets where they are known."""
    quartiles = "" if absent(row["q1"]) else f" ({spread(row['q1'], row['q3'])})"
    return number(row["median_f1"]) + quartiles


def published_table(values: pd.DataFrame) -> Table:
    """Set the published medians in a table of their own, apart from the measured ones."""
    groups = list(dict.fromkeys(values["modality"]))
    found = by_key(values, "method", "modality")
    rows = [
        Row((method, *(median_and_iqr(found[method, group]) for group in groups)))
        for method in dict.fromkeys(values["method"])
    ]
    sizes = {row["modality"]: int(row["n"]) for row in records(values)}
    remarks = [
        f"{row['method']}, {row['modality']}: {note}"
        for row in records(values)
        if (note := row["note"].removeprefix(_NO_NUMBER).strip("; "))
    ]
    return Table(
        name="published",
        title=f"{CAVEAT}: median F1 (IQR) at IoU ≥ 0.5 on the NeurIPS test set",
        header=("Method", *(f"{group} (n = {sizes[group]})" for group in groups)),
        rows=tuple(rows),
        frame=values,
        notes=(
            f"Only numbers printed in the preprint's text ({PREPRINT}, Results, Figs 3a and 4a–e); "
            f"{NOTHING}, no number there. Later versions of the paper may give others.",
            f"What the text says besides: {'; '.join(remarks)}.",
        ),
    )
