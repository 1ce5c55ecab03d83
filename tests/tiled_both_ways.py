"""Segments an image in one piece and by tiles, and compares the cells."""

from __future__ import annotations

import numpy as np

from cellharness.data.images import model_input, read_image, read_label
from cellharness.data.manifest import Case
from cellharness.running.by_tiles import segment_by_tiles
from cellharness.running.labels import check_labels
from cellharness.scoring.contingency import count_overlaps
from cellharness.scoring.overlaps import find_overlaps


def mosaic(manifest, modality, across, size):
    """Real test images of a modality side by side, each stretched to 8 bits."""
    chosen = [case for case in manifest.cases if (case.modality, case.split) == (modality, "test")]
    parts = []
    for case in chosen[: across**2]:
        image = model_input(read_image(case.image), "gray")
        low, high = np.percentile(image, [0.1, 99.9])
        part = np.clip((image - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        lacking = [(0, max(0, size - length)) for length in part.shape]
        parts.append(np.pad(part, lacking, mode="reflect")[:size, :size])
    lines = [np.concatenate(parts[k * across :][:across], axis=1) for k in range(across)]
    return np.concatenate(lines)


def equal_share(one, other):
    """Share of the cells of one label image that the other has too (IoU above 0.9)."""
    overlaps = find_overlaps(count_overlaps(one, other, border=0))
    best = np.zeros(overlaps.true.count)
    np.maximum.at(best, overlaps.true_index, overlaps.iou)
    return float((best > 0.9).mean())


def both_ways(segmenter, pixels, tiles, folder):
    """Labels in one piece, by tiles, and what was said of the tiles."""
    np.save(folder / "mosaic.npy", pixels)
    case = Case("mosaic", folder / "mosaic.npy", None, None, "", "folder", "folder", "")
    whole = check_labels(segmenter.segment(model_input(pixels, "gray_max")), pixels.shape)
    made = segment_by_tiles(segmenter, case, "gray_max", tiles, 0, folder / "mosaic_label.tiff")
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    return whole, read_label(folder / "mosaic_label.tiff"), made


def same_both_ways(segmenter, pixels, tiles, folder, least=100):
    """What was said of the tiles, whose cells must be those of one piece, none cut at a seam."""
    whole, found, made = both_ways(segmenter, pixels, tiles, folder)
    assert whole.max() >= least
    assert equal_share(whole, found) >= 0.995
    assert equal_share(found, whole) >= 0.995
    assert made.details["tiles"]["cut"] == 0
    assert "by itself" not in made.details.get("remark", "")
    # The next image in one piece is looked at anew.
    again = check_labels(segmenter.segment(model_input(pixels, "gray_max")), pixels.shape)
    np.testing.assert_array_equal(again, whole)
    return made
