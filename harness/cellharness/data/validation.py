"""Look at every file of a manifest and say what is wrong with it before anything is scored.

Errors are what makes a score wrong or impossible; warnings are what a reader of the scores should
know; notes are for information. Nothing is mended and nothing is left out here.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.measure import label as connected_components

from cellharness.data.images import (
    ImageError,
    UnsupportedImageError,
    prepare,
    read_image,
    read_label,
)
from cellharness.data.manifest import Case, Manifest
from cellharness.errors import first_of
from cellharness.files import hash_file

LEVELS = ("error", "warning", "note")

# The challenge left out images with fewer cells and cells with fewer pixels (paper, data set).
MIN_CELLS = 5
MIN_CELL_PIXELS = 15


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes
    ----------
    level
        One of `LEVELS`.
    case
        The case it is about, or ``""`` for the manifest as a whole.
    code
        Short stable name of the kind of finding, for filtering.
    message
        What was found, with its numbers.
    """

    level: str
    case: str
    code: str
    message: str


@dataclass(frozen=True)
class ValidationReport:
    """What `validate` found, in manifest order; findings on the whole manifest come last."""

    findings: tuple[Finding, ...]
    n_cases: int

    @property
    def ok(self) -> bool:
        """Whether there is no error (warnings and notes allowed)."""
        return not self.at("error")

    def at(self, level: str) -> tuple[Finding, ...]:
        """Give the findings of one level."""
        return tuple(finding for finding in self.findings if finding.level == level)

    def frame(self) -> pd.DataFrame:
        """One row a finding: level, case, code, message."""
        return pd.DataFrame(self.findings, columns=["level", "case", "code", "message"])


@dataclass(frozen=True)
class _Looked:
    """What one case gave: its findings, and hashes to find the same image elsewhere."""

    findings: tuple[Finding, ...]
    file_hash: str = ""
    pixel_hash: str = ""


def validate(
    manifest: Manifest,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
) -> ValidationReport:
    """Read every image and label of a manifest and report what is wrong.

    ========  ====================  ==============================================================
    level     code                  meaning
    ========  ====================  ==============================================================
    error     image-unreadable      absent, truncated or corrupt image
    error     image-unsupported     not a 2-D image, or NaN or infinite pixels
    error     label-unreadable      absent, truncated or corrupt label
    error     label-unsupported     float, negative or not 2-D label
    error     hash-mismatch         the image is not the one the manifest was made with
    error     shape-mismatch        image and label differ in height or width
    error     leak                  the same image in two splits, by file bytes or by pixels
    warning   duplicate-image       the same image twice in one split
    warning   constant-image        all pixels have one value
    warning   no-label              no truth, the case cannot be scored
    warning   few-cells             fewer than 5 cells (left out of the challenge)
    warning   tiny-cells            cells under 15 px (left out of the challenge)
    warning   disconnected-id       one id in pieces that lie near each other: a cell cut in parts
    warning   duplicate-id          one id in pieces further apart than a cell is wide: two cells
    note      no-modality           cases without modality
    note      guessed-modality      cases whose modality is a rule's guess
    ========  ====================  ==============================================================

    Parameters
    ----------
    manifest
        What to look at.
    progress
        Called with (cases done, cases in all) after every case.
    workers
        Threads that read files; decoding and hashing run outside the interpreter lock.

    Returns
    -------
    ValidationReport
    """
    looked: list[_Looked] = []
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for done, result in enumerate(pool.map(_look_at, manifest.cases), start=1):
            looked.append(result)
            if progress is not None:
                progress(done, len(manifest))
    findings = [finding for result in looked for finding in result.findings]
    findings += _duplicates(manifest, looked)
    findings += _about_modalities(manifest)
    return ValidationReport(tuple(findings), len(manifest))


def _look_at(case: Case) -> _Looked:
    findings: list[Finding] = []
    error = partial(Finding, "error", case.case)
    image = labels = None
    file_hash = pixel_hash = ""
    try:
        image = read_image(case.image)
        pixel_hash = _hash_pixels(image)
        prepare(image, "native")
        if image.min() == image.max():
            text = f"All pixels have the value {image.flat[0]}."
            findings.append(Finding("warning", case.case, "constant-image", text))
    except UnsupportedImageError as problem:
        findings.append(error("image-unsupported", _naming(str(problem), case.image.name)))
    except (ImageError, OSError) as problem:
        findings.append(error("image-unreadable", str(problem)))
    if case.image.is_file():
        file_hash = hash_file(case.image)
        if case.sha256 and file_hash != case.sha256:
            text = (
                f"{case.image.name} has SHA256 {file_hash}, the manifest says {case.sha256}: "
                "this is another file; fetch the right one or write the manifest anew."
            )
            findings.append(error("hash-mismatch", text))
    if case.label is None:
        text = "No label: the case can be segmented, but not scored."
        findings.append(Finding("warning", case.case, "no-label", text))
    else:
        try:
            labels = read_label(case.label)
        except UnsupportedImageError as problem:
            findings.append(error("label-unsupported", str(problem)))
        except (ImageError, OSError) as problem:
            findings.append(error("label-unreadable", str(problem)))
    if labels is not None:
        if image is not None and image.shape[:2] != labels.shape:
            text = f"Image is {image.shape[:2]}, label is {labels.shape} (height, width)."
            findings.append(error("shape-mismatch", text))
        findings += [Finding("warning", case.case, *found) for found in _look_at_label(labels)]
    return _Looked(tuple(findings), file_hash, pixel_hash)


def _look_at_label(labels: np.ndarray) -> Iterator[tuple[str, str]]:
    """Yield (code, message) for everything odd about the cells of one label image."""
    ids, dense = _dense_ids(labels)
    areas = np.bincount(dense.ravel(), minlength=len(ids) + 1)[1:]
    if len(ids) < MIN_CELLS:
        yield "few-cells", f"Fewer than {MIN_CELLS} cells: {len(ids)}."
    tiny = ids[areas < MIN_CELL_PIXELS]
    if len(tiny):
        text = f"Cells under {MIN_CELL_PIXELS} px: {len(tiny)} of {len(ids)}{_some(tiny)}."
        yield "tiny-cells", text
    split, double = _ids_in_pieces(dense)
    if len(split):
        yield "disconnected-id", f"Cells in several pieces: {len(split)}{_some(ids[split - 1])}."
    if len(double):
        yield (
            "duplicate-id",
            f"Ids in places further apart than a cell is wide, as if given twice: {len(double)}"
            f"{_some(ids[double - 1])}; scoring takes each id as one cell.",
        )


def _dense_ids(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids in the image without 0, and the image with the k-th of them replaced by k (from 1)."""
    top = int(labels.max())
    # A table over all values is fastest, but ids may be as large as the dtype.
    if top > 4 * labels.size:
        values, dense = np.unique(labels, return_inverse=True)
        dense = dense.reshape(labels.shape)
        return (values[1:], dense) if values[0] == 0 else (values, dense + 1)
    present = np.bincount(labels.ravel()) > 0
    present[0] = False
    table = np.cumsum(present) * present
    return np.flatnonzero(present), table[labels]


def _ids_in_pieces(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids (from 1) in more than one 8-connected piece: those near together, those far apart."""
    pieces, count = connected_components(dense, connectivity=2, return_num=True)
    owner = np.zeros(count + 1, dtype=np.int64)
    owner[pieces.ravel()] = dense.ravel()
    broken = np.flatnonzero(np.bincount(owner[1:], minlength=1) > 1)
    if not len(broken):
        return broken, broken
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(pieces)
    far = []
    for cell in broken:
        mine = np.flatnonzero(owner == cell)
        largest = mine[np.argmax(sizes[mine])]
        width = 2 * math.sqrt(sizes[largest] / math.pi)
        # A speck far away is a slip of the pen; a second body of cell size is a second cell.
        far.append(
            any(
                sizes[piece] >= sizes[largest] / 4
                and _gap(boxes[piece - 1], boxes[largest - 1]) > width
                for piece in mine
                if piece != largest
            )
        )
    return broken[~np.array(far)], broken[np.array(far)]


def _gap(first: tuple[slice, ...], second: tuple[slice, ...]) -> float:
    """Distance in px between two bounding boxes, 0 if they overlap."""
    gaps = [max(0, a.start - b.stop, b.start - a.stop) for a, b in zip(first, second, strict=True)]
    return math.hypot(*gaps)


def _hash_pixels(image: np.ndarray) -> str:
    """Hash of what an image shows, the same for the same picture in another container.

    Grey stored as three equal channels equals the grey image, and integers count by value: the
    same picture saved as 8-bit and as 16-bit must not slip through as two.
    """
    if image.ndim == 3 and all(
        np.array_equal(image[..., 0], image[..., k]) for k in range(1, image.shape[-1])
    ):
        image = image[..., 0]
    if image.dtype.kind in "ui":
        lowest, highest = int(image.min()), int(image.max())
        image = image.astype(np.result_type(*map(np.min_scalar_type, (lowest, highest))))
    digest = hashlib.sha256(f"{image.shape} {image.dtype.str}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _duplicates(manifest: Manifest, looked: list[_Looked]) -> Iterator[Finding]:
    """Yield a finding on each later member of a group of equal images."""
    reported: set[tuple[str, str]] = set()
    for kind, what in (("file_hash", "the same file bytes"), ("pixel_hash", "the same pixels")):
        groups: dict[str, list[Case]] = defaultdict(list)
        for case, result in zip(manifest.cases, looked, strict=True):
            if getattr(result, kind):
                groups[getattr(result, kind)].append(case)
        for group in groups.values():
            first = group[0]
            for case in group[1:]:
                # Compare with a member of another split first, if there is one: leaks outrank.
                other = next((c for c in group if c.split != case.split), first)
                pair = (min(case.case, other.case), max(case.case, other.case))
                if pair in reported:
                    continue
                reported.add(pair)
                if other.split == case.split:
                    level, code, why = "warning", "duplicate-image", "it counts twice"
                else:
                    level, code, why = "error", "leak", "a test on it proves nothing"
                text = (
                    f"Has {what} as {other.case} (split {other.split!r}, this one "
                    f"{case.split!r}): {why}."
                )
                yield Finding(level, case.case, code, text)


def _about_modalities(manifest: Manifest) -> Iterator[Finding]:
    unknown = [case.case for case in manifest.cases if case.modality is None]
    if unknown:
        text = (
            f"{len(unknown)} of {len(manifest)} cases have no modality ({first_of(unknown, most=3)}"
            ") and stay out of per-modality tables. Fill the "
            "column, or have a rule fill it: `cellharness data validate --write-guesses`; those "
            "are marked 'guessed'."
        )
        yield Finding("note", "", "no-modality", text)
    guessed = sum(case.modality_source == "guessed" for case in manifest.cases)
    if guessed:
        text = f"{guessed} of {len(manifest)} modalities are guessed by a rule, not given."
        yield Finding("note", "", "guessed-modality", text)


def _some(ids: np.ndarray) -> str:
    return f" (ids {first_of(ids)})"


def _naming(text: str, name: str) -> str:
    return text if name in text else f"{name}: {text}"
