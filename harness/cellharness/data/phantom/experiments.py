"""The phantom's experiments, and the data set made of them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from skimage.measure import label as connected_components

from cellharness.data.images import write_label
from cellharness.data.manifest import Case, Manifest
from cellharness.data.phantom import brightfield, dic, fluorescence, phase_contrast
from cellharness.data.phantom.acquisition import Acquisition
from cellharness.data.phantom.layout import Layout, place_cells
from cellharness.errors import UsageError, first_of
from cellharness.files import hash_file

MIN_SIZE = 128

# Cells reach over the edge of the picture: they are placed on a larger field that is cropped.
_MARGIN = 40
_MIN_CELLS = 5
_MIN_PIXELS = 20
_TRIES = 20

Renderer = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Experiment:
    """One kind of picture.

    Attributes
    ----------
    name, modality
        As they stand in the manifest.
    layout
        Shape and density of the cells.
    render
        Makes the image (H, W) or (H, W, 3) from labels (H, W).
    size
        Height and width in px.
    suffix
        File format of the images.
    trained
        Whether there are training images; without, the experiment is unseen.
    acquisition
        What sets it apart from the first experiment of its kind, which has none.
    """

    name: str
    modality: str
    layout: Layout
    render: Renderer
    size: tuple[int, int]
    suffix: str = ".png"
    trained: bool = True
    acquisition: Acquisition | None = None


EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "bf-giemsa", "Brightfield", Layout("round", 40, 0.26, elongation=1.1),
        brightfield.giemsa_smear, (320, 320),
    ),
    Experiment(
        "bf-he", "Brightfield", Layout("round", 19, 0.30, spread=0.2, elongation=1.6),
        brightfield.haematoxylin_eosin, (320, 320),
    ),
    Experiment(
        "bf-red-cells", "Brightfield",
        Layout("round", 27, 0.45, spread=0.08, elongation=1.05, clustering=0.7),
        brightfield.red_cells, (288, 352), ".bmp", trained=False,
    ),
    Experiment(
        "fl-nuclei", "Fluorescent",
        Layout("round", 24, 0.30, spread=0.2, elongation=1.35, clustering=0.75),
        fluorescence.nuclei, (352, 352), ".tif",
    ),
    Experiment(
        "fl-two-colour", "Fluorescent", Layout("irregular", 42, 0.40, clustering=0.5),
        fluorescence.two_colours, (352, 352),
    ),
    Experiment(
        "fl-membrane", "Fluorescent", Layout("tissue", 30, 0.85),
        fluorescence.membranes, (320, 320), ".tif", trained=False,
    ),
    Experiment(
        "pc-adherent", "Phase-contrast", Layout("irregular", 58, 0.26, elongation=1.8),
        phase_contrast.adherent, (384, 384), ".tif",
    ),
    Experiment(
        "pc-bacteria", "Phase-contrast",
        Layout("rod", 9, 0.32, spread=0.05, elongation=3.6, clustering=0.97),
        phase_contrast.bacteria, (256, 256), ".tif",
    ),
    Experiment(
        "pc-budding", "Phase-contrast",
        Layout("round", 25, 0.24, spread=0.22, elongation=1.12, clustering=0.9),
        phase_contrast.budding, (320, 320), trained=False,
    ),
    Experiment(
        "dic-granular", "DIC", Layout("round", 34, 0.16, spread=0.12, elongation=1.05),
        dic.granular, (352, 352), ".bmp",
    ),
    Experiment(
        "dic-discs", "DIC",
        Layout("round", 38, 0.42, spread=0.12, elongation=1.2, clustering=0.7),
        dic.flat_discs, (352, 352), ".tif",
    ),
    Experiment(
        "dic-platelets", "DIC",
        Layout("round", 15, 0.09, spread=0.25, elongation=1.5, clustering=0.2),
        dic.platelets, (288, 288), trained=False,
    ),
)  # fmt: skip


def generate(
    out_dir: str | os.PathLike[str],
    seed: int = 0,
    per_experiment: int = 2,
    size: int | None = None,
    *,
    train_per_experiment: int = 1,
    experiments_per_kind: int = 1,
    overwrite: bool = True,
    suffix: str | None = None,
    only: Collection[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Write a phantom data set: ``images/``, ``labels/<case>_label.tiff`` and ``manifest.csv``.

    The same arguments give the same bytes; an image depends on the seed, its experiment, split and
    number only, so that asking for more leaves the first ones as they were. (Another processor or
    library version may round a grey level otherwise.)

    Labels are exact: cells touch but never overlap, are in one piece and have at least 20 px;
    every image has at least 5 cells.

    Parameters
    ----------
    out_dir
        Folder to write to; made if it is not there.
    seed
        Not negative.
    per_experiment
        Test images of each experiment of `EXPERIMENTS`.
    size
        Height and width of all images in px, at least 128; by default each experiment's own,
        between 256 and 384.
    train_per_experiment
        Training images of each experiment that has some; the others are unseen in the test.
    experiments_per_kind
        Experiments of each of `EXPERIMENTS`. The first is as it stands there; further ones, such
        as ``bf-he-2``, are of the same kind but differ in magnification, confluence, focus,
        contrast and noise, as if they came from other laboratories.
    overwrite
        Replace files of the same name, such as those of a phantom made before.
    suffix
        File format of all images, ``.tif``, ``.png`` or ``.bmp``; by default each experiment's own.
        ``.tif`` needs no imagecodecs.
    only
        Names of the experiments of `EXPERIMENTS` to make; by default all.
    progress
        Called with (images done, images in all) after every image.

    Returns
    -------
    Manifest
        As written.

    Raises
    ------
    ValueError
        If a number is out of its range.
    UsageError
        If the folder is not empty and `overwrite` is off, or the images are too small for the cells
        of an experiment.
    """
    _check_arguments(seed, per_experiment, size, train_per_experiment, experiments_per_kind)
    if suffix is not None and suffix not in _WRITERS:
        msg = f"suffix must be one of {', '.join(_WRITERS)}, not '{suffix}'."
        raise ValueError(msg)
    names = [kind.name for kind in EXPERIMENTS]
    for name in only or ():
        if name not in names:
            msg = f"only names '{name}', which is none of {', '.join(names)}."
            raise ValueError(msg)
    out = Path(out_dir).resolve()
    if not overwrite:
        _refuse_what_is_there(out)
    for folder in ("images", "labels"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    wanted = [
        (experiment, split, number)
        for kind in EXPERIMENTS
        if only is None or kind.name in only
        for experiment in _experiments_of(kind, experiments_per_kind, seed, suffix)
        for split, count in (
            ("train", train_per_experiment if experiment.trained else 0),
            ("test", per_experiment),
        )
        for number in range(1, count + 1)
    ]
    cases = []
    for done, (experiment, split, number) in enumerate(wanted, start=1):
        rng = _source_of(seed, f"{experiment.name}/{split}/{number}")
        shape = experiment.size if size is None else (size, size)
        image, labels = make_image(experiment, shape, rng)
        cases.append(
            _write(out, f"{experiment.name}_{split}_{number:02d}", experiment, split, image, labels)
        )
        if progress is not None:
            progress(done, len(wanted))
    return Manifest(tuple(cases), out).write(out / "manifest.csv")


def _source_of(seed: int, name: str) -> np.random.Generator:
    """Give a name its own randomness, so that a further experiment does not change the others."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _experiments_of(
    kind: Experiment, count: int, seed: int, suffix: str | None
) -> list[Experiment]:
    """Experiments of one kind: itself, and others that were acquired otherwise."""
    kind = kind if suffix is None else replace(kind, suffix=suffix)
    names = [f"{kind.name}-{number}" for number in range(2, count + 1)]
    return [
        kind,
        *(
            replace(kind, name=name, acquisition=Acquisition.draw(_source_of(seed, name)))
            for name in names
        ),
    ]


def _refuse_what_is_there(out: Path) -> None:
    """Raise unless a folder is absent, or holds nothing but hidden files."""
    there = sorted(p.name for p in out.iterdir()) if out.is_dir() else []
    there = [name for name in there if not name.startswith(".")]
    if there:
        msg = (
            f"'{out}' is not empty: it holds {first_of(there, most=3)}. "
            "Give a folder that is, or --overwrite to replace the files of a phantom in it"
        )
        raise UsageError(msg)


def make_image(
    experiment: Experiment, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make one image (H, W) or (H, W, 3) and its labels (H, W) of the given height and width.

    Raises
    ------
    UsageError
        Fewer than 5 cells fit.
    """
    height, width = size
    crop = (slice(_MARGIN, _MARGIN + height), slice(_MARGIN, _MARGIN + width))
    field = (height + 2 * _MARGIN, width + 2 * _MARGIN)
    acquired = experiment.acquisition
    layout = experiment.layout if acquired is None else acquired.arranged(experiment.layout)
    for _ in range(_TRIES):
        labels = _without_fragments(place_cells(layout, field, rng), crop)
        seen = labels[crop]
        if np.count_nonzero(np.bincount(seen.ravel())[1:]) >= _MIN_CELLS:
            image = experiment.render(labels, rng)
            if acquired is not None:
                image = acquired.taken(image, rng)
            return image[crop], _renumbered(seen)
    msg = (
        f"experiment {experiment.name}: fewer than {_MIN_CELLS} cells fit on {height} x {width} "
        "px; give a larger size"
    )
    raise UsageError(msg)


def _without_fragments(labels: np.ndarray, crop: tuple[slice, slice]) -> np.ndarray:
    """Take away cells of which the crop would show a sliver or several pieces.

    They go before the picture is drawn: what is drawn is what is labelled.
    """
    seen = labels[crop]
    pieces, count = connected_components(seen, connectivity=2, return_num=True)
    owner = np.zeros(count + 1, dtype=int)
    owner[pieces.ravel()] = seen.ravel()
    top = int(labels.max()) + 1
    broken = np.bincount(owner[1:], minlength=top) > 1
    pixels = np.bincount(seen.ravel(), minlength=top)
    bad = broken | ((pixels > 0) & (pixels < _MIN_PIXELS))
    bad[0] = False
    return _renumbered(np.where(bad[labels], 0, labels))


def _renumbered(labels: np.ndarray) -> np.ndarray:
    present = np.bincount(labels.ravel()) > 0
    present[0] = False
    return (np.cumsum(present) * present)[labels].astype(np.int32)


def _write(
    out: Path, name: str, experiment: Experiment, split: str, image: np.ndarray, labels: np.ndarray
) -> Case:
    path = out / "images" / f"{name}{experiment.suffix}"
    _WRITERS[experiment.suffix](path, np.ascontiguousarray(image))
    label = out / "labels" / f"{name}_label.tiff"
    write_label(label, labels)
    facts = {
        "n_cells": int(labels.max()),
        "height": image.shape[0],
        "width": image.shape[1],
        "channels": image.shape[2] if image.ndim == 3 else 1,
        "dtype": image.dtype.name,
    }
    return Case(
        case=name,
        image=path,
        label=label,
        modality=experiment.modality,
        modality_source="given",
        experiment=experiment.name,
        split=split,
        sha256=hash_file(path),
        licence="CC0",
        source="cellharness phantom",
        extra=tuple((key, str(value)) for key, value in facts.items()),
    )


def _check_arguments(
    seed: int, per_experiment: int, size: int | None, train: int, experiments: int
) -> None:
    for name, value, lowest in (
        ("seed", seed, 0),
        ("per_experiment", per_experiment, 1),
        ("train_per_experiment", train, 0),
        ("experiments_per_kind", experiments, 1),
        ("size", MIN_SIZE if size is None else size, MIN_SIZE),
    ):
        if value < lowest:
            msg = f"{name} must be at least {lowest}, not {value}."
            raise ValueError(msg)


# imagecodecs is imported by who writes with it: a machine without it can have the tiffs.
def _write_png(path: Path, image: np.ndarray) -> None:
    import imagecodecs

    path.write_bytes(imagecodecs.png_encode(image))


def _write_bmp(path: Path, image: np.ndarray) -> None:
    import imagecodecs

    path.write_bytes(imagecodecs.bmp_encode(image))


def _write_tiff(path: Path, image: np.ndarray) -> None:
    photometric = "rgb" if image.ndim == 3 else "minisblack"
    tifffile.imwrite(path, image, compression="zlib", photometric=photometric, metadata=None)


_WRITERS = {".png": _write_png, ".bmp": _write_bmp, ".tif": _write_tiff}
