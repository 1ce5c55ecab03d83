"""Cut-outs of images with the outlines of every method, for figures and for the page."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from cellharness.analysis.run_data import RunData
from cellharness.data.display import HIGH, LOW, stretch
from cellharness.data.images import ImageError, prepare, read_image, read_label
from cellharness.data.manifest import ManifestError, resolve_inside
from cellharness.files import hash_file
from cellharness.printing.wording import number
from cellharness.records import Record, by_key, records
from cellharness.report.outlines import STYLES, WINDOW_WORDS, Window, choose_window, compare
from cellharness.vocabulary import SEGMENTED

#: What a cut-out is, in words.
CUTOUT_WORDS = (
    f"Cut-out: {WINDOW_WORDS}. Intensities stretched from the {LOW:g}th to the {HIGH:g}th "
    "percentile of the cut-out, all channels alike."
)

NOWHERE = Window(0, 0, 0, 0)

Outlines = Mapping[str, Sequence[np.ndarray]]


class MethodTile(NamedTuple):
    """What one method made of a cut-out: outlines by kind, and F1 and counts of the whole image."""

    method: str
    outlines: Outlines
    f1: float
    status: str
    counts: tuple[int, int, int] | None

    @property
    def badge(self) -> str:
        """Its F1, or why there is none."""
        if self.status in SEGMENTED:
            return f"F1 {number(self.f1, 2)}"
        return f"no mask: {self.status}"


@dataclass(frozen=True)
class CaseTiles:
    """One case as a cut-out with the truth and several methods.

    Attributes
    ----------
    case, modality, experiment, licence
        From the manifest.
    picture
        uint8, (h, w) or (h, w, 3): the window, stretched for display; None where there is none.
    window, shape
        Where it lies in the image, and height and width of that.
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
    picture: np.ndarray | None = None
    window: Window = NOWHERE
    shape: tuple[int, int] = (0, 0)
    truth: Outlines = field(default_factory=dict)
    methods: Sequence[MethodTile] = ()
    problem: str = ""

    def has(self, methods: Iterable[str]) -> bool:
        """Whether it shows all of some methods."""
        return set(methods) <= {tile.method for tile in self.methods}


def case_tiles(run: RunData, case: str, methods: Sequence[str]) -> CaseTiles:
    """Read one case and compare the masks of some methods with its truth.

    A file that is gone, broken, or not the one that was segmented does not stop a report: the
    reason takes the picture's place.
    """
    row = records(run.manifest[run.manifest["case"] == case])[0]
    scores = by_key(run.main[run.main["case"] == case], "method")
    modality = next(iter(scores.values()))["modality"]
    about = (case, modality, row["experiment"], row["licence"])
    try:
        truth, image = read_pair(run, row)
        window = choose_window(truth)
        picture = stretch(prepare(image, "native")[window.slices])
        tiles = [_method_tile(run, truth, window, scores[m,]) for m in methods]
    except (ImageError, ManifestError, OSError, ValueError) as error:
        return CaseTiles(*about, problem=short_reason(error))
    alone = compare(truth, None, run.threshold, window)
    outlines = {"truth": alone["missed"], "excluded": alone["excluded"]}
    return CaseTiles(*about, picture, window, (truth.shape[0], truth.shape[1]), outlines, tiles)


def read_pair(run: RunData, row: Record) -> tuple[np.ndarray, np.ndarray]:
    """Read label and image of a row of the manifest, see `read_checked`."""
    return read_checked(locate(run, row["image"]), locate(run, row["label"]), row["sha256"])


def read_checked(image: Path, label: Path, sha256: str) -> tuple[np.ndarray, np.ndarray]:
    """Read label and image, which must be of one size.

    Raises
    ------
    ValueError
        The image has another SHA256, where one is given, or another size than the label.
    """
    if sha256 and hash_file(image) != sha256.lower():
        msg = "the image file is not the one that was segmented"
        raise ValueError(msg)
    truth, pixels = read_label(label), read_image(image)
    if pixels.shape[:2] != truth.shape:
        msg = "image and label differ in size"
        raise ValueError(msg)
    return truth, pixels


def data_uri(picture: np.ndarray, longest_px: int) -> str:
    """Encode a picture as a JPEG data URI, made smaller where its longer side exceeds a limit."""
    buffer = io.BytesIO()
    shrink(Image.fromarray(picture), longest_px).save(
        buffer, "JPEG", quality=88, subsampling=0, optimize=True
    )
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def shrink(image: Image.Image, longest_px: int, reducing_gap: float | None = None) -> Image.Image:
    """Make a picture smaller where its longer side exceeds a limit."""
    scale = longest_px / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=reducing_gap)


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


def short_reason(error: Exception) -> str:
    """Say why a file could not be shown without the folders of the machine."""
    if isinstance(error, FileNotFoundError):
        return "the file is not on this machine"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rsplit("/", 1)[-1][:160].rstrip(".")


class Pane(NamedTuple):
    """One picture with outlines, as the template draws it.

    ``picture`` is the id of the shared picture, ``size`` its width and height, ``paths`` are kind,
    id and path data of its outlines in drawing order, ``name`` and ``note`` its caption, ``badge``
    stands in the corner, ``colour`` is that of the method, and ``alt`` for who does not see it.
    """

    picture: str
    size: tuple[int, int]
    paths: tuple[tuple[str, str, str], ...]
    badge: str
    name: str
    note: str
    colour: str
    alt: str


def has_picture(tiles: CaseTiles | None) -> bool:
    """Whether there is anything to show."""
    return tiles is not None and tiles.picture is not None


class Gallery:
    """Keeps each picture once, however many panes show it.

    Attributes
    ----------
    pictures
        Id to data URI, width and height in pixels of the cut-out.
    """

    def __init__(self) -> None:
        self.pictures: dict[str, tuple[str, int, int]] = {}

    def panes(
        self,
        tiles: CaseTiles,
        prefix: str,
        longest_px: int,
        labels: Mapping[str, str],
        colours: Mapping[str, str],
    ) -> list[Pane]:
        """Keep the picture of a case that has one; return the truth's pane, then the methods'."""
        assert tiles.picture is not None
        name, (height, width) = f"{prefix}-{tiles.case}", tiles.picture.shape[:2]
        if name not in self.pictures:
            self.pictures[name] = (data_uri(tiles.picture, longest_px), width, height)
        image = f"{tiles.modality} image {tiles.case}"
        truth = f"{image} with the outlines of the true cells"
        shown = [Pane(name, (width, height), _paths(f"{name}-truth", tiles.truth), "", "Truth", "",
                      "", truth)]  # fmt: skip
        for tile in tiles.methods:
            note = ""
            if tile.counts is not None:
                note = "{} correct · {} wrong · {} missed".format(*tile.counts)
            label, badge = labels[tile.method], tile.badge
            shown.append(
                Pane(
                    name, (width, height), _paths(f"{name}-{tile.method}", tile.outlines), badge,
                    label, note, colours[tile.method],
                    f"{image} as {label} segmented it: {badge}; {note}",
                )
            )  # fmt: skip
        return shown


def _paths(prefix: str, outlines: Outlines) -> tuple[tuple[str, str, str], ...]:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", prefix)
    return tuple(
        (kind, f"{name}-{kind}", path_data(outlines[kind])) for kind in STYLES if outlines.get(kind)
    )
