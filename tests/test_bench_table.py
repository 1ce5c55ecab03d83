"""The tables of ``docs/performance.md`` are those of what ``make bench`` left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bench_table

ROW = {
    "section": "scoring", "what": "a pair", "reference": "the slow way", "reference_s": 2.5,
    "ours_s": 0.05, "ratio": 50.0, "clock": "processor", "aim": 60.0, "of_limit": None,
}  # fmt: skip


def of_pytest(**extra_info):
    return {
        "datetime": "2026-11-27T08:00:00",
        "machine_info": {"node": "host", "cpu": {"brand_raw": "A processor", "count": 2}},
        "benchmarks": [
            {"fullname": "tests/benchmarks/test_a.py::test_b", "extra_info": extra_info},
            {"fullname": "tests/benchmarks/test_a.py::test_c", "extra_info": {}},
        ],
    }


def test_the_page_holds_what_is_kept():
    kept = json.loads(bench_table.KEPT.read_text(encoding="utf-8"))
    page = bench_table.PAGE.read_text(encoding="utf-8")
    assert bench_table.with_tables(page, kept) == page, "python tests/bench_table.py"


def test_every_test_that_rows_are_kept_of_is_there():
    kept = json.loads(bench_table.KEPT.read_text(encoding="utf-8"))
    folder = Path(bench_table.__file__).parent / "benchmarks"
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(folder),
        "--collect-only",
        "-q",
        "-o",
        "addopts=",
    ]
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    there = {line.rpartition("/")[2] for line in listed.splitlines() if "::" in line}
    if "error" in listed or "skipped" in listed:
        pytest.skip("not all benchmarks can be collected here")
    assert set(kept) <= there, "delete what is not there from docs/benchmarks.json"


def test_every_row_that_is_kept_has_a_place_on_the_page():
    kept = json.loads(bench_table.KEPT.read_text(encoding="utf-8"))
    marks = {match["section"] for match in bench_table.MARK.finditer(bench_table.PAGE.read_text())}
    rows = [
        row for test in kept.values() for kind in bench_table.KINDS for row in test.get(kind, ())
    ]
    assert {row["section"] for row in rows} <= marks


def test_only_rows_day_and_processor_are_kept():
    found = bench_table.taken(of_pytest(compared=[ROW], other=1))
    assert found == {
        "test_a.py::test_b": {
            "date": "2026-11-27", "machine": "2 cores of A processor", "compared": [ROW],
        }
    }  # fmt: skip


def test_a_test_that_ran_again_replaces_its_rows(tmp_path):
    found, kept = tmp_path / "found.json", tmp_path / "kept.json"
    for ratio in (50.0, 70.0):
        row = {**ROW, "ratio": ratio}
        found.write_text(json.dumps(of_pytest(compared=[row])), encoding="utf-8")
        bench_table.keep(found, kept)
    (test,) = json.loads(kept.read_text(encoding="utf-8")).values()
    assert [row["ratio"] for row in test["compared"]] == [70.0]


def test_a_bound_that_is_missed_is_told():
    text = bench_table.section_text(bench_table.taken(of_pytest(compared=[ROW])), "scoring")
    assert (
        "| a pair | the slow way | 2.50 s | 50.0 ms | processor | **50.0x** | 60x, **missed** |"
        in text
    )
    assert text.endswith("2 cores of A processor, 2026-11-27.\n")
    figure = {"section": "limits", "what": "memory", "value": 3.0, "unit": "GB", "aim": ["≤", 2.0]}
    text = bench_table.section_text(bench_table.taken(of_pytest(measured=[figure])), "limits")
    assert "| memory | 3.00 GB | ≤ 2 GB, **missed** |" in text


def test_growth_is_told_by_its_ends():
    row = {
        "section": "growth", "what": "scoring", "along": "pixels", "sizes": [1e6, 4e6],
        "seconds": [0.0005, 0.002], "exponent": 1.0,
    }  # fmt: skip
    text = bench_table.section_text(bench_table.taken(of_pytest(growth=[row])), "growth")
    assert "| scoring | pixels | 1,000,000, 4,000,000 | 500 µs, 2.00 ms | 1.00 |" in text


def test_a_place_without_a_table_yet_takes_nothing_of_what_follows():
    page = "".join(
        f"<!-- bench: {section} -->\n<!-- bench: end -->\n\nWords.\n"
        for section in ("a", "scoring")
    )
    kept = bench_table.taken(of_pytest(compared=[ROW]))
    made = bench_table.with_tables(page, kept)
    assert made.count("Words.") == 2
    assert made.count("Not measured yet") == 1
    assert bench_table.with_tables(made, kept) == made
