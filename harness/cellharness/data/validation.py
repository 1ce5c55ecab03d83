"""Look at every file of a manifest and say what is wrong with it before anything is scored.

Errors are what makes a score wrong or impossible; warnings are what a reader of the scores should
know; notes are for information. Nothing is mended and nothing is left out here.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cellharness.data.images import (
    ImageError,
    UnsupportedImageError,
    channels_are_equal,
    open_image,
    open_label,
    prepare,
)
from cellharness.data.label_doubts import doubts_of, find_pieces
from cellharness.data.manifest import Case, Manifest
from cellharness.data.modality_guess import RULE_COLUMN, USUAL_RULE
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
    label_hash: str = ""


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
    error     label-unsupported     a label with fractions, negative values, or not 2-D
    error     hash-mismatch         the image is not the one the manifest was made with
    error     shape-mismatch        image and label differ in height or width
    error     label-is-image        the truth is the image itself, by file or by pixels
    error     leak                  the same image in two splits, by file bytes or by pixels
    warning   duplicate-image       the same image twice in one split
    warning   constant-image        all pixels have one value
    warning   a rule's name         the pixels could be read in another way, or a viewer shows
                                    something else: `cellharness.data.pixel_rules`
    warning   shared-label          the same truth for another image
    warning   no-label              no truth, the case cannot be scored
    warning   few-cells             fewer than 5 cells (left out of the challenge)
    warning   tiny-cells            cells under 15 px (left out of the challenge)
    warning   disconnected-id       one id in pieces that lie near each other: a cell cut in parts
    warning   duplicate-id          one id in pieces further apart than a cell is wide: two cells
    warning   binary-mask           one id for all cells, or one a class
    warning   wrapped-ids           more cells than 8 or 16 bits have ids for
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
    findings += _shared_labels(manifest, looked)
    findings += _about_modalities(manifest)
    return ValidationReport(tuple(findings), len(manifest))


def _look_at(case: Case) -> _Looked:
    findings: list[Finding] = []
    error = partial(Finding, "error", case.case)
    warning = partial(Finding, "warning", case.case)
    image = labels = None
    file_hash = pixel_hash = label_hash = ""
    try:
        picture = open_image(case.image)
        image = picture.pixels
        findings += [warning(told.code, told.message) for told in picture.findings]
        pixel_hash = _hash_pixels(image)
        prepare(image, "native")
        if image.min() == image.max():
            text = f"All pixels have the value {image.flat[0]}."
            findings.append(warning("constant-image", text))
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
        findings.append(warning("no-label", text))
    else:
        try:
            truth = open_label(case.label)
            labels = truth.pixels
            findings += [warning(told.code, f"Label: {told.message}") for told in truth.findings]
        except UnsupportedImageError as problem:
            findings.append(error("label-unsupported", str(problem)))
        except (ImageError, OSError) as problem:
            findings.append(error("label-unreadable", str(problem)))
    if labels is not None:
        if image is not None and image.shape[:2] != labels.shape:
            text = f"Image is {image.shape[:2]}, label is {labels.shape} (height, width)."
            findings.append(error("shape-mismatch", text))
        label_hash = _hash_pixels(labels) if labels.any() else ""
        if label_hash and label_hash == pixel_hash:
            text = f"{case.label} is the image itself; name the file with its cells."
            findings.append(error("label-is-image", text))
        findings += [warning(*found) for found in _look_at_label(labels)]
    return _Looked(tuple(findings), file_hash, pixel_hash, label_hash)


def _look_at_label(labels: np.ndarray) -> Iterator[tuple[str, str]]:
    """Yield (code, message) for everything odd about the cells of one label image."""
    pieces = find_pieces(labels)
    ids, inverse = np.unique(pieces.ids, return_inverse=True)
    areas = np.bincount(inverse, weights=pieces.pixels, minlength=len(ids))
    if len(ids) < MIN_CELLS:
        yield "few-cells", f"Fewer than {MIN_CELLS} cells: {len(ids)}."
    tiny = ids[areas < MIN_CELL_PIXELS]
    if len(tiny):
        text = f"Cells under {MIN_CELL_PIXELS} px: {len(tiny)} of {len(ids)} (ids {first_of(tiny)})"
        yield "tiny-cells", f"{text}."
    yield from doubts_of(pieces)


def _hash_pixels(image: np.ndarray) -> str:
    """Hash of what an image shows, the same for the same picture in another container.

    Grey stored as three equal channels equals the grey image, and integers count by value: the
    same picture saved as 8-bit and as 16-bit must not slip through as two.
    """
    if image.ndim == 3 and channels_are_equal(image):
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


def _shared_labels(manifest: Manifest, looked: list[_Looked]) -> Iterator[Finding]:
    """Yield a finding on each later case whose truth is that of another image."""
    first: dict[str, tuple[Case, _Looked]] = {}
    for case, result in zip(manifest.cases, looked, strict=True):
        if not result.label_hash:
            continue
        other, seen = first.setdefault(result.label_hash, (case, result))
        if other is not case and seen.pixel_hash != result.pixel_hash:
            text = (
                f"Has the same truth as {other.case} ({other.label}), but another image; is it "
                "the right file? Two channels of one field may share it."
            )
            yield Finding("warning", case.case, "shared-label", text)


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
    guessed = [case for case in manifest.cases if case.modality_source == "guessed"]
    if guessed:
        rules = {dict(case.extra).get(RULE_COLUMN) or USUAL_RULE for case in guessed}
        text = (
            f"{len(guessed)} of {len(manifest)} modalities are guessed by a rule "
            f"({', '.join(sorted(rules))}), not given."
        )
        yield Finding("note", "", "guessed-modality", text)


def _naming(text: str, name: str) -> str:
    return text if name in text else f"{name}: {text}"
