"""Which differences the images of a run could show: a sentence and a table."""

from __future__ import annotations

import math

import pandas as pd

from cellharness.analysis.run_data import RunData
from cellharness.printing.table import Row, Table, group_title
from cellharness.printing.wording import NOTHING, absent, count, listing, number
from cellharness.records import Record, records
from cellharness.statistics.contrasts import FEWEST_UNITS, Unit, units_of
from cellharness.statistics.power import LEVEL, POWER, differences_of, power_table
from cellharness.vocabulary import SEGMENTED


def power_of_run(
    run: RunData, difference: float | None = None, unit: Unit | None = None
) -> pd.DataFrame:
    """Say which difference of two methods of a run its images can show."""
    masked = set(run.main.loc[run.main["status"].isin(SEGMENTED), "method"])
    cases, values = run.cases, run.f1_of([name for name in run.competing if name in masked])
    unit, units = units_of(cases["modality"], cases["experiment"], unit or run.unit)
    return power_table(
        differences_of(values.to_numpy(float)),
        cases["modality"].to_numpy(object),
        units,
        unit=unit,
        difference=difference,
    )


def power_sentence(frame: pd.DataFrame, between: str = "between two methods") -> str:
    """Say which difference can be seen, over all images and by modality; "" where none is known."""
    whole, *others = records(frame)
    few = [row["modality"] for row in others if row["n_units"] < FEWEST_UNITS]
    if whole["n_units"] < FEWEST_UNITS:
        return (
            f"With {count(whole['n_units'], whole['unit'])} no difference {between} could be "
            f"shown, however large; it takes {FEWEST_UNITS}."
        )
    if not _shown(whole):
        return ""
    text = (
        f"In {100 * POWER:.0f} of 100 such runs a difference of mean F1 of "
        f"{number(whole['detectable'], 2)} {between} would be shown"
    )
    of_each = [f"{row['modality']} {number(row['detectable'], 2)}" for row in others if _shown(row)]
    if of_each:
        text += f" ({'; '.join(of_each)})"
    if few:
        text += f"; in {listing(few)} none could, with fewer than {FEWEST_UNITS} {whole['unit']}s"
    return f"{text}. This is of one comparison, not corrected for others."


def power_report(frame: pd.DataFrame) -> Table:
    """Lay out what `power_table` found."""
    asked = "difference" in frame
    rows = []
    for row in records(frame):
        least = number(row["detectable"], 3) if _shown(row) else _why_not(row)
        cells = [
            group_title(row["modality"]), f"{row['n_images']:,}", f"{row['n_units']:,}",
            number(row["sd"], 2), number(row["correlation"], 2), least,
        ]  # fmt: skip
        if asked:
            cells += [_whole(row["units_needed"]), _whole(row["images_needed"])]
        rows.append(Row(tuple(cells)))
    first = records(frame)[0]
    header = ["Modality", "Images", f"{first['unit'].capitalize()}s", "SD", "Correlation",
              "Difference that shows"]  # fmt: skip
    notes = [
        f"Difference of mean F1 that would be shown in {100 * POWER:.0f} of 100 such data sets, "
        f"two-sided at {100 * LEVEL:g} %, one comparison, by {first['unit']}. SD and correlation "
        f"within an experiment, of paired differences of F1: "
        + ("assumed." if first["assumed"] else "measured, median over the pairs.")
    ]
    if asked:
        header += [f"{first['unit'].capitalize()}s for {first['difference']:g}", "Images"]
        notes.append(
            f"To show a difference of {first['difference']:g}: that many, with "
            f"{first['images_each']:.1f} images an experiment over all, and as now in a modality."
            if first["unit"] == "experiment"
            else f"To show a difference of {first['difference']:g}: that many."
        )
    return Table(
        name="power",
        title="Which difference of mean F1 these images can show",
        header=tuple(header),
        rows=tuple(rows),
        frame=frame,
        notes=tuple(notes),
    )


def _shown(row: Record) -> bool:
    return not absent(row["detectable"]) and row["detectable"] <= 1


def _why_not(row: Record) -> str:
    if row["n_units"] < FEWEST_UNITS:
        return f"none: fewer than {FEWEST_UNITS}"
    return "none" if not absent(row["detectable"]) else NOTHING


def _whole(value: float) -> str:
    if absent(value):
        return NOTHING
    return f"{value:,.0f}" if math.isfinite(value) else "over 10,000"
