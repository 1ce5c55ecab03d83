"""What whole slides cost: processor time and peak memory by the side of the image.

Run with ``pytest tests/benchmarks/test_slide_scale.py -o addopts= -rP``. The sides come from
``CELLHARNESS_SLIDE_SIDES`` (px, ``5000 10000`` say; 2000 where it is not set), the methods from
``CELLHARNESS_SLIDE_METHODS``: ``otsu-watershed``; ``blended``, in the place of a network one that
gives what it sees, so that what is measured is the map in a file and the masks made of it; and
``cellpose`` with weights cyto and a diameter of 30 px. By default the first two.

The image is a mosaic of real fluorescence images, repeated, 8 bits, tiff in compressed tiles. Each
row is measured in a process of its own: the mask is made with tiles of 2048 px that overlap by
256 px, then scored against itself in both profiles. Disk: 1 byte a pixel for the image, as much
and more for labels, 12 bytes a pixel for the map.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from cellharness.config.run import TilesConfig
from cellharness.data.images import model_input, read_image
from cellharness.data.manifest import Case
from cellharness.methods.base import BaseSegmenter, MethodInfo
from cellharness.methods.registry import build
from cellharness.running.by_tiles import segment_by_tiles
from cellharness.running.memory import peak_host_mb, reset_peaks
from cellharness.scoring.files import Job, score_files
from cellharness.slides.blending import Pieces, blend

SIDES = [int(side) for side in os.environ.get("CELLHARNESS_SLIDE_SIDES", "2000").split()]
METHODS = os.environ.get("CELLHARNESS_SLIDE_METHODS", "otsu-watershed blended").split()
TILES = TilesConfig(size=2048, overlap=256)
PARAMETERS = {"cellpose": {"weights": "cyto", "diameter": 30}}
#: Above this a slide does not fit on a small machine.
LARGEST_MB = 6000


class Blended(BaseSegmenter):
    """Three outputs of a network that gives what it sees; cells are what is bright in the map."""

    info = MethodInfo(summary="", licence="", input="gray_max")

    def begin_tiles(self, image):
        piece, step = 512, 400
        rows, columns = (
            [*range(0, max(length - piece, 0), step), max(length - piece, 0)]
            for length in image.shape
        )
        everywhere = slice(0, image.shape[1])
        counts = np.outer(*[np.hanning(piece + 2)[1:-1]] * 2)
        self._map = blend(
            image.folder / "map.raw",
            image.shape,
            3,
            Pieces(rows, columns, (piece, piece)),
            lambda start: image.read(slice(start, start + piece), everywhere)[None],
            lambda batch: np.repeat(batch, 3, axis=1),
            lambda _row, _piece: counts,
            batch_size=8,
        )

    def begin_tile(self, tile):
        self._tile = tile

    def segment(self, image):
        seen = self._map.read(self._tile.rows, self._tile.columns)[..., 0]
        np.testing.assert_allclose(seen, image, atol=1e-3)
        return ndimage.label(seen > 60)[0].astype(np.uint32)


def write_mosaic(path, images, side):
    """Images side by side, repeated up to a square; written by rows of tiles."""
    size = 512
    line = np.concatenate([part[:size, :size] for part in images], axis=1)

    def tiles():
        for row in range(-(-side // size)):
            for column in range(-(-side // size)):
                start = (row * 3 + column) % len(images) * size
                tile = np.zeros((size, size), np.uint8)
                inside = np.s_[: min(size, side - row * size), : min(size, side - column * size)]
                tile[inside] = line[:, start : start + size][inside]
                yield tile

    tifffile.imwrite(
        path,
        tiles(),
        shape=(side, side),
        dtype=np.uint8,
        tile=(size, size),
        compression="zlib",
        bigtiff=side**2 > 2**31,
    )


def stretched(image):
    low, high = np.percentile(image, [0.1, 99.9])
    part = np.clip((image - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return np.pad(part, [(0, max(0, 512 - length)) for length in part.shape], mode="reflect")


def segmented(method, image, mask):
    """Cells of the mask, processor time in s and peak memory in MB."""
    segmenter = Blended() if method == "blended" else build(method, PARAMETERS.get(method, {}))
    segmenter.load()
    segmenter.warmup()
    case = Case("slide", image, None, None, "", "folder", "folder", "")
    reset_peaks()
    start = time.process_time()
    made = segment_by_tiles(segmenter, case, "gray_max", TILES, 0, mask)
    assert made.details["tiles"]["cut"] <= 0.001 * made.cells
    return made.cells, time.process_time() - start, peak_host_mb()


def scored(mask):
    """F1 of a mask against itself in each profile, processor time in s and peak memory in MB."""
    reset_peaks()
    start = time.process_time()
    (found,) = score_files([Job("slide", mask, mask)], ("challenge", "strict"))
    ratios = [row["f1"] for row in found.rows]
    return ratios, time.process_time() - start, peak_host_mb()


def alone(call, *given):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(call, *given).result()


@pytest.mark.benchmark
@pytest.mark.parametrize("side", SIDES)
def test_memory_does_not_grow_with_the_area(side, realdata, tmp_path, benchmark):
    chosen = [case for case in realdata.cases if case.modality == "Fluorescent"][:7]
    images = [stretched(model_input(read_image(case.image), "gray")) for case in chosen]
    write_mosaic(tmp_path / "slide.tiff", images, side)
    mask = tmp_path / "slide_label.tiff"

    def measure():
        for method in METHODS:
            cells, seconds, peak = alone(segmented, method, tmp_path / "slide.tiff", mask)
            row = f"| {method} | {side:,} | {cells:,} | {seconds:.0f} | {peak:.0f} |"
            ratios, score_seconds, score_peak = alone(scored, mask)
            row += f" {score_seconds:.0f} | {score_peak:.0f} |"
            sys.stderr.write(f"{row}\n")
            benchmark.extra_info[method] = row
            assert ratios == [1, 1]
            assert peak < LARGEST_MB
            assert score_peak < LARGEST_MB

    benchmark.pedantic(measure, rounds=1)
