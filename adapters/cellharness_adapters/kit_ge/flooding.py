"""Marker-based watershed, flooding one connected part of the mask after the other.

The same labels as ``skimage.segmentation.watershed`` (4-connected, no lines) gives, up to ties
between seed pixels of exactly equal height. One queue for the whole image, as there, jumps all
over the memory: on 4096 x 4096 px it takes eight times as long.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cellharness.compiled import compiled

_SHIFT = np.uint64(32)
_ONE = np.uint64(1)


def flood(height: np.ndarray, seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Grow seeds over a mask, low pixels first.

    Parameters
    ----------
    height : ndarray of float32, (H, W)
        Finite. Of equally high pixels the one that was reached first goes first.
    seeds : ndarray of int32, (H, W)
        0, or the positive label of a seed.
    mask : ndarray of bool, (H, W)
        Where labels may be.

    Returns
    -------
    ndarray of int32, (H, W)
        0 outside of the mask and in parts of it without a seed.
    """
    # A frame of -1 around the image saves every check for its border.
    labels = np.full((height.shape[0] + 2, height.shape[1] + 2), -1, np.int32)
    inside = labels[1:-1, 1:-1]
    inside[...] = np.where(mask, seeds, -1)
    order = np.zeros(labels.shape, np.uint32)
    order[1:-1, 1:-1] = _sortable(height)
    parts = ndimage.label(labels >= 0, output=np.int32)[0].ravel()
    shore = _shore(labels.ravel(), labels.shape[1])
    part = parts[shore]
    del parts
    by_part = np.argsort(part, kind="stable")
    starts = np.append(np.flatnonzero(np.diff(part[by_part], prepend=0)), len(shore))
    _flood_parts(order.ravel(), labels.ravel(), labels.shape[1], shore[by_part], starts)
    return np.maximum(inside, 0)


def _sortable(height: np.ndarray) -> np.ndarray:
    """Unsigned integers in the order of the heights."""
    # Adding zero makes -0.0 equal to 0.0, which its bits are not.
    bits = (np.ascontiguousarray(height, np.float32) + np.float32(0)).view(np.uint32)
    top = np.uint32(1 << 31)
    return np.where(bits & top, ~bits, bits | top)


@compiled
def _shore(labels: np.ndarray, width: int) -> np.ndarray:
    """Seed pixels with a pixel beside them that can be flooded, in raster order."""
    count = 0
    for place in range(width, len(labels) - width):
        count += labels[place] > 0 and _is_beside_free(labels, width, place)
    found = np.empty(count, np.int64)
    count = 0
    for place in range(width, len(labels) - width):
        if labels[place] > 0 and _is_beside_free(labels, width, place):
            found[count] = place
            count += 1
    return found


@compiled
def _is_beside_free(labels: np.ndarray, width: int, place: int) -> bool:
    return (
        labels[place - width] == 0
        or labels[place - 1] == 0
        or labels[place + 1] == 0
        or labels[place + width] == 0
    )


@compiled
def _flood_parts(
    order: np.ndarray, labels: np.ndarray, width: int, shore: np.ndarray, starts: np.ndarray
) -> None:
    # Height in the upper half of a key, turn in the lower.
    keys, places = np.empty(1024, np.uint64), np.empty(1024, np.int64)
    for part in range(len(starts) - 1):
        count = 0
        turn = np.uint64(0)
        for i in range(starts[part], starts[part + 1]):
            keys, places = _with_room(keys, places, count)
            key = (np.uint64(order[shore[i]]) << _SHIFT) | turn
            count = _push(keys, places, count, key, shore[i])
            turn += _ONE
        while count > 0:
            place = places[0]
            count = _pop(keys, places, count)
            for beside in (place - width, place - 1, place + 1, place + width):
                if labels[beside] != 0:
                    continue
                labels[beside] = labels[place]
                if not _is_beside_free(labels, width, beside):
                    continue
                keys, places = _with_room(keys, places, count)
                key = (np.uint64(order[beside]) << _SHIFT) | turn
                count = _push(keys, places, count, key, beside)
                turn += _ONE


@compiled
def _with_room(keys: np.ndarray, places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    if count < len(keys):
        return keys, places
    more_keys, more_places = np.empty(2 * count, np.uint64), np.empty(2 * count, np.int64)
    more_keys[:count], more_places[:count] = keys, places
    return more_keys, more_places


@compiled
def _push(keys: np.ndarray, places: np.ndarray, count: int, key: np.uint64, place: int) -> int:
    """Add to a binary heap; give its new size."""
    at = count
    while at > 0 and keys[(at - 1) >> 1] > key:
        keys[at], places[at] = keys[(at - 1) >> 1], places[(at - 1) >> 1]
        at = (at - 1) >> 1
    keys[at], places[at] = key, place
    return count + 1


@compiled
def _pop(keys: np.ndarray, places: np.ndarray, count: int) -> int:
    """Take the least off a binary heap; give its new size."""
    last = count - 1
    key, place = keys[last], places[last]
    at = 0
    while 2 * at + 1 < last:
        below = 2 * at + 1
        if below + 1 < last and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[at], places[at] = keys[below], places[below]
        at = below
    keys[at], places[at] = key, place
    return last
