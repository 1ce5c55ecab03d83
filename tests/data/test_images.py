from __future__ import annotations

from pathlib import Path

import imagecodecs
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.color import rgb2gray

from cellharness.data import images
from cellharness.data.images import (
    ImageError,
    UnsupportedImageError,
    model_input,
    prepare,
    read_image,
    read_label,
    to_gray,
    write_label,
)

H, W = 40, 50


def random(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    generator = np.random.default_rng(3)
    if np.dtype(dtype).kind == "f":
        return generator.random(shape).astype(dtype)
    return generator.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def write(path: Path, array: np.ndarray) -> Path:
    suffix = path.suffix
    if suffix == ".npy":
        np.save(path, array)
    elif suffix == ".npz":
        np.savez(path, array)
    elif suffix in {".tif", ".tiff"}:
        photometric = "rgb" if array.ndim == 3 and array.shape[-1] in (3, 4) else "minisblack"
        tifffile.imwrite(path, array, photometric=photometric)
    elif suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(array))
    else:
        iio.imwrite(path, array)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".npy", ".npz", ".PNG"])
@pytest.mark.parametrize("shape", [(H, W), (H, W, 3)])
def test_eight_bit_reads_as_written(tmp_path, suffix, shape):
    array = random(shape, "uint8")
    path = write(tmp_path / f"a{suffix.lower()}", array)
    path = path.rename(path.with_suffix(suffix))
    read = read_image(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".npz"])
@pytest.mark.parametrize("shape", [(H, W), (H, W, 3)])
def test_sixteen_bit_stays_sixteen_bit(tmp_path, suffix, shape):
    array = random(shape, "uint16")
    read = read_image(write(tmp_path / f"a{suffix}", array))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "int32", "uint32"])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_other_dtypes_stay_what_they_are(tmp_path, dtype, suffix):
    array = random((H, W), dtype)
    read = read_image(write(tmp_path / f"a{suffix}", array))
    assert read.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg"])
@pytest.mark.parametrize("shape", [(H, W), (H, W, 3)])
def test_jpeg_reads_within_its_loss(tmp_path, name, shape):
    array = np.full(shape, 90, np.uint8)
    read = read_image(write(tmp_path / name, array))
    assert read.shape == shape
    assert np.abs(read.astype(int) - 90).max() <= 2


def test_cmyk_jpeg_reads_as_rgb(tmp_path):
    Image.fromarray(np.full((H, W, 3), 200, np.uint8)).convert("CMYK").save(tmp_path / "a.jpg")
    read = read_image(tmp_path / "a.jpg")
    assert read.shape == (H, W, 3)
    assert np.abs(read.astype(int) - 200).max() <= 3


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".npz"])
@pytest.mark.parametrize(
    ("stored", "shape"),
    [
        ((1, H, W), (H, W)),
        ((H, W, 1), (H, W)),
        ((1, H, W, 1), (H, W)),
        ((H, W, 2), (H, W, 2)),
        ((2, H, W), (H, W, 2)),
        ((3, H, W), (H, W, 3)),
        ((1, 3, H, W), (H, W, 3)),
        ((H, W, 3, 1), (H, W, 3)),
    ],
)
def test_shapes_of_the_challenge(tmp_path, suffix, stored, shape):
    array = random(stored, "uint16")
    read = read_image(write(tmp_path / f"a{suffix}", array))
    assert read.shape == shape
    if stored[0] in (2, 3):
        np.testing.assert_array_equal(read[..., 1], array[1])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_alpha_of_rgba_is_dropped(tmp_path, suffix):
    array = random((H, W, 4), "uint8")
    read = read_image(write(tmp_path / f"a{suffix}", array))
    np.testing.assert_array_equal(read, array[..., :3])


def test_second_channel_of_png_is_alpha(tmp_path):
    gray = random((H, W), "uint8")
    Image.fromarray(np.dstack([gray, 255 - gray]), "LA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), gray)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_palette_images_read_as_their_colours(tmp_path, name):
    image = Image.fromarray(random((H, W, 3), "uint8")).quantize(16)
    image.save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_big_endian_tiff(tmp_path, compression):
    array = random((H, W), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", array, byteorder=">", compression=compression)
    read = read_image(tmp_path / "a.tif")
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


def test_bool_becomes_zero_and_one(tmp_path):
    read = read_image(write(tmp_path / "a.npy", np.eye(5, dtype=bool)))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, np.eye(5))


def test_pyramid_and_thumbnail_give_the_full_image(tmp_path):
    array = random((128, 128), "uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(array, tile=(64, 64), subifds=1)
        writer.write(array[::2, ::2], tile=(64, 64), subfiletype=1)
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        writer.write(array)
        writer.write(array[::4, ::4], subfiletype=1)
    for name in ("a.tif", "b.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), array)


@pytest.mark.parametrize(
    ("suffix", "shape"),
    [
        *((suffix, shape) for suffix in (".tif", ".npy") for shape in [(10, H, W), (H, W, 5)]),
        (".npy", (6, H, W, 3)),
        (".npy", (7,)),
    ],
)
def test_stacks_are_refused_with_file_shape_and_dtype(tmp_path, shape, suffix):
    path = write(tmp_path / f"stack{suffix}", np.zeros(shape, np.uint8))
    with pytest.raises(UnsupportedImageError) as error:
        read_image(path)
    for word in (path.name, str(shape), "uint8"):
        assert word in str(error.value)


def test_multi_page_and_z_stack_tiffs_are_refused(tmp_path):
    page = np.zeros((H, W), np.uint16)
    for _ in range(3):
        tifffile.imwrite(tmp_path / "pages.tif", page, append=True, metadata=None)
    tifffile.imwrite(
        tmp_path / "z.tif", np.stack([page] * 3), imagej=True, metadata={"axes": "ZYX"}
    )
    for size in (20, 30):
        tifffile.imwrite(tmp_path / "sizes.tif", page[:size], append=True, metadata=None)
    for name in ("pages.tif", "z.tif", "sizes.tif"):
        with pytest.raises(UnsupportedImageError, match=f"{name}.*uint16"):
            read_image(tmp_path / name)


def test_imagej_channels_are_channels(tmp_path):
    array = random((3, H, W), "uint16")
    tifffile.imwrite(tmp_path / "c.tif", array, imagej=True, metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif"), np.moveaxis(array, 0, -1))


@pytest.mark.parametrize("array", [np.zeros((H, W), complex), np.full((H, W), "x")])
def test_complex_and_text_are_refused(tmp_path, array):
    with pytest.raises(UnsupportedImageError, match=r"a\.npy.*only integer, float and bool"):
        read_image(write(tmp_path / "a.npy", array))


def test_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ImageError, match="allow_pickle"):
        read_image(tmp_path / "a.npy")


def test_npz_takes_one_array_or_a_known_key(tmp_path):
    gray, rgb = random((H, W), "uint8"), random((H, W, 3), "uint8")
    np.savez(tmp_path / "one.npz", anything=gray)
    np.savez(tmp_path / "key.npz", other=gray, image=rgb)
    np.savez(tmp_path / "many.npz", other=gray, more=rgb)
    np.testing.assert_array_equal(read_image(tmp_path / "one.npz"), gray)
    np.testing.assert_array_equal(read_image(tmp_path / "key.npz"), rgb)
    with pytest.raises(UnsupportedImageError, match=r"2 arrays \(other, more\).*image, arr_0"):
        read_image(tmp_path / "many.npz")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".tif", ".npy", ".npz"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_truncated_files_are_errors_not_garbage(tmp_path, suffix, keep):
    path = write(tmp_path / f"cut{suffix}", random((200, 200, 3), "uint8"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ImageError, match=f"cut{suffix}") as error:
        read_image(path)
    assert not isinstance(error.value, UnsupportedImageError)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_tiff_short_of_its_last_bytes_is_truncated(tmp_path, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random((300, 300), "uint16"), compression=compression, rowsperstrip=50)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ImageError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize("name", ["absent.png", "a.gif", "a"])
def test_absent_and_unknown_files(tmp_path, name):
    with pytest.raises(ImageError, match=r"no such file|unknown suffix"):
        read_image(tmp_path / name)


def test_wrong_suffix_is_an_image_error(tmp_path):
    write(tmp_path / "a.png", random((H, W), "uint8")).rename(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif.*not what its suffix says"):
        read_image(tmp_path / "a.tif")


# Labels.


def test_seventy_thousand_cells_round_trip(tmp_path):
    labels = np.arange(300 * 300, dtype=np.int64).reshape(300, 300) % 70_001
    write_label(tmp_path / "a_label.tiff", labels)
    read = read_label(tmp_path / "a_label.tiff")
    assert read.dtype == np.uint32
    assert read.max() == 70_000
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize(
    ("top", "dtype"),
    [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65_535, "uint16"), (65_536, "uint32")],
)
def test_write_takes_the_smallest_dtype(tmp_path, top, dtype):
    labels = np.zeros((H, W), np.int32)
    labels[3, 4] = top
    write_label(tmp_path / "new" / "a.tif", labels)
    assert tifffile.imread(tmp_path / "new" / "a.tif").dtype == np.dtype(dtype)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.tif"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.full((H, W), 1.5), "float64"),
        (np.full((H, W), -1), "negative"),
        (np.zeros((3, H, W), int), r"2-D.*\(3, 40, 50\)"),
    ],
)
def test_write_refuses_what_it_would_have_to_bend(tmp_path, labels, words):
    with pytest.raises(UnsupportedImageError, match=words):
        write_label(tmp_path / "a.tif", labels)
    assert not list(tmp_path.iterdir())


def test_write_refuses_other_suffixes(tmp_path):
    with pytest.raises(ValueError, match=r"\.tif or \.tiff"):
        write_label(tmp_path / "a.png", np.zeros((H, W), int))


def test_failed_write_keeps_the_old_file_and_no_partial_one(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    write_label(path, np.ones((H, W), int))

    def full_disk(name, *args, **kwargs):
        Path(name).write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.tifffile, "imwrite", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_label(path, np.full((H, W), 2))
    monkeypatch.undo()
    assert read_label(path).max() == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".npz"])
def test_labels_read_from_every_lossless_format(tmp_path, suffix):
    labels = random((H, W), "uint16")
    read = read_label(write(tmp_path / f"a_label{suffix}", labels))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, labels)


def test_signed_labels_become_unsigned_of_the_same_width(tmp_path):
    read = read_label(write(tmp_path / "a.npy", np.full((H, W), 7, np.int32)))
    assert read.dtype == np.uint32


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((H, W), 0.5, np.float32), r"bad\.tif.*\(40, 50\).*float32"),
        (np.full((H, W), -5, np.int16), r"bad\.tif.*2000 label pixels are negative \(lowest -5"),
        (random((H, W, 3), "uint8"), r"bad\.tif.*2-D.*\(40, 50, 3\).*uint8"),
        (np.zeros((9, H, W), np.uint8), r"bad\.tif.*\(9, 40, 50\).*uint8"),
    ],
)
def test_bad_labels_are_refused(tmp_path, array, words):
    with pytest.raises(UnsupportedImageError, match=words):
        read_label(write(tmp_path / "bad.tif", array))


def test_jpeg_labels_are_refused(tmp_path):
    with pytest.raises(UnsupportedImageError, match="lossy"):
        read_label(write(tmp_path / "a.jpg", np.zeros((H, W), np.uint8)))


# Grey.


def test_two_dimensional_image_is_returned_itself():
    image = random((H, W), "uint16")
    assert to_gray(image) is image
    assert prepare(image, "gray_max") is image


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_to_gray_is_rgb2gray_times_the_image_maximum(dtype):
    image = random((H, W, 3), dtype)
    image[image > 0.8 * image.max()] = 1
    np.testing.assert_array_equal(to_gray(image), rgb2gray(image) * image.max())


def test_to_gray_by_hand():
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 0] = (10, 20, 30)
    image[0, 1] = (0, 100, 0)
    weights = np.array([0.2125, 0.7154, 0.0721])
    np.testing.assert_allclose(to_gray(image), (image / 255 @ weights) * 100)


def test_to_gray_of_other_channel_counts():
    image = random((H, W, 4), "uint8")
    image[..., 3] = 255
    image[..., :3] //= 2
    np.testing.assert_array_equal(to_gray(image), to_gray(image[..., :3]))
    padded = np.dstack([image[..., :2], np.zeros((H, W), np.uint8)])
    np.testing.assert_array_equal(to_gray(image[..., :2]), to_gray(padded))
    np.testing.assert_array_equal(to_gray(image[..., :1]), image[..., 0])
    with pytest.raises(UnsupportedImageError, match=r"\(40, 50, 5\)"):
        to_gray(np.zeros((H, W, 5)))


def test_prepare_modes():
    image = random((H, W, 3), "uint8")
    assert prepare(image, "native") is image
    gray = prepare(image, "gray")
    np.testing.assert_allclose(gray, rgb2gray(image) * 255, rtol=1e-5)
    np.testing.assert_array_equal(prepare(image, "gray_max"), to_gray(image))
    with pytest.raises(ValueError, match=r"'grey'.*gray_max, gray, native"):
        prepare(image, "grey")


@pytest.mark.parametrize("mode", images.INPUT_MODES)
def test_prepare_refuses_non_finite_pixels_with_their_count(mode):
    image = np.full((4, 5), np.nan, np.float32)
    with pytest.raises(UnsupportedImageError, match="20 of 20 pixel values are NaN"):
        prepare(image, mode)
    image[:] = 1
    image[0, 0] = np.inf
    with pytest.raises(UnsupportedImageError, match="1 of 20"):
        prepare(image, mode)


@pytest.mark.parametrize("mode", images.INPUT_MODES)
def test_constant_image_is_prepared(mode):
    assert np.isfinite(prepare(np.zeros((H, W, 3), np.uint8), mode)).all()


@pytest.mark.parametrize("mode", ["gray_max", "gray"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(H, W), (H, W, 3)])
def test_methods_are_handed_grey_as_float32(mode, dtype, shape):
    image = random(shape, dtype)
    given = model_input(image, mode)
    assert (given.dtype, given.shape) == (np.float32, (H, W))
    np.testing.assert_array_equal(given, prepare(image, mode).astype(np.float32))
    if "int" in dtype and len(shape) == 2:
        np.testing.assert_array_equal(given.astype(dtype), image)


def test_methods_that_want_it_native_are_handed_the_files_dtype():
    image = random((H, W, 3), "uint16")
    assert model_input(image, "native") is image


def test_values_beyond_float32_are_refused():
    image = np.zeros((4, 5))
    image[0, 0] = 1e39
    with pytest.raises(UnsupportedImageError, match=r"1 of 20 .* too large .* 1e\+39"):
        model_input(image, "gray")
    assert model_input(image, "native") is image
