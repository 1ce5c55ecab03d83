"""Segment an image tile by tile, in memory that does not grow with the image."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellharness.config.run import TilesConfig
from cellharness.data.manifest import Case
from cellharness.files import partial_of
from cellharness.methods.base import TILES_ALONE, BaseSegmenter, UnsupportedCaseError
from cellharness.methods.child_process import seed_everything
from cellharness.running.labels import check_labels
from cellharness.slides.image import SlideImage, open_slide
from cellharness.slides.label_file import LABEL_TILE, write_label_rows
from cellharness.slides.stitching import Stitched, Stitcher


@dataclass(frozen=True)
class TiledMask:
    """What became of an image that was segmented by tiles.

    Attributes
    ----------
    pixels : int
        Of the image.
    cells : int
        In its mask.
    image : tuple of str
        What is said of the image file.
    details : dict
        What the method said, and the tiles.
    """

    pixels: int
    cells: int
    image: tuple[str, ...]
    details: dict[str, Any]


def segment_by_tiles(
    segmenter: BaseSegmenter, case: Case, mode: str, tiles: TilesConfig, seed: int, mask: Path
) -> TiledMask:
    """Segment a case by tiles and write its mask.

    The method first looks at the whole image (`BaseSegmenter.begin_tiles`), then gets one tile
    after the other, each with the same seed.

    Parameters
    ----------
    segmenter : BaseSegmenter
        Loaded; its timer is told of the phases.
    case : Case
        With an image of any size.
    mode : {"gray_max", "gray", "native"}
        Form of the image.
    tiles : TilesConfig
        Size and overlap.
    seed : int
        Set before the look at the whole image and before each tile.
    mask : Path
        Where the label image goes. What the tiles gave lies beside it for as long as it takes.

    Raises
    ------
    UnsupportedCaseError
        The method takes no tiles.
    ImageError, UnsupportedImageError, OSError
        The image cannot be read, the mask not be written.
    """
    if not segmenter.takes_tiles:
        msg = f"{type(segmenter).__name__} makes masks of whole images only; leave tiles out"
        raise UnsupportedCaseError(msg)
    timer = segmenter.timer
    with ExitStack() as held:
        with timer.phase("read"):
            mask.parent.mkdir(parents=True, exist_ok=True)
            folder = held.enter_context(_folder_beside(mask))
            size = tiles.size, tiles.overlap
            image = held.enter_context(open_slide(case.image, mode, size, folder))
        seed_everything(seed)
        segmenter.begin_case(case)
        segmenter.maps = None
        stitcher = Stitcher(image.tiles, folder)
        said = _segment_all(segmenter, image, seed, stitcher)
        with timer.phase("write"):
            stitched = stitcher.stitch()
            if _chooses(segmenter):
                kept = segmenter.keep_cells(stitcher.areas())
                stitched = stitched if kept is None else stitcher.keep(kept)
            rows = stitcher.rows(LABEL_TILE)
            write_label_rows(mask, rows, image.shape, stitched.cells)
    details = _summed_up(said, settled=_settles(segmenter))
    details["tiles"] = {
        "size": tiles.size,
        "overlap": tiles.overlap,
        "count": len(image.tiles),
        "joined": stitched.joined,
        "cut": stitched.cut,
        "image_in_memory": image.in_memory,
    }
    remark = "; ".join(filter(None, [details.get("remark", ""), _remark(stitched)]))
    if remark:
        details["remark"] = remark
    told = tuple(finding.message for finding in image.findings)
    return TiledMask(image.shape[0] * image.shape[1], stitched.cells, told, details)


def _segment_all(
    segmenter: BaseSegmenter, image: SlideImage, seed: int, stitcher: Stitcher
) -> list[dict[str, Any]]:
    """Give every tile to the method; what it said of each."""
    timer = segmenter.timer
    said = []
    with timer.phase("preprocess"):
        segmenter.begin_tiles(image)
    try:
        for tile in image.tiles:
            with timer.phase("read"):
                pixels = image.read_tile(tile)
            seed_everything(seed)
            segmenter.begin_tile(tile)
            with timer.phase("network"):
                labels = check_labels(segmenter.segment(pixels), pixels.shape[:2])
            # Through JSON here, so that what cannot be kept fails this case, not the ledger.
            said.append(json.loads(json.dumps(segmenter.details(), default=str)))
            with timer.phase("write"):
                stitcher.add(tile, labels)
    finally:
        segmenter.end_tiles()
    return said


@contextmanager
def _folder_beside(mask: Path) -> Iterator[Path]:
    # A name that clears up after a kill.
    folder = partial_of(mask.with_name(f"{mask.stem}.tiles"))
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settles(segmenter: BaseSegmenter) -> bool:
    return type(segmenter).begin_tiles is not BaseSegmenter.begin_tiles


def _chooses(segmenter: BaseSegmenter) -> bool:
    return type(segmenter).keep_cells is not BaseSegmenter.keep_cells


def _summed_up(said: Sequence[Mapping[str, Any]], *, settled: bool) -> dict[str, Any]:
    """What was said of all tiles alike, and how many tiles each remark was made of."""
    first = dict(said[0])
    details = {
        name: value
        for name, value in first.items()
        if name != "remark" and all(each.get(name) == value for each in said)
    }
    remarks = Counter(each["remark"] for each in said if each.get("remark"))
    texts = [
        text if count == len(said) else f"{count} of {len(said)} tiles: {text}"
        for text, count in sorted(remarks.items())
    ]
    if not settled and len(said) > 1:
        texts.append(TILES_ALONE)
    if texts:
        details["remark"] = "; ".join(texts)
    return details


def _remark(stitched: Stitched) -> str:
    if not stitched.cut:
        return ""
    return f"{stitched.cut} cells end at the side of a tile; choose a larger overlap"
