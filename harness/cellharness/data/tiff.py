"""Decode a tiff to one 2-D image, or refuse it by name; see `cellharness.data.pixel_rules`."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from PIL import Image

from cellharness.data.pixel_rules import RULES, ImageError, PixelFinding, orientation_findings
from cellharness.errors import first_of
from cellharness.installation import missing_package

_PHOTOMETRIC = tifffile.PHOTOMETRIC
_ALPHA = (1, 2)

# Photometric interpretation, samples a pixel and what the extra ones are: the rule for it. What
# is not listed is refused.
_COLOURS: dict[tuple[int, int, tuple[int, ...]], str] = {
    (_PHOTOMETRIC.MINISBLACK, 1, ()): "grey",
    (_PHOTOMETRIC.MINISBLACK, 2, ()): "channels",
    (_PHOTOMETRIC.MINISBLACK, 3, ()): "channels",
    (_PHOTOMETRIC.MINISBLACK, 4, ()): "fourth-channel",
    (_PHOTOMETRIC.MINISBLACK, 2, (0,)): "channels",
    (_PHOTOMETRIC.MINISBLACK, 3, (0, 0)): "channels",
    (_PHOTOMETRIC.MINISBLACK, 4, (0, 0, 0)): "fourth-channel",
    (_PHOTOMETRIC.MINISBLACK, 2, (1,)): "alpha",
    (_PHOTOMETRIC.MINISBLACK, 2, (2,)): "alpha",
    (_PHOTOMETRIC.MINISWHITE, 1, ()): "min-is-white",
    (_PHOTOMETRIC.RGB, 3, ()): "rgb",
    (_PHOTOMETRIC.RGB, 4, ()): "fourth-channel",
    (_PHOTOMETRIC.RGB, 4, (0,)): "fourth-channel",
    (_PHOTOMETRIC.RGB, 4, (1,)): "alpha",
    (_PHOTOMETRIC.RGB, 4, (2,)): "alpha",
    (_PHOTOMETRIC.PALETTE, 1, ()): "colour-table",
    (_PHOTOMETRIC.SEPARATED, 4, ()): "cmyk",
    (_PHOTOMETRIC.YCBCR, 3, ()): "ycbcr",
    (_PHOTOMETRIC.CIELAB, 3, ()): "cielab",
    (_PHOTOMETRIC.ICCLAB, 3, ()): "cielab",
    (_PHOTOMETRIC.ITULAB, 3, ()): "cielab",
}

# Compressions that keep YCbCr as it is stored; as jpeg it is decoded to RGB.
_PLAIN_COMPRESSIONS = (1, 5, 8, 32773, 32946)
_JPEG = 7
_OLD_JPEG = 6
# Other bits are unpacked by imagecodecs.
_PLAIN_BITS = (1, 8, 16, 32, 64)
# Size, bits, compression, colours, fill order, samples, rows of a strip, planes, predictor, tiles,
# extra samples, sample format: of another type than a whole number tifffile misreads them.
_WHOLE_NUMBERS = (256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 338, 339)
_PLANES = (1, 2)
# A file that claims more pixels than its bytes could be unpacked to is damaged.
_MOST_UNPACKED = 20_000
_NEVER_TOO_LARGE = 1 << 26
# Bytes with which every tiff begins; nothing else lies there.
_HEADER = 8


def read_tiff(path: Path, *, labels: bool) -> tuple[np.ndarray, list[PixelFinding], bool]:
    """Decode a tiff.

    Parameters
    ----------
    path
        The file.
    labels
        Whether the values are ids, so that a colour table is not applied.

    Returns
    -------
    pixels
        Shape (H, W) or (H, W, C); C may be 4.
    findings
        What a reader of its scores should know.
    alpha
        Whether the last channel is declared alpha.

    Raises
    ------
    ImageError
        If pixels are missing.
    UnsupportedImageError
        If a rule refuses it.
    Exception
        Whatever tifffile and the codecs raise on broken bytes.
    """
    with tifffile.TiffFile(path) as tiff:
        companions = _companions(tiff, path)
        if not companions:
            return _read(tiff, path, labels=labels)
    # As OME its pixels would come from the other files as well.
    with tifffile.TiffFile(path, is_ome=False) as tiff:
        pixels, findings, alpha = _read(tiff, path, labels=labels)
    told = RULES["ome-companions"].finding(f" ({first_of(companions)})")
    return pixels, [told, *findings], alpha


def _read(
    tiff: tifffile.TiffFile, path: Path, *, labels: bool
) -> tuple[np.ndarray, list[PixelFinding], bool]:
    _check_whole(tiff, path)
    series = _one_series(tiff, path)
    page = series.keyframe
    colour = _colour_rule(page, path)
    findings = list(orientation_findings(page.tags.valueof(274, 1)))
    layout, unknown = _layout(series, colour, path)
    pixels = layout(_decoded(tiff, series, path))
    if unknown and pixels.ndim == 3:
        findings.append(RULES["planes"].finding())
    if colour == "min-is-white":
        findings.append(RULES[colour].finding())
    if colour == "colour-table" and not labels:
        pixels = _coloured(pixels, page.colormap, path)
        findings.append(RULES[colour].finding())
    if colour in ("cmyk", "ycbcr") and page.compression != _JPEG:
        mode = "CMYK" if colour == "cmyk" else "YCbCr"
        pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels), mode).convert("RGB"))
    if colour == "cmyk":
        findings.append(RULES[colour].finding())
    return pixels, findings, colour == "alpha"


@dataclass(frozen=True)
class Planes:
    """The pages that hold the pixels of an image, of which parts can be decoded alone.

    Attributes
    ----------
    pages : tuple
        Of tifffile. One with all channels, or one for each channel in their order.
    keyframe : object
        The page that says how all of them are stored.
    shape : tuple of int
        (H, W) or (H, W, C) of the image.
    alpha : bool
        Whether the last channel is declared alpha.
    findings : tuple of PixelFinding
        What a reader of its scores should know.
    """

    pages: tuple[Any, ...]
    keyframe: Any
    shape: tuple[int, ...]
    alpha: bool
    findings: tuple[PixelFinding, ...]


@contextmanager
def open_planes(path: Path, *, labels: bool) -> Iterator[Planes | None]:
    """Open a tiff to read parts of it, under the same rules as :func:`read_tiff`.

    Parameters
    ----------
    path, labels
        As for `read_tiff`.

    Yields
    ------
    Planes or None
        None where its pixels need more than to be decoded (a colour table, another colour model,
        axes without names), so that it can only be read whole.

    Raises
    ------
    ImageError, UnsupportedImageError
        As `read_tiff`.
    """
    with tifffile.TiffFile(path) as tiff:
        companions = _companions(tiff, path)
    told = [RULES["ome-companions"].finding(f" ({first_of(companions)})")] if companions else []
    with tifffile.TiffFile(path, is_ome=False if companions else None) as tiff:
        _check_whole(tiff, path)
        series = _one_series(tiff, path)
        colour = _colour_rule(series.keyframe, path)
        yield _planes(series, colour, path, told, labels=labels)


def _planes(
    series: Any, colour: str, path: Path, told: list[PixelFinding], *, labels: bool
) -> Planes | None:
    page = series.keyframe
    _, unknown = _layout(series, colour, path)
    # What is kept as it was decoded, in `_read`.
    plain = colour in ("grey", "channels", "rgb", "alpha", "fourth-channel", "min-is-white")
    plain |= colour == "colour-table" and labels
    plain |= colour == "ycbcr" and page.compression == _JPEG
    pages = tuple(page.aspage() if hasattr(page, "aspage") else page for page in series.pages)
    if not plain or unknown or page.shaped[1] != 1:
        return None
    planes, _, height, width, samples = page.shaped
    channels = len(pages) * planes * samples
    if sum(count > 1 for count in (len(pages), planes, samples)) > 1:
        return None
    shape = (height, width, channels) if channels > 1 else (height, width)
    findings = [*told, *orientation_findings(page.tags.valueof(274, 1))]
    if colour == "min-is-white":
        findings.append(RULES[colour].finding())
    return Planes(pages, page, shape, colour == "alpha", tuple(findings))


def _companions(tiff: tifffile.TiffFile, path: Path) -> list[str]:
    """Name the other files that OME-XML in the file says belong to its image."""
    if not tiff.is_ome:
        return []
    try:
        root = ElementTree.fromstring(tiff.pages[0].description)
    except ElementTree.ParseError:
        return []
    own = {root.get("UUID")} - {None}
    named: dict[str, str] = {}
    for element in root.iter():
        kind = element.tag.rpartition("}")[2]
        if kind == "BinaryOnly":
            return [element.get("MetadataFile") or "a file of metadata"]
        if kind == "UUID" and element.text:
            named[element.text] = element.get("FileName") or "a file without name"
            if element.get("FileName") == path.name:
                own.add(element.text)
    if not own and len(named) == 1:
        return []
    return sorted({name for uuid, name in named.items() if uuid not in own})


def _one_series(tiff: tifffile.TiffFile, path: Path) -> Any:
    if tiff.is_svs:
        # Aperio's slides: the first is the image with its pyramid; a thumbnail, the glass's label
        # and a picture of all of it follow, which the format defines.
        return tiff.series[0]
    # Pages that say they are thumbnails or masks of another are not images of their own.
    series = [s for s in tiff.series if not (s.keyframe.subfiletype & 0b101)] or tiff.series
    own = sum(not (page.keyframe.subfiletype & 0b101) for page in tiff.pages)
    # What metadata do not name is a page too.
    if len(series) != 1 or own > len(series[0].pages):
        shapes = ", ".join(str(s.shape) for s in series[:4])
        about = (
            f": {len(series)} of shapes {shapes}, dtype {series[0].dtype}, on {len(tiff.pages)} "
            "pages"
        )
        raise RULES["many-images"].refusal(path, about)
    try:
        pages = list(series[0].pages)
    except IndexError:
        pages = [None]
    if None in pages:
        raise RULES["missing-planes"].refusal(path, f" (shape {series[0].shape})")
    if any(page.parent is not tiff for page in pages):
        raise RULES["file-set"].refusal(path, f" ({series[0].kind}, shape {series[0].shape})")
    return series[0]


def _colour_rule(page: Any, path: Path) -> str:
    """Find the rule for the colours of a page; refuse what is not listed."""
    for code in _WHOLE_NUMBERS:
        value = page.tags.valueof(code, 0)
        if not all(isinstance(v, int) for v in (value if isinstance(value, tuple) else (value,))):
            msg = f"{path}: damaged: its tag {code} is {value!r}, which is no whole number."
            raise ImageError(msg)
    if page.planarconfig not in _PLANES:
        msg = f"{path}: damaged: planar configuration {page.planarconfig} does not exist."
        raise ImageError(msg)
    extra = tuple(int(kind) for kind in page.extrasamples or ())
    samples = page.samplesperpixel
    rule = _COLOURS.get((page.photometric, samples, extra), "other-colours")
    if page.photometric == _PHOTOMETRIC.MINISBLACK and samples > 4 and not any(extra):
        rule = "shape"
    about = (
        f" ({_name_of(_PHOTOMETRIC, page.photometric)}, {samples} samples a pixel, extra samples "
        f"{extra}, shape {page.shape}, dtype {page.dtype})"
    )
    eight_bits = page.dtype == np.uint8 and page.bitspersample == 8 and page.planarconfig == 1
    if rule == "cmyk" and not (eight_bits and page.compression in _PLAIN_COMPRESSIONS):
        rule = "other-colours"
    if rule == "cmyk" and page.tags.valueof(332, 1) != 1:
        rule = "other-colours"
    if rule == "ycbcr" and not (eight_bits and _is_plain_ycbcr(page)):
        rule = "ycbcr-other"
    if RULES[rule].answer == "refused" and rule != "fourth-channel":
        raise RULES[rule].refusal(path, about)
    known = page.compression == 1 or (
        page.compression != _OLD_JPEG and page.compression in tifffile.TIFF.DECOMPRESSORS
    )
    plain = page.predictor in tifffile.TIFF.UNPREDICTORS and page.bitspersample in _PLAIN_BITS
    if page.compression != _OLD_JPEG and not (known and plain):
        _require_codecs(path)
    if not known:
        name = _name_of(tifffile.COMPRESSION, page.compression)
        raise RULES["compression"].refusal(path, f" ({name})")
    if page.dtype is None:
        about = f" ({page.bitspersample} bits, sample format {page.sampleformat})"
        raise RULES["pixel-type"].refusal(path, about)
    return rule


def _require_codecs(path: Path) -> None:
    """Raise where imagecodecs is missing, with which tifffile decodes all but the simplest."""
    try:
        import imagecodecs  # noqa: F401
    except ImportError as error:
        raise missing_package(what=f"Reading {path}", error=error) from error


def _is_plain_ycbcr(page: Any) -> bool:
    """Whether Pillow's conversion, that of jpeg, is the one that the tags ask for."""
    if page.compression == _JPEG:
        return True
    if page.compression not in _PLAIN_COMPRESSIONS:
        return False
    reference = page.tags.valueof(532, (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1))
    numbers = np.array(reference, float)
    if numbers.size == 12:
        numbers = numbers[::2] / numbers[1::2]
    weights = np.array(page.tags.valueof(529, (299, 1000, 587, 1000, 114, 1000)), float)
    return (
        tuple(page.tags.valueof(530, (2, 2))) == (1, 1)
        and numbers.tolist() == [0, 255, 128, 255, 128, 255]
        and weights.size == 6
        and np.allclose(weights[::2] / weights[1::2], (0.299, 0.587, 0.114), atol=1e-4)
    )


def _name_of(kinds: Any, value: int) -> str:
    try:
        return kinds(value).name
    except ValueError:
        return f"number {value}"


def _layout(
    series: Any, colour: str, path: Path
) -> tuple[Callable[[np.ndarray], np.ndarray], bool]:
    """Tell how to bring a series to (H, W) or (H, W, C), and whether that is a guess."""
    axes, shape = series.axes, tuple(series.shape)
    kept = [k for k, axis in enumerate(axes) if shape[k] > 1 or axis in "YX"]
    letters = "".join(axes[k] for k in kept)
    sizes = tuple(shape[k] for k in kept)
    about = f" of shape {shape}, axes {axes}, dtype {series.dtype}"
    if letters in ("YX", "YXS", "YXC"):
        return lambda array: array.reshape(sizes), False
    if letters in ("SYX", "CYX") and sizes[0] <= 4:
        return lambda array: np.moveaxis(array.reshape(sizes), 0, -1), False
    if letters.strip("Q") == "YX" and colour in ("grey", "min-is-white"):
        # The file was written from an array whose axes it does not name.
        channels_last(np.empty(sizes, np.bool_), path, str(series.dtype))
        return lambda array: channels_last(array.reshape(sizes), path), True
    raise RULES["stack"].refusal(path, about)


def channels_last(array: np.ndarray, path: Path, dtype: str = "") -> np.ndarray:
    """Bring an array whose axes have no names to (H, W) or (H, W, C) with C in 2..4.

    Raises
    ------
    UnsupportedImageError
        If it is neither, with channels first or last.
    """
    shape = array.shape
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[-1] > 4 and array.shape[0] <= 4:
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] <= 4):
        return array
    about = f" (shape {shape} and dtype {dtype or array.dtype})"
    raise RULES["shape"].refusal(path, about)


def _decoded(tiff: tifffile.TiffFile, series: Any, path: Path) -> np.ndarray:
    try:
        array = series.levels[0].asarray()
    except AttributeError:
        # tifffile before 2024 cannot read big-endian pixels under numpy 2.
        if tiff.byteorder != ">":
            raise
        import imagecodecs

        array = imagecodecs.tiff_decode(path.read_bytes())
    if array.size != math.prod(series.shape):
        msg = f"{path}: {array.size} pixels were decoded, shape {series.shape} was announced."
        raise ImageError(msg)
    return array


def _coloured(indices: np.ndarray, palette: np.ndarray, path: Path) -> np.ndarray:
    if indices.dtype.kind != "u" or int(indices.max()) >= palette.shape[1]:
        msg = f"{path}: damaged: there are pixels for which its colour table has no colour."
        raise ImageError(msg)
    # Palettes hold 16-bit values; written by 8-bit programs they are multiples of 256 or 257.
    return np.moveaxis((palette >> 8).astype(np.uint8)[:, indices], 0, -1)


def _page_after(tiff: tifffile.TiffFile, page: Any) -> int:
    """Where a page says that the next one is; 0 if it is the last."""
    if tiff.is_ndpi:
        return 0
    form, file = tiff.tiff, tiff.filehandle
    file.seek(page.offset)
    (tags,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
    file.seek(page.offset + form.tagnosize + tags * form.tagsize)
    (offset,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
    return int(offset)


def _check_whole(tiff: tifffile.TiffFile, path: Path) -> None:
    """Refuse a tiff that lacks pixels or pages: tifffile would fill with zeros, or end there."""
    size = path.stat().st_size
    following = _page_after(tiff, tiff.pages[-1])
    if following:
        msg = (
            f"{path}: truncated: a page after the {len(tiff.pages)} that are there should be at "
            f"byte {following}; the file has {size}."
        )
        raise ImageError(msg)
    for number, page in enumerate(tiff.pages):
        page = page.aspage() if hasattr(page, "aspage") else page
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        expected = math.prod(page.chunked) if page.dtype is not None else len(spans)
        missing = sum(
            1 for offset, count in spans if offset < _HEADER or offset + count > size or count == 0
        )
        missing += max(0, expected - len(spans))
        if missing or not page.dataoffsets:
            msg = (
                f"{path}: truncated: {missing} of {expected} pixel blocks of page {number} (shape "
                f"{page.shape}, dtype {page.dtype}) are not in the file."
            )
            raise ImageError(msg)
        stored = sum(count for _, count in spans)
        claimed = page.nbytes if page.dtype is not None else 0
        if page.compression == 1:
            claimed = claimed * page.bitspersample // (8 * page.dtype.itemsize) if claimed else 0
            most = size - min(page.dataoffsets)
        else:
            most = stored * _MOST_UNPACKED + _NEVER_TOO_LARGE
        if claimed > most:
            msg = (
                f"{path}: damaged: page {number} claims shape {page.shape} of {page.dtype}, more "
                f"than its {stored} bytes of pixels can hold."
            )
            raise ImageError(msg)
