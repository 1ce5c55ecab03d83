"""Set tables of the kept reports into the pages that tell of them.

From the root of the project, after a report was replaced::

    python tests/study_tables.py

A mark in a page names the table and the report: ``<!-- table: accuracy of mini-baselines -->``; one
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
PAGES = ("docs/baselines.md",)
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


def estimated(row: dict[str, str] | None) -> str:
    """Write an estimate with interval and verdict."""
    if row is None or row["estimate"] == "" or int(row["n_units"]) == 0:
        return NOTHING
    known = {name: float(row[name]) for name in ("estimate", "low", "high") if row[name] != ""}
    said = with_interval(known) if len(known) > 1 else signed(known["estimate"])
    words = {"higher": "**higher**", "lower": "**lower**"}.get(row["verdict"], row["verdict"])
    return f"{said}, {words}"


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
            cells.append(estimated(row))
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
    "accuracy": accuracy,
    "seen and unseen": seen,
    "contrasts": contrasts,
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
