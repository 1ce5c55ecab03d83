"""Tables that set weights side by side: remedies against plain fine-tuning, and the teams."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cellharness.report.forgetting.change_tables import Colours, labelled
from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.sentences import gain_verdict
from cellharness.report.forgetting.study import Study
from cellharness.report.forgetting.teams import OTHER_DATA, Standing, shown_groups
from cellharness.report.records import Record, by_key, group_title, records
from cellharness.report.rendering import Row, Table
from cellharness.report.style import INK
from cellharness.report.wording import (
    NOTHING,
    absent,
    change_with_ends,
    number,
    p_value,
    signed,
    spread,
    with_interval,
    without_plus,
)
from cellharness.statistics.contrasts import HIGHER
from cellharness.statistics.estimates import how_tested


def plane_table(study: Study, findings: Findings, colours: Colours) -> Table:
    """Give the two coordinates of every remedy in the stability-plasticity plot."""
    rows = [
        Row(
            (
                study.labels[row["remedy"]], str(row["stage"]),
                f"{row['n_seen']:,}", change_with_ends(row, "gain_seen", "gain"),
                f"{row['n_unseen']:,}", without_plus(change_with_ends(row, "loss_unseen", "loss")),
            ),
            colour=colours[row["remedy"]],
        )
        for row in _in_order(study, findings.plane)
    ]  # fmt: skip
    return Table(
        name="stability_plasticity",
        title="Gain on seen and loss on unseen experiments, mean F1",
        header=("Weights", "Epoch", "n seen", "Gain on seen (95 % interval)", "n unseen",
                "Loss on unseen (95 % interval)"),
        rows=tuple(rows),
        frame=labelled(study, findings.plane),
    )  # fmt: skip


def remedy_table(study: Study, findings: Findings, colours: Colours) -> Table | None:
    """Compare each remedy with plain fine-tuning; None where nothing could be compared."""
    comparison = findings.comparison
    if comparison is None:
        return None
    again = findings.met_again
    rows = []
    for name, (unseen, seen) in findings.against_plain.items():
        colour = colours[name]
        gain = (_n(seen), with_interval(seen), gain_verdict(seen))
        rows.append(Row((study.labels[name], *_kept(unseen), *gain), colour=colour))
        other = again.get(name)
        if other is not None:
            cells = ("without what it met again", *_kept(other), *[NOTHING] * 3)
            rows.append(Row(cells, colour=colour))
    margin = records(comparison)[0]["margin"]
    return Table(
        name="remedies",
        title=f"Each remedy against {study.labels[study.record.plain]}",
        header=("Remedy", "n", "Kept more (95 % interval)", "p", "Loses less", "n",
                "Gained more (95 % interval)", "Gain"),
        rows=tuple(rows),
        frame=labelled(study, _with_own(comparison, findings.comparison_own)),
        measure="change of F1 less that of the reference",
        spans=(("", 1), ("Unseen experiments", 4), ("Seen experiments", 3)),
        text=frozenset({0, 4, 7}),
        notes=(
            f"Differences of the mean change of the same images; n, images / "
            f"{comparison['unit'].iloc[0]}s. {how_tested(comparison)} Gain: comparable where two "
            f"one-sided tests, Holm-corrected over the remedies, show that it differs by less than "
            f"{margin:g}; lower where it is significantly lower; else not shown."
            + (_REPLAY_NOTE if again else ""),
        ),
    )  # fmt: skip


def _kept(row: Record) -> tuple[str, ...]:
    return (
        _n(row), with_interval(row), p_value(row["p_adjusted"]),
        "yes" if row["verdict"] == HIGHER else row["verdict"],
    )  # fmt: skip


_REPLAY_NOTE = (
    " Met again: a remedy that replays images of an experiment has trained on it, though not on "
    "the images scored; such a row leaves out its cases."
)


def _with_own(frame: pd.DataFrame, own: pd.DataFrame | None) -> pd.DataFrame:
    if own is None:
        return frame
    both = [frame.assign(cases="all"), own.assign(cases="without what the remedy met again")]
    return pd.concat(both, ignore_index=True)


def _n(row: Record) -> str:
    n = f"{row['n_images']:,}"
    return n if row["unit"] == "image" else f"{n} / {row['n_units']:,}"


def team_table(study: Study, standing: Standing, colours: Colours) -> Table:
    """Put medians of the study above those of others, which are of other images."""
    groups = shown_groups(study)
    measured = by_key(standing.measured, "method", "modality")
    sizes = [next(f"{measured[m, group]['n']:,}" for m in standing.methods) for group in groups]
    rows = [Row(("Measured in this run",), heading=True), Row(("Images", *sizes))]
    for method, label in standing.methods.items():
        cells = [_median(measured[method, group]) for group in groups]
        remedy = standing.remedies.get(method)
        rows.append(Row((label, *cells), colour=colours[remedy] if remedy else INK))
    found = by_key(standing.published, "method", "modality")
    others = list(dict.fromkeys(standing.published["method"]))
    if others:
        rows.append(Row((f"{OTHER_DATA}: NeurIPS test set",), heading=True))
        first = [found.get((others[0], group)) for group in groups]
        rows.append(Row(("Images", *(f"{int(r['n']):,}" if r else NOTHING for r in first))))
    rows += [
        Row((method, *(_median(found.get((method, group))) for group in groups)))
        for method in others
    ]
    return Table(
        name="teams",
        title="Median F1 (IQR) beside the top teams",
        header=("Weights", *(group_title(group) for group in groups)),
        rows=tuple(rows),
        frame=_sources(standing, groups),
        notes=(
            "Published rows are numbers printed in the preprint's text (Ma et al., The "
            "Multi-modality Cell Segmentation Challenge: Towards Universal Solutions), measured on "
            f"other images: not comparable case by case. {NOTHING}, no number in that text.",
        ),
    )


def _sources(standing: Standing, groups: Sequence[str]) -> pd.DataFrame:
    """Put measured medians above published ones, and say which is which."""
    named = standing.measured.assign(source="this run")
    named.insert(1, "label", [standing.methods[method] for method in named["method"]])
    both = pd.concat([named, standing.published], ignore_index=True)
    return both[both["modality"].isin(groups)]


def team_test_table(study: Study, standing: Standing, colours: Colours) -> Table | None:
    """Compare with the masks of teams case by case; None where there are none."""
    against = standing.against
    if against.empty:
        return None
    found = by_key(against, "team", "method", "modality")
    rows = []
    for team in study.teams:
        for group in shown_groups(study):
            rows.append(Row((f"{study.run.labels[team]}, {group_title(group)}",), heading=True))
            for method, remedy in standing.remedies.items():
                row = found[team, method, group]
                cells = (
                    standing.methods[method], _n(row), number(row["mean_before"]),
                    number(row["mean_after"]), with_interval(row),
                    signed(row["median_change"]), p_value(row["p_adjusted"]),
                )  # fmt: skip
                rows.append(Row(cells, colour=colours[remedy]))
    return Table(
        name="team_tests",
        title="Against masks of the teams on the same images",
        header=("Weights", "n", "Mean F1 of the team", "Mean F1", "Mean difference (95 % interval)",
                "Median difference", "p"),
        rows=tuple(rows),
        frame=against,
        measure="difference of F1",
        notes=(
            f"Weights less team, paired by image. {how_tested(against)}",
        ),
    )  # fmt: skip


def _median(row: Record | None) -> str:
    if row is None or absent(row["median_f1"]):
        return NOTHING
    quartiles = "" if absent(row["q1"]) else f" ({spread(row['q1'], row['q3'])})"
    return number(row["median_f1"]) + quartiles


def _in_order(study: Study, frame: pd.DataFrame) -> list[Record]:
    rows = by_key(frame, "remedy")
    return [rows[name,] for name in study.remedies if (name,) in rows]
