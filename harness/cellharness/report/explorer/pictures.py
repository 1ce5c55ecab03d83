"""Pictures and outlines of every case, as small files that the page loads when it shows them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from PIL import Image

from cellharness.analysis.run_data import RunData
from cellharness.data.display import stretch
from cellharness.data.images import ImageError, prepare, read_label
from cellharness.data.manifest import ManifestError
from cellharness.records import by_key
from cellharness.report.cutouts import locate, read_checked, short_reason, shrink
from cellharness.report.explorer.chains import write_outlines
from cellharness.report.explorer.data import Axes, script_text
from cellharness.report.outlines import Window, cell_spans, fullest_window
from cellharness.scoring import score_pair
from cellharness.scoring.processes import run_in_processes
from cellharness.vocabulary import SEGMENTED

FOLDERS = ("pictures", "thumbnails", "outlines")

_PICTURE_PX, _PICTURE_QUALITY = 640, 76
_THUMBNAIL_PX, _THUMBNAIL_QUALITY = 200, 66
# With fewer masks than this the start of processes takes longer than the work.
_MANY_MASKS = 3_000
# With more cells across than this, outlines run into each other.
_CELLS_ACROSS = 40
# (outlines of all methods and cases, longer side of their grid in px): the folder shall stay light.
_GRIDS = ((1_000, 1280), (2_500, 640), (6_000, 480))
_COARSEST = 360


class CaseFiles(NamedTuple):
    """What is needed to draw one case, all of it picklable."""

    name: str  # of its files, without a suffix
    image: Path
    label: Path
    sha256: str  # of the image that was segmented, or ""
    masks: tuple[Path | None, ...]  # None for a method without one
    thresholds: tuple[float, ...]  # at which cells are matched, ascending
    folder: Path  # with the subfolders FOLDERS
    side: int  # longer side of the outlines' grid in pixels


def is_much(masks: int) -> bool:
    """Whether it is worth starting processes to outline so many masks."""
    return masks > _MANY_MASKS


def grid_side(outlines: int) -> int:
    """Choose the longer side of the grids by how many outlines there are, all cases and methods.

    Examples
    --------
    >>> grid_side(39 * 7), grid_side(422 * 28)
    (1280, 360)
    """
    return next((side for most, side in _GRIDS if outlines <= most), _COARSEST)


def draw_cases(
    run: RunData, axes: Axes, allowed: set[str], folder: Path, workers: int
) -> list[dict[str, Any]]:
    """Write the pictures and outlines of all cases in `allowed`, and tell of every case.

    Returns
    -------
    list of dict
        One a case. ``picture`` is the name of its files; ``size`` is width and height of the part
        that is shown, ``at`` its left and upper edge, ``of`` the size of the image. Of a case
        without a picture there is ``why``, and ``withheld`` where its licence is the reason.
    """
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    manifest = by_key(run.manifest.drop_duplicates("case"), "case")
    statuses = {key: row["status"] for key, row in by_key(run.main, "method", "case").items()}
    side = grid_side(sum(case in allowed for case in axes.cases) * len(run.methods))
    told: list[dict[str, Any]] = [{"why": "", "withheld": True} for _ in axes.cases]
    jobs: dict[int, CaseFiles] = {}
    for place, case in enumerate(axes.cases):
        if case not in allowed:
            continue
        row = manifest[case,]
        try:
            image, label = locate(run, row["image"]), locate(run, row["label"])
        except ManifestError as error:
            told[place] = {"why": short_reason(error)}
            continue
        masks = tuple(
            run.prediction(method, case) if statuses[method, case] in SEGMENTED else None
            for method in run.methods
        )
        about = (f"{place:04d}", image, label, row["sha256"], masks)
        jobs[place] = CaseFiles(*about, axes.thresholds, folder, side)
    places, files = list(jobs), list(jobs.values())
    drawn: Iterable[tuple[int, dict[str, Any]]] = enumerate(map(draw_case, files))
    if workers > 1 and is_much(len(files) * len(run.methods)):
        drawn = run_in_processes(draw_case, files, workers, _lost)
    for number, found in drawn:
        told[places[number]] = found
    return told


def draw_case(case: CaseFiles) -> dict[str, Any]:
    """Write picture, thumbnail and outlines of one case, and tell what the page says of them."""
    try:
        truth, image = read_checked(case.image, case.label, case.sha256)
        image = prepare(image, "native")
        window, grid = choose_view(truth, case.side)
        _write_pictures(case, Image.fromarray(stretch(image[window.slices])))
        outlines = script_text(_outlines(case, truth, window, grid))
    except (ImageError, OSError, ValueError) as error:
        return {"why": short_reason(error)}
    text = f"explorer.outlines.arrived({script_text(case.name)},{outlines});\n"
    (case.folder / "outlines" / f"{case.name}.js").write_text(text, encoding="ascii")
    return {
        "picture": case.name,
        "size": [window.right - window.left, window.bottom - window.top],
        "of": [truth.shape[1], truth.shape[0]],
        "at": [window.left, window.top],
    }


def choose_view(truth: np.ndarray, side: int) -> tuple[Window, tuple[int, int]]:
    """Show the whole image, or of one with many small cells the part with the most of them.

    Such a part is a square of forty median cell diameters, though no smaller than `side`, the
    longer side of the grid. Rows and columns of the grid are no more than the part has pixels.
    """
    spans = cell_spans(truth)
    edge = max(truth.shape)
    if len(spans):
        edge = min(edge, max(side, round(_CELLS_ACROSS * float(np.median(np.diff(spans))))))
    window = fullest_window(spans, truth.shape, edge)
    height, width = window.bottom - window.top, window.right - window.left
    scale = min(1.0, side / max(height, width))
    return window, (max(1, round(height * scale)), max(1, round(width * scale)))


def sample(labels: np.ndarray, window: Window, grid: tuple[int, int]) -> np.ndarray:
    """Take from a label image the pixel in the middle of every cell of a grid over a window."""
    (rows, columns), (top, bottom, left, right) = grid, window
    y = top + ((np.arange(rows) + 0.5) * (bottom - top) / rows).astype(int)
    x = left + ((np.arange(columns) + 0.5) * (right - left) / columns).astype(int)
    return labels.take(y, axis=0).take(x, axis=1)


def _write_pictures(case: CaseFiles, picture: Image.Image) -> None:
    for folder, longest, quality in (
        ("pictures", max(_PICTURE_PX, case.side), _PICTURE_QUALITY),
        ("thumbnails", _THUMBNAIL_PX, _THUMBNAIL_QUALITY),
    ):
        pixels = np.asarray(shrink(picture, longest, reducing_gap=2.0).convert("RGB"))
        # Method 2 of 6: those above it take twice as long for files that are a few percent smaller.
        data = imagecodecs.webp_encode(pixels, level=quality, lossless=False, method=2)
        (case.folder / folder / f"{case.name}.webp").write_bytes(data)


def _outlines(
    case: CaseFiles, truth: np.ndarray, window: Window, grid: tuple[int, int]
) -> dict[str, Any]:
    """Outline truth and masks, and say of every outline at which thresholds its cell is matched.

    Of an outline there is a letter: "/" for a cell at the border, which does not count, otherwise
    "0", "1" ... for how many thresholds it is matched. Of a mask there are ``cells`` with their
    ``levels``, the levels of the ``truth`` against it, and over the whole image ``tp`` by threshold
    and ``n``, cells that count; of one that cannot be read ``problem``; of none, None.
    """
    text, cells = write_outlines(sample(truth, window, grid))
    _, border, _, (n_true, _) = _match(truth, np.zeros_like(truth), case.thresholds)
    methods: list[dict[str, Any] | None] = []
    for path in case.masks:
        if path is None:
            methods.append(None)
            continue
        try:
            mask = read_label(path)
        except (ImageError, OSError) as error:
            methods.append({"problem": short_reason(error)})
            continue
        if mask.shape != truth.shape:
            methods.append({"problem": "the mask has not the size of the image"})
            continue
        drawn, own = write_outlines(sample(mask, window, grid))
        tp, of_true, of_pred, (_, n) = _match(truth, mask, case.thresholds)
        levels, against = _letters(own, of_pred), _letters(cells, of_true)
        methods.append({"cells": drawn, "levels": levels, "truth": against, "tp": tp, "n": n})
    known = {"cells": text, "levels": _letters(cells, border), "n": n_true}
    return {"grid": [grid[1], grid[0]], "truth": known, "methods": methods}


def _match(
    truth: np.ndarray, mask: np.ndarray, thresholds: Sequence[float]
) -> tuple[list[int], dict[int, int], dict[int, int], tuple[int, int]]:
    """Return matches by threshold, levels of true and of predicted cells, and how many there are.

    A level is the number of thresholds up to the highest at which a cell is matched; -1 at the
    border. Unmatched cells have none.
    """
    # Above 0.5 no cell has two partners, so that IoU says all. Below, each threshold has its own.
    low = [threshold for threshold in thresholds if threshold <= 0.5] or thresholds[:1]
    scores = score_pair(truth, mask, "strict", thresholds=low, matches=True)
    of_true = dict.fromkeys(scores[0].excluded_true or (), -1)
    of_pred = dict.fromkeys(scores[0].excluded_pred or (), -1)
    levels: list[int] = []
    for score in scores:
        levels = [bisect_right(thresholds, match.iou) for match in score.matches or ()]
        for match, level in zip(score.matches or (), levels, strict=True):
            of_true[match.gt_label] = max(level, of_true.get(match.gt_label, 0))
            of_pred[match.pred_label] = max(level, of_pred.get(match.pred_label, 0))
    exactly = np.bincount(levels, minlength=len(thresholds) + 1)  # of the highest of the low ones
    at_least = exactly[::-1].cumsum()[::-1].tolist()
    tp = [score.tp for score in scores] + at_least[len(low) + 1 :]
    return tp, of_true, of_pred, (scores[0].n_true, scores[0].n_pred)


def _letters(cells: np.ndarray, levels: dict[int, int]) -> str:
    """Write of each outline the level of its cell, "0" of a cell without one."""
    known = sorted(levels)
    if not known:
        return "0" * len(cells)
    at = np.searchsorted(known, cells).clip(max=len(known) - 1)
    found = np.where(np.take(known, at) == cells, np.take([levels[cell] for cell in known], at), 0)
    return bytes((found + ord("0")).astype(np.uint8)).decode("ascii")


def _lost(_: CaseFiles) -> dict[str, Any]:
    return {"why": "it could not be drawn: the process ended, perhaps for want of memory"}
