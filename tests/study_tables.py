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

from cellharness.printing.wording import NOTHING, number, signed, with_interval
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
    known = {name: float(row[name]) for name in ("estimate", "low", "high") if row[name] != ""}
    said = with_interval(known) if len(known) > 1 else signed(known["estimate"])
    words = {"higher": "**higher**", "lower": "**lower**"}.get(row["verdict"], row["verdict"])
    return f"{said}, {words}" + f" ({row['n_units']})" * n


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
    "fine-tuned less pre-trained, both by the size model": ("cellpose2-estimate", "cellpose"),
    "fine-tuned with one diameter (the paper's way) less pre-trained": ("cellpose2", "cellpose"),
    "fine-tuned: one diameter less size model": ("cellpose2", "cellpose2-estimate"),
    "Omnipose without flow check less with": ("omnipose-unchecked", "omnipose"),
    "Cellpose less Omnipose without flow check": ("cellpose", "omnipose-unchecked"),
    "KIT-GE-style less pre-trained Cellpose": ("kit-ge", "cellpose"),
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
    """Change of F1 by every remedy, on unseen and seen experiments, at the last stage."""
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
            lines.append(
                [name, str(row["n_images"]), estimated(row), estimated(the_one(replay, **where))]
            )
    return markdown(["", "images", "plain fine-tuning", "with replay"], lines)


def remedies(report: Path) -> str:
    """What every remedy keeps and gains beside plain fine-tuning."""
    rows = chosen(table(report, "remedies"), level="overall", cases="all", protocol="truth")
    without = chosen(
        table(report, "remedies"), level="overall", cases="without what the remedy met again",
        protocol="truth", seen="unseen",
    )  # fmt: skip
    lines = []
    for label in rows["label"].unique():
        mine = chosen(rows, label=label)
        gained = the_one(mine, seen="seen")
        assert gained is not None
        comparable = {"True": "yes", "False": "not shown"}[str(gained["comparable"])]
        lines.append(
            [
                label, estimated(the_one(mine, seen="unseen")),
                estimated(the_one(chosen(without, label=label))), estimated(gained), comparable,
            ]
        )  # fmt: skip
    head = [
        "less plain fine-tuning", "unseen experiments", "of these not replayed",
        "seen experiments", "gain comparable",
    ]  # fmt: skip
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
    rows = chosen(table(report, "decomposition"), remedy="plain", seen="unseen", estimand="images")
    lines = []
    for modality in EVERYWHERE:
        mine = chosen(rows, modality=modality)
        published = the_one(mine, measure="apparent loss")
        alike = the_one(mine, measure="loss, both alike", protocol="truth")
        rest = the_one(mine, measure="difference of the protocols", protocol="truth")
        assert rest is not None
        share = rest["share_is"] or NOTHING
        if rest["share"] != "":
            ends = (number(100 * float(rest[end]), 0) for end in ("share_low", "share_high"))
            share = f"{100 * float(rest['share']):.0f} % ({' to '.join(ends)})"
        assert alike is not None
        known = {name: float(alike[name]) for name in ("estimate", "low", "high") if alike[name]}
        loss = with_interval(known) if len(known) > 1 else signed(known["estimate"])
        lines.append([modality, estimated(published), loss, share])
    head = ["", "loss as published", "loss, true diameter before and after", "protocol's share"]
    return markdown(head, lines)


def without_one(report: Path) -> str:
    """The least and the largest loss on unseen experiments when any one of them is left out."""
    rows = chosen(
        table(report, "robustness"), threshold=0.5, estimand="images", protocol="truth",
        left_out_is="experiment",
    )  # fmt: skip
    lines = []
    for what, column in (("as published", "apparent_loss"), ("both alike", "loss_alike")):
        values = rows[column].astype(float)
        low, high = rows.loc[values.idxmin()], rows.loc[values.idxmax()]
        lines.append(
            [
                what, f"{values.min():.3f} (without {low['left_out']})",
                f"{values.max():.3f} (without {high['left_out']})",
            ]
        )  # fmt: skip
    return markdown(["loss on unseen experiments", "least", "largest"], lines)


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
    "without one": without_one,
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
