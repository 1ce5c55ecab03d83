"""Damaged files: an array that Pillow, imagecodecs or tifffile gives too, or an `ImageError`."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cellharness.data.images import ImageError, open_image, read_label

#: Files to damage; many more than by default where this is set.
EXAMPLES = int(os.environ.get("CELLHARNESS_FUZZ_FILES", "300"))

H, W = 24, 40
RNG = np.random.default_rng(1)
GREY = np.add.outer(np.arange(H), 3 * np.arange(W)).astype(np.uint8)
RGB = np.stack([GREY, 200 - GREY, GREY // 2], axis=-1)
DEEP = RNG.integers(0, 65_535, (H, W), dtype=np.uint16)
PALETTE = (RNG.integers(0, 256, (3, 256)) * 257).astype(np.uint16)
ORIENTATION = [(274, 3, 1, 1, True)]


def _tif(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return ".tif", buffer.getvalue()


def _pillow(suffix, image, **options):
    buffer = io.BytesIO()
    image.save(buffer, {".jpg": "jpeg", ".tif": "tiff"}.get(suffix, suffix[1:]), **options)
    return suffix, buffer.getvalue()


def _numpy(save, suffix, array):
    buffer = io.BytesIO()
    save(buffer, array)
    return suffix, buffer.getvalue()


def _sound_files():
    image = Image.fromarray(RGB)
    yield _tif(GREY, metadata=None, extratags=ORIENTATION)
    yield _tif(DEEP, compression="zlib", predictor=True, rowsperstrip=7)
    yield _tif(DEEP, byteorder=">", compression="lzw")
    yield _tif(RGB, photometric="rgb", tile=(16, 16), compression="packbits")
    yield _tif(RGB, photometric="rgb", compression="jpeg")
    yield _tif(RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    yield _tif(GREY, photometric="palette", colormap=PALETTE)
    yield _tif(np.stack([DEEP, DEEP // 2]), imagej=True, metadata={"axes": "CYX"})
    yield _tif(DEEP.astype(np.float32), compression="zlib", predictor=True)
    yield _tif(GREY > 40, photometric="minisblack", bigtiff=True)
    yield _pillow(".tif", image.convert("CMYK"))
    yield _pillow(".tif", image.convert("YCbCr"), compression="tiff_lzw")
    yield _pillow(".tif", Image.fromarray(np.dstack([GREY, GREY]), "LA"))
    yield _pillow(".png", image)
    yield _pillow(".png", image.quantize(16))
    yield ".png", imagecodecs.png_encode(np.stack([DEEP] * 3, -1))
    yield _pillow(".jpg", image, quality=90)
    yield _pillow(".jpg", image.convert("CMYK"), quality=90)
    yield _pillow(".bmp", image)
    yield _pillow(".bmp", Image.fromarray(GREY).quantize(16))
    yield _numpy(np.save, ".npy", DEEP)
    yield _numpy(np.savez, ".npz", RGB)
    yield _numpy(np.savez_compressed, ".npz", DEEP)


SOUND = list(_sound_files())


def _tags(content: bytes) -> list[int]:
    """Places of the tags in the first directory of a classic tiff."""
    order = "<" if content[:2] == b"II" else ">"
    if struct.unpack(order + "H", content[2:4])[0] != 42:
        return []
    (at,) = struct.unpack(order + "I", content[4:8])
    (count,) = struct.unpack(order + "H", content[at : at + 2])
    return [at + 2 + 12 * k for k in range(count)]


@st.composite
def damaged(draw):
    suffix, content = draw(st.sampled_from(SOUND))
    data = bytearray(content)
    kinds = ["flip", "head", "cut", "zero"] + ["tag"] * 2 * (suffix == ".tif")
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3)):
        if kind == "tag" and _tags(content):
            at = draw(st.sampled_from(_tags(content)))
            part = draw(st.sampled_from([0, 2, 4, 8, 8, 8]))
            size = 2 if part < 4 else 4
            order = "little" if content[:2] == b"II" else "big"
            value = draw(st.one_of(st.integers(0, 12), st.integers(0, 256**size - 1)))
            data[at + part : at + part + size] = value.to_bytes(size, order)
        elif kind == "cut":
            del data[draw(st.integers(0, len(data))) :]
        elif data:
            last = len(data) - 1 if kind != "head" else min(len(data) - 1, 160)
            at = draw(st.integers(0, last))
            data[at] = 0 if kind == "zero" else data[at] ^ (1 << draw(st.integers(0, 7)))
    return suffix, bytes(data)


def _as_others_read(path: Path) -> list[np.ndarray]:
    """What the libraries make of the same bytes, in all the forms that a rule may ask for."""
    arrays: list[np.ndarray] = []

    def attempt(read):
        # Libraries raise what they like on broken bytes.
        try:
            arrays.append(np.asarray(read()))
        except Exception:
            return

    def by_pillow():
        Image.MAX_IMAGE_PIXELS = None
        for mode in (None, "RGB", "L"):
            with Image.open(path) as image:
                attempt(lambda image=image, mode=mode: image.convert(mode) if mode else image)

    attempt(lambda: by_pillow() or 0)
    if path.suffix == ".tif":
        attempt(lambda: tifffile.imread(path, is_ome=False))
        attempt(lambda: tifffile.imread(path, is_shaped=False, is_imagej=False, is_ome=False))
        attempt(lambda: tifffile.imread(path, key=0))
        attempt(lambda: imagecodecs.tiff_decode(path.read_bytes()))
        attempt(lambda: _converted(path))
    elif path.suffix == ".png":
        attempt(lambda: imagecodecs.png_decode(path.read_bytes()))
    elif path.suffix == ".npy":
        attempt(lambda: np.load(path))
    elif path.suffix == ".npz":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attempt(lambda: next(iter(np.load(path).values())))
    return arrays


def _converted(path):
    """The colours of a tiff by Pillow, from the pixels as tifffile decodes them."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        array = page.asarray()
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            return np.moveaxis((page.colormap >> 8).astype(np.uint8)[:, array], 0, -1)
        mode = {"SEPARATED": "CMYK", "YCBCR": "YCbCr"}[page.photometric.name]
        return Image.fromarray(np.ascontiguousarray(array), mode).convert("RGB")


def _forms(array: np.ndarray):
    """The array, without a last channel, without axes of one, channels last."""
    array = array.astype(np.uint8) if array.dtype == bool else array
    array = array.astype(array.dtype.newbyteorder("="))
    for each in (array, array.squeeze()):
        yield each
        if each.ndim == 3:
            yield np.moveaxis(each, 0, -1)
            yield np.moveaxis(each, 0, -1)[..., :-1]
            yield each[..., :-1]
            yield each[..., 0]


def _read(reader, path):
    """What a reader gives; None where it refuses the file, by name."""
    try:
        return reader(path)
    except ImageError as error:
        text = str(error)
    assert path.name in text
    return None


def _check(suffix: str, content: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(content)
        _read(read_label, path)
        picture = _read(open_image, path)
        if picture is None:
            return "refused"
        others = [form for array in _as_others_read(path) for form in _forms(array)]
        assert any(
            form.shape == picture.pixels.shape
            and form.dtype == picture.pixels.dtype
            and np.array_equal(form, picture.pixels, equal_nan=form.dtype.kind == "f")
            for form in others
        ), f"read as {picture.pixels.shape} {picture.pixels.dtype}, which no library gives"
        return "read"


@pytest.mark.parametrize("number", range(len(SOUND)))
def test_sound_files_are_read_as_others_read_them(number):
    assert _check(*SOUND[number]) == "read"


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="CELLHARNESS_FUZZ_FILES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(damaged())
def test_damaged_files_are_read_right_or_refused(file):
    _check(*file)


@pytest.mark.parametrize("number", range(len(SOUND)))
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_cut_files_are_refused_or_whole(number, share):
    """What is cut off may be a comment at the end; pixels are never made up."""
    suffix, content = SOUND[number]
    cut = content[: int(len(content) * share)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(content)
        whole = open_image(path).pixels
        path.write_bytes(cut)
        try:
            pixels = open_image(path).pixels
        except ImageError:
            return
        np.testing.assert_array_equal(pixels, whole)


@pytest.mark.parametrize(("array", "photometric"), [(GREY, "minisblack"), (RGB, "rgb")])
def test_pixels_do_not_begin_within_the_header(tmp_path, array, photometric):
    """The library reads some of these from the header on, and some from elsewhere."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric=photometric)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["StripOffsets"].overwrite(0)
    with pytest.raises(ImageError, match=r"a\.tif"):
        open_image(path)
