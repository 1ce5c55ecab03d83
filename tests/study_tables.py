"""Set tables of the kept reports into the pages that tell of them.

From the root of the project, after a report was replaced::

    python tests/study_tables.py

A mark in a page names the table and the report: ``<!-- table: change of mini-forgetting -->``; one
within a paragraph names a sentence: ``<!-- sentence: power of mini-baselines -->``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import yaml

from cellharness.printing.wording import (
    NOTHING,
    number,
    signed,
    with_interval,
    without_plus,
)
from cellharness.statistics.contrasts import OF_SCORES, mean_difference
from cellharness.vocabulary import MODALITIES

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/baselines.md", "docs/forgetting.md")
MARK = re.compile(
    r"<!-- table: (?P<kind>[a-z ]+) of (?P<report>[a-z-]+) -->\n(?:.*?\n)??<!-- table: end -->",
    re.DOTALL,
)
SENTENCE = re.compile(
    r"<!-- sentence: power of (?P<report>[a-z-]+) -->.*?<!-- sentence: end -->", re.DOTALL
)
EVERYWHERE = ("All", *MODALITIES)


def table(report: Path, name: str) -> pd.DataFrame:
    """Read a table of a report; empty cells are empty text."""
    return pd.read_csv(report / f"tables/{name}.csv", keep_default_na=False)


def chosen(rows: pd.DataFrame, **where: object) -> pd.DataFrame:
    """Give the rows that have these values."""
    for column, value in where.items():
        rows = rows[rows[column].astype(str) == str(value)]
    return rows


def the_one(rows: pd.DataFrame, **where: object) -> dict[str, str] | None:
    """Give the only row that has these values, None if there is none."""
    found = chosen(rows, **where).to_dict("records")
    if len(found) > 1:
        msg = f"{len(found)} rows for {where}"
        raise ValueError(msg)
    return found[0] if found else None


def estimated(row: dict[str, str] | None, *, n: bool = True) -> str:
    """Write an estimate with interval, verdict and the number of experiments."""
    if row is None or row["estimate"] == "" or int(row["n_units"]) == 0:
        return NOTHING
    words = {"higher": "**higher**", "lower": "**lower**"}.get(row["verdict"], row["verdict"])
    return f"{between(row)}, {words}" + f" ({row['n_units']})" * n


def between(row: dict[str, str]) -> str:
    """Write an estimate with its interval, where it has one."""
    known = {name: float(row[name]) for name in ("estimate", "low", "high") if row[name] != ""}
    return with_interval(known) if len(known) > 1 else signed(known["estimate"])


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay out a table."""
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def images(report: Path) -> str:
    """Images, experiments and true cells by modality."""
    scores = pd.read_csv(report / "scores.csv")
    method, profile = scores["method"].iloc[0], "strict"
    rows = scores[(scores["method"] == method) & (scores["profile"] == profile)]
    rows = rows[rows["threshold"] == 0.5]
    lines = []
    for modality in (*MODALITIES, "All"):
        mine = rows if modality == "All" else rows[rows["modality"] == modality]
        place = mine["modality"] + " " + mine["experiment"]
        seen = mine["seen"].astype(bool)
        lines.append(
            [
                modality, f"{len(mine)}", f"{place.nunique()}", f"{place[~seen].nunique()}",
                f"{mine['n_true'].sum():,.0f}",
            ]
        )  # fmt: skip
    return markdown(["", "images", "experiments", "of these unseen", "true cells"], lines)


def parts(report: Path) -> str:
    """Images and experiments of a study by modality, seen and unseen by plain fine-tuning."""
    rows = table(report, "cases")
    lines = []
    for modality in (*MODALITIES, "All"):
        both = [the_one(rows, modality=modality, part=part) for part in ("seen", "unseen")]
        cells = [
            f"{r['cases']} ({r['experiments']})" if r and int(r["cases"]) else NOTHING for r in both
        ]
        lines.append([modality, *cells])
    return markdown(["images (experiments)", "seen", "unseen"], lines)


def accuracy(report: Path) -> str:
    """Median F1 with interval of every method, over all images and by modality."""
    rows = table(report, "leaderboard")
    lines = []
    for label in rows["label"].unique():
        cells = []
        for modality in EVERYWHERE:
            row = the_one(rows, label=label, modality=modality)
            assert row is not None
            mark = "**" if row["standing"] == "leads" else ""
            ends = [number(float(row[end]), 2) for end in ("low", "high") if row[end] != ""]
            # Too few experiments have no interval.
            around = f" ({' to '.join(ends)})" if ends else ""
            cells.append(f"{mark}{float(row['median_f1']):.2f}{mark}{around}")
        lines.append([label, *cells])
    return markdown(["median F1", *EVERYWHERE], lines)


def seen(report: Path) -> str:
    """Mean F1 on seen and on unseen experiments, over all images and by modality."""
    rows = chosen(table(report, "seen_unseen"), profile="strict", threshold=0.5)
    lines = []
    for label in rows["label"].unique():
        cells = []
        for modality in EVERYWHERE:
            both = [
                the_one(rows, label=label, modality=modality, seen=s) for s in ("seen", "unseen")
            ]
            cells.append(" / ".join(number(float(r["mean_f1"]), 2) if r else NOTHING for r in both))
        lines.append([label, *cells])
    return markdown(["mean F1, seen / unseen", *EVERYWHERE], lines)


#: Pairs of methods that a reader of the baselines asks about.
PAIRS = {
    "fine-tuned minus pre-trained, both by the size model": ("cellpose2-estimate", "cellpose"),
    "fine-tuned with one diameter (the paper's way) minus pre-trained": ("cellpose2", "cellpose"),
    "fine-tuned: one diameter minus size model": ("cellpose2", "cellpose2-estimate"),
    "Omnipose without flow check minus with": ("omnipose-unchecked", "omnipose"),
    "Cellpose minus Omnipose without flow check": ("cellpose", "omnipose-unchecked"),
    "KIT-GE-style minus pre-trained Cellpose": ("kit-ge", "cellpose"),
}


def contrasts(report: Path) -> str:
    """Mean differences of F1 of pairs of methods, with what the tests say."""
    rows = pd.read_csv(report / "estimates.csv", keep_default_na=False)
    rows = chosen(rows, measure="difference of F1", threshold=0.5)
    lines = []
    for what, (one, other) in PAIRS.items():
        cells = []
        for modality in EVERYWHERE:
            row = the_one(rows, subject=one, reference=other, modality=modality)
            if row is None:
                row = the_one(rows, subject=other, reference=one, modality=modality)
                row = turned(row) if row else None
            cells.append(estimated(row, n=False))
        lines.append([what, *cells])
    return markdown(["difference of mean F1", *EVERYWHERE], lines)


def turned(row: dict[str, str]) -> dict[str, str]:
    """Give the difference the other way round."""
    signs = {
        new: "" if row[old] == "" else str(-float(row[old]))
        for new, old in (("estimate", "estimate"), ("low", "high"), ("high", "low"))
    }
    verdict = {"higher": "lower", "lower": "higher"}.get(row["verdict"], row["verdict"])
    return {**row, **signs, "verdict": verdict}


def change(report: Path) -> str:
    """Change of F1 by plain fine-tuning and replay, on unseen and seen experiments, at the end."""
    rows = chosen(table(report, "change"), protocol="truth", before_protocol="truth")
    last = rows["stage"].astype(int).max()
    rows = rows[(rows["stage"].astype(int) == last) & (rows["level"] != "experiment")]
    plain, replay = (chosen(rows, remedy=name) for name in ("plain", "replay"))
    lines = []
    for part in ("unseen", "seen"):
        for modality in EVERYWHERE:
            where = {"modality": modality, "seen": part}
            if (row := the_one(plain, **where)) is None or int(row["n_units"]) == 0:
                continue
            name = f"**all {part}**" if modality == "All" else f"{modality}, {part}"
            after = estimated(the_one(replay, **where), n=False)
            lines.append(
                [
                    name, f"{row['n_images']} ({row['n_units']})",
                    f"{float(row['mean_before']):.2f}", estimated(row, n=False), after,
                ]
            )  # fmt: skip
    head = [
        "", "images (experiments)", "F1 before", "change, plain fine-tuning", "change, with replay",
    ]  # fmt: skip
    return markdown(head, lines)


def remedies(report: Path) -> str:
    """What every remedy keeps and gains beside plain fine-tuning."""
    rows = chosen(table(report, "remedies"), protocol="truth")
    whole = chosen(rows, cases="all")
    own = chosen(rows, cases="without what the remedy met again", level="overall", seen="unseen")
    # A modality is shown where some remedy can be tested there.
    tested = [
        modality for modality in MODALITIES
        if (chosen(whole, modality=modality, seen="unseen")["low"] != "").any()
    ]  # fmt: skip
    lines = []
    for label in whole["label"].unique():
        mine = chosen(whole, label=label)
        parts = [{"level": "overall", "seen": "unseen"}]
        parts += [{"modality": modality, "seen": "unseen"} for modality in tested]
        cells = [estimated(the_one(mine, **where), n=False) for where in parts]
        cells.append(estimated(the_one(chosen(own, label=label)), n=False))
        cells.append(estimated(the_one(mine, level="overall", seen="seen"), n=False))
        lines.append([label, *cells])
    head = ["minus plain fine-tuning", "all unseen", *tested, "not replayed", "all seen"]
    return markdown(head, lines)


def curve(report: Path) -> str:
    """Change of F1 after every stage, plain and with replay."""
    rows = chosen(table(report, "curves"), protocol="truth", modality="All")
    lines = []
    for stage in sorted(rows["stage"].astype(int).unique()):
        if stage == 0:
            continue
        cells = []
        for remedy in ("plain", "replay"):
            for part in ("unseen", "seen"):
                row = the_one(rows, remedy=remedy, seen=part, stage=stage)
                known = row and {
                    new: float(row[old])
                    for new, old in (
                        ("estimate", "change"), ("low", "change_low"), ("high", "change_high")
                    )
                }  # fmt: skip
                cells.append(with_interval(known) if known else NOTHING)
        lines.append([str(stage), *cells])
    head = ["epochs", "plain, unseen", "plain, seen", "replay, unseen", "replay, seen"]
    return markdown(head, lines)


def cause(report: Path) -> str:
    """Take the loss on unseen experiments apart, by modality.

    With both evaluated alike it is the change under that protocol, whose verdict `change` tells.
    """
    rows = losses(report)
    lines = []
    for modality in EVERYWHERE:
        mine = chosen(rows, modality=modality)
        published = the_one(mine, measure="apparent loss")
        rest = the_one(mine, measure="difference of the protocols", protocol="truth")
        alike = the_one(mine, measure="loss, both alike", protocol="truth")
        assert published is not None
        verdict = {"higher": "**shown**"}.get(published["verdict"], published["verdict"])
        lines.append([modality, f"{lost(published)}, {verdict}", lost(alike), share_of(rest)])
    return markdown(
        ["loss of F1", "as published", "true diameter twice", "protocol's share"], lines
    )


def reference(report: Path) -> str:
    """Take the same loss apart by what both are evaluated under."""
    labels = {"truth": "true diameter", "estimate": "size model", "training_mean": "one diameter"}
    rows = losses(report)
    lines = []
    for protocol, label in labels.items():
        mine = chosen(rows, protocol=protocol)
        cells = [lost(the_one(mine, measure="loss, both alike", modality="All"))]
        for modality in ("All", "Fluorescent"):
            rest = the_one(mine, measure="difference of the protocols", modality=modality)
            cells.append(share_of(rest))
        lines.append([label, *cells])
    head = [
        "both evaluated by", "loss, all unseen", "protocol's share", "its share in fluorescence",
    ]  # fmt: skip
    return markdown(head, lines)


def losses(report: Path) -> pd.DataFrame:
    """Loss on unseen experiments by plain fine-tuning, and its parts."""
    found = table(report, "decomposition")
    return chosen(found, remedy="plain", seen="unseen", estimand="images")


def lost(row: dict[str, str] | None) -> str:
    """Write a loss with its interval; a gain is below 0."""
    if row is None or row["estimate"] == "":
        return NOTHING
    return without_plus(between(row))


def share_of(row: dict[str, str] | None) -> str:
    """Write the share of the protocols, or why there is none."""
    assert row is not None
    if row["share"] == "":
        return row["share_is"] or NOTHING
    low, high = (f"{100 * float(row[end]):.0f}" for end in ("share_low", "share_high"))
    return f"{100 * float(row['share']):.0f} % ({low} to {high})".replace("-", "−")


def known_before(report: Path) -> str:
    """Set the change of what the first weights' training data name beside that of the rest."""
    scores = pd.read_csv(report / "scores.csv")
    scores = scores[(scores["profile"] == "strict") & (scores["threshold"] == 0.5)]
    f1 = scores.pivot_table("f1", "case", "method")
    stage = table(report, "change")["stage"].astype(int).max()
    trained = [name for name in f1 if re.fullmatch(rf"plain(-seed\d+)?-{stage}\.truth", name)]
    change_of = f1[trained].mean(axis="columns") - f1["pre-trained.truth"]
    cases = scores.drop_duplicates("case").set_index("case")
    named = table(report, "exposure")
    named = named[(named["method"] == "pre-trained.truth") & (named["seen"] == "data set")]
    lines = []
    for what, inside in (("named", True), ("not named", False)):
        mine = cases[
            (cases["modality"] == "Fluorescent") & (cases.index.isin(named["case"]) == inside)
        ]
        units = pd.factorize(mine["experiment"])[0]
        found = mean_difference(change_of[mine.index], units, bounds=OF_SCORES)
        ends = {"estimate": found.estimate, "low": found.low, "high": found.high}
        lines.append([what, f"{found.n_images} ({found.n_units})", with_interval(ends)])
    head = ["the first weights' training data", "images (experiments)", "change in fluorescence"]
    return markdown(head, lines)


def by_experiment(report: Path) -> str:
    """Mean F1 of every method, by experiment."""
    rows = pd.read_csv(report / "scores.csv")
    rows = rows[(rows["profile"] == "strict") & (rows["threshold"] == 0.5)]
    config = yaml.safe_load((report / "config.yaml").read_text(encoding="utf-8"))
    labels = {method["name"]: method["label"] for method in config["methods"]}
    means = rows.pivot_table("f1", "method", "experiment", margins=True, margins_name="all")
    counts = rows[rows["method"] == next(iter(labels))]["experiment"].value_counts()
    counts["all"] = counts.sum()
    lines = [
        [label, *(f"{means.loc[name, each]:.2f}" for each in means)]
        for name, label in labels.items()
    ]
    return markdown(["mean F1 (images)", *(f"{e} ({counts[e]})" for e in means)], lines)


def power(report: Path) -> str:
    """Say which differences the images could have shown, as the page of the report does."""
    page = (report / "index.html").read_text(encoding="utf-8")
    found = set(re.findall(r"In 80 of 100 such runs [^<]*not corrected for others\.", page))
    (sentence,) = found
    return html.unescape(sentence)


KINDS: dict[str, Callable[[Path], str]] = {
    "images": images,
    "parts": parts,
    "accuracy": accuracy,
    "seen and unseen": seen,
    "contrasts": contrasts,
    "change": change,
    "remedies": remedies,
    "curve": curve,
    "cause": cause,
    "reference": reference,
    "known before": known_before,
    "by experiment": by_experiment,
}


def with_tables(page: str) -> str:
    """Give the page with every marked table made anew."""

    def fill(match: re.Match[str]) -> str:
        kind, report = match["kind"], match["report"]
        made = KINDS[kind](ROOT / "reports" / report)
        return f"<!-- table: {kind} of {report} -->\n{made}<!-- table: end -->"

    def say(match: re.Match[str]) -> str:
        sentence = power(ROOT / "reports" / match["report"])
        start = f"<!-- sentence: power of {match['report']} -->"
        return f"{start}{sentence}<!-- sentence: end -->"

    return SENTENCE.sub(say, MARK.sub(fill, page))


if __name__ == "__main__":
    for name in PAGES:
        path = ROOT / name
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
