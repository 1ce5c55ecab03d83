"""Pictures and outlines of every case, as small files that the page loads when it shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from cellharness.data.images import ImageError, prepare, read_image, read_label
from cellharness.data.manifest import ManifestError
from cellharness.files import hash_file
from cellharness.report.explorer.chains import write_outlines
from cellharness.report.explorer.packing import script_text
from cellharness.report.explorer.views import View, choose_view, grid_side
from cellharness.report.loading import RunData
from cellharness.report.records import by_key
from cellharness.report.tiles import locate, short_reason, stretch
from cellharness.scoring.processes import run_in_processes
from cellharness.vocabulary import SEGMENTED

FOLDERS = ("pictures", "thumbnails", "outlines")

_PICTURE_PX, _PICTURE_QUALITY = 640, 76
_THUMBNAIL_PX, _THUMBNAIL_QUALITY = 200, 66
# With fewer masks than this the start of processes takes longer than the work.
_MANY_MASKS = 3_000
_LICENCE = "its licence ({}) is not among those that the configuration allows to show"


@dataclass(frozen=True)
class CaseFiles:
    """What is needed to draw one case, all of it picklable.

    Attributes
    ----------
    name
        What its files are called, without a suffix.
    image, label
        Where they lie.
    sha256
        Of the image that was segmented, or "".
    masks
        Where each method's mask lies; None for a method without one.
    folder
        Where to write, with the subfolders `FOLDERS`.
    side
        Longer side of the outlines' grid in pixels.
    """

    name: str
    image: Path
    label: Path
    sha256: str
    masks: tuple[Path | None, ...]
    folder: Path
    side: int


def is_much(masks: int) -> bool:
    """Whether it is worth starting processes to outline so many masks."""
    return masks > _MANY_MASKS


def draw_cases(
    run: RunData, cases: Sequence[str], allowed: set[str], folder: Path, workers: int
) -> list[dict[str, Any]]:
    """Write the pictures and outlines of all cases that may be shown.

    Parameters
    ----------
    run : RunData
        The run.
    cases : sequence of str
        All cases of the page.
    allowed : set of str
        Those whose pixels may be shown.
    folder : Path
        Existing folder; `FOLDERS` are made in it.
    workers : int
        Processes to draw with where there is much to draw.

    Returns
    -------
    list of dict
        One a case, in the order of `cases`. ``picture`` is the name of its files; ``size`` is
        width and height of the part of the image that is shown, ``of`` those of the image,
        ``at`` the left and upper edge of the part. Of a case without a picture there is ``why``.
    """
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    manifest = by_key(run.manifest.drop_duplicates("case"), "case")
    statuses = dict(zip(zip(run.main["method"], run.main["case"], strict=True), run.main["status"],
                        strict=True))  # fmt: skip
    shown = sum(case in allowed for case in cases)
    side = grid_side(shown * len(run.methods))
    told: list[dict[str, Any]] = []
    jobs: dict[int, CaseFiles] = {}
    for place, case in enumerate(cases):
        told.append({})
        if case not in allowed:
            licence = manifest.get((case,), {}).get("licence")
            told[place] = {"why": _LICENCE.format(licence or "none is stated")}
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
        sha256 = row["sha256"].lower()
        jobs[place] = CaseFiles(f"{place:04d}", image, label, sha256, masks, folder, side)
    many = workers > 1 and is_much(sum(len(job.masks) for job in jobs.values()))
    for place, found in zip(jobs, _run(list(jobs.values()), workers if many else 1), strict=True):
        told[place] = found
    return told


def _run(jobs: Sequence[CaseFiles], workers: int) -> Iterable[dict[str, Any]]:
    if workers == 1:
        return map(draw_case, jobs)
    found: dict[int, dict[str, Any]] = dict(run_in_processes(draw_case, jobs, workers, _lost))
    return [found[place] for place in range(len(jobs))]


def draw_case(case: CaseFiles) -> dict[str, Any]:
    """Write picture, thumbnail and outlines of one case, and tell what the page says of them."""
    try:
        if case.sha256 and hash_file(case.image) != case.sha256:
            return {"why": "the image file is not the one that was segmented"}
        truth = read_label(case.label)
        image = prepare(read_image(case.image), "native")
        if image.shape[:2] != truth.shape:
            return {"why": "image and label differ in size"}
        view = choose_view(truth, case.side)
        _write_pictures(case, stretch(image[view.window.slices]))
        _write_outlines(case, truth, view)
    except (ImageError, OSError, ValueError) as error:
        return {"why": short_reason(error)}
    window, (height, width) = view.window, truth.shape
    return {
        "picture": case.name,
        "size": [window.right - window.left, window.bottom - window.top],
        "of": [width, height],
        "at": [window.left, window.top],
    }


def _write_pictures(case: CaseFiles, picture: np.ndarray) -> None:
    for folder, longest, quality in (
        ("pictures", _PICTURE_PX, _PICTURE_QUALITY),
        ("thumbnails", _THUMBNAIL_PX, _THUMBNAIL_QUALITY),
    ):
        image = Image.fromarray(picture)
        scale = longest / max(image.size)
        if scale < 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        pixels = np.asarray(image.convert("RGB"))
        # Method 2 of 6: those above it take twice as long for files that are a few percent smaller.
        data = imagecodecs.webp_encode(pixels, level=quality, lossless=False, method=2)
        (case.folder / folder / f"{case.name}.webp").write_bytes(data)


def _write_outlines(case: CaseFiles, truth: np.ndarray, view: View) -> None:
    """Write a script that hands the page the outlines of the case."""
    methods, problems = [], {}
    for place, mask in enumerate(_masks(case, truth.shape)):
        if isinstance(mask, str):
            problems[place] = mask
        methods.append(write_outlines(view.sample(mask)) if isinstance(mask, np.ndarray) else None)
    rows, columns = view.grid
    found: Mapping[str, Any] = {
        "grid": [columns, rows],
        "truth": write_outlines(view.sample(truth)),
        "methods": methods,
        "problems": problems,
    }
    text = f"explorer.outlines.arrived({script_text(case.name)},{script_text(found)});\n"
    (case.folder / "outlines" / f"{case.name}.js").write_text(text, encoding="ascii")


def _masks(case: CaseFiles, shape: tuple[int, ...]) -> Iterator[np.ndarray | str | None]:
    """Read the mask of every method: None where there is none, and text where it cannot be had."""
    for path in case.masks:
        if path is None:
            yield None
            continue
        try:
            mask = read_label(path)
            yield mask if mask.shape == shape else "the mask has not the size of the image"
        except (ImageError, OSError) as error:
            yield short_reason(error)


def _lost(_: CaseFiles) -> dict[str, Any]:
    return {"why": "it could not be drawn: the process ended, perhaps for want of memory"}
