"""Tables of causes: the loss taken apart, and F1 under every protocol."""

from __future__ import annotations

import pandas as pd

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import worth_showing
from cellharness.report.forgetting.sentences import of_units, share_of_loss
from cellharness.report.forgetting.study import Study
from cellharness.report.records import Record, by_key, group_title, records
from cellharness.report.rendering import Row, Table
from cellharness.report.wording import (
    NOTHING,
    absent,
    number,
    p_value,
    percent,
    spread,
    with_interval,
    without_plus,
)
from cellharness.statistics import ALL
from cellharness.statistics.decomposition import (
    ALIKE,
    APPARENT,
    IMAGES,
    MODALITIES,
    OF_PROTOCOLS,
)
from cellharness.statistics.estimates import how_tested
from cellharness.statistics.staged_scores import SEEN, UNSEEN


def split_table(study: Study, findings: Findings) -> Table | None:
    """Give the loss as published beside that of weights evaluated alike; None without."""
    causes = findings.causes
    if causes.split is None or not causes.can_be_split:
        return None
    here = causes.split[causes.split["seen"] == UNSEEN]
    found = by_key(here, "modality", "estimand", "measure", "protocol")
    protocols = list(dict.fromkeys(here.loc[here["measure"] == ALIKE, "protocol"]))
    shown = [(group, IMAGES) for group in worth_showing(study.modalities)]
    if len(shown) > 1:
        shown.insert(1, (ALL, MODALITIES))
    rows = []
    for group, estimand in shown:
        apparent = found[group, estimand, APPARENT, ""]
        if not apparent["n_images"]:
            continue
        title = "Every modality weighing the same" if estimand == MODALITIES else group_title(group)
        loss = without_plus(with_interval(apparent))
        rows.append(Row((f"{title}: {of_units(apparent)}, apparent loss {loss}",), heading=True))
        for protocol in protocols:
            alike = found[group, estimand, ALIKE, protocol]
            between = found[group, estimand, OF_PROTOCOLS, protocol]
            cells = (
                study.protocol_labels[protocol], without_plus(with_interval(alike)),
                p_value(alike["p_adjusted"]), alike["opposed"] or NOTHING,
                without_plus(with_interval(between)), share_of_loss(between),
            )  # fmt: skip
            rows.append(Row(cells))
    first = records(here)[0]
    before, after = (
        study.protocol_labels[first[name]] for name in ("before_protocol", "trained_protocol")
    )
    return Table(
        name="decomposition",
        title="The loss of mean F1 on unseen experiments, as published and with both evaluated "
        "alike",
        header=("Both evaluated under", "Loss, both alike", "p", "Other sign in",
                "Difference of the protocols", "Share of the apparent loss"),
        rows=tuple(rows),
        frame=causes.split,
        text=frozenset({0, 3, 5}),
        measure="parts of the loss",
        notes=(
            f"Apparent loss: before under “{before}”, after under “{after}”; the loss with both "
            "alike and the difference of the protocols add up to it. Other sign in: modalities "
            "whose own mean points the other way, so that the mean over all hides both. Share: "
            "all shares that the tests do not reject (Fieller's interval), only where the apparent "
            "loss is significant. Images scored under every protocol. "
            f"{how_tested(here)}",
        ),
    )  # fmt: skip


def robustness_table(study: Study, findings: Findings) -> Table | None:
    """Give the share of the protocols under other choices; None where there is none."""
    frame = findings.causes.robustness
    if frame is None or frame["share"].isna().all():
        return None
    rows = []
    for protocol in dict.fromkeys(frame["protocol"]):
        rows.append(Row((f"Both evaluated under {study.protocol_labels[protocol]}",), heading=True))
        for estimand in dict.fromkeys(frame["estimand"]):
            mine = frame[(frame["protocol"] == protocol) & (frame["estimand"] == estimand)]
            whole = mine[mine["left_out_is"] == ""]
            here = mine[mine["threshold"] == study.run.threshold]
            rows.append(
                Row(
                    (
                        f"Mean over {estimand}",
                        share_of_loss(records(here[here["left_out_is"] == ""])[0]),
                        _range(whole, "threshold", "IoU {:g}"),
                        _range(here[~here["left_out_is"].isin(["", "modality"])], "left_out"),
                        _range(here[here["left_out_is"] == "modality"], "left_out"),
                    )
                )
            )
    what = str(frame["unit"].iloc[0])
    return Table(
        name="robustness",
        title="Share of the apparent loss that the protocols make, under other choices",
        header=(f"IoU ≥ {study.run.threshold:g}", "Share", "All thresholds", f"Without one {what}",
                "Without one modality"),
        rows=tuple(rows),
        frame=frame,
        text=frozenset(range(5)),
        notes=(
            "Mean over experiments, modalities: each weighs the same. Ranges: the smallest and the "
            "largest share, and where; k of n, in which there is a loss, of thresholds one that is "
            "significant. The csv has every combination.",
        ),
    )  # fmt: skip


def _range(rows: pd.DataFrame, column: str, form: str = "{}") -> str:
    known = rows[rows["share"].notna()]
    if known.empty:
        return NOTHING
    least, most = (known.loc[known["share"].agg(f)] for f in ("idxmin", "idxmax"))
    ends = [f"{percent(row['share'])} ({form.format(row[column])})" for row in (least, most)]
    some = "" if len(known) == len(rows) else f", {len(known)} of {len(rows)}"
    return " to ".join(ends if least.name != most.name else ends[:1]) + some


def protocol_table(study: Study, findings: Findings) -> Table:
    """Give mean F1 before and after under every protocol, unseen and seen experiments."""
    accuracy = findings.causes.accuracy.assign(after=lambda rows: rows["stage"] > 0)
    found = by_key(accuracy, "modality", "seen", "protocol", "after")
    protocols = [p.name for p in study.record.protocols if p.name in set(accuracy["protocol"])]
    rows = []
    for group in worth_showing(study.modalities):
        rows.append(Row((group_title(group),), heading=True))
        for protocol in protocols:
            cells = [study.protocol_labels[protocol]]
            for part in (UNSEEN, SEEN):
                pair = [found.get((group, part, protocol, after)) for after in (False, True)]
                n = max((row["n"] for row in pair if row is not None), default=0)
                cells += [f"{n:,}", *(_mean(row) for row in pair)]
            rows.append(Row(tuple(cells)))
    columns = ("n", "Before (95 % interval)", "After (95 % interval)")
    return Table(
        name="protocols",
        title=f"Mean F1 before and after {study.labels[findings.subject]} under every protocol",
        header=("Protocol", *columns, *columns),
        rows=tuple(rows),
        frame=findings.causes.accuracy,
        spans=(("", 1), ("Unseen experiments", 3), ("Seen experiments", 3)),
    )


def _mean(row: Record | None) -> str:
    if row is None or absent(row["mean"]):
        return NOTHING
    if absent(row["mean_low"]):
        return number(row["mean"])
    return f"{number(row['mean'])} ({spread(row['mean_low'], row['mean_high'])})"
