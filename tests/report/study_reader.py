"""Reads what a forgetting study holds and what its report says, each without the other."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

Rows = list[list[str]]


def plan_of(run: Path) -> dict:
    return json.loads((run / "study.json").read_text(encoding="utf-8"))


def staged(run: Path, threshold: float = 0.5) -> pd.DataFrame:
    """Scores of all weights that have a mask, as `cellharness.statistics` takes them."""
    plan = plan_of(run)
    scores = pd.read_csv(run / "scores.csv", keep_default_na=False)
    masked = set(scores.loc[scores["status"].isin(["ok", "empty"]), "method"])
    rows = scores[(scores["threshold"] == threshold) & (scores["profile"] == "strict")]
    seen = {tuple(pair) for pair in plan["seen"]}
    kept = ["case", "modality", "experiment", "f1"]
    blocks = [
        rows.loc[rows["method"] == entry["method"], kept].assign(
            remedy=entry["remedy"], stage=entry["stage"], protocol=entry["protocol"]
        )
        for entry in plan["methods"]
        if entry["method"] in masked
    ]
    table = pd.concat(blocks, ignore_index=True)
    places = zip(table["modality"], table["experiment"], strict=True)
    table["seen"] = [place in seen for place in places]
    table["f1"] = table["f1"].astype(float)
    return table


def f1_by_case(scores: pd.DataFrame, remedy: str, stage: int, protocol: str) -> pd.Series:
    """F1 of one set of weights, its cases sorted."""
    chosen = (scores["remedy"] == remedy) & (scores["stage"] == stage)
    rows = scores[chosen & (scores["protocol"] == protocol)]
    return rows.set_index("case")["f1"].sort_index()


def csv_of(run: Path, name: str) -> pd.DataFrame:
    """One table of the report with its raw numbers."""
    path = run / "report/tables" / f"{name}.csv"
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


class _Tables(HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.tables: dict[str, Rows] = {}
        self._rows: Rows | None = None
        self._cell: list[str] | None = None
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self._rows = self.tables.setdefault(dict(attrs)["id"].removeprefix("table-"), [])
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("td", "th") and self._rows is not None:
            self._cell = []

    def handle_endtag(self, tag):
        if tag == "table":
            self._rows = None
        elif tag in ("td", "th") and self._cell is not None and self._rows:
            self._rows[-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)


def page_tables(source: str) -> dict[str, Rows]:
    """Rows of every table of a page as a reader sees them, column heads included."""
    return _Tables(source).tables


def markdown_rows(path: Path) -> Rows:
    """Rows of a pipe table below its rule, without markup."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[2:]]
    return [[_unmarked(cell) for cell in row] for row in rows]


def latex_rows(path: Path) -> list[str]:
    """Lines of a table between its column heads and its end."""
    body = path.read_text(encoding="utf-8").split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [line for line in body.strip().splitlines() if line != r"\addlinespace"]


def _unmarked(cell: str) -> str:
    text = re.sub(r"^\*\*(.*)\*\*$", r"\1", cell.strip())
    return re.sub(r"\\([\\`*_\[\]<>|])", r"\1", text)
