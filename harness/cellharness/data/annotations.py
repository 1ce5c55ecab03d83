"""Draw outlines of other programs as label images: ImageJ ROIs, COCO json, GeoJSON.

Coordinates are taken as these programs mean them: whole numbers lie at the corners of pixels, and a
pixel belongs to an outline if its centre does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellharness.data.folders import images_of
from cellharness.data.images import ImageError, read_image, write_label
from cellharness.errors import UsageError
from cellharness.installation import missing_package
from cellharness.names import same_name
from cellharness.run_directory import prediction_name

#: Suffixes of files that hold outlines.
ANNOTATION_SUFFIXES = (".json", ".geojson", ".zip", ".roi")

_TAILS = ("_rois", "_RoiSet", "_roi")
_EXTRA = "annotations"

# Rows and columns of an image. A cell is drawn in those that it lies in: a slide has very many.
_Window = tuple[slice, slice]
# Gives a window and the pixels of it inside of a cell, given the shape of the image.
_Cell = Callable[[tuple[int, int]], tuple[_Window, np.ndarray]]


class AnnotationError(UsageError):
    """A file of outlines that cannot be drawn; the message names it."""


@dataclass(frozen=True)
class DrawnLabels:
    """What `draw_labels` made.

    Attributes
    ----------
    written
        Label images, ``<image>_label.tiff``.
    problems
        What was left out and why, one sentence each.
    """

    written: tuple[Path, ...]
    problems: tuple[str, ...]


def draw_labels(source: Path, out: Path, images: Path | None = None) -> DrawnLabels:
    """Draw the outlines of a file, or of all such files of a folder, as label images.

    Where two outlines overlap, pixels stay with the first, and the overlap is told of.

    Parameters
    ----------
    source
        COCO json (any number of images), or for one image each GeoJSON (QuPath exports it) or
        ImageJ ROIs (``.roi``, ``.zip``), named as the image, with ``_rois`` or not; or a folder.
    out
        Folder of the label images; nothing in it is replaced.
    images
        Folder of the images, for their sizes; COCO json names sizes itself.

    Returns
    -------
    DrawnLabels

    Raises
    ------
    AnnotationError
        If there is nothing to draw, a file is not what its suffix says, or a label exists.
    MissingDependencyError
        If a package is not installed that reads the file.

    Examples
    --------
    >>> import tempfile
    >>> coco = {"images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
    ...         "annotations": [{"image_id": 1, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "coco.json"
    ...     _ = path.write_text(json.dumps(coco))
    ...     drawn = draw_labels(path, Path(folder) / "labels")
    ...     drawn.written[0].name
    'a_label.tiff'
    """
    if source.is_dir():
        files = sorted(p for p in source.iterdir() if p.suffix.lower() in ANNOTATION_SUFFIXES)
    else:
        files = [source]
    if not files or not all(file.is_file() for file in files):
        msg = f"{source}: no outlines to draw; read are {', '.join(ANNOTATION_SUFFIXES)}"
        raise AnnotationError(msg)
    known = images_of(images).files if images is not None else {}
    problems: list[str] = []
    labels: dict[Path, np.ndarray] = {}
    for file in files:
        for name, shape, cells in _images_in(file, known):
            place = out / prediction_name(name)
            if place in labels or place.exists():
                msg = f"{place} exists already and is not replaced; give --out another folder"
                raise AnnotationError(msg)
            labels[place] = _draw(cells, shape, f"{file.name}, {name}", problems)
    for place, label in labels.items():
        write_label(place, label)
    return DrawnLabels(tuple(labels), tuple(problems))


def _draw(
    cells: Iterable[_Cell | str], shape: tuple[int, int], where: str, problems: list[str]
) -> np.ndarray:
    labels = np.zeros(shape, np.uint32)
    number = overlap = outside = 0
    for cell in cells:
        if isinstance(cell, str):
            problems.append(f"{where}: {cell}")
            continue
        window, inside = cell(shape)
        around = labels[window]
        overlap += int(np.count_nonzero(around[inside]))
        inside &= around == 0
        outside += not inside.any()
        number += bool(inside.any())
        around[inside] = number
    if overlap:
        problems.append(f"{where}: {overlap} pixels are in two outlines and stay with the first")
    if outside:
        problems.append(f"{where}: {outside} outlines hold no pixel of their own and are left out")
    return labels


def _images_in(
    file: Path, known: Mapping[str, Path]
) -> Iterator[tuple[str, tuple[int, int], Iterable[_Cell | str]]]:
    """Yield name, shape and cells of each image that a file has outlines for."""
    if file.suffix.lower() in {".zip", ".roi"}:
        cells: Iterable[_Cell | str] = _imagej_cells(file)
    else:
        content = _json(file)
        if isinstance(content, dict) and "annotations" in content:
            yield from _coco_images(content, file)
            return
        cells = _geojson_cells(content, file)
    stem = same_name(file.stem)
    tailless = next((stem.removesuffix(t) for t in _TAILS if stem.endswith(t)), stem)
    # An image may be called `slide_roi` itself.
    name = stem if stem in known else tailless
    # QuPath names the export after the image with its suffix.
    name = name if name in known else name.rpartition(".")[0] or name
    if name not in known:
        msg = (
            f"{file}: which image is it of? It does not say how large that is: give the folder of "
            f"the images with --images, with one called {name}.* in it"
        )
        raise AnnotationError(msg)
    try:
        height, width = read_image(known[name]).shape[:2]
    except ImageError as error:
        raise AnnotationError(str(error)) from error
    yield name, (height, width), cells


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        msg = f"{file}: no json ({error})"
        raise AnnotationError(msg) from error


def _coco_images(
    content: Mapping[str, Any], file: Path
) -> Iterator[tuple[str, tuple[int, int], Iterable[_Cell | str]]]:
    try:
        by_image: dict[Any, list[Any]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            by_image[annotation["image_id"]].append(annotation.get("segmentation"))
        for image in content["images"]:
            name = same_name(Path(str(image["file_name"]).replace("\\", "/")).stem)
            shape = (int(image["height"]), int(image["width"]))
            yield name, shape, [_coco_cell(each) for each in by_image[image["id"]]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{file}: not as COCO has it ({type(error).__name__}: {error})"
        raise AnnotationError(msg) from error


def _coco_cell(segmentation: Any) -> _Cell | str:
    if isinstance(segmentation, list) and segmentation:
        rings = [np.asarray(ring, float).reshape(-1, 2) for ring in segmentation]
        # The parts of a cell, none of them a hole.
        return _combined(rings, np.logical_or)
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation)
    return "an annotation without outline is left out"


def _run_lengths(segmentation: Mapping[str, Any]) -> _Cell:
    height, width = map(int, segmentation["size"])
    counts = segmentation["counts"]
    if isinstance(counts, list):
        values = np.arange(len(counts)) % 2 == 1
        flat = np.repeat(values, np.asarray(counts, np.int64))
        if flat.size != height * width:
            msg = f"run lengths of {flat.size} pixels for {height} x {width}"
            raise ValueError(msg)
        mask = flat.reshape(width, height).T
    else:
        try:
            from pycocotools import mask as coco_mask
        except ImportError as error:
            raise missing_package(
                what="Reading packed COCO masks", error=error, extra=_EXTRA
            ) from error
        packed = {"size": [height, width], "counts": counts.encode()}
        mask = coco_mask.decode(packed).astype(np.bool_)

    def inside(shape: tuple[int, int]) -> tuple[_Window, np.ndarray]:
        if mask.shape != shape:
            msg = f"a mask of {mask.shape} for an image of {shape}"
            raise AnnotationError(msg)
        return (slice(None), slice(None)), mask.copy()

    return inside


def _geojson_cells(content: Any, file: Path) -> list[_Cell | str]:
    if isinstance(content, dict):
        content = content.get("features", [content])
    cells: list[_Cell | str] = []
    try:
        for feature in content:
            geometry = feature.get("geometry", feature)
            # Where the nucleus is given too, the outline of the cell is what counts.
            kind, coordinates = geometry["type"], geometry.get("coordinates")
            if kind == "Polygon":
                cells.append(_polygons([coordinates]))
            elif kind == "MultiPolygon":
                cells.append(_polygons(coordinates))
            else:
                cells.append(f"a {kind} has no inside and is left out")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{file}: not as GeoJSON has it ({type(error).__name__}: {error})"
        raise AnnotationError(msg) from error
    return cells


def _polygons(polygons: Sequence[Sequence[Any]]) -> _Cell:
    """The parts of one cell, each an outline and its holes."""
    parts = [[np.asarray(ring, float)[:, :2] for ring in rings] for rings in polygons]

    def inside(shape: tuple[int, int]) -> tuple[_Window, np.ndarray]:
        window = _window_of([outline for outline, *_ in parts], shape)
        mask = _empty(window)
        for outline, *holes in parts:
            part = _filled(outline, window)
            for hole in holes:
                part &= ~_filled(hole, window)
            mask |= part
        return window, mask

    return inside


def _imagej_cells(file: Path) -> list[_Cell | str]:
    try:
        import roifile
    except ImportError as error:
        raise missing_package(what="Reading ImageJ ROIs", error=error, extra=_EXTRA) from error
    # roifile raises what it likes on broken bytes.
    try:
        found = roifile.ImagejRoi.fromfile(file)
        rois = list(found) if isinstance(found, list) else [found]
        return [_imagej_cell(roi, roifile.ROI_TYPE) for roi in rois]
    except Exception as error:
        msg = f"{file}: no ImageJ ROIs ({type(error).__name__}: {error})"
        raise AnnotationError(msg) from error


def _imagej_cell(roi: Any, kinds: Any) -> _Cell | str:
    if roi.roitype in (kinds.LINE, kinds.FREELINE, kinds.POLYLINE, kinds.ANGLE, kinds.POINT):
        return f"'{roi.name}' is a {roi.roitype.name} without inside and is left out"
    paths = [np.asarray(path, float) for path in roi.coordinates(multi=True)]
    if not any(len(path) > 2 for path in paths):
        return f"'{roi.name}' has no outline and is left out"
    # In a composite what two paths hold is a hole.
    return _combined(paths, np.logical_xor)


def _combined(rings: Sequence[np.ndarray], how: np.ufunc) -> _Cell:
    """Give a cell of several outlines."""

    def inside(shape: tuple[int, int]) -> tuple[_Window, np.ndarray]:
        window = _window_of(rings, shape)
        return window, how.reduce([_filled(ring, window) for ring in rings])

    return inside


def _window_of(rings: Sequence[np.ndarray], shape: tuple[int, int]) -> _Window:
    """Part of an image that holds all pixels of some outlines."""
    corners = np.concatenate([np.empty((0, 2)), *rings])[:, ::-1] - 0.5
    corners = corners[np.isfinite(corners).all(axis=1)]
    if not len(corners):
        return slice(0, 0), slice(0, 0)
    start = np.clip(np.floor(corners.min(axis=0)), 0, shape).astype(int)
    stop = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, shape).astype(int)
    return slice(start[0], stop[0]), slice(start[1], stop[1])


def _empty(window: _Window) -> np.ndarray:
    rows, columns = window
    return np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.bool_)


def _filled(ring: np.ndarray, window: _Window) -> np.ndarray:
    """Pixels of a window whose centre is inside of an outline of (x, y), shape (n, 2)."""
    from skimage.draw import polygon

    mask = _empty(window)
    rows, columns = window
    # Nothing is rounded here: no outline reaches above or left of a window that is not at the edge.
    y, x = ring[:, 1] - 0.5 - rows.start, ring[:, 0] - 0.5 - columns.start
    mask[polygon(y, x, mask.shape)] = True
    return mask
