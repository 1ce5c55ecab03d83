"""Sections that every report ends with: definitions, and where everything comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellharness.analysis.exposure import CONTAMINATION_RULE, LEVELS, NOTHING_KNOWN
from cellharness.printing.table import Row, Table
from cellharness.report.declare import Report, Section
from cellharness.report.provenance import (
    config_text,
    machine_of,
    methods_of,
    shorten_paths,
)


def definitions(template: str) -> Section:
    """A section of definitions, all in a template."""
    section = Section("definitions", "Definitions")

    @section.block(template)
    def _nothing_to_fill_in(_: Report) -> Mapping[str, Any]:
        return {}

    return section


provenance = Section("provenance", "Provenance")


@provenance.block("provenance.html")
def _provenance(d: Report) -> Mapping[str, Any]:
    record = d.run.record
    dataset = record.dataset.model_dump()
    if Path(dataset["manifest"]).parent.name == Path(dataset["root"]).name:
        # Where the manifest lies, which is told already.
        dataset["root"] = ""
    return {
        "methods": methods_of(d.run),
        "overlaps": d.overlaps,
        "contamination_rule": CONTAMINATION_RULE,
        "dataset": shorten_paths(dataset),
        "machine": machine_of(record),
        "git": {"commit": None, "dirty": False, **record.git},
        "config_yaml": config_text(d.run),
    }


@provenance.table()
def exposure_table(d: Report) -> Table | None:
    """Count the images at each level; None where nothing is known of any method."""
    frame = d.exposures
    if set(frame["seen"]) <= {NOTHING_KNOWN}:
        return None
    counts = Counter(zip(frame["method"], frame["seen"], strict=True))
    rows = []
    for method in d.run.methods:
        cells = (f"{counts[method, level]:,}" for level in LEVELS)
        rows.append(Row((d.run.labels[method], *cells), colour=d.colours[method]))
    return Table(
        name="exposure",
        title="What the methods had met of the images before",
        header=("Method", "The image", "Its experiment", "Its data set", "Nothing known"),
        rows=tuple(rows),
        frame=frame,
        notes=(
            "Images, each counted once, under the first of these that holds. The image: a training "
            "of this run learned from it or watched it. Its experiment: it did so with other "
            "images of that experiment. Its data set: a word of the training data that the method, "
            "its weights or those they started from name marks it, by the rule under "
            "Possible contamination; the list there counts images of earlier columns too. Nothing "
            "known is no proof that it was not met. Image by image: exposure.csv.",
        ),
    )
