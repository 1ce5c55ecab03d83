"""Read images and labels, and turn colour into grey exactly as the paper did.

One place decides which files, shapes and dtypes the harness takes. Pixel values are never
rescaled on the way in: 16-bit data stay 16-bit, float data stay float.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from PIL import Image

from cellharness.files import whole_file
from cellharness.vocabulary import INPUT_MODES

IMAGE_SUFFIXES: tuple[str, ...] = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".npz")

_MAX_CHANNELS = 4
_NPZ_KEYS = ("image", "label", "arr_0")
# Axis letters by which a tiff says that its planes are not colours.
_STACK_AXES = frozenset("ZTIRVLEPHA")


class ImageError(ValueError):
    """A file that cannot be read whole: absent, truncated, corrupt or of an unknown kind."""


class UnsupportedImageError(ImageError):
    """A readable file that is not a 2-D image the harness takes (3-D stack, NaN, complex...)."""


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
        order (bool becomes uint8 0/1). Singleton axes are squeezed, ``(C, H, W)`` with C in 2..4
        becomes channel-last when the last axis cannot be a channel axis, and alpha is dropped:
        the fourth of four channels, and the second channel of a png (which the format defines as
        alpha). Two-channel tiff, npy and npz are kept as they are. Pixels may be non-finite:
        `prepare` refuses those.

    Raises
    ------
    ImageError
        If the file is absent, empty, truncated, corrupt, or its suffix is unknown.
    UnsupportedImageError
        If it is a stack, has more than 4 channels, or holds complex, text or object data.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/photo.npy", np.zeros((40, 50, 3), np.uint8))
    ...     read_image(f"{folder}/photo.npy").shape
    (40, 50, 3)
    """
    path = Path(path)
    return _drop_alpha(_as_plane(_read_array(path), path))


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
        unsigned dtype of the same width, bool becomes uint8.

    Raises
    ------
    ImageError
        If the file cannot be read whole.
    UnsupportedImageError
        If it is not 2-D, not integer, or has negative values; the message names file, shape and
        dtype.
    """
    path = Path(path)
    if path.suffix.lower() in {".jpg", ".jpeg"}:
        msg = f"{path}: a label cannot be a jpeg, lossy compression changes ids; use tiff or png."
        raise UnsupportedImageError(msg)
    labels = _as_plane(_read_array(path), path)
    if labels.ndim != 2:
        msg = (
            f"{path}: a label must be 2-D with one id a pixel, but this one has "
            f"{_describe(labels)}; write one plane of integers."
        )
        raise UnsupportedImageError(msg)
    return _as_unsigned(labels, str(path))


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


def to_gray(image: np.ndarray) -> np.ndarray:
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
    return _rgb2gray(rgb) * rgb.max()


def prepare(image: np.ndarray, mode: str) -> np.ndarray:
    """Give an image the form in which a method wants it.

    Parameters
    ----------
    image
        Shape (H, W) or (H, W, C), as `read_image` gives it.
    mode
        ``"gray_max"``: `to_gray`, the paper's form. ``"gray"``: luminance in the image's own range
        (rgb2gray weights on the values as they are; 200 stays 200). ``"native"``: unchanged.

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
        return to_gray(image)
    rgb = _as_rgb(image)
    if rgb.ndim == 2:
        return rgb
    # As float first, so that rgb2gray does not divide by the range of the dtype.
    return _rgb2gray(rgb.astype(np.float32 if rgb.dtype.itemsize <= 2 else np.float64))


def _rgb2gray(rgb: np.ndarray) -> np.ndarray:
    # It imports much of SciPy, which neither grey images nor the process that leads a run need.
    from skimage.color import rgb2gray

    return rgb2gray(rgb)


def model_input(image: np.ndarray, mode: str) -> np.ndarray:
    """Prepare an image and give it the dtype that methods are promised.

    Parameters
    ----------
    image
        Shape (H, W) or (H, W, C), as `read_image` gives it.
    mode
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
    prepared = prepare(image, mode)
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


def _read_array(path: Path) -> np.ndarray:
    """Read the raw array of a file; every failure becomes an `ImageError` that names the file."""
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        msg = f"{path}: unknown suffix {path.suffix!r}; readable are {', '.join(IMAGE_SUFFIXES)}."
        raise ImageError(msg)
    if not path.is_file():
        msg = f"{path}: no such file."
        raise ImageError(msg)
    if path.stat().st_size == 0:
        msg = f"{path}: the file is empty (0 bytes); fetch or export it again."
        raise ImageError(msg)
    try:
        array = np.asarray(_READERS[suffix](path))
    except ImageError:
        raise
    except (MemoryError, PermissionError):
        raise
    # Decoders raise whatever they like on broken bytes: struct.error, KeyError, zlib.error...
    except Exception as error:
        msg = (
            f"{path}: cannot be read ({type(error).__name__}: {error}); the file is truncated, "
            "corrupt, or not what its suffix says."
        )
        raise ImageError(msg) from error
    if array.dtype.kind not in "buif":
        msg = f"{path}: {_describe(array)}; only integer, float and bool pixels are taken."
        raise UnsupportedImageError(msg)
    if array.size == 0:
        msg = f"{path}: {_describe(array)}; there are no pixels."
        raise UnsupportedImageError(msg)
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _read_png(path: Path) -> np.ndarray:
    # Pillow cuts 16-bit RGB down to 8 bits; imagecodecs keeps it.
    import imagecodecs  # takes a tenth of a second, and few images need it

    array = imagecodecs.png_decode(path.read_bytes())
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 2 else array


def _read_with_pillow(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        # Large is legitimate here; Pillow still refuses what is too large for it.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            array = iio.imread(path, plugin="pillow")
            cmyk = array.ndim == 3 and array.shape[-1] == 4 and _is_cmyk(path)
            return iio.imread(path, plugin="pillow", mode="RGB") if cmyk else array
        except Image.DecompressionBombError as error:
            msg = f"{path}: {error}; save it as tiff."
            raise UnsupportedImageError(msg) from error


def _is_cmyk(path: Path) -> bool:
    with Image.open(path) as image:
        return image.mode == "CMYK"


def _read_tiff(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        _check_tiff_is_whole(tiff, path)
        # Pages that say they are thumbnails or masks of another are not images of their own.
        series = [s for s in tiff.series if not (s.keyframe.subfiletype & 0b101)] or tiff.series
        if len(series) != 1:
            shapes = ", ".join(str(s.shape) for s in series[:4])
            msg = (
                f"{path}: holds {len(series)} images of shapes {shapes} (dtype "
                f"{series[0].dtype}); a case is one 2-D image, split the file."
            )
            raise UnsupportedImageError(msg)
        first = series[0]
        many = [
            axis
            for axis, size in zip(first.axes, first.shape, strict=True)
            if size > 1 and axis in _STACK_AXES
        ]
        if many:
            msg = (
                f"{path}: a stack of shape {first.shape}, axes {first.axes}, dtype {first.dtype}; "
                "only 2-D images are taken, export one plane or a projection."
            )
            raise UnsupportedImageError(msg)
        try:
            array = first.levels[0].asarray()
        except AttributeError:
            # tifffile before 2024 cannot read big-endian pixels under numpy 2.
            if tiff.byteorder != ">":
                raise
            import imagecodecs

            array = imagecodecs.tiff_decode(path.read_bytes())
        if first.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE:
            array = _apply_palette(array, first.keyframe.colormap)
    return array


def _apply_palette(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    # Palettes hold 16-bit values; written by 8-bit programs they are multiples of 256 or 257.
    return np.moveaxis((palette >> 8).astype(np.uint8)[:, indices], 0, -1)


def _check_tiff_is_whole(tiff: tifffile.TiffFile, path: Path) -> None:
    """Refuse a tiff whose pixel segments lie outside the file: tifffile would fill with zeros."""
    size = path.stat().st_size
    for number, page in enumerate(tiff.pages):
        page = page.aspage() if hasattr(page, "aspage") else page
        spans = zip(page.dataoffsets, page.databytecounts, strict=False)
        missing = sum(1 for offset, count in spans if offset + count > size)
        if missing or not page.dataoffsets:
            msg = (
                f"{path}: truncated: {missing} of {len(page.dataoffsets)} pixel blocks of page "
                f"{number} (shape {page.shape}, dtype {page.dtype}) lie beyond the end of the file."
            )
            raise ImageError(msg)


def _read_npy(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        keys = list(archive.files)
        if len(keys) == 1:
            return archive[keys[0]]
        for key in _NPZ_KEYS:
            if key in keys:
                return archive[key]
    msg = (
        f"{path}: holds {len(keys)} arrays ({', '.join(keys)}) and none is named "
        f"{', '.join(_NPZ_KEYS)}; rename the one to read."
    )
    raise UnsupportedImageError(msg)


_READERS: dict[str, Any] = {
    ".png": _read_png,
    ".bmp": _read_with_pillow,
    ".jpg": _read_with_pillow,
    ".jpeg": _read_with_pillow,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".npy": _read_npy,
    ".npz": _read_npz,
}


def _as_plane(array: np.ndarray, path: Path) -> np.ndarray:
    """Bring an array to (H, W) or (H, W, C) with C in 2..4, or refuse it."""
    shape = array.shape
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[-1] > _MAX_CHANNELS and array.shape[0] <= _MAX_CHANNELS:
        array = np.ascontiguousarray(np.moveaxis(array, 0, -1))
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] <= _MAX_CHANNELS):
        return array
    msg = (
        f"{path}: shape {shape} and dtype {array.dtype} is not a 2-D image of 1 to "
        f"{_MAX_CHANNELS} channels; export one plane or a projection."
    )
    raise UnsupportedImageError(msg)


def _drop_alpha(image: np.ndarray) -> np.ndarray:
    if image.ndim == 3 and image.shape[-1] == 4:
        return np.ascontiguousarray(image[..., :3])
    return image


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
