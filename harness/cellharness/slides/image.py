"""An image in the form that a method takes, read by window; one pass finds what that needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cellharness.data.images import model_input
from cellharness.data.pixel_rules import RULES, UnsupportedImageError
from cellharness.data.regions import Regions, open_regions
from cellharness.slides.layout import Tile, lay_out

#: Rows that are read at once where all of an image is looked through.
_ROWS = 512


class SlideImage:
    """An image of any size, in the form that a method takes.

    Every window is what the same window of the image prepared whole would be
    (`cellharness.data.images.model_input`), but for the last digit of a colour made grey.

    Parameters
    ----------
    regions : Regions
        The file's pixels.
    mode : {"gray_max", "gray", "native"}
        Form of the image.
    path : Path
        For messages.
    tiles : (int, int)
        Size and overlap of its tiles in px.
    folder : Path
        Where what is larger than memory may lie for as long as the image is worked on.

    Attributes
    ----------
    shape : tuple of int
        (H, W).
    findings : tuple of PixelFinding
        What a reader of its scores should know.
    in_memory : bool
        Whether the file had to be decoded whole.
    tiles : list of Tile
        Of the whole image, row by row.

    Raises
    ------
    UnsupportedImageError
        Pixels that are not finite, a fourth channel that is not alpha, or values beyond float32;
        as for an image that is read whole.
    """

    def __init__(
        self, regions: Regions, mode: str, path: Path, tiles: tuple[int, int], folder: Path
    ) -> None:
        self.folder = folder
        self._regions, self._mode, self._path = regions, mode, path
        self.shape: tuple[int, int] = (regions.shape[0], regions.shape[1])
        self.findings = regions.findings
        self.in_memory = regions.whole
        self.tiles = lay_out(self.shape, *tiles)
        channels = regions.shape[2] if len(regions.shape) == 3 else 1
        # A fourth channel, or alpha, is left out; whether it may be is seen in the pass below.
        self._left_out = channels == 4 or regions.alpha
        self._channels = channels - 1 if self._left_out else channels
        self._highest: Any = None
        self._look_through()

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a window.

        Parameters
        ----------
        rows, columns : slice
            Within the image, with start and stop.

        Returns
        -------
        ndarray
            Grey modes: float32, (h, w). ``native``: (h, w) or (h, w, C) in the file's dtype.
        """
        return model_input(self._pixels(rows, columns), self._mode, self._highest)

    def read_tile(self, tile: Tile) -> np.ndarray:
        """Read all of a tile, as `read`."""
        return self.read(tile.rows, tile.columns)

    def bands(self, margin: int = 0) -> Iterator[tuple[slice, np.ndarray, slice]]:
        """Go through the image in bands of full width.

        Parameters
        ----------
        margin : int
            Rows above and below that come with each band, as far as there are any.

        Yields
        ------
        rows : slice
            Of the image.
        band : ndarray
            Those rows with their margins, as `read`.
        inner : slice
            The rows of `band` without the margins.
        """
        height, width = self.shape
        for top in range(0, height, _ROWS):
            rows = slice(top, min(top + _ROWS, height))
            around = slice(max(0, rows.start - margin), min(height, rows.stop + margin))
            inner = slice(rows.start - around.start, rows.stop - around.start)
            yield rows, self.read(around, slice(0, width)), inner

    def limits(self) -> tuple[float, float]:
        """Lowest and highest value of the whole image."""
        ends = [(band.min(), band.max()) for _, band, _ in self.bands()]
        return float(min(low for low, _ in ends)), float(max(high for _, high in ends))

    def sample(self, step: tuple[int, int]) -> np.ndarray:
        """Every so-and-so-many-th row and column, as ``image[::step[0], ::step[1]]``."""
        found = []
        for rows, band, _ in self.bands():
            found.append(band[-rows.start % step[0] :: step[0], :: step[1]].copy())
        return np.concatenate(found)

    def _pixels(self, rows: slice, columns: slice) -> np.ndarray:
        pixels = self._regions.read(rows, columns)
        if pixels.dtype.kind == "b":
            pixels = pixels.astype(np.uint8)
        if self._left_out:
            pixels = pixels[..., :-1]
        if pixels.ndim == 3 and pixels.shape[-1] == 1:
            pixels = pixels[..., 0]
        return np.ascontiguousarray(pixels)

    def _look_through(self) -> None:
        """Find the maximum, pixels that are not finite, and whether the fourth channel is blank."""
        floats = self._regions.dtype.kind == "f"
        colour = self._channels > 1 and self._mode == "gray_max"
        if not (floats or colour or self._left_out):
            return
        bad = size = 0
        highest: Any = None
        ends: list[Any] = []
        for top in range(0, self.shape[0], _ROWS):
            rows = slice(top, min(top + _ROWS, self.shape[0]))
            pixels = self._regions.read(rows, slice(0, self.shape[1]))
            if self._left_out:
                ends += [pixels[..., -1].min(), pixels[..., -1].max()]
                pixels = pixels[..., :-1]
            size += pixels.size
            if floats:
                bad += pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
            top_value = pixels.max()
            highest = top_value if highest is None else max(highest, top_value)
        if self._left_out and min(ends) != max(ends):
            if not self._regions.alpha:
                raise RULES["fourth-channel"].refusal(self._path, f" (shape {self._regions.shape})")
            self.findings = (*self.findings, RULES["transparent"].finding())
        elif self._left_out and not self._regions.alpha:
            self.findings = (*self.findings, RULES["blank-fourth"].finding())
        if bad:
            msg = (
                f"{bad} of {size} pixel values are NaN or infinite (shape {self._regions.shape}, "
                f"dtype {self._regions.dtype}); mend the file or leave the case out."
            )
            raise UnsupportedImageError(msg)
        # Two channels get a third of zeros on the way to grey.
        self._highest = max(highest, highest.dtype.type(0)) if self._channels == 2 else highest


@contextmanager
def open_slide(
    path: str | os.PathLike[str], mode: str, tiles: tuple[int, int], folder: Path
) -> Iterator[SlideImage]:
    """Open an image file to segment it by tiles; parameters and errors are those of `SlideImage`.

    Raises
    ------
    ImageError, UnsupportedImageError
        As `cellharness.data.images.read_image`.
    """
    with open_regions(path) as regions:
        yield SlideImage(regions, mode, Path(path), tiles, folder)
