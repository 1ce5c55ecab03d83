"""What a reader of a figure would send back: text that runs out of the picture or into text."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts_outside(figure: Figure) -> list[str]:
    """Texts that are not wholly inside the figure."""
    return [name for name, box in _boxes(figure) if not _inside(box, figure.bbox)]


def texts_over_each_other(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of upright texts whose boxes overlap by more than a pixel each way."""
    boxes = _boxes(figure, upright=True)
    return [
        (a, b)
        for i, (a, first) in enumerate(boxes)
        for b, second in boxes[i + 1 :]
        if min(first.x1, second.x1) - max(first.x0, second.x0) > 1
        and min(first.y1, second.y1) - max(first.y0, second.y0) > 1
    ]


def _boxes(figure: Figure, upright: bool = False) -> list[tuple[str, Bbox]]:
    FigureCanvasAgg(figure).draw()
    never = _labels_beyond(figure)
    return [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_text().strip()
        and text.get_visible()
        and text not in never
        and not (upright and text.get_rotation() % 90)
    ]


def _labels_beyond(figure: Figure) -> set[Text]:
    """Labels of ticks beyond the limits, which exist and are not drawn."""
    found = set()
    for axis in (a for axes in figure.axes for a in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                found |= {tick.label1, tick.label2}
    return found


def _inside(box: Bbox, page: Bbox) -> bool:
    return box.x0 >= page.x0 and box.y0 >= page.y0 and box.x1 <= page.x1 and box.y1 <= page.y1
