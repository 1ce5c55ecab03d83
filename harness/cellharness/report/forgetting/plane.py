"""Stability against plasticity: what each remedy gained on seen and lost on unseen experiments."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from cellharness.report.forgetting.findings import Findings
from cellharness.report.forgetting.look import SIGNED, span
from cellharness.report.forgetting.study import Study
from cellharness.report.label_places import Box, place_labels
from cellharness.report.layout import text_mm
from cellharness.report.records import Record, by_key
from cellharness.report.sheet import Sheet
from cellharness.report.style import GREY, HAIRLINE, LineStyle
from cellharness.report.wording import absent
from cellharness.statistics.staged_scores import SEEN, UNSEEN
from cellharness.vocabulary import PRETRAINED, PRETRAINED_LABEL

_LEFT_MM, _RIGHT_MM, _TOP_MM, _BELOW_MM = 12.0, 3.0, 4.0, 9.5
_LARGEST_MM = 165.0
_LABEL_HEIGHT_MM = 2.6
_WHISKER_MM, _STEP_MM = 0.5, 1.0
# Beyond this a name needs a line to its point.
_FAR_MM = 3.0


def can_be_drawn(findings: Findings) -> bool:
    """Whether there are cases of both parts, and so two axes."""
    return findings.has(SEEN) and findings.has(UNSEEN)


def sweep(study: Study, findings: Findings) -> list[str]:
    """Weights between those before training and those of the subject, and the subject itself.

    In order of the share of the fine-tuned weights where the study gives it for all, otherwise
    in that of the study.
    """
    between = [
        remedy
        for name, remedy in study.remedies.items()
        if name in findings.trained and remedy.is_derived and remedy.training == findings.subject
    ]
    if not between:
        return []
    shares = [remedy.mixing for remedy in between]
    if None not in shares:
        between.sort(key=lambda remedy: remedy.mixing or 0.0)
    return [*(remedy.name for remedy in between), findings.subject]


def plane_figure(
    study: Study, findings: Findings, styles: Mapping[str, LineStyle], width_mm: float
) -> Figure:
    """Draw one point a remedy with both intervals, weights before training at the origin.

    Parameters
    ----------
    study, findings
        The study and its measures.
    styles : mapping of str to LineStyle
        Look of each remedy.
    width_mm : float
        Printed width.
    """
    points = by_key(findings.plane, "remedy")
    shown = [n for n in study.remedies if (n,) in points and not _hollow(points[n,])]
    across = min(width_mm - _LEFT_MM - _RIGHT_MM, _LARGEST_MM)
    up = min(0.8 * across, 78.0)
    sheet = Sheet(width_mm, _TOP_MM + up + _BELOW_MM)
    ax = sheet.axes(_LEFT_MM, _TOP_MM, across, up)
    rows = findings.plane[findings.plane["remedy"].isin(shown)]
    ax.set_xlim(*span(rows, ("gain_seen", "gain_low", "gain_high"), 0.1))
    ax.set_ylim(*span(rows, ("loss_unseen", "loss_low", "loss_high"), 0.1))
    ax.axhline(0, color=HAIRLINE, lw=0.8, zorder=0)
    ax.axvline(0, color=HAIRLINE, lw=0.8, zorder=0)
    ax.xaxis.set_major_formatter(SIGNED)
    ax.yaxis.set_major_formatter(SIGNED)
    ax.set_xlabel("Gain on seen experiments (mean change of F1)", labelpad=2)
    ax.set_ylabel("Loss on unseen experiments (mean F1 lost)", labelpad=2)
    joined = [name for name in sweep(study, findings) if name in shown]
    path = [(0.0, 0.0), *(_at(points[name,]) for name in joined)] if len(joined) > 1 else []
    if path:
        ax.plot(*zip(*path, strict=True), color=GREY, lw=0.9, ls=(0, (1, 1.2)), zorder=1)
    ax.plot(0, 0, "D", ms=4.5, mfc="white", mec=GREY, mew=0.9, zorder=4)
    for name in shown:
        _point(ax, points[name,], styles[name])
    _corner(ax)
    _names(ax, study, points, shown, styles, path, (across, up))
    return sheet.figure


def _hollow(row: Record) -> bool:
    return absent(row["gain_seen"]) or absent(row["loss_unseen"])


def _at(row: Record) -> tuple[float, float]:
    return float(row["gain_seen"]), float(row["loss_unseen"])


def _point(ax: Axes, row: Record, style: LineStyle) -> None:
    x, y = _at(row)
    bar: dict[str, Any] = {"color": style.colour, "lw": 0.8, "alpha": 0.6, "zorder": 2}
    ax.plot([row["gain_low"], row["gain_high"]], [y, y], **bar)
    ax.plot([x, x], [row["loss_low"], row["loss_high"]], **bar)
    ax.plot(x, y, style.marker, ms=5, mfc=style.colour, mec="white", mew=0.5, zorder=5)


def _corner(ax: Axes) -> None:
    """Say which way is good."""
    ax.annotate(
        "learns and keeps", (1, 0), (-4, 4), xycoords="axes fraction", textcoords="offset points",
        ha="right", va="bottom", color=GREY, fontsize=6.5, style="italic",
    )  # fmt: skip


def _names(
    ax: Axes,
    study: Study,
    points: Mapping[tuple[Any, ...], Record],
    shown: Sequence[str],
    styles: Mapping[str, LineStyle],
    path: Sequence[tuple[float, float]],
    size: tuple[float, float],
) -> list[Artist]:
    """Write the name of each point beside it, with a line where it is far."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()

    def mm(x: float, y: float) -> tuple[float, float]:
        return (x - x0) / (x1 - x0) * size[0], (y - y0) / (y1 - y0) * size[1]

    names = [PRETRAINED, *shown]
    texts = [PRETRAINED_LABEL, *(study.labels[name] for name in shown)]
    places = [mm(0.0, 0.0), *(mm(*_at(points[name,])) for name in shown)]
    lines = [_line(mm, points[name,], upright=u) for name in shown for u in (False, True)]
    lines += [*_along([mm(*place) for place in path])]
    x_zero, y_zero = mm(0.0, 0.0)
    lines += [Box(0, y_zero - _WHISKER_MM, size[0], y_zero + _WHISKER_MM)]
    lines += [Box(x_zero - _WHISKER_MM, 0, x_zero + _WHISKER_MM, size[1])]
    # The corner is taken.
    lines += [Box(size[0] - text_mm("learns and keeps"), 0, size[0], 4.0)] * 20
    boxes = place_labels(
        places,
        [(text_mm(text), _LABEL_HEIGHT_MM) for text in texts],
        Box(0.5, 0.5, size[0] - 0.5, size[1] - 0.5),
        [line for line in lines if line is not None],
    )
    drawn: list[Artist] = []
    for name, text, (x, y), box in zip(names, texts, places, boxes, strict=True):
        middle = ((box.left + box.right) / 2, (box.bottom + box.top) / 2)
        at = (middle[0] / size[0], middle[1] / size[1])
        drawn.append(
            ax.text(
                *at, text, transform=ax.transAxes, ha="center", va="center_baseline", zorder=6,
                color=_darker(styles[name].colour),
                bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.3},
            )
        )  # fmt: skip
        nearest = (min(max(x, box.left), box.right), min(max(y, box.bottom), box.top))
        if ((nearest[0] - x) ** 2 + (nearest[1] - y) ** 2) ** 0.5 > _FAR_MM:
            ends = zip((x, y), nearest, strict=True)
            xs, ys = ([a / side, b / side] for (a, b), side in zip(ends, size, strict=True))
            ax.plot(xs, ys, color=styles[name].colour, lw=0.5, transform=ax.transAxes, zorder=1)
    return drawn


def _along(path: Sequence[tuple[float, float]]) -> Iterator[Box]:
    """Cover a line with small boxes."""
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        steps = max(1, math.ceil(math.dist((x0, y0), (x1, y1)) / _STEP_MM))
        for i in range(steps + 1):
            x, y = x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps
            yield Box(x - _STEP_MM / 2, y - _STEP_MM / 2, x + _STEP_MM / 2, y + _STEP_MM / 2)


def _darker(colour: str) -> str:
    """Darken a colour, since thin letters look lighter than marks."""
    red, green, blue = (0.72 * channel for channel in to_rgb(colour))
    return to_hex((red, green, blue))


def _line(mm: Any, row: Record, *, upright: bool) -> Box | None:
    """Where an interval bar lies."""
    x, y = _at(row)
    stem = "loss" if upright else "gain"
    low, high = row[f"{stem}_low"], row[f"{stem}_high"]
    if absent(low) or absent(high):
        return None
    left, bottom = mm(x, low) if upright else mm(low, y)
    right, top = mm(x, high) if upright else mm(high, y)
    across, up = (_WHISKER_MM, 0.0) if upright else (0.0, _WHISKER_MM)
    return Box(left - across, bottom - up, right + across, top + up)
