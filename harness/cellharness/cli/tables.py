"""Print a report's table on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

import rich.table
from rich.box import SIMPLE_HEAD
from rich.text import Text

from cellharness.cli.console import out, print_whole
from cellharness.printing.table import Row, Table


def print_table(table: Table) -> None:
    """Print a table with its title and notes, one block under each heading."""
    out.print(Text(table.title, style="bold"))
    for heading, rows in _blocks(table):
        if heading:
            out.print(Text(f"\n{heading}", style="bold"))
        _print_block(table, rows)
    for note in table.notes:
        out.print(Text(note, style="dim"))
    out.print()


def _blocks(table: Table) -> Iterator[tuple[str, list[Row]]]:
    heading, rows = "", []
    for row in table.rows:
        if not row.heading:
            rows.append(row)
            continue
        if rows:
            yield heading, rows
        heading, rows = row.cells[0], []
    if rows:
        yield heading, rows


def _print_block(table: Table, rows: list[Row]) -> None:
    shown = rich.table.Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, head in enumerate(table.full_header):
        shown.add_column(Text(head), justify="left" if place in table.text else "right")
    for row in rows:
        cells = (
            Text(cell, style="bold" if place in row.strong else "")
            for place, cell in enumerate(row.cells)
        )
        shown.add_row(*cells)
    print_whole(shown)
