"""What MiSiC finds of a whole image that is read by window, and the cells of its tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellharness.slides.blending import Pieces, WholeMap, blend
from cellharness.slides.resizing import resized
from cellharness_adapters.misic.prediction import (
    Seer,
    probe_side,
    square_around,
    variances,
)
from cellharness_adapters.misic.preparing import (
    NOISE_SEED,
    noisy_places,
    scaled_shape,
    shape_indices,
    sharpened,
)
from cellharness_adapters.misic.tiles import MARGIN, TILE
from cellharness_adapters.misic.width import ridges, scale_for, step_of, strongest

if TYPE_CHECKING:
    from cellharness.slides.image import SlideImage
    from cellharness.slides.layout import Tile
    from cellharness_adapters.misic.segmenter import MisicParameters

#: Rows at once where all of an image is looked through, px.
_ROWS = 512
#: Beyond so many px what lies there makes no difference to Laplacian and shape index.
_AROUND = 16
#: Of more values the percentile of ridges is that of an even selection.
_SELECTED = 2**26
#: What SciPy's Gaussian sees to each side, in sigmas; two of them follow each other.
_SEEN = 8


@dataclass(frozen=True)
class WholeImage:
    """What holds for all tiles of one image.

    Attributes
    ----------
    seer : Seer
        The network with its parameters.
    width : float
        Of the cells, px.
    light : bool
        Whether the background is lighter than the cells.
    probability : WholeMap
        Of being cell, at the scale of the network.
    """

    seer: Seer
    width: float
    light: bool
    probability: WholeMap

    def cells_of(self, tile: Tile, gray: np.ndarray) -> np.ndarray:
        """Labels of a tile of the image, int32, (h, w)."""
        found = resized(
            lambda rows, columns: self.probability.read(rows, columns)[..., 0],
            self.probability.shape,
            tile.shape,
            tile.rows,
            tile.columns,
            order=1,
        )
        return self.seer.cells(gray, found, self.width, self.light)


class Gray:
    """A grey image by window, with its limits.

    Parameters
    ----------
    image : SlideImage
    as_gray : callable
        Makes a part of the image grey, (h, w) of float.
    """

    def __init__(self, image: SlideImage, as_gray: Callable[[np.ndarray], np.ndarray]) -> None:
        self._image, self._as_gray = image, as_gray
        self.shape, self.folder = image.shape, image.folder
        ends = [(band.min(), band.max()) for _, band in self._bands(_ROWS, 0)]
        self.low = float(min(low for low, _ in ends))
        self.high = float(max(high for _, high in ends))

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read a window as it is."""
        return self._as_gray(self._image.read(rows, columns))

    def bright(self, rows: slice, columns: slice, *, light: bool) -> np.ndarray:
        """Read a window with bright cells, the image's limits being 0 and 1; float64."""
        unit = (self.read(rows, columns).astype(np.float64) - self.low) / (self.high - self.low)
        return 1 - unit if light else unit

    def width(self, *, light: bool) -> float:
        """Estimate the width of the cells, as `estimate_width` does of the image in one piece."""

        def ridges_at(sigma: float) -> np.ndarray:
            step = step_of(sigma)
            margin = step * (int(_SEEN * sigma) // step + 2)
            every = -(-self.shape[0] * self.shape[1] // (step**2 * _SELECTED))
            found = []
            for rows, around in self._windows(step * -(-_ROWS // step), margin):
                band = self.bright(around, slice(0, self.shape[1]), light=light)
                first = (rows.start - around.start) // step
                count = -(-(rows.stop - rows.start) // step)
                found.append(ridges(band, sigma)[first : first + count].ravel()[::every])
            return np.concatenate(found)

        return strongest(self.shape, ridges_at)

    def liveliest(self, side: int) -> np.ndarray:
        """Cut out the square of the largest variance, float64."""
        highest, place = -np.inf, (0, 0)
        for rows, around in self._windows(_ROWS, side):
            band = self.read(around, slice(0, self.shape[1]))
            found = variances(band, side)[rows.start - around.start :][: rows.stop - rows.start]
            y, x = np.unravel_index(found.argmax(), found.shape)
            if found[y, x] > highest:
                highest, place = found[y, x], (rows.start + int(y), int(x))
        return self.read(*square_around(place, side, self.shape)).astype(np.float64)

    def _bands(self, step: int, margin: int) -> Iterator[tuple[slice, np.ndarray]]:
        for rows, around in self._windows(step, margin):
            yield rows, self.read(around, slice(0, self.shape[1]))

    def _windows(self, step: int, margin: int) -> Iterator[tuple[slice, slice]]:
        """Rows from top to bottom, and the same with a margin."""
        return windows(self.shape[0], step, margin)


def windows(height: int, step: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Rows of an image from top to bottom, and the same with a margin as far as there is one."""
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        yield rows, slice(max(0, rows.start - margin), min(height, rows.stop + margin))


def look_at_whole(
    gray: Gray, seer: Seer, parameters: MisicParameters, fixed: float | None
) -> WholeImage:
    """Settle width and background of a whole image, and run the network on it.

    Parameters
    ----------
    gray : Gray
        Not constant.
    seer : Seer
        The network with its parameters.
    parameters : MisicParameters
        With the background that is settled, or ``auto``.
    fixed : float or None
        Width in px, where it is known.
    """
    wanted = {"auto": (True, False), "light": (True,), "dark": (False,)}[parameters.background]
    if len(wanted) == 1 and fixed is not None:
        light, width = wanted[0], fixed
    else:
        tried = []
        for each in wanted:
            guess = fixed or gray.width(light=each)
            part = gray.liveliest(probe_side(guess))
            tried.append(seer.look(part, each, guess, is_fixed=fixed is not None))
        best = max(tried, key=lambda each: each.plausibility)
        light, width = best.light, best.width
    return WholeImage(seer, width, light, _probability(gray, seer, parameters, width, light))


def _probability(
    gray: Gray, seer: Seer, parameters: MisicParameters, width: float, light: bool
) -> WholeMap:
    """Probability of the whole image at the network's scale, as `predict_tiled` gives it."""
    scale = scale_for(width)
    shape = gray.shape if scale == 1 else scaled_shape(gray.shape, scale)
    path = gray.folder / "prepared.raw"
    _write_prepared(path, gray, shape, parameters, light=light)
    inner = TILE - 2 * MARGIN
    # Which row and column of the image lies where, once it is mirrored around.
    row_of, column_of = (
        np.pad(np.pad(np.arange(side), (0, -side % inner), "reflect"), MARGIN, "reflect")
        for side in shape
    )
    rows, columns = (list(range(0, side, inner)) for side in shape)
    counts = np.pad(np.ones((inner, inner), np.float32), MARGIN)

    def band_at(start: int) -> np.ndarray:
        prepared = np.memmap(path, np.float64, "r", shape=shape)
        return np.array(prepared[row_of[start : start + TILE]])[None][..., column_of]

    found = blend(
        gray.folder / "probability.raw",
        shape,
        1,
        Pieces(rows, columns, (TILE, TILE), (MARGIN, MARGIN)),
        band_at,
        lambda batch: seer.predict(np.stack([shape_indices(piece[0]) for piece in batch]))[:, None],
        lambda _row, _piece: counts,
        batch_size=parameters.batch_size,
    )
    path.unlink()
    return found


def _write_prepared(
    path: Path, gray: Gray, shape: tuple[int, int], parameters: MisicParameters, *, light: bool
) -> None:
    """Write what `prepare` gives of the image in one piece, float64, (H, W), in rows."""
    everywhere = slice(0, shape[1])

    def sharp(rows: slice) -> np.ndarray:
        around = slice(max(0, rows.start - _AROUND), min(shape[0], rows.stop + _AROUND))
        seen = resized(
            lambda some, columns: gray.bright(some, columns, light=light),
            gray.shape,
            shape,
            around,
            everywhere,
            order=1,
        )
        return sharpened(seen, parameters)[rows.start - around.start :][: rows.stop - rows.start]

    ends = [
        (band.min(), band.max())
        for band in (sharp(rows) for rows, _ in windows(shape[0], _ROWS, 0))
    ]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    # Two draws for each pixel, of which the second come after the first of all pixels.
    first, second = np.random.RandomState(NOISE_SEED), np.random.RandomState(NOISE_SEED)
    for rows, _ in windows(shape[0], _ROWS, 0):
        second.rand(rows.stop - rows.start, shape[1])
    with path.open("wb") as file:
        for rows, around in windows(shape[0], _ROWS, _AROUND):
            seen = sharp(around)
            inside = np.s_[rows.start - around.start :]
            count = rows.stop - rows.start
            spots = noisy_places(seen)[inside][:count]
            noise = first.rand(count, shape[1])
            noise *= spots + 0.5 * second.rand(count, shape[1])
            unit = (seen[inside][:count] - low) / (high - low or 1)
            file.write((unit + parameters.noise * noise).tobytes())
