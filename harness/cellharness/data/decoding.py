"""Decode an image file of any format to one 2-D array; every failure names the file.

What the pixels mean is decided by `cellharness.data.pixel_rules`, for a tiff in
`cellharness.data.tiff`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from cellharness.data.pixel_rules import (
    RULES,
    ImageError,
    PixelFinding,
    UnsupportedImageError,
    orientation_findings,
)
from cellharness.data.saved_masks import read_saved_masks
from cellharness.data.tiff import channels_last, read_tiff
from cellharness.errors import MissingDependencyError
from cellharness.installation import missing_package
from cellharness.vocabulary import IMAGE_SUFFIXES

_IMAGE_KEYS = ("image", "arr_0")
_LABEL_KEYS = ("label", "labels", "masks", "mask", "arr_0")
# No machine runs out of memory over a file of this size that is sound.
_SMALL_FILE = 1 << 26
_STARTS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8": "jpeg", b"BM": "bmp"}


@dataclass(frozen=True)
class Decoded:
    """One file, decoded.

    Attributes
    ----------
    pixels
        Shape (H, W) or (H, W, C) with C in 2..4, bool, integer or float, native byte order.
    findings
        What a reader of its scores should know.
    alpha
        Whether the last channel is declared alpha.
    """

    pixels: np.ndarray
    findings: tuple[PixelFinding, ...] = ()
    alpha: bool = False


def decode(path: Path, *, labels: bool = False) -> Decoded:
    """Decode a file.

    Parameters
    ----------
    path
        A file whose suffix is one of `IMAGE_SUFFIXES` (upper or lower case).
    labels
        Whether it is a label image: a colour table is not applied, and what loses values is
        refused.

    Raises
    ------
    ImageError
        If it is absent, empty, truncated, corrupt, or its suffix is unknown.
    UnsupportedImageError
        If it is no 2-D image of a kind that is read.
    MissingDependencyError
        If a package is not installed that decodes it.
    """
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        msg = f"{path}: unknown suffix {path.suffix!r}; readable are {', '.join(IMAGE_SUFFIXES)}."
        raise ImageError(msg)
    if not path.is_file():
        msg = f"{path}: no such file."
        raise ImageError(msg)
    size = path.stat().st_size
    if size == 0:
        msg = f"{path}: the file is empty (0 bytes); fetch or export it again."
        raise ImageError(msg)
    try:
        decoded = _READERS[suffix](path, labels)
    except (ImageError, MissingDependencyError, PermissionError):
        raise
    # The file may be sound: it is this installation that cannot read it.
    except ImportError as error:
        raise missing_package(what=f"Reading {path}", error=error) from error
    except MemoryError as error:
        if size > _SMALL_FILE:
            raise
        msg = f"{path}: damaged: it claims more pixels than fit into memory, in {size} bytes."
        raise ImageError(msg) from error
    # Decoders raise whatever they like on broken bytes: struct.error, KeyError, zlib.error...
    except Exception as error:
        msg = (
            f"{path}: cannot be read ({type(error).__name__}: {error}); the file is truncated, "
            "corrupt, or not what its suffix says."
        )
        raise ImageError(msg) from error
    pixels = decoded.pixels
    if pixels.dtype.kind not in "buif":
        raise RULES["pixel-type"].refusal(path, f" (shape {pixels.shape}, dtype {pixels.dtype})")
    if pixels.size == 0:
        msg = f"{path}: shape {pixels.shape} and dtype {pixels.dtype}; there are no pixels."
        raise UnsupportedImageError(msg)
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return Decoded(native, decoded.findings, decoded.alpha)


def _decode_tiff(path: Path, labels: bool) -> Decoded:
    pixels, findings, alpha = read_tiff(path, labels=labels)
    return Decoded(pixels, tuple(findings), alpha)


def _decode_photo(path: Path, labels: bool) -> Decoded:
    """Decode a png, jpeg or bmp by what it begins with: many a file is misnamed."""
    content = path.read_bytes()
    kind = next((kind for start, kind in _STARTS.items() if content.startswith(start)), "")
    if not kind:
        msg = f"{path}: begins with {content[:8]!r}: neither png nor jpeg nor bmp."
        raise ImageError(msg)
    if labels and (kind == "jpeg" or path.suffix.lower() in {".jpg", ".jpeg"}):
        msg = f"{path}: a label cannot be a jpeg, lossy compression changes ids; use tiff or png."
        raise UnsupportedImageError(msg)
    return _PHOTOS[kind](content, path, labels)


def _decode_png(content: bytes, path: Path, labels: bool) -> Decoded:
    # Not by Image.open, which refuses what is large.
    with PngImagePlugin.PngImageFile(io.BytesIO(content)) as image:
        pictures = getattr(image, "n_frames", 1)
        if pictures > 1:
            raise RULES["animation"].refusal(path, f" of {pictures} pictures")
        findings = _turned(image)
        if labels and image.mode == "P":
            return Decoded(np.asarray(image), findings)
    # Pillow cuts 16-bit RGB down to 8 bits; imagecodecs keeps it.
    import imagecodecs  # takes a tenth of a second, and few images need it

    array = imagecodecs.png_decode(content)
    # The format defines the second and the fourth channel as alpha.
    alpha = array.ndim == 3 and array.shape[-1] in (2, 4)
    return Decoded(array, findings, alpha)


def _decode_jpeg(content: bytes, path: Path, labels: bool) -> Decoded:  # noqa: ARG001
    _check_jpeg_kind(content, path)
    with _opened(content, path, ("JPEG", "MPO")) as image:
        findings = _turned(image)
        pictures = getattr(image, "n_frames", 1)
        if pictures > 1:
            findings += (RULES["second-picture"].finding(f" {pictures}"),)
        if image.mode == "CMYK":
            findings += (RULES["cmyk"].finding(),)
            return Decoded(np.asarray(image.convert("RGB")), findings)
        return Decoded(np.asarray(image), findings)


def _decode_bmp(content: bytes, path: Path, labels: bool) -> Decoded:
    with _opened(content, path, ("BMP",)) as image:
        if image.mode == "P" and not labels:
            return Decoded(np.asarray(image.convert("RGB")))
        return Decoded(np.asarray(image), alpha=image.mode == "RGBA")


def _opened(content: bytes, path: Path, formats: tuple[str, ...]) -> Image.Image:
    import warnings

    with warnings.catch_warnings():
        # Large is legitimate here; Pillow still refuses what is too large for it.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(io.BytesIO(content), formats=formats)
        except UnidentifiedImageError as error:
            # Pillow's own message names the bytes in memory by their address.
            msg = f"no whole {formats[0]} image"
            raise UnidentifiedImageError(msg) from error
        except Image.DecompressionBombError as error:
            msg = f"{path}: {error}; save it as tiff."
            raise UnsupportedImageError(msg) from error


def _turned(image: Image.Image) -> tuple[PixelFinding, ...]:
    exif = Image.Exif()
    exif.load(image.info.get("exif") or b"")
    return orientation_findings(exif.get(0x0112, 1))


def _check_jpeg_kind(content: bytes, path: Path) -> None:
    """Refuse by name what libjpeg cannot read, going by the marker of its frame."""
    at = 2
    while at + 5 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if marker > 0xC2 or content[at + 4] != 8:
                about = f" (frame {marker:#x}, {content[at + 4]} bits)"
                raise RULES["jpeg-kind"].refusal(path, about)
            return
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")


def _decode_npy(path: Path, labels: bool) -> Decoded:
    with path.open("rb") as file:
        array = _read_npy(file, path, path.stat().st_size, labels)
    return _unnamed_axes(array, path)


def _read_npy(file: Any, path: Path, size: int, labels: bool) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        if labels and path.suffix.lower() == ".npy":
            return read_saved_masks(file, path)
        about = f" (shape {shape}, dtype {dtype}; allow_pickle is off, for it can run code)"
        raise RULES["pixel-type"].refusal(path, about)
    # Before memory for it is asked for.
    count = int(np.prod(shape, dtype=object))
    if count * dtype.itemsize > size:
        msg = (
            f"{path}: truncated: shape {shape} of {dtype} are {count * dtype.itemsize} bytes, "
            f"the file has {size}."
        )
        raise ImageError(msg)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _decode_npz(path: Path, labels: bool) -> Decoded:
    wanted = _LABEL_KEYS if labels else _IMAGE_KEYS
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): archive.getinfo(name) for name in archive.namelist()}
        keys = list(members)
        key = keys[0] if len(keys) == 1 else next((key for key in wanted if key in keys), None)
        if key is None:
            msg = (
                f"{path}: holds {len(keys)} arrays ({', '.join(keys)}) and none is named "
                f"{', '.join(wanted)}; rename the one to read."
            )
            raise UnsupportedImageError(msg)
        with archive.open(members[key]) as file:
            array = _read_npy(file, path, members[key].file_size, labels)
    return _unnamed_axes(array, path)


def _unnamed_axes(array: np.ndarray, path: Path) -> Decoded:
    pixels = channels_last(array, path)
    moved = pixels.ndim == 3 and pixels.shape != array.squeeze().shape
    return Decoded(pixels, (RULES["planes"].finding(),) if moved else ())


_PHOTOS: Mapping[str, Callable[[bytes, Path, bool], Decoded]] = {
    "png": _decode_png,
    "jpeg": _decode_jpeg,
    "bmp": _decode_bmp,
}

_READERS: Mapping[str, Callable[[Path, bool], Decoded]] = {
    ".png": _decode_photo,
    ".bmp": _decode_photo,
    ".jpg": _decode_photo,
    ".jpeg": _decode_photo,
    ".tif": _decode_tiff,
    ".tiff": _decode_tiff,
    ".svs": _decode_tiff,
    ".npy": _decode_npy,
    ".npz": _decode_npz,
}
