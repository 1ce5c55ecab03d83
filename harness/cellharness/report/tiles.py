"""Cut-outs of images with the outlines of every method, ready to be drawn anywhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cellharness.data.images import ImageError, prepare, read_image, read_label
from cellharness.data.manifest import ManifestError, resolve_inside
from cellharness.files import hash_file
from cellharness.report.loading import RunData
from cellharness.report.outlines import Window, choose_window, compare
from cellharness.report.records import Record, by_key, records
from cellharness.vocabulary import SEGMENTED

_LOW, _HIGH = 0.5, 99.8


@dataclass(frozen=True)
class MethodTile:
    """What one method made of a cut-out.

    Attributes
    ----------
    method
        Name.
    outlines
        Kind to outlines, see `cellharness.report.outlines.compare`.
    f1
        Of the whole image, as in the score table.
    status
        Of the case.
    counts
        Correct, wrong and missed cells of the whole image.
    """

    method: str
    outlines: Mapping[str, list[np.ndarray]]
    f1: float
    status: str
    counts: tuple[int, int, int] | None

    @property
    def has_mask(self) -> bool:
        """Whether there was a mask to draw."""
        return self.status in SEGMENTED


@dataclass(frozen=True)
class CaseTiles:
    """One case as a cut-out with the truth and several methods.

    Attributes
    ----------
    case, modality, experiment, licence
        From the manifest.
    picture
        uint8, (h, w) or (h, w, 3): the window, stretched for display.
    window
        Where it lies in the image.
    shape
        Height and width of the whole image.
    truth
        Outlines of the true cells, those that count (``truth``) and those at the border
        (``excluded``).
    methods
        One tile a method.
    problem
        Why there is no picture, or "".
    """

    case: str
    modality: str
    experiment: str
    licence: str
    picture: np.ndarray | None
    window: Window
    shape: tuple[int, int]
    truth: Mapping[str, list[np.ndarray]]
    methods: Sequence[MethodTile]
    problem: str = ""


def case_tiles(run: RunData, case: str, methods: Sequence[str]) -> CaseTiles:
    """Read one case and compare the masks of some methods with its truth.

    A file that is gone, broken, or not the one that was segmented does not stop a report: the
    reason takes the picture's place.

    Parameters
    ----------
    run : RunData
        The run.
    case : str
        A case of its manifest.
    methods : sequence of str
        Methods to show.
    """
    row = records(run.manifest[run.manifest["case"] == case])[0]
    scores = by_key(run.main[run.main["case"] == case], "method")
    modality = next(iter(scores.values()))["modality"]
    about = (case, modality, row["experiment"], row["licence"])
    try:
        image_path = locate(run, row["image"])
        if row["sha256"] and hash_file(image_path) != row["sha256"].lower():
            return _without_picture(about, "the image file is not the one that was segmented")
        truth = read_label(locate(run, row["label"]))
        image = read_image(image_path)
        window = choose_window(truth)
        picture = stretch(prepare(image, "native")[window.slices])
        tiles = [_method_tile(run, truth, window, scores[m,]) for m in methods]
    except (ImageError, ManifestError, OSError, ValueError) as error:
        return _without_picture(about, short_reason(error))
    alone = compare(truth, None, run.threshold, window)
    outlines = {"truth": alone["missed"], "excluded": alone["excluded"]}
    height, width = truth.shape
    return CaseTiles(*about, picture, window, (height, width), outlines, tiles)


def stretch(image: np.ndarray) -> np.ndarray:
    """Stretch an image for display, all channels alike so that colours keep their hue.

    The 0.5th percentile becomes black and the 99.8th white. Two channels become red and green.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, C)
        Finite, any real dtype, C 2 or 3.

    Returns
    -------
    ndarray of uint8, (H, W) or (H, W, 3)
    """
    values = image.astype(np.float32)
    if values.ndim == 3 and values.shape[2] == 2:
        values = np.dstack([values, np.zeros_like(values[..., 0])])
    # A channel without signal says nothing about how dark the dark is.
    lit = values if values.ndim == 2 else values[..., values.max((0, 1)) > values.min((0, 1))]
    if lit.size == 0:
        return np.full(values.shape, 128, np.uint8)
    low, high = np.percentile(lit, (_LOW, _HIGH))
    if high <= low:
        low, high = float(lit.min()), float(lit.max())
    if high <= low:
        return np.full(values.shape, 128, np.uint8)
    return (np.clip((values - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)


def data_uri(picture: np.ndarray, longest_px: int) -> str:
    """Encode a picture as a JPEG data URI, made smaller where its longer side exceeds a limit."""
    image = Image.fromarray(picture)
    scale = longest_px / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def path_data(outlines: Sequence[np.ndarray]) -> str:
    """Write outlines as the data of one SVG path, in pixels of the cut-out.

    Examples
    --------
    >>> path_data([np.array([[0.5, 1.0], [2.0, 1.0], [0.5, 1.0]])])
    'M0.5 1L2 1L0.5 1'
    """
    return "".join(
        "M" + "L".join(f"{x:.1f} {y:.1f}".replace(".0", "") for x, y in points)
        for points in outlines
    )


def _method_tile(run: RunData, truth: np.ndarray, window: Window, score: Record) -> MethodTile:
    status, method = score["status"], score["method"]
    mask = read_label(run.prediction(method, score["case"])) if status in SEGMENTED else None
    outlines = compare(truth, mask, run.threshold, window)
    counts = [score.get(name, np.nan) for name in ("tp", "fp", "fn")]
    known = None if np.isnan(counts).any() else (int(counts[0]), int(counts[1]), int(counts[2]))
    return MethodTile(method, outlines, float(score["f1"]), status, known)


def locate(run: RunData, path: str) -> Path:
    """Find an image or label that the manifest of a run names.

    Raises
    ------
    ManifestError
        A relative path leads out of the root of the data.
    """
    # The manifest of a run keeps absolute paths of files outside the root as a record.
    return Path(path) if Path(path).is_absolute() else resolve_inside(run.root, path)


def _without_picture(about: tuple[str, str, str, str], problem: str) -> CaseTiles:
    return CaseTiles(*about, None, Window(0, 0, 0, 0), (0, 0), {}, [], problem)


def short_reason(error: Exception) -> str:
    """Say why a file could not be shown without the folders of the machine."""
    if isinstance(error, FileNotFoundError):
        return "the file is not on this machine"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rsplit("/", 1)[-1][:160].rstrip(".")
