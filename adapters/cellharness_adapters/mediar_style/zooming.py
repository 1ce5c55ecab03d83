"""Zoom part of an image with its labels and flows into a crop, in one go each."""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled

#: What 8-bit values become, 0 to 1.
_SHARES = np.arange(256, dtype=np.float32) / np.float32(255)
#: The exponent of a float16 counts from 112 less than that of a float32, so that moved bits are
#: multiplied by this.
_HALF_TO_SINGLE = np.float32(2.0**112)


def averaged(image: np.ndarray, out: np.ndarray) -> None:
    """Zoom by means over areas, the values of torch's ``interpolate(..., mode="area")``.

    Parameters
    ----------
    image : ndarray of uint8, (3, H, W)
    out : ndarray of float32, (3, h, w)
        Written to: 0 to 1. Where it is larger than the image, pixels are repeated or means of two.
    """
    if image.shape == out.shape:
        np.divide(image, np.float32(255), out=out, dtype=np.float32)
        return
    _average(image, _SHARES, out)


@compiled
def _average(image: np.ndarray, shares: np.ndarray, out: np.ndarray) -> None:
    height, width = image.shape[1:]
    tall, wide = out.shape[1:]
    for y in range(tall):
        top, bottom = y * height // tall, -(-(y + 1) * height // tall)
        for x in range(wide):
            left, right = x * width // wide, -(-(x + 1) * width // wide)
            # The three in one loop, whose sums need not wait for each other.
            red = green = blue = np.float32(0)
            for i in range(top, bottom):
                for j in range(left, right):
                    red += shares[image[0, i, j]]
                    green += shares[image[1, i, j]]
                    blue += shares[image[2, i, j]]
            rows, columns = np.float32(bottom - top), np.float32(right - left)
            out[0, y, x] = red / rows / columns
            out[1, y, x] = green / rows / columns
            out[2, y, x] = blue / rows / columns


def nearest(
    labels: np.ndarray,
    flows: np.ndarray,
    boundary: np.ndarray,
    found_labels: np.ndarray,
    found_flows: np.ndarray,
    found_cell: np.ndarray,
    *,
    exclude_boundaries: bool,
) -> None:
    """Zoom labels and flows by the nearest pixel.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
    flows : ndarray of float16, (2, H, W)
        Finite.
    boundary : ndarray of bool, (H, W)
        What counts as background where boundaries are excluded.
    found_labels : ndarray of unsigned int, (h, w)
        Written to.
    found_flows : ndarray of float32, (2, h, w)
        Written to: 0 where ``found_cell`` is not.
    found_cell : ndarray of bool, (h, w)
        Written to.
    exclude_boundaries : bool
    """
    rows, columns = (
        ((np.arange(n) + 0.5) * length / n).astype(np.intp)
        for n, length in zip(found_labels.shape, labels.shape, strict=True)
    )
    bits = found_flows.view(np.uint32)
    _pick(
        labels, flows.view(np.uint16), boundary, rows, columns, exclude_boundaries,
        found_labels, bits, found_cell,
    )  # fmt: skip
    found_flows *= _HALF_TO_SINGLE


@compiled
def _pick(
    labels: np.ndarray,
    halves: np.ndarray,
    boundary: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    exclude_boundaries: bool,
    found_labels: np.ndarray,
    bits: np.ndarray,
    found_cell: np.ndarray,
) -> None:
    sign, rest = np.uint32(0x8000), np.uint32(0x7FFF)
    for y in range(len(rows)):
        i = rows[y]
        for x in range(len(columns)):
            j = columns[x]
            label = labels[i, j]
            cell = label > 0 and not (exclude_boundaries and boundary[i, j])
            found_labels[y, x] = label
            found_cell[y, x] = cell
            for k in range(2):
                # numba knows no float16: sign, exponent and fraction move to their places.
                half = np.uint32(halves[k, i, j]) if cell else np.uint32(0)
                bits[k, y, x] = ((half & sign) << np.uint32(16)) | ((half & rest) << np.uint32(13))
