"""Accuracy against time and memory, a bubble a method: the paper's Fig. 3b."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import Affine2D

from cellharness.analysis.ranked import GPU, HOST, Ranked
from cellharness.printing.wording import count
from cellharness.records import records
from cellharness.report.comparison.data import Comparison
from cellharness.report.label_places import Box, place_labels
from cellharness.report.layout import Sheet, shorten, text_mm
from cellharness.report.style import GREY, HAIRLINE, INK, SMALL_PT

#: Up to so many methods are named beside their bubbles, more are numbered and listed.
MOST_NAMED = 12
MIB_PER_GIB = 1024

_TOP_MM, _HEAD_MM, _LEFT_MM, _RIGHT_MM, _BELOW_MM = 1.0, 7.0, 10.5, 3.0, 8.5
_FLAT, _LOWEST_MM = 0.32, 44.0
# The list of numbered methods.
_LINE_MM, _COLUMN_MM, _NUMBER_MM = 2.9, 28.0, 5.0
# Radius of the largest bubble where methods are named, and where they are numbered.
_LARGEST_MM = {True: 3.1, False: 2.6}
_POINT_MM, _OPACITY = 25.4 / 72, 0.45
# From the outermost points to the ends of the axes, so that no bubble is cut.
_ROOM_MM = 4.5
# Least span of the axes, in powers of ten and in F1: noise shall not look like a difference.
_LEAST_POWERS, _LEAST_SCORE = 0.3, 0.1
# Leading digits of the times at the axis, from coarse to fine.
_DIGITS = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
_KEY_SIZES = (0.01, 0.03, 0.06, 0.12, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)
# Names: height, room around a point and a bubble, from where on a line leads to it, and how much
# worse it is to cover a bubble than a line.
_NAME_MM, _DOT_MM, _AROUND_MM, _FAR_MM, _COVERED = 2.5, 0.6, 0.7, 3.0, 3


def points_of(ranked: Ranked) -> pd.DataFrame:
    """What the bubbles show, best first; only methods with a median and a time.

    Columns ``method, number`` (place in the ranking, from 1), ``median_f1``, and those of
    `cellharness.analysis.ranked.costs_of`.
    """
    medians = ranked.table[["method", "median_f1"]]
    points = medians.assign(number=range(1, len(medians) + 1)).merge(ranked.costs, on="method")
    return points[points["median_f1"].notna() & (points["seconds"] > 0)].reset_index(drop=True)


def has_bubbles(d: Comparison) -> bool:
    """Whether any method has both a score and a time, and none with masks lacks the time."""
    return d.ranked is not None and not d.run.untimed and not points_of(d.ranked).empty


def bubble_caption(d: Comparison) -> str:
    """Say what the figure shows."""
    assert d.ranked is not None
    points = points_of(d.ranked)
    kinds = set(points["memory_of"])
    on_gpu = f"{GPU} memory (framework's allocator)"
    area = f"filled, {on_gpu}; hollow, {HOST} memory of methods that used no {GPU}"
    if kinds == {""}:
        area = "not shown, as memory was not measured"
    elif GPU not in kinds:
        area = f"peak of {HOST} memory of the process, as no {GPU} was used"
    elif HOST not in kinds:
        area = f"peak of {on_gpu}"
    missing = len(d.ranked.order) - len(points)
    said = (
        "Median F1 against median seconds an image, from reading to writing, the method being "
        f"loaded; best is up and left. Area, {area}.",
        "+, memory not measured." if len(kinds) > 1 and "" in kinds else "",
        "Numbers are places in the ranking." if len(points) > MOST_NAMED else "",
        f"Without a time, and left out: {count(missing, 'method')}." if missing else "",
    )
    return " ".join(filter(None, said))


def bubble_figure(d: Comparison, width_mm: float) -> Figure:
    """Draw a bubble a method: median seconds across, median F1 up, area the peak of memory.

    GPU memory is filled, host memory of a method that used no GPU hollow; a cross is neither.
    """
    assert d.ranked is not None
    points = points_of(d.ranked)
    rows, named = records(points), len(points) <= MOST_NAMED
    labels = [d.run.labels[row["method"]] for row in rows]
    columns = int((width_mm - _LEFT_MM) // _COLUMN_MM)
    lines = 0 if named else -(-len(rows) // columns)
    across = width_mm - _LEFT_MM - _RIGHT_MM
    up = max(_FLAT * across, _LOWEST_MM)
    under = _TOP_MM + _HEAD_MM + up + _BELOW_MM
    sheet = Sheet(width_mm, under + lines * _LINE_MM + (0.5 if named else 2.5))
    ax = sheet.axes(_LEFT_MM, _TOP_MM + _HEAD_MM, across, up)
    places = _scale(ax, points, across, up)
    biggest = float(points["memory_mb"].max())
    unit = _LARGEST_MM[named] / math.sqrt(biggest) if biggest > 0 else 0.0
    radii = [unit * math.sqrt(r["memory_mb"]) if r["memory_mb"] > 0 else 0.0 for r in rows]
    # Small ones over large ones.
    for row, radius in sorted(zip(rows, radii, strict=True), key=lambda pair: -pair[1]):
        colour = d.styles[row["method"]].colour
        _bubble(ax, (row["seconds"], row["median_f1"]), radius, colour, row["memory_of"])
    texts = labels if named else [str(row["number"]) for row in rows]
    _write_names(ax, texts, np.array(places), np.array(radii), (across, up))
    if unit:
        _key(sheet, unit, biggest, set(points["memory_of"]))
    step = (width_mm - _LEFT_MM) / columns
    for i, (number, label) in enumerate(zip(texts, labels, strict=True) if lines else ()):
        x, y = _LEFT_MM + i // lines * step, under + 2.0 + (i % lines + 0.6) * _LINE_MM
        sheet.small(x + _NUMBER_MM - 1.4, y, number, ha="right")
        short = shorten(label, step - _NUMBER_MM - 1.0, SMALL_PT)
        sheet.small(x + _NUMBER_MM, y, short, color=INK)
    return sheet.figure


def _bubble(ax: Axes, at: tuple[float, float], radius: float, colour: str, kind: str) -> None:
    if radius <= 0:
        ax.plot(*at, "+", color=colour, ms=4, mew=0.8, zorder=3)
        return
    size, filled = [2 * radius / _POINT_MM], kind == GPU
    ax.add_collection(
        EllipseCollection(
            size, size, [0], units="points", offsets=[at], offset_transform=ax.transData,
            facecolors=[to_rgba(colour, _OPACITY if filled else 0.0)], edgecolors=[colour],
            linewidths=0.7 if filled else 1.0, zorder=2, clip_on=False,
        ),
        autolim=False,
    )  # fmt: skip
    ax.plot(*at, ".", color=colour, ms=1.6, zorder=3)


def _key(sheet: Sheet, unit: float, biggest: float, kinds: set[str]) -> None:
    """Show what the areas mean, over the plot."""
    room, x, middle = sheet.width - _LEFT_MM, 0.0, 0.55 * _HEAD_MM
    ax = sheet.axes(_LEFT_MM, _TOP_MM, room, _HEAD_MM)
    ax.set(xlim=(0, room), ylim=(0, _HEAD_MM))
    ax.set_axis_off()
    kind = GPU if GPU in kinds else HOST
    style: dict[str, Any] = {"va": "center_baseline", "fontsize": SMALL_PT, "color": GREY}
    for size in key_sizes(biggest):
        radius = unit * math.sqrt(size * MIB_PER_GIB)
        _bubble(ax, (x + radius, middle), radius, HAIRLINE if kind == GPU else GREY, kind)
        x += 2 * radius + 0.7
        ax.text(x, middle, f"{size:g}", **style)
        x += text_mm(f"{size:g}", SMALL_PT) + 1.8
    words = {True: f"GiB, {GPU} (filled) or {HOST} (hollow)", False: f"GiB of {kind} memory"}
    ax.text(x, middle, words[kinds >= {GPU, HOST}], **style)


def key_sizes(biggest_mb: float) -> list[float]:
    """Choose up to three round sizes for the key, in GiB, none above the biggest bubble."""
    fitting = [size for size in _KEY_SIZES if size * MIB_PER_GIB <= biggest_mb]
    # The smallest would be points.
    return [size for size in fitting[::-2][:3][::-1] if size >= fitting[-1] / 20]


def _scale(ax: Axes, points: pd.DataFrame, across: float, up: float) -> list[tuple[float, float]]:
    """Scale and label the axes; return where the points lie, in mm from the lower left corner."""
    powers = np.log10(points["seconds"].to_numpy(float))
    scores = points["median_f1"].to_numpy(float)
    left, right = _limits(powers, across, _LEAST_POWERS)
    low, high = _limits(scores, up, _LEAST_SCORE)
    ax.set(xscale="log", xlim=(10**left, 10**right), ylim=(low, high))
    ax.set_xticks(time_ticks(10**left, 10**right))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks(_round(max(low, 0.0), min(high, 1.0), 7))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.grid(color="#ececec", lw=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel("Seconds an image (median, logarithmic)", labelpad=2)
    ax.set_ylabel("Median F1", labelpad=3)
    xs, ys = across * (powers - left) / (right - left), up * (scores - low) / (high - low)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def _limits(values: np.ndarray, length_mm: float, least: float) -> tuple[float, float]:
    spare = max(0.0, least - float(np.ptp(values))) / 2
    low, high = float(values.min()) - spare, float(values.max()) + spare
    margin = (high - low) * _ROOM_MM / (length_mm - 2 * _ROOM_MM)
    return low - margin, high + margin


def _round(low: float, high: float, most: int) -> list[float]:
    ticks = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [round(tick, 9) for tick in ticks if low <= round(tick, 9) <= high]


def time_ticks(low: float, high: float) -> list[float]:
    """Choose round times, at least three where the range is not tiny."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in _DIGITS:
        ticks = (float(f"{digit}e{power}") for power in powers for digit in digits)
        found = [tick for tick in ticks if low <= tick <= high]
        if len(found) >= 3:
            return found
    return _round(low, high, 4)


def _write_names(
    ax: Axes, texts: Sequence[str], places: np.ndarray, radii: np.ndarray,
    frame: tuple[float, float],
) -> None:  # fmt: skip
    """Write names or numbers so that they cover neither bubbles nor each other."""
    reach, (across, up) = radii + _AROUND_MM, frame
    covered = [Box(x - r, y - r, x + r, y + r) for (x, y), r in zip(places, reach, strict=True)]
    boxes = place_labels(
        [(x, y) for x, y in places], [(text_mm(text), _NAME_MM) for text in texts],
        Box(0.3, 0.3, across + _RIGHT_MM - 0.5, up), covered * _COVERED, radius=_DOT_MM,
    )  # fmt: skip
    in_mm = Affine2D().scale(1 / across, 1 / up) + ax.transAxes
    for i, (text, box) in enumerate(zip(texts, boxes, strict=True)):
        middle = (box.left + box.right) / 2, (box.bottom + box.top) / 2
        ax.text(*middle, text, transform=in_mm, ha="center", va="center_baseline", zorder=6)
        near = np.clip(places, (box.left, box.bottom), (box.right, box.top))
        away = np.linalg.norm(near - places, axis=1) - np.maximum(radii, _DOT_MM)
        # Far from its bubble, or nearer to another one.
        if away[i] > _FAR_MM or away[i] > away.min() + 0.3:
            way = near[i] - places[i]
            xs, ys = np.transpose([near[i] - way * away[i] / np.linalg.norm(way), near[i]])
            ax.plot(xs, ys, color=GREY, lw=0.4, transform=in_mm, zorder=1)
