"""Archives that look like the challenge's, with generated images in them.

Folders, formats and numbers are those of the record as `cellharness data import` expects them;
pixels are the phantom's. Sizes are ours: those of the record were not at hand, and larger images
take two cores hours.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from cellharness.data.images import write_label
from cellharness.data.phantom.acquisition import Acquisition
from cellharness.data.phantom.experiments import EXPERIMENTS, Experiment, make_image
from cellharness.files import hash_file

PARTS = ("Training-labeled", "Tuning", "Testing")
#: Heights and widths in px, taken by turns.
TRAINING_SIZES = ((256, 256), (320, 320), (384, 512), (512, 512), (480, 640))
TESTING_SIZES = ((192, 192), (256, 256), (192, 320), (256, 320))
#: What the slides are of.
SMEAR = "bf-giemsa"
#: Fields of each kind that images are cut from, and their sides in px: to draw each image by itself
#: would take longer than all else.
_FIELDS, _FIELD = 6, 640
_FEWEST_CELLS, _FEWEST_PIXELS = 5, 20
_SUFFIXES = {np.dtype(np.uint8): (".png", ".bmp", ".tif", ".tiff")}
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")

Field = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Amounts:
    """How many images, and how large the slides.

    Attributes
    ----------
    train, tuning, test
        Images; two of `test` are slides.
    slide
        Height and width of a slide in px.
    """

    train: int = 1000
    tuning: int = 101
    test: int = 52
    slide: int = 8000


@dataclass(frozen=True)
class Picture:
    """An image to make.

    Attributes
    ----------
    folder, images, labels
        The part, and its folders of images and of labels.
    number
        In the part, from 1.
    size
        Height and width in px.
    slide
        Whether it is put together of many fields.
    """

    folder: Path
    images: str
    labels: str
    number: int
    size: tuple[int, int]
    slide: bool = False

    @property
    def kind(self) -> Experiment:
        """What it shows; training images only what the phantom trains on."""
        if self.slide:
            return next(kind for kind in EXPERIMENTS if kind.name == SMEAR)
        training = self.folder.name == PARTS[0]
        kinds = [kind for kind in EXPERIMENTS if kind.trained or not training]
        return kinds[self.number % len(kinds)]

    @property
    def stem(self) -> str:
        """File name without its suffix."""
        names = {"WSI": "slide", "images": "test" if self.folder.name == "Public" else "cell"}
        return f"{names[self.images]}_{self.number:05d}"

    @property
    def label(self) -> Path:
        """Where its labels are."""
        return self.folder / self.labels / f"{self.stem}_label.tiff"


def make_archives(folder: Path, amounts: Amounts, *, workers: int = 2) -> Path:
    """Make the three archives and the file that says what their SHA256 is.

    Pictures that are there already are not made again, so that it may be interrupted.

    Parameters
    ----------
    folder
        Gets the archives and ``pictures/``, the files in them.
    amounts
        Slides are the first of the test images.
    workers
        Processes that draw.

    Returns
    -------
    Path
        JSON, archive to SHA256.
    """
    told = folder / "sha256.json"
    if told.is_file():
        return told
    by_kind: dict[str, list[Picture]] = defaultdict(list)
    for picture in _pictures(folder / "pictures", amounts):
        by_kind[picture.kind.name].append(picture)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(_make_all, by_kind.values()))
    digests = {}
    for part in PARTS:
        archive = folder / f"{part}.zip"
        with zipfile.ZipFile(archive, "w") as content:
            for path in sorted((folder / "pictures" / part).rglob("*.*")):
                content.write(path, path.relative_to(folder / "pictures").as_posix())
        digests[part] = hash_file(archive)
    told.write_text(json.dumps(digests))
    return told


def _pictures(folder: Path, amounts: Amounts) -> Iterator[Picture]:
    public = folder / "Testing" / "Public"
    slides = min(2, amounts.test)
    for number in range(1, slides + 1):
        side = (amounts.slide, amounts.slide)
        yield Picture(public, "WSI", "WSI-labels", number, side, slide=True)
    for place, count, sizes in (
        (folder / PARTS[0], amounts.train, TRAINING_SIZES),
        (folder / PARTS[1], amounts.tuning, TESTING_SIZES),
        (public, amounts.test - slides, TESTING_SIZES),
    ):
        for number in range(1, count + 1):
            yield Picture(place, "images", "labels", number, sizes[number % len(sizes)])


def _make_all(pictures: list[Picture]) -> None:
    """Make the pictures of one kind that are not there."""
    wanted = [picture for picture in pictures if not picture.label.is_file()]
    if not wanted:
        return
    kind = wanted[0].kind
    fields = []
    for number in range(_FIELDS):
        rng = _source_of(f"{kind.name} {number}")
        acquisition = Acquisition.draw(rng) if number else None
        taken = replace(kind, acquisition=acquisition)
        fields.append(make_image(taken, (_FIELD, _FIELD), rng))
    for picture in wanted:
        rng = _source_of(f"{picture.folder.name}/{picture.stem}")
        if picture.slide:
            image, labels = _slide(fields[0], picture.size, rng)
            suffix = ".tiff"
        else:
            image, labels = _cut(fields[picture.number % _FIELDS], picture.size, rng)
            suffixes = _SUFFIXES.get(image.dtype, _DEEP_SUFFIXES)
            suffix = suffixes[picture.number // len(TRAINING_SIZES) % len(suffixes)]
        path = picture.folder / picture.images / f"{picture.stem}{suffix}"
        for place in (path, picture.label):
            place.parent.mkdir(parents=True, exist_ok=True)
        _write(path, image)
        # Last, since it says that the picture is whole.
        write_label(picture.label, labels)


def _source_of(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _cut(field: Field, size: tuple[int, int], rng: np.random.Generator) -> Field:
    """Cut a part of a field, turned, with cells enough to be learned from."""
    for _ in range(50):
        image, labels = _turned(field, rng)
        top, left = (int(rng.integers(_FIELD - side + 1)) for side in size)
        place = np.s_[top : top + size[0], left : left + size[1]]
        ids, found, pixels = np.unique(labels[place], return_inverse=True, return_counts=True)
        # What the cut left of a cell may be a sliver.
        whole = (ids > 0) & (pixels >= _FEWEST_PIXELS)
        if np.count_nonzero(whole) >= _FEWEST_CELLS:
            break
    # No two images are the same to what keeps prepared ones by their content.
    image = image[place].copy()
    corner = image[0, 0]
    image[0, 0] = rng.integers(int(np.max(corner)) + 1)
    return image, (np.cumsum(whole) * whole)[found.reshape(size)].astype(np.int32)


def _turned(field: Field, rng: np.random.Generator) -> Field:
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    image, labels = (np.rot90(part, turns) for part in field)
    return (image[::-1], labels[::-1]) if mirrored else (image, labels)


def _slide(field: Field, size: tuple[int, int], rng: np.random.Generator) -> Field:
    """Set turned copies of a field beside each other."""
    image = np.empty((*size, *field[0].shape[2:]), field[0].dtype)
    labels = np.zeros(size, np.int32)
    cells = 0
    for top in range(0, size[0], _FIELD):
        for left in range(0, size[1], _FIELD):
            place = np.s_[top : top + _FIELD, left : left + _FIELD]
            height, width = labels[place].shape
            seen, found = (part[:height, :width] for part in _turned(field, rng))
            image[place] = seen
            labels[place] = np.where(found > 0, found + cells, 0)
            cells += int(field[1].max())
    return image, labels


def _write(path: Path, image: np.ndarray) -> None:
    if path.suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(image, level=1))
    elif path.suffix == ".bmp":
        path.write_bytes(imagecodecs.bmp_encode(image))
    else:
        photometric = "rgb" if image.ndim == 3 else "minisblack"
        tile = (512, 512) if image.size > 10**7 else None
        tifffile.imwrite(path, image, compression="zlib", photometric=photometric, tile=tile)
