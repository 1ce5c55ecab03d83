from __future__ import annotations

import csv
import re

import pandas as pd
import pytest

from cellharness.printing.table import Row, Table, to_latex, to_markdown, write_table

NASTY = r"50% of a_b & {c} \d ~e^2 #1 $x$ <i>|*"


@pytest.fixture
def table() -> Table:
    return Table(
        name="some_table",
        title="F1 (IoU ≥ 0.5)",
        header=("Method", "n", "Median", "Δ"),
        rows=(
            Row(("All images",), heading=True),
            Row((NASTY, "12", "0.500", "−0.1"), strong=frozenset({2})),
            Row(("[b]", "12", "0.400", "–")),
        ),
        frame=pd.DataFrame({"method": [NASTY, "[b]"], "median": [0.5000001, 0.4]}),
        spans=(("", 2), ("F1", 2)),
        notes=("See | here.",),
    )


def test_markdown_has_as_many_cells_in_every_line(table):
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5}
    assert lines[0] == "| Method | n | F1: Median | F1: Δ |"
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    assert lines[2].startswith("| **All images** |")
    assert "**0.500**" in lines[3]
    assert r"\<i\>" in lines[3]


def test_latex_is_booktabs_with_everything_escaped(table):
    text = to_latex(table)
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lrrr}"):
        assert part in text
    assert r"50\% of a\_b \& \{c\} \textbackslash{}d \textasciitilde{}e" in text
    assert r"\multicolumn{2}{c}{F1}" in text
    assert r"\cmidrule(lr){3-4}" in text
    assert r"\textbf{0.500}" in text
    assert r"$\geq$" in text
    assert "−" not in text
    assert "\n{}[b] &" in text
    # Braces balance once escaped ones are gone, and no line has a stray column.
    bare = re.sub(r"\\[{}\\]", "", text)
    assert bare.count("{") == bare.count("}")
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    cells = [len(re.findall(r"(?<!\\)&", line)) for line in body.splitlines() if "&" in line]
    assert cells == [3, 3]


def test_files_hold_raw_numbers(table, tmp_path):
    write_table(table, tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} == {".csv", ".md", ".tex"}
    with (tmp_path / "some_table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"method": NASTY, "median": "0.5000001"}
