"""Draw the rooms of ``docs/architecture.md`` as the SVG that the page shows.

After a change of the table::

    python tests/room_drawing.py
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from html import escape

from room_table import PAGE, Room, read_rooms

DRAWING = PAGE.parent / "images" / "rooms.svg"

# Where a room stands, in columns from the left; its height follows from what it imports.
_COLUMNS = {
    "cli": 1.5, "api": 1.5, "running": 1.0, "report": 2.5, "adapters": 0.0, "training": 1.0,
    "methods": 0.5, "scoring": 1.5, "data": 1.2, "weights": 0.0, "config": 1.7,
    "statistics": 2.6, "ground": 1.25, "analysis": 2.0, "printing": 3.0, "comparing": 3.5,
    "environments": 0.85, "selftest": 0.0, "slides": 0.75, "cluster": 0.0,
}  # fmt: skip
_WIDTH, _HEIGHT, _COLUMN, _ROW, _MARGIN = 150, 40, 190, 84, 16


def levels(rooms: Mapping[str, Room]) -> dict[str, int]:
    """Give each room its height: one above the highest that it may import.

    Raises
    ------
    graphlib.CycleError
        Rooms may import each other in a circle.
    """
    height: dict[str, int] = {}
    order = graphlib.TopologicalSorter({name: room.may_import for name, room in rooms.items()})
    for name in order.static_order():
        below = (height[other] for other in rooms[name].may_import)
        height[name] = max(below, default=-1) + 1
    return height


def plain_arrows(rooms: Mapping[str, Room]) -> list[tuple[str, str]]:
    """Give the arrows that do not follow from others."""
    return [
        (name, other)
        for name, room in rooms.items()
        for other in sorted(room.may_import)
        if not any(other in rooms[between].may_import for between in room.may_import)
    ]


def draw(rooms: Mapping[str, Room]) -> str:
    """Give the SVG."""
    height = levels(rooms)
    top = max(height.values())
    places = {
        name: (
            _MARGIN + _WIDTH / 2 + _COLUMN * _COLUMNS[name],
            _MARGIN + _HEIGHT / 2 + _ROW * (top - height[name]),
        )
        for name in rooms
    }
    width = max(x for x, _ in places.values()) + _WIDTH / 2 + _MARGIN
    tall = max(y for _, y in places.values()) + _HEIGHT / 2 + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {tall:g}" '
        f'width="{width:g}" height="{tall:g}" font-family="sans-serif" font-size="15">',
        "<title>Rooms, and which may import which</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{width:g}" height="{tall:g}" fill="#fff"/>',
    ]
    for upper, lower in plain_arrows(rooms):
        (x1, y1), (x2, y2) = places[upper], places[lower]
        lines.append(
            f'<line x1="{x1:g}" y1="{y1 + _HEIGHT / 2:g}" x2="{x2:g}" y2="{y2 - _HEIGHT / 2:g}" '
            'stroke="#555" stroke-width="1.5" marker-end="url(#head)"/>'
        )
    for name, (x, y) in places.items():
        fill = "#fdebd3" if name == "adapters" else "#e3edf7"
        lines += [
            f"<g><title>{escape(rooms[name].job.replace('`', ''))}</title>"
            f'<rect x="{x - _WIDTH / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="6" fill="{fill}" stroke="#345"/>',
            f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle">{name}</text></g>',
        ]
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    DRAWING.write_text(draw(read_rooms()), encoding="utf-8")
