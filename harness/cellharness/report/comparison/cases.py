"""Single cases: examples of each modality, the best and the worst, and those without a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from cellharness.analysis.run_data import failure_message
from cellharness.errors import first_of
from cellharness.printing.table import Row, Table
from cellharness.printing.wording import NOTHING, absent, f1_at, number
from cellharness.records import by_key, records
from cellharness.report.comparison.data import Comparison
from cellharness.report.cutout_figure import cutout_figure
from cellharness.report.cutouts import CaseTiles, Pane, has_picture
from cellharness.report.declare import Section
from cellharness.report.selection import EXAMPLE_RULE, example_case, extremes
from cellharness.run_directory import remark_of
from cellharness.vocabulary import SEGMENTED

examples = Section("examples", "Examples")
best_and_worst = Section("extremes", "Best and worst images", "Best and worst")
failures = Section("failures", "Failures")

_EXAMPLE_PX, _SMALL_PX = 512, 320
_SHOWN_EXTREMES, _LISTED_EXTREMES = 2, 5


def _examples(d: Comparison) -> list[tuple[str, CaseTiles | None]]:
    """Example of each modality; None where no case may be shown."""
    found = []
    for group in d.run.groups[1:]:
        case = example_case(d.run.main[d.run.main["modality"] == group], d.licences[0])
        found.append((group, d.tiles(case, d.panel_methods) if case else None))
    return found


@examples.block("examples.html")
def _example_rows(d: Comparison) -> Mapping[str, Any]:
    return {
        "rows": [(group, tiles, _panes(d, tiles)) for group, tiles in _examples(d)],
        "rule": EXAMPLE_RULE,
        "licence_rule": d.licences[1],
        "n_methods": len(d.panel_methods),
    }


@examples.figure("examples", inline=False)
def examples_figure(d: Comparison, _: float) -> Figure:
    """All examples as one figure, in the manner of the paper's Fig. 4f."""
    return cutout_figure(_examples(d), d.panel_methods, d.run.labels, d.styles)


def _panes(d: Comparison, tiles: CaseTiles | None) -> list[Pane]:
    if not has_picture(tiles):
        return []
    assert tiles is not None
    return d.gallery.panes(tiles, "example", _EXAMPLE_PX, d.run.labels, d.colours)


@best_and_worst.block("extremes.html")
def _extreme_rows(d: Comparison) -> Mapping[str, Any]:
    main = d.run.main[d.run.main["case"].isin(d.licences[0])]
    pairs = {m: extremes(main[main["method"] == m], _SHOWN_EXTREMES) for m in d.panel_methods}
    # A case that several methods have in common is read for all of them at once.
    shown_of: dict[str, list[str]] = {}
    for method, pair in pairs.items():
        # Of few cases one may be among the best and among the worst.
        for case in pd.concat(pair)["case"].unique():
            shown_of.setdefault(case, []).append(method)
    for case, methods in shown_of.items():
        d.tiles(case, methods)
    rows = []
    for method, pair in pairs.items():
        ranks = [
            (rank, _extreme_panes(d, [d.tiles(case, [method]) for case in chosen["case"]]))
            for rank, chosen in zip(("Best", "Worst"), pair, strict=True)
        ]
        rows.append((d.run.labels[method], d.colours[method], ranks))
    return {"rows": rows, "shown": any(panes for _, _, ranks in rows for _, panes in ranks)}


def _extreme_panes(d: Comparison, shown: Sequence[CaseTiles]) -> list[Pane]:
    panes = []
    for tiles in filter(has_picture, shown):
        _, pane = d.gallery.panes(tiles, "small", _SMALL_PX, d.run.labels, d.colours)
        about = f"{tiles.modality}, {tiles.experiment}" if tiles.experiment else tiles.modality
        panes.append(pane._replace(name=tiles.case, note=about, colour=""))
    return panes


@best_and_worst.table(folded=True)
def extremes_table(d: Comparison) -> Table:
    """The best and worst cases of every method."""
    run = d.run
    rows, parts = [], []
    for method in run.methods:
        rows.append(Row((run.labels[method],), heading=True, colour=d.colours[method]))
        pair = extremes(run.main[run.main["method"] == method], _LISTED_EXTREMES)
        for rank, block in zip(("best", "worst"), pair, strict=True):
            parts.append(block.assign(rank=rank, label=run.labels[method]))
            for row in records(block):
                cells = (rank, row["case"], row["modality"], row["experiment"], number(row["f1"]))
                rows.append(Row((*cells, *(_whole(row.get(n)) for n in ("tp", "fp", "fn")))))
    frame = pd.concat(parts, ignore_index=True)
    keep = ["method", "label", "rank", "case", "modality", "experiment", "status", "f1"]
    keep += [name for name in ("tp", "fp", "fn") if name in frame]
    return Table(
        name="best_worst",
        title=f"Best and worst images of each method, {f1_at(run.threshold)}",
        header=("", "Case", "Modality", "Experiment", "F1", "TP", "FP", "FN"),
        rows=tuple(rows),
        frame=frame[keep],
        text=frozenset(range(4)),
        notes=("Among images with a mask; failures have a table of their own.",),
    )


@failures.words()
def _no_failure(d: Comparison) -> str:
    every = d.run.main["status"].isin(SEGMENTED).all()
    return "Every method gave a mask for every image." if every else ""


@failures.table()
def failure_table(d: Comparison) -> Table | None:
    """Every case without a mask, and why; None where there is none."""
    run = d.run
    failed = run.main[~run.main["status"].isin(SEGMENTED)]
    if failed.empty:
        return None
    told = by_key(run.ledger.drop_duplicates(["method", "case"]), "method", "case")
    frame = failed[["method", "case", "modality", "experiment", "status"]].copy()
    places = zip(frame["method"], frame["case"], strict=True)
    frame["message"] = [failure_message(told.get(place, {})) for place in places]
    frame.insert(1, "label", frame["method"].map(run.labels))
    rows = []
    for method in run.methods:
        block = frame[frame["method"] == method]
        if not block.empty:
            rows.append(Row((run.labels[method],), heading=True, colour=d.colours[method]))
        rows += [
            Row((row["case"], row["modality"], row["status"], row["message"] or NOTHING))
            for row in records(block)
        ]
    return Table(
        name="failures",
        title="Cases without a mask",
        header=("Case", "Modality", "Status", "Message"),
        rows=tuple(rows),
        frame=frame,
        text=frozenset(range(4)),
    )


@failures.table()
def remark_table(d: Comparison) -> Table | None:
    """What methods remarked on cases that have a mask; None where they remarked nothing."""
    run = d.run
    told = run.ledger.assign(remark=run.ledger["details"].map(remark_of))
    told = told[told["remark"] != ""]
    if told.empty:
        return None
    rows, found = [], []
    for method in run.methods:
        block = told[told["method"] == method]
        if not block.empty:
            rows.append(Row((run.labels[method],), heading=True, colour=d.colours[method]))
        for text, cases in block.groupby("remark", sort=False)["case"]:
            about = {"method": method, "label": run.labels[method], "remark": text}
            found.append({**about, "n": len(cases), "cases": " ".join(cases)})
            rows.append(Row((str(text), str(len(cases)), first_of(cases))))
    return Table(
        name="remarks",
        title="What methods remarked on cases that have a mask",
        header=("Remark", "Cases", "Which"),
        rows=tuple(rows),
        frame=pd.DataFrame(found),
        text=frozenset({0, 2}),
        notes=("The scores stand; all names of the cases are in the CSV.",),
    )


def _whole(value: float | None) -> str:
    return NOTHING if value is None or absent(value) else f"{int(value):,}"
