"""The two transforms around the products of a Winograd convolution, compiled.

Images are channels-last, so that the inner loops run over channels, many at once. Blocks of
channels and the distance of planes are constants: the compiler then sees that what it writes
does not overlap what it reads, and uses vector instructions.
"""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled

#: Channels worked on at once; images have a multiple of them.
BLOCK = 32
#: Floats from one of the 36 planes to the next: 4 rows of 7 patches of 256 channels, so that all
#: planes fit into a core's cache; not a power of two, which would put them into the same lines.
PLANE = 4 * 7 * 256 + 16

# The polynomial's nodes are 0, +-sqrt(1/2), +-sqrt(2) and infinity: small, symmetric, and their
# rounding error is less than half of that of the common 0, +-1, +-2.
_HALF, _TWO, _SUM = np.float32(0.5), np.float32(2), np.float32(2.5)
_LOW, _HIGH = np.float32(0.5**0.5), np.float32(2**0.5)
_LOW_3, _HIGH_3 = np.float32(0.5**1.5), np.float32(2**1.5)


@compiled
def _fill_strip(  # type: ignore[no-untyped-def]
    image, scale, shift, activate, halvings, first, strip
):  # pragma: no cover - compiled
    """Copy six rows, ``first - 1`` and below, with a border of zeros."""
    height, width, channels = image.shape
    height, width = height << halvings, width << halvings
    zero = np.float32(0)
    strip[:] = zero
    for r in range(6):
        y = first - 1 + r
        if y < 0 or y >= height:
            continue
        for x in range(width):
            source = image[y >> halvings, x >> halvings]
            place = strip[r, (x + 1) * channels : (x + 2) * channels]
            if activate:
                for c in range(channels):
                    place[c] = max(zero, source[c] * scale[c] + shift[c])
            else:
                for c in range(channels):
                    place[c] = source[c]


@compiled
def _strip_to_planes(  # type: ignore[no-untyped-def]
    strip, channels, begin, end, planes
):  # pragma: no cover - compiled
    """Transform the 6 x 6 patches of a strip, 4 px apart; patch i becomes row `begin` + i."""
    patch = np.empty(36 * BLOCK, np.float32)
    for t in range(end - begin):
        for block in range(0, channels, BLOCK):
            for j in range(6):
                at = (4 * t + j) * channels + block
                r0, r1, r2 = strip[0, at:], strip[1, at:], strip[2, at:]
                r3, r4, r5 = strip[3, at:], strip[4, at:], strip[5, at:]
                out = patch[j * BLOCK :]
                for c in range(BLOCK):
                    d0, d1, d2, d3, d4, d5 = r0[c], r1[c], r2[c], r3[c], r4[c], r5[c]
                    even, odd = d4 - _TWO * d2, _LOW * d3 - _HIGH * d1
                    even_2, odd_2 = d4 - _HALF * d2, _HIGH * d3 - _LOW * d1
                    out[c] = d4 - _SUM * d2 + d0
                    out[c + 6 * BLOCK] = even + odd
                    out[c + 12 * BLOCK] = even - odd
                    out[c + 18 * BLOCK] = even_2 + odd_2
                    out[c + 24 * BLOCK] = even_2 - odd_2
                    out[c + 30 * BLOCK] = d5 - _SUM * d3 + d1
            for i in range(6):
                row = patch[6 * i * BLOCK :]
                out = planes[6 * i * PLANE + (begin + t) * channels + block :]
                for c in range(BLOCK):
                    d0, d1, d2 = row[c], row[c + BLOCK], row[c + 2 * BLOCK]
                    d3, d4, d5 = row[c + 3 * BLOCK], row[c + 4 * BLOCK], row[c + 5 * BLOCK]
                    even, odd = d4 - _TWO * d2, _LOW * d3 - _HIGH * d1
                    even_2, odd_2 = d4 - _HALF * d2, _HIGH * d3 - _LOW * d1
                    out[c] = d4 - _SUM * d2 + d0
                    out[c + PLANE] = even + odd
                    out[c + 2 * PLANE] = even - odd
                    out[c + 3 * PLANE] = even_2 + odd_2
                    out[c + 4 * PLANE] = even_2 - odd_2
                    out[c + 5 * PLANE] = d5 - _SUM * d3 + d1


@compiled
def _planes_to_strip(  # type: ignore[no-untyped-def]
    planes, begin, end, bias, added, halvings, adds, cut, first, image
):  # pragma: no cover - compiled
    """Transform back to four rows of the image, `first` and below."""
    height, width, channels = image.shape
    zero = np.float32(0)
    patch = np.empty(24 * BLOCK, np.float32)
    rows = min(4, height - first)
    for t in range(end - begin):
        columns = min(4, width - 4 * t)
        for block in range(0, channels, BLOCK):
            for j in range(6):
                source = planes[j * PLANE + (begin + t) * channels + block :]
                out = patch[j * BLOCK :]
                for c in range(BLOCK):
                    m1, m2 = source[c + 6 * PLANE], source[c + 12 * PLANE]
                    m3, m4 = source[c + 18 * PLANE], source[c + 24 * PLANE]
                    sum_1, difference_1, sum_2, difference_2 = m1 + m2, m1 - m2, m3 + m4, m3 - m4
                    out[c] = source[c] + sum_1 + sum_2
                    out[c + 6 * BLOCK] = _LOW * difference_1 + _HIGH * difference_2
                    out[c + 12 * BLOCK] = _HALF * sum_1 + _TWO * sum_2
                    out[c + 18 * BLOCK] = (
                        _LOW_3 * difference_1 + _HIGH_3 * difference_2 + source[c + 30 * PLANE]
                    )
            shift = bias[block : block + BLOCK]
            for i in range(rows):
                row = patch[6 * i * BLOCK :]
                for c in range(BLOCK):
                    m1, m2 = row[c + BLOCK], row[c + 2 * BLOCK]
                    m3, m4, m5 = row[c + 3 * BLOCK], row[c + 4 * BLOCK], row[c + 5 * BLOCK]
                    sum_1, difference_1, sum_2, difference_2 = m1 + m2, m1 - m2, m3 + m4, m3 - m4
                    row[c] = row[c] + sum_1 + sum_2 + shift[c]
                    row[c + BLOCK] = _LOW * difference_1 + _HIGH * difference_2 + shift[c]
                    row[c + 2 * BLOCK] = _HALF * sum_1 + _TWO * sum_2 + shift[c]
                    row[c + 3 * BLOCK] = (
                        _LOW_3 * difference_1 + _HIGH_3 * difference_2 + m5 + shift[c]
                    )
                y = first + i
                for j in range(columns):
                    x = 4 * t + j
                    source = row[j * BLOCK : (j + 1) * BLOCK]
                    place = image[y, x, block : block + BLOCK]
                    if adds:
                        more = added[y >> halvings, x >> halvings, block : block + BLOCK]
                        for c in range(BLOCK):
                            place[c] = source[c] + more[c]
                    elif cut:
                        for c in range(BLOCK):
                            place[c] = max(zero, source[c])
                    else:
                        for c in range(BLOCK):
                            place[c] = source[c]


@compiled
def to_planes(  # type: ignore[no-untyped-def]
    image, scale, shift, activate, halvings, top, rows, strip, planes
):  # pragma: no cover - compiled
    """Transform the 6 x 6 patches around `rows` rows of 4 x 4 ones, from row `top` on.

    With `activate` the image is scaled and shifted by channel and cut off at zero first. With
    `halvings` 1 it has half the size, and every pixel counts four times. `strip` is scratch.
    """
    across = -(-(image.shape[1] << halvings) // 4)
    for k in range(rows):
        _fill_strip(image, scale, shift, activate, halvings, 4 * (top + k), strip)
        _strip_to_planes(strip, image.shape[2], k * across, (k + 1) * across, planes)


@compiled
def from_planes(  # type: ignore[no-untyped-def]
    planes, bias, added, halvings, adds, cut, top, rows, image
):  # pragma: no cover - compiled
    """Transform back to `rows` rows of 4 x 4 patches of the image, from row `top` on.

    The bias is added, and with `adds` the image `added`, of half the size with `halvings` 1;
    else, with `cut`, what is negative becomes zero.
    """
    across = -(-image.shape[1] // 4)
    for k in range(rows):
        begin, first = k * across, 4 * (top + k)
        _planes_to_strip(
            planes, begin, begin + across, bias, added, halvings, adds, cut, first, image
        )
