"""Which part of an image the page shows, and how finely: cells shall stay large enough to see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellharness.report.outlines import Window, cell_spans, fullest_window

# With more cells across than this, outlines of a truth and two methods run into each other.
_CELLS_ACROSS = 40
# (outlines of all methods and cases, longer side of their grid in px): the folder shall stay light.
_GRIDS = ((2_500, 640), (6_000, 480))
_COARSEST = 360


@dataclass(frozen=True)
class View:
    """Part of an image on a grid.

    Attributes
    ----------
    window
        The part, in pixels of the image.
    grid
        Rows and columns of the grid that stands for it, no more than it has pixels.
    """

    window: Window
    grid: tuple[int, int]

    def sample(self, labels: np.ndarray) -> np.ndarray:
        """Take from a label image the pixel in the middle of every cell of the grid."""
        window, (rows, columns) = self.window, self.grid
        height, width = window.bottom - window.top, window.right - window.left
        y = window.top + ((np.arange(rows) + 0.5) * height / rows).astype(int)
        x = window.left + ((np.arange(columns) + 0.5) * width / columns).astype(int)
        return labels.take(y, axis=0).take(x, axis=1)


def choose_view(truth: np.ndarray, side: int) -> View:
    """Show the whole image, or of one with many small cells the part with the most of them.

    The part is a square of forty median cell diameters, though not smaller than the grid.

    Parameters
    ----------
    truth : ndarray of unsigned int, (H, W)
        Label image.
    side : int
        Longer side of the grid.
    """
    spans = cell_spans(truth)
    longest = max(truth.shape)
    edge = longest
    if len(spans):
        edge = min(longest, max(side, round(_CELLS_ACROSS * float(np.median(np.diff(spans))))))
    window = fullest_window(spans, truth.shape, edge)
    height, width = window.bottom - window.top, window.right - window.left
    scale = min(1.0, side / max(height, width))
    return View(window, (max(1, round(height * scale)), max(1, round(width * scale))))


def grid_side(outlines: int) -> int:
    """Choose the longer side of the grids by how many outlines there are, all cases and methods.

    Examples
    --------
    >>> grid_side(39 * 7), grid_side(422 * 28)
    (640, 360)
    """
    for most, side in _GRIDS:
        if outlines <= most:
            return side
    return _COARSEST
