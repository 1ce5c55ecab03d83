"""Random crops for training: the library's to the last bit, from the pixels they show alone.

``cellpose.transforms.random_rotate_and_resize`` copies and mirrors the whole image and its flows to
cut one crop. Here OpenCV gets a canvas of the image's size of which only the pixels around the
crop are filled. It samples at the same coordinates with the same arithmetic, whichever its version
has, so nothing of it is done over again; what it does not look at need not be there.
"""

from __future__ import annotations

import mmap
import threading
from dataclasses import dataclass

import cv2
import numpy as np

from cellharness.compiled import compiled
from cellharness.training.prefetch import Held
from cellharness_adapters.cellpose.examples import Example

#: A canvas above this is let go after each crop, since each thread would keep one.
_KEPT_BYTES = 64 * 2**20

_of_thread = threading.local()

#: Leaves out OpenCV's own threads while several of ours make crops beside each other: they gain
#: nothing then, and spin while they wait for work (docs/gpu-crops.csv).
without_threads_of_opencv = Held(cv2.getNumThreads, cv2.setNumThreads, lambda _: 1)


@dataclass(frozen=True)
class Placement:
    """Where a crop is cut and how it is turned.

    Attributes
    ----------
    flip : bool
        The image is mirrored left to right first.
    angle : float
        Turn in rad.
    matrix : ndarray of float64, (2, 3)
        From (x, y) in the image, mirrored if ``flip``, to (x, y) in the crop.
    """

    flip: bool
    angle: float
    matrix: np.ndarray


def draw_placement(
    shape: tuple[int, int], rescale: float, scale_range: float, size: int
) -> Placement:
    """Draw a crop's place from NumPy's global generator, as the library does for each image.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image in px.
    rescale : float
        The image is shrunk by this much before.
    scale_range : float
        Random zoom, 1 - half of it to 1 + half of it; cut to 0 ... 2.
    size : int
        Height and width of the crop in px.

    Returns
    -------
    Placement
        ``cellpose.transforms.random_rotate_and_resize`` (3.1) has the same for the same state of
        the generator, and leaves the same state behind.
    """
    random = np.random.rand  # the library's own stream
    scale_range = max(0, min(2, float(scale_range)))
    height, width = shape
    flip = random() > 0.5
    angle = random() * np.pi * 2
    # The library keeps the scale in float32, and gets what to shrink by in float64.
    scale = np.float32((1 - scale_range / 2) + scale_range * random())
    scale = np.float32(scale * (1.0 / np.float64(rescale)))
    room = np.maximum(0, np.array([width * scale - size, height * scale - size]))
    shift = (random(2) - 0.5) * room
    centre = np.array([width / 2, height / 2])
    target = centre - np.array([width - size, height - size]) / 2 + shift
    across = scale * np.array([np.cos(angle), np.sin(angle)])
    down = scale * np.array([np.cos(np.pi / 2 + angle), np.sin(np.pi / 2 + angle)])
    before = (centre + np.array([[0, 0], [1, 0], [0, 1]])).astype(np.float32)
    after = np.array([target, target + across, target + down], np.float32)
    return Placement(bool(flip), float(angle), cv2.getAffineTransform(before, after))


def cut(example: Example, place: Placement, image: np.ndarray, target: np.ndarray) -> None:
    """Cut a crop of an image and of what is to be learned from it.

    Parameters
    ----------
    example : Example
    place : Placement
        Of a crop in an image of this shape.
    image : ndarray of float32, (C, S, S)
        Written to: the channels, normalised.
    target : ndarray of float32, (3, S, S)
        Written to: 1 inside cells, flow in y, flow in x, turned with the image.
    """
    canvas = _canvas(example.shape)
    size = (target.shape[2], target.shape[1])
    spans = _needed(*example.shape, place.matrix, size[0])
    for channel in set(range(len(image))) - {plane.channel for plane in example.planes}:
        image[channel] = 0
    for plane, picture in zip(example.planes, example.picture.open(), strict=True):
        low, width = plane.low, plane.width
        _fill(canvas, picture, spans, place.flip, low, width, 1.0)
        image[plane.channel] = cv2.warpAffine(canvas, place.matrix, size, flags=cv2.INTER_LINEAR)
    _fill(canvas, example.cells.open(), spans, place.flip, 0.0, 1.0, 1.0)
    target[0] = cv2.warpAffine(canvas, place.matrix, size, flags=cv2.INTER_NEAREST)
    down, across = example.flows.open()
    _fill(canvas, down, spans, place.flip, 0.0, 1.0, 1.0)
    down = cv2.warpAffine(canvas, place.matrix, size, flags=cv2.INTER_LINEAR)
    # What pointed to the right points to the left in a mirror.
    _fill(canvas, across, spans, place.flip, 0.0, 1.0, -1.0 if place.flip else 1.0)
    across = cv2.warpAffine(canvas, place.matrix, size, flags=cv2.INTER_LINEAR)
    _turn(down, across, np.sin(-place.angle), np.cos(-place.angle), target[1], target[2])


def _canvas(shape: tuple[int, int]) -> np.ndarray:
    """Memory of this thread in the shape of an image; what is in it is left from before."""
    # Rows a power of two apart would push each other out of the processor's caches.
    stride = shape[1] + 16
    count = shape[0] * stride
    canvas: np.ndarray | None = getattr(_of_thread, "canvas", None)
    if canvas is None or canvas.size < count:
        # Straight from the system: pages that nobody writes to take no memory.
        pages = mmap.mmap(-1, max(4 * count, 1))
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            pages.madvise(mmap.MADV_NOHUGEPAGE)
        canvas = np.frombuffer(pages, np.float32, count)
        if canvas.nbytes <= _KEPT_BYTES:
            _of_thread.canvas = canvas
    return canvas[:count].reshape(shape[0], stride)[:, : shape[1]]


@compiled
def _needed(height: int, width: int, matrix: np.ndarray, size: int) -> np.ndarray:
    """First and last column of each row that a crop may look at, (H, 2).

    The last is below the first where it looks at none.
    """
    spans = np.empty((height, 2), np.int64)
    # Interpolation looks one pixel further in each direction; two are left for rounding.
    zoom = np.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    least, most = -3 * zoom - 1, size + 3 * zoom
    for y in range(height):
        first, last = 0.0, width - 1.0
        for axis in range(2):
            step, start = matrix[axis, 0], matrix[axis, 1] * y + matrix[axis, 2]
            if abs(step) < 1e-9:
                if start < least - 1 or start > most + 1:
                    last = -1.0
                continue
            a, b = (least - start) / step, (most - start) / step
            first, last = max(first, min(a, b)), min(last, max(a, b))
        spans[y, 0] = np.int64(np.floor(first))
        spans[y, 1] = np.int64(np.ceil(last)) if last >= first else spans[y, 0] - 1
        spans[y, 1] = min(spans[y, 1], width - 1)
    return spans


@compiled
def _fill(
    canvas: np.ndarray,
    source: np.ndarray,
    spans: np.ndarray,
    flip: bool,
    low: float,
    width: float,
    sign: float,
) -> None:
    """Write ``sign * (source - low) / width``, mirrored if asked for, where it is needed.

    Each step is rounded to float32, as NumPy does on a float32 array.
    """
    last = source.shape[1] - 1
    plain = low == 0.0 and width == 1.0
    for y in range(source.shape[0]):
        a, b = spans[y, 0], spans[y, 1] + 1
        for x in range(a, b):
            value = np.float32(source[y, last - x if flip else x])
            if not plain:
                value = np.float32(np.float32(value - low) / width)
            canvas[y, x] = np.float32(sign * value)


@compiled
def _turn(
    down: np.ndarray,
    across: np.ndarray,
    sine: float,
    cosine: float,
    out_down: np.ndarray,
    out_across: np.ndarray,
) -> None:
    """Turn the flows with the image, in float64, as the library does."""
    for y in range(down.shape[0]):
        for x in range(down.shape[1]):
            v1, v2 = np.float64(across[y, x]), np.float64(down[y, x])
            out_down[y, x] = np.float32(-v1 * sine + v2 * cosine)
            out_across[y, x] = np.float32(v1 * cosine + v2 * sine)
