"""The rooms of the two packages, read from the table in ``docs/architecture.md``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "architecture.md"
_HEADER = ("room", "modules", "its one job", "may import", "never loads")


@dataclass(frozen=True)
class Room:
    """One row of the table.

    Attributes
    ----------
    name : str
    modules : tuple of str
        Full names of its modules; what lies below a package belongs to the room too.
    job : str
    may_import : frozenset of str
        Names of rooms.
    never_loads : tuple of str
        Packages that importing the room must not bring in.
    """

    name: str
    modules: tuple[str, ...]
    job: str
    may_import: frozenset[str]
    never_loads: tuple[str, ...]


def read_rooms() -> dict[str, Room]:
    """Read the table; rooms by name."""
    table = [_cells(line) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    start = table.index(_HEADER) + 2
    rooms = {}
    for row in table[start:]:
        if len(row) != len(_HEADER):
            break
        name, modules, job, may_import, never = row
        rooms[name] = Room(
            name,
            tuple(map(_full_name, _list(modules))),
            job,
            frozenset(_list(may_import)),
            _list(never),
        )
    return rooms


def _cells(line: str) -> tuple[str, ...]:
    if not line.startswith("|"):
        return ()
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def _list(cell: str) -> tuple[str, ...]:
    return tuple(part.strip(" `") for part in cell.split(",") if part.strip())


def _full_name(module: str) -> str:
    if module == "__init__":
        return "cellharness"
    return module if module == "cellharness_adapters" else f"cellharness.{module}"
