"""Read images and labels, and turn colour into grey exactly as the paper did.

One place decides which files, shapes and dtypes the harness takes. Pixel values are never
rescaled on the way in: 16-bit data stay 16-bit, float data stay float.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from cellharness.data.decoding import Decoded, decode
from cellharness.data.pixel_rules import RULES, ImageError, PixelFinding, UnsupportedImageError
from cellharness.files import whole_file
from cellharness.vocabulary import IMAGE_SUFFIXES, INPUT_MODES

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageError",
    "Picture",
    "UnsupportedImageError",
    "channels_are_equal",
    "model_input",
    "open_image",
    "open_label",
    "prepare",
    "read_image",
    "read_label",
    "to_gray",
    "write_label",
]

_MAX_CHANNELS = 4


@dataclass(frozen=True)
class Picture:
    """What a file was read as.

    Attributes
    ----------
    pixels
        As `read_image` or `read_label` gives them.
    findings
        Where the file could be read in another way, or shows something else in a viewer.
    """

    pixels: np.ndarray
    findings: tuple[PixelFinding, ...] = ()


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one image of any format of the challenge.

    Parameters
    ----------
    path
        A file whose suffix is one of `IMAGE_SUFFIXES` (upper or lower case).

    Returns
    -------
    ndarray
        Shape (H, W), or (H, W, C) with C 2 or 3, in the dtype of the file and in native byte
        order (bool becomes uint8 0/1). `cellharness.data.pixel_rules.RULES` lists what a file may
        hold and what is made of it. Pixels may be non-finite: `prepare` refuses those.

    Raises
    ------
    ImageError
        If the file is absent, empty, truncated, corrupt, or its suffix is unknown.
    UnsupportedImageError
        If a rule refuses it, such as a stack, or a fourth channel that is not declared alpha.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/photo.npy", np.zeros((40, 50, 3), np.uint8))
    ...     read_image(f"{folder}/photo.npy").shape
    (40, 50, 3)
    """
    return open_image(path).pixels


def open_image(path: str | os.PathLike[str]) -> Picture:
    """Read one image, and tell what a reader of its scores should know of it.

    Parameters and errors are those of `read_image`.

    Returns
    -------
    Picture
    """
    path = Path(path)
    return _without_alpha(decode(path), path)


def read_label(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one label image: 0 is background, every other value is the id of one cell.

    Parameters
    ----------
    path
        A file whose suffix is one of `IMAGE_SUFFIXES`, but not jpeg (lossy: ids do not survive).

    Returns
    -------
    ndarray
        Shape (H, W), unsigned integer. Unsigned data keep their dtype, signed data become the
        unsigned dtype of the same width, bool becomes uint8, floats that are all whole become
        uint32 (beyond its range uint64). Of a file with a colour table the indices are the ids; of
        three equal channels one is taken. A ``_seg.npy`` of Cellpose gives its array ``masks``.

    Raises
    ------
    ImageError
        If the file cannot be read whole.
    UnsupportedImageError
        If it is not 2-D, has fractions, negative values or colours; the message names file, shape
        and dtype.
    """
    return open_label(path).pixels


def open_label(path: str | os.PathLike[str]) -> Picture:
    """Read one label image, and tell what a reader of its scores should know of it.

    Parameters and errors are those of `read_label`.

    Returns
    -------
    Picture
    """
    path = Path(path)
    decoded = decode(path, labels=True)
    labels = _one_of_equal_channels(decoded.pixels, decoded.alpha, path)
    return Picture(_as_unsigned(_as_integers(labels, path), str(path)), decoded.findings)


def write_label(path: str | os.PathLike[str], labels: np.ndarray) -> None:
    """Write a label image as zlib tiff in the smallest unsigned dtype that holds its ids.

    The file appears whole or not at all: it is written beside its place and then moved there.
    Missing folders are made.

    Parameters
    ----------
    path
        Target, `.tif` or `.tiff`; an existing file is replaced.
    labels
        Shape (H, W), integer or bool, no negative values.

    Raises
    ------
    UnsupportedImageError
        If `labels` is not 2-D, not integer, or has negative values: nothing is cast silently.
    ValueError
        If the suffix is not `.tif` or `.tiff`.
    OSError
        If the file cannot be written (a full disk, say); no partial file is left.
    """
    path = Path(path)
    if path.suffix.lower() not in {".tif", ".tiff"}:
        msg = f"{path}: labels are written as .tif or .tiff, not {path.suffix!r}."
        raise ValueError(msg)
    labels = np.asarray(labels)
    if labels.ndim != 2:
        msg = f"{path}: a label to write must be 2-D, but this one has {_describe(labels)}."
        raise UnsupportedImageError(msg)
    labels = _as_unsigned(labels, str(path))
    narrow = labels.astype(np.min_scalar_type(int(labels.max(initial=0))), copy=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        tifffile.imwrite(
            partial, narrow, compression="zlib", photometric="minisblack", metadata=None
        )


def to_gray(image: np.ndarray, highest: Any = None) -> np.ndarray:
    """Make an image grey as the paper's scripts did: rgb2gray times the image's maximum.

    A 2-D image is returned as it is, the same object. Three channels give
    ``skimage.color.rgb2gray(image) * image.max()``. rgb2gray maps integers to 0..1 by the range of
    their dtype, and the result is stretched by the maximum of the *image*, not of the dtype: so a
    dim 8-bit image comes out dimmer than its luminance, and a float image whose maximum is not 1
    is scaled by that maximum. Both are the paper's and are kept.

    The paper's script has no rule for other channel counts: rgb2gray raises on two channels, and
    on four. Here two channels get a third of zeros (two-channel fluorescence is stored as red and
    green elsewhere), and a fourth channel is left out as alpha before the maximum is taken.

    Parameters
    ----------
    image
        Shape (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4).
    highest
        Maximum of the whole, in the dtype of the image, where `image` is a part of it.

    Returns
    -------
    ndarray
        Shape (H, W); the input itself if 2-D, otherwise float64 (float32 for float32 input).

    Raises
    ------
    UnsupportedImageError
        If the shape is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> white = np.full((1, 1, 3), 200, np.uint8)
    >>> bool(np.isclose(to_gray(white)[0, 0], 200 / 255 * 200))
    True
    """
    if image.ndim == 2:
        return image
    rgb = _as_rgb(image)
    if rgb.ndim == 2:
        return rgb
    return _rgb2gray(rgb) * (rgb.max() if highest is None else highest)


def prepare(image: np.ndarray, mode: str, highest: Any = None) -> np.ndarray:
    """Give an image the form in which a method wants it.

    Parameters
    ----------
    image
        Shape (H, W) or (H, W, C), as `read_image` gives it.
    mode
        ``"gray_max"``: `to_gray`, the paper's form. ``"gray"``: luminance in the image's own range
        (rgb2gray weights on the values as they are; 200 stays 200). ``"native"``: unchanged.
    highest
        As for `to_gray`.

    Returns
    -------
    ndarray
        Shape (H, W) for both grey modes, the image itself for ``"native"``.

    Raises
    ------
    UnsupportedImageError
        If there are non-finite pixels (with their count) or the shape is not an image's.
    ValueError
        If the mode is unknown.
    """
    if mode not in INPUT_MODES:
        msg = f"Unknown input mode {mode!r}; valid are {', '.join(INPUT_MODES)}."
        raise ValueError(msg)
    if image.dtype.kind == "f":
        bad = image.size - int(np.count_nonzero(np.isfinite(image)))
        if bad:
            msg = (
                f"{bad} of {image.size} pixel values are NaN or infinite (shape {image.shape}, "
                f"dtype {image.dtype}); mend the file or leave the case out."
            )
            raise UnsupportedImageError(msg)
    if mode == "native" or image.ndim == 2:
        return image
    if mode == "gray_max":
        return to_gray(image, highest)
    rgb = _as_rgb(image)
    if rgb.ndim == 2:
        return rgb
    # As float first, so that rgb2gray does not divide by the range of the dtype.
    return _rgb2gray(rgb.astype(np.float32 if rgb.dtype.itemsize <= 2 else np.float64))


def _rgb2gray(rgb: np.ndarray) -> np.ndarray:
    # It imports much of SciPy, which neither grey images nor the process that leads a run need.
    from skimage.color import rgb2gray

    return rgb2gray(rgb)


def model_input(image: np.ndarray, mode: str, highest: Any = None) -> np.ndarray:
    """Prepare an image and give it the dtype that methods are promised.

    Parameters
    ----------
    image
        Shape (H, W) or (H, W, C), as `read_image` gives it.
    mode, highest
        As for `prepare`.

    Returns
    -------
    ndarray
        Grey modes: float32, shape (H, W), finite. 8- and 16-bit values are exact in it. For
        Cellpose and Omnipose it makes no difference: their own first step is the same cast
        (``transforms.convert_image``). ``"native"``: as `prepare`, in the dtype of the file.

    Raises
    ------
    UnsupportedImageError
        As `prepare`, and if a grey value is beyond the range of float32.
    """
    prepared = prepare(image, mode, highest)
    if mode == "native":
        return prepared
    with np.errstate(over="ignore"):
        gray = prepared.astype(np.float32, copy=False)
    bad = gray.size - int(np.count_nonzero(np.isfinite(gray)))
    if bad:
        msg = (
            f"{bad} of {gray.size} pixel values are too large for float32 (largest "
            f"{np.abs(prepared).max():g}); rescale the image."
        )
        raise UnsupportedImageError(msg)
    return gray


def _describe(array: np.ndarray) -> str:
    return f"shape {array.shape} and dtype {array.dtype}"


def _without_alpha(decoded: Decoded, path: Path) -> Picture:
    pixels, findings = decoded.pixels, decoded.findings
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8)
    four = pixels.ndim == 3 and pixels.shape[-1] == _MAX_CHANNELS
    if decoded.alpha:
        last = pixels[..., -1]
        if last.min() != last.max():
            findings = (*findings, RULES["transparent"].finding())
        pixels = pixels[..., :-1]
    elif four:
        if pixels[..., -1].min() != pixels[..., -1].max():
            raise RULES["fourth-channel"].refusal(path, f" (shape {pixels.shape})")
        findings = (*findings, RULES["blank-fourth"].finding())
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return Picture(np.ascontiguousarray(pixels), findings)


def channels_are_equal(pixels: np.ndarray) -> bool:
    """Whether all channels (the last axis) hold the same values."""
    first = pixels[..., 0]
    return all(np.array_equal(first, pixels[..., k]) for k in range(1, pixels.shape[-1]))


def _one_of_equal_channels(labels: np.ndarray, alpha: bool, path: Path) -> np.ndarray:
    """Take one of the channels of a label that a program saved as colours, if all are equal."""
    if labels.ndim == 2:
        return labels
    colours = labels[..., :-1] if alpha else labels
    if colours.shape[-1] in (1, 3) and channels_are_equal(colours):
        return np.ascontiguousarray(colours[..., 0])
    msg = (
        f"{path}: a label must be 2-D with one id a pixel, but this one has {_describe(labels)}, "
        "and its channels differ: a picture of labels in colours, say. Export the ids themselves "
        "as one plane of integers."
    )
    raise UnsupportedImageError(msg)


def _as_integers(labels: np.ndarray, path: Path) -> np.ndarray:
    """Make floats that are all whole the integers that they stand for."""
    if labels.dtype.kind != "f":
        return labels
    fractions = int(np.count_nonzero(~np.isfinite(labels) | (labels != np.trunc(labels))))
    if fractions:
        msg = (
            f"{path}: {fractions} label pixels are not whole numbers ({_describe(labels)}); an "
            "outline, a probability or a resized label, say. Export the ids without interpolation."
        )
        raise UnsupportedImageError(msg)
    # Half precision ends below what it is compared with.
    lowest, highest = float(labels.min(initial=0)), float(labels.max(initial=0))
    if lowest < 0 or highest >= 2**63:
        msg = f"{path}: label pixels are negative or beyond any id ({_describe(labels)})."
        raise UnsupportedImageError(msg)
    return labels.astype(np.int64 if highest >= 2**32 else np.uint32)


def _as_rgb(image: np.ndarray) -> np.ndarray:
    """Three channels from 2, 3 or 4; a single channel comes back 2-D."""
    if image.ndim != 3 or not 1 <= image.shape[-1] <= _MAX_CHANNELS:
        msg = f"Not an image: {_describe(image)}; expected (H, W) or (H, W, 1..4)."
        raise UnsupportedImageError(msg)
    channels = image.shape[-1]
    if channels == 1:
        return image[..., 0]
    if channels == 2:
        return np.concatenate([image, np.zeros_like(image[..., :1])], axis=-1)
    return image[..., :3]


def _as_unsigned(labels: np.ndarray, name: str) -> np.ndarray:
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind not in "ui":
        msg = (
            f"{name}: a label must hold integers, but this one has {_describe(labels)}; "
            "convert it without rounding anything away."
        )
        raise UnsupportedImageError(msg)
    if labels.dtype.kind == "u":
        return labels
    lowest = int(labels.min(initial=0))
    if lowest < 0:
        count = int(np.count_nonzero(labels < 0))
        msg = (
            f"{name}: {count} label pixels are negative (lowest {lowest}; {_describe(labels)}). "
            "Ids above the range of a signed dtype wrap to negative: write them unsigned."
        )
        raise UnsupportedImageError(msg)
    return labels.astype(f"u{labels.dtype.itemsize}")
