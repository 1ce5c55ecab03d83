from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from cellharness.report.published import published, published_table
from cellharness.vocabulary import MODALITIES

PAPER = Path("paper", "multi-modality-cell-segmentation-challenge.txt")
WORDS = {
    "All": "422 microscopy images",
    "Brightfield": "120 brightfield images",
    "Fluorescent": "122 fluorescent images",
    "Phase-contrast": "120 phase-contrast (PC) images",
    "DIC": "60 differential interference contrast (DIC) images",
}


@pytest.fixture(scope="module")
def paper(shared: Path) -> str:
    if not (shared / PAPER).is_file():
        pytest.skip(f"needs ../shared/{PAPER.as_posix()}, which is not here")
    return (shared / PAPER).read_text(encoding="utf-8")


def passage(paper: str, source: str) -> str:
    """The paragraphs that discuss the figure which a row names as its source."""
    figure = re.search(r"Fig\. \d[a-f]", source)
    assert figure is not None, source
    found = [p for p in paper.split("\n") if figure[0] in p and "median F1" in p]
    assert found, figure[0]
    return " ".join(found)


def test_every_number_stands_in_the_passage_it_is_said_to_come_from(paper):
    rows = published()
    with_number = rows[rows["median_f1"].notna()]
    assert len(with_number) == 15
    for row in with_number.itertuples():
        text = passage(paper, row.source)
        assert f"{row.median_f1 * 100:.1f}%" in text, row
        assert f"{row.q1 * 100:.1f}-{row.q3 * 100:.1f}%" in text or (
            f"{row.q1 * 100:.1f}-{row.q3 * 100:.1f})" in text
        ), row


def test_sizes_and_remarks_stand_in_the_paper(paper):
    for row in published().itertuples():
        assert WORDS[row.modality] in paper
        assert str(int(row.n)) in WORDS[row.modality]
        for percent in re.findall(r"\d+%", row.note):
            assert percent in paper


def test_text_without_a_number_stays_blank():
    rows = published().set_index(["method", "modality"])
    for place in [("KIT-GE", "All"), ("Omnipose", "All"), ("Cellpose", "Brightfield")]:
        assert rows.loc[place, ["median_f1", "q1", "q3"]].isna().all()
    blank = rows[rows["median_f1"].isna()]
    assert blank[["q1", "q3"]].isna().all(axis=None)
    assert (blank["note"] != "").all()


def test_every_method_has_every_group_once():
    rows = published()
    assert set(rows["modality"]) == {"All", *MODALITIES}
    assert not rows.duplicated(["method", "modality"]).any()
    assert len(rows) == 7 * 5
    ordered = rows.dropna(subset="median_f1")
    assert (ordered["q1"] < ordered["median_f1"]).all()
    assert (ordered["median_f1"] < ordered["q3"]).all()


def test_table_keeps_them_apart_from_measured_values():
    table = published_table(published())
    assert table.title.startswith("Published (other images: not comparable case by case)")
    first = table.rows[0].cells
    assert first[:3] == ("T1-osilab", "0.897 (0.840–0.949)", "0.914 (0.880–0.949)")
    assert all(
        cell == "–" for row in table.rows if row.cells[0] == "KIT-GE" for cell in row.cells[1:]
    )
    assert isinstance(table.frame, pd.DataFrame)
