"""Keep what ``make bench`` measured beside ``docs/performance.md``, and set its tables there.

From the root of the project::

    python tests/bench_table.py build/bench.json

A test that ran again replaces what was kept of it, so that one of them can be repeated alone::

    pytest tests/benchmarks/test_misic_speed.py --benchmark-only --benchmark-json build/bench.json

Without a file, the page is made anew of what is kept.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "performance.md"
KEPT = DOCS / "benchmarks.json"
MARK = re.compile(
    r"<!-- bench: (?P<section>[a-z -]+) -->\n(?:(?!<!-- bench: ).*\n)*<!-- bench: end -->"
)
#: Kinds of rows, in the order of their tables.
KINDS = ("compared", "measured", "growth")


def taken(result: dict[str, Any]) -> dict[str, Any]:
    """Give rows, day and machine of each benchmark of pytest-benchmark's file that left rows."""
    machine = result["machine_info"]
    where = f"{machine['cpu'].get('count')} cores of {machine['cpu'].get('brand_raw')}"
    found = {}
    for benchmark in result["benchmarks"]:
        rows = {
            kind: benchmark["extra_info"][kind] for kind in KINDS & benchmark["extra_info"].keys()
        }
        if rows:
            about = {"date": result["datetime"][:10], "machine": where}
            found[benchmark["fullname"].removeprefix("tests/benchmarks/")] = {**about, **rows}
    return found


def keep(found: Path, kept: Path = KEPT) -> None:
    """Add the rows of a file of pytest-benchmark to those kept."""
    tests = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    tests |= taken(json.loads(found.read_text(encoding="utf-8")))
    text = json.dumps(dict(sorted(tests.items())), indent=1, ensure_ascii=False)
    kept.write_text(text + "\n", encoding="utf-8")


def rows_of(tests: dict[str, Any], kind: str, section: str) -> list[dict[str, Any]]:
    """Give the rows of one kind in one section, with the machine of each."""
    return [
        {**row, "machine": test["machine"], "date": test["date"]}
        for test in tests.values()
        for row in test.get(kind, ())
        if row["section"] == section
    ]


def seconds(value: float) -> str:
    """Give three figures, in the unit that suits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1 or unit == "µs":
            scaled = value * factor
            digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
            return f"{scaled:.{digits}f} {unit}"
    raise AssertionError


def number(value: float) -> str:
    """Give a figure with as many digits as tell something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _compared(rows: list[dict[str, Any]]) -> list[list[str]]:
    limits = any(row["of_limit"] for row in rows)
    head = ["what", "reference", "its time", "ours", "clock", "ratio", "aim"]
    lines = [head + ["of the machine's limit"] * limits]
    for row in rows:
        missed = row["aim"] is not None and row["ratio"] < row["aim"]
        aim = "" if row["aim"] is None else f"{row['aim']:g}x" + ", **missed**" * missed
        limit = "" if not row["of_limit"] else f"{row['of_limit'][0]:.0%} of {row['of_limit'][1]}"
        lines.append(
            [
                row["what"],
                row["reference"],
                seconds(row["reference_s"]),
                seconds(row["ours_s"]),
                row["clock"],
                f"**{number(row['ratio'])}x**",
                aim,
                *[limit] * limits,
            ]
        )
    return lines


def _measured(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = [["what", "measured", "aim"]]
    for row in rows:
        aim = ""
        if row["aim"]:
            sign, bound = row["aim"]
            missed = row["value"] > bound if sign == "≤" else row["value"] < bound
            aim = f"{sign} {bound:g} {row['unit']}" + ", **missed**" * missed
        lines.append([row["what"], f"{number(row['value'])} {row['unit']}", aim])
    return lines


def _growth(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = [["what", "along", "from, to", "time", "exponent"]]
    for row in rows:
        ends = f"{row['sizes'][0]:,.0f}, {row['sizes'][-1]:,.0f}"
        times = f"{seconds(row['seconds'][0])}, {seconds(row['seconds'][-1])}"
        lines.append([row["what"], row["along"], ends, times, f"{row['exponent']:.2f}"])
    return lines


def section_text(tests: dict[str, Any], section: str) -> str:
    """Give the tables of a section in Markdown."""
    makers = dict(zip(KINDS, (_compared, _measured, _growth), strict=True))
    parts, places = [], set()
    for kind, make in makers.items():
        rows = rows_of(tests, kind, section)
        if not rows:
            continue
        head, *lines = make(rows)
        table = [head, ["---"] * len(head), *lines]
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in table))
        places |= {f"{row['machine']}, {row['date']}" for row in rows}
    if not parts:
        return "Not measured yet: `make bench`.\n"
    return "\n\n".join(parts) + f"\n\n{'; '.join(sorted(places))}.\n"


def with_tables(page: str, tests: dict[str, Any]) -> str:
    """Give the page with every marked place filled anew."""

    def fill(match: re.Match[str]) -> str:
        section = match["section"]
        return f"<!-- bench: {section} -->\n{section_text(tests, section)}<!-- bench: end -->"

    return MARK.sub(fill, page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        keep(Path(name))
    tests = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), tests), encoding="utf-8")
