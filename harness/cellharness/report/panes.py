"""Pictures with outlines as the page draws them: the picture once, outlines a pane each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cellharness.report.outlines import STYLES
from cellharness.report.tiles import CaseTiles, MethodTile, data_uri, path_data
from cellharness.report.wording import number


@dataclass(frozen=True)
class Pane:
    """One picture with outlines, as the template draws it.

    Attributes
    ----------
    picture
        Id of the shared picture.
    size
        Width and height of the cut-out in its pixels.
    paths
        Kind of outline, id and path data, in drawing order.
    badge
        Text in the corner.
    name
        Caption.
    note
        Second line of the caption.
    colour
        Of the method, or "".
    alt
        What a reader who does not see the picture is told.
    """

    picture: str
    size: tuple[int, int]
    paths: tuple[tuple[str, str, str], ...]
    badge: str
    name: str
    note: str
    colour: str
    alt: str


@dataclass
class Gallery:
    """Keeps each picture once, however many panes show it.

    Attributes
    ----------
    pictures
        Id to data URI, width and height in pixels of the cut-out.
    """

    pictures: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def add(self, tiles: CaseTiles, prefix: str, longest_px: int) -> str:
        """Keep the picture of a case and return its id."""
        name = f"{prefix}-{tiles.case}"
        if tiles.picture is not None and name not in self.pictures:
            height, width = tiles.picture.shape[:2]
            self.pictures[name] = (data_uri(tiles.picture, longest_px), width, height)
        return name


def has_picture(tiles: CaseTiles | None) -> bool:
    """Whether there is anything to show."""
    return tiles is not None and tiles.picture is not None


def truth_pane(tiles: CaseTiles, picture: str) -> Pane:
    """Show the true cells of a case that has a picture."""
    return Pane(
        picture=picture,
        size=_size(tiles),
        paths=_paths(f"{picture}-truth", tiles.truth),
        badge="",
        name="Truth",
        note="",
        colour="",
        alt=f"{tiles.modality} image {tiles.case} with the outlines of the true cells",
    )


def method_pane(
    tiles: CaseTiles, result: MethodTile, picture: str, label: str, colour: str
) -> Pane:
    """Show what one method made of a case that has a picture."""
    badge = f"F1 {number(result.f1, 2)}" if result.has_mask else f"no mask: {result.status}"
    note = ""
    if result.counts is not None:
        note = "{} correct · {} wrong · {} missed".format(*result.counts)
    return Pane(
        picture=picture,
        size=_size(tiles),
        paths=_paths(f"{picture}-{result.method}", result.outlines),
        badge=badge,
        name=label,
        note=note,
        colour=colour,
        alt=f"{tiles.modality} image {tiles.case} as {label} segmented it: {badge}; {note}",
    )


def _size(tiles: CaseTiles) -> tuple[int, int]:
    assert tiles.picture is not None
    return tiles.picture.shape[1], tiles.picture.shape[0]


def _paths(prefix: str, outlines: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", prefix)
    return tuple(
        (kind, f"{name}-{kind}", path_data(outlines[kind])) for kind in STYLES if outlines.get(kind)
    )
