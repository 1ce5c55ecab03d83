"""A window of an image is what the same window of the whole would be, whatever the file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from cellharness.data.images import (
    ImageError,
    UnsupportedImageError,
    model_input,
    open_image,
    read_image,
)
from cellharness.data.regions import open_regions
from cellharness.slides.image import open_slide

H, W = 150, 203
RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 251, (H, W), dtype=np.uint8)
DEEP = RNG.integers(0, 60_000, (H, W), dtype=np.uint16)
RGB = RNG.integers(0, 222, (H, W, 3), dtype=np.uint8)
FLOAT = RNG.normal(size=(H, W)).astype(np.float32)
TILED = {"tile": (64, 48)}


def tiff(array, **options):
    def write(folder):
        tifffile.imwrite(folder / "a.tiff", array, **options)
        return folder / "a.tiff"

    return write


def pyramid(folder):
    with tifffile.TiffWriter(folder / "a.ome.tiff", bigtiff=True) as writer:
        writer.write(RGB, subifds=1, compression="zlib", photometric="rgb", **TILED)
        writer.write(RGB[::2, ::2], subfiletype=1, compression="zlib", photometric="rgb", **TILED)
    return folder / "a.ome.tiff"


def aperio(folder):
    """As Aperio's scanners write it: image, thumbnail, smaller levels, glass label, picture."""
    about = "Aperio Image Library v12.0.15 \r\n1x1 [0,0 1x1] (64x48) JPEG/RGB Q=70|AppMag = 20"
    with tifffile.TiffWriter(folder / "a.svs") as writer:
        options = {"photometric": "rgb", "compression": "jpeg", "description": about}
        writer.write(RGB, metadata=None, tile=(64, 48), **options)
        writer.write(RGB[::4, ::4], metadata=None, **options)
        writer.write(RGB[::2, ::2], metadata=None, tile=(64, 48), **options)
        small = options | {"description": "Aperio Image Library v12.0.15 \r\nlabel 20x20"}
        writer.write(RGB[:20, :20], metadata=None, subfiletype=1, **small)
        big = options | {"description": "Aperio Image Library v12.0.15 \r\nmacro 20x20"}
        writer.write(RGB[:20, :20], metadata=None, subfiletype=9, **big)
    return folder / "a.svs"


def png(folder):
    Image.fromarray(RGB).save(folder / "a.png")
    return folder / "a.png"


def npy(array):
    def write(folder):
        np.save(folder / "a.npy", array)
        return folder / "a.npy"

    return write


FILES = {
    "plain": (tiff(GREY), False),
    "big-endian": (tiff(DEEP.astype(">u2"), byteorder=">"), False),
    "strips": (tiff(DEEP, compression="zlib", rowsperstrip=7), False),
    "strips-predictor": (tiff(DEEP, compression="lzw", predictor=True, rowsperstrip=7), False),
    "tiles": (tiff(RGB, photometric="rgb", compression="zlib", **TILED), False),
    "tiles-float": (tiff(FLOAT, compression="zlib", predictor=True, **TILED), False),
    "planes": (tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"), False),
    "ome-channels": (
        lambda folder: (
            tifffile.imwrite(
                folder / "a.ome.tiff", DEEP[None].repeat(2, 0), metadata={"axes": "CYX"}
            )
            or folder / "a.ome.tiff"
        ),
        False,
    ),
    "alpha": (tiff(np.dstack([RGB, GREY]), photometric="rgb", extrasamples=[2], **TILED), False),
    "blank-fourth": (tiff(np.dstack([RGB, 0 * GREY]), photometric="rgb", extrasamples=[0]), False),
    "white-is-zero": (tiff(GREY, photometric="miniswhite", **TILED), False),
    "bits": (tiff(GREY > 99), False),
    "pyramid": (pyramid, False),
    "aperio": (aperio, False),
    "npy": (npy(DEEP), False),
    "npy-rgb": (npy(RGB), False),
    "npy-planes": (npy(np.moveaxis(RGB, -1, 0)), True),
    "png": (png, True),
}


def same(found, expected):
    """Equal; the last digit of a grey value of colours depends on the size of the array (BLAS)."""
    tolerance = np.finfo(np.float32).eps if expected.dtype == np.float32 else 0
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=0)


WINDOWS = [np.s_[0:H, 0:W], np.s_[60:129, 45:203], np.s_[149:150, 0:1], np.s_[7:8, 47:49]]


@pytest.mark.parametrize("mode", ["gray_max", "gray", "native"])
@pytest.mark.parametrize("kind", FILES)
def test_a_window_is_that_of_the_image_read_whole(kind, mode, tmp_path):
    write, whole = FILES[kind]
    path = write(tmp_path)
    picture = open_image(path)
    expected = model_input(picture.pixels, mode)
    with open_slide(path, mode, (64, 16), tmp_path) as image:
        assert image.in_memory == whole
        assert image.shape == expected.shape[:2]
        assert set(image.findings) == set(picture.findings)
        for window in WINDOWS:
            found = image.read(*window)
            assert found.dtype == expected.dtype
            same(found, expected[window])
        sampled = image.sample((3, 5))
        same(sampled, expected[::3, ::5])


def test_bands_come_with_their_margins(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(1100 * 3, dtype=np.uint16).reshape(1100, 3))
    whole = read_image(tmp_path / "a.npy")
    with open_slide(tmp_path / "a.npy", "native", (64, 16), tmp_path) as image:
        parts = list(image.bands(margin=9))
    np.testing.assert_array_equal(np.concatenate([band[inner] for _, band, inner in parts]), whole)
    rows, band, inner = parts[1]
    np.testing.assert_array_equal(band, whole[rows.start - 9 : rows.stop + 9])
    assert inner == slice(9, 9 + 512)


def test_only_the_pieces_of_a_window_are_decoded(tmp_path):
    path = tiff(DEEP, compression="zlib", **TILED)(tmp_path)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        # The last tile is damaged.
        at, size = page.dataoffsets[-1], page.databytecounts[-1]
    content = bytearray(path.read_bytes())
    content[at : at + size] = bytes(size)
    path.write_bytes(content)
    with open_regions(path) as regions:
        np.testing.assert_array_equal(regions.read(slice(0, 64), slice(0, W)), DEEP[:64])
        with pytest.raises(Exception, match=r".+"):
            regions.read(slice(0, H), slice(0, W))


def test_what_a_whole_image_is_refused_for_is_refused_by_window(tmp_path):
    bad = FLOAT.copy()
    bad[140, 200] = np.nan
    varying = np.dstack([RGB, GREY])
    for name, array, options in (
        ("nan.tiff", bad, TILED),
        ("fourth.tiff", varying, {"photometric": "rgb", "extrasamples": [0]}),
        ("stack.tiff", np.stack([DEEP] * 5), {}),
    ):
        tifffile.imwrite(tmp_path / name, array, **options)
        with pytest.raises(UnsupportedImageError) as whole:
            model_input(read_image(tmp_path / name), "gray")
        with (
            pytest.raises(UnsupportedImageError) as by_window,
            open_slide(tmp_path / name, "gray", (64, 16), tmp_path),
        ):
            pass
        assert str(by_window.value) == str(whole.value)


def test_a_truncated_file_is_named(tmp_path):
    path = tiff(DEEP, **TILED)(tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ImageError, match="truncated"), open_regions(path):
        pass
    path = npy(DEEP)(tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ImageError, match="truncated"), open_regions(path):
        pass
