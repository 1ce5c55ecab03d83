"""Every rule on what pixels may mean: a file of each kind, and what becomes of it."""

from __future__ import annotations

import io
import struct
import uuid
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cellharness.data.images import UnsupportedImageError, open_image, open_label, read_image
from cellharness.data.pixel_rules import ANSWERS, RULES, rules_table

PROJECT = Path(__file__).resolve().parents[2]
H, W = 24, 32
GREY = np.add.outer(np.arange(H), 3 * np.arange(W)).astype(np.uint8)
RGB = np.stack([GREY, 200 - GREY, GREY // 2], axis=-1)
FOUR = np.stack([GREY, 200 - GREY, GREY // 2, 100 - GREY // 2], axis=-1)
DEEP = (FOUR.astype(np.uint16) * 200).transpose(2, 0, 1)


def tif(name="a.tif", array=GREY, **options):
    def make(folder):
        tifffile.imwrite(folder / name, array, **options)
        return folder / name

    return make


def retagged(array, tags, **options):
    """A tiff whose tags of one value are set afterwards to what tifffile would not write."""

    def make(folder):
        tifffile.imwrite(folder / "a.tif", array, metadata=None, **options)
        with tifffile.TiffFile(folder / "a.tif", mode="r+b") as tiff:
            for code, value in tags.items():
                tiff.pages[0].tags[code].overwrite(value)
        return folder / "a.tif"

    return make


def pil(name, image, **options):
    def make(folder):
        image.save(folder / name, **options)
        return folder / name

    return make


def npy(array):
    def make(folder):
        np.save(folder / "a.npy", array)
        return folder / "a.npy"

    return make


def npz(array):
    def make(folder):
        np.savez(folder / "a.npz", array)
        return folder / "a.npz"

    return make


def pages(*arrays, **options):
    def make(folder):
        with tifffile.TiffWriter(folder / "a.tif") as writer:
            for array in arrays:
                writer.write(array, contiguous=False, metadata=None, **options)
        return folder / "a.tif"

    return make


def ome(xml, name="field.tif", planes=GREY):
    def make(folder):
        tifffile.imwrite(
            folder / name, planes, description=xml, metadata=None, photometric="minisblack"
        )
        return folder / name

    return make


def ome_xml(*files, own=0, planes=None):
    """OME-XML of one channel a file, as the file of that number holds it."""
    uuids = [f"urn:uuid:{uuid.UUID(int=n)}" for n in range(len(files))]
    data = "".join(
        f'<TiffData FirstC="{n}" IFD="0" PlaneCount="1"><UUID FileName="{file}">{uuids[n]}</UUID>'
        "</TiffData>"
        for n, file in enumerate(files)
    )
    count = planes or len(files)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
        + (f' UUID="{uuids[own]}">' if files else ">")
        + '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
        f'SizeX="{W}" SizeY="{H}" SizeC="{count}" SizeZ="1" SizeT="1">'
        + data
        + ("" if files else '<TiffData IFD="0" PlaneCount="1"/>')
        + "</Pixels></Image></OME>"
    )


BINARY_ONLY = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:1"/></OME>'
)


def animation(folder):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(folder / "a.png", save_all=True, append_images=frames[1:])
    return folder / "a.png"


def mpo(folder):
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    first.save(folder / "a.jpg", format="MPO", save_all=True, append_images=[second])
    return folder / "a.jpg"


def lossless_jpeg(folder):
    import imagecodecs

    (folder / "a.jpg").write_bytes(
        imagecodecs.ljpeg_encode(GREY.astype(np.uint16), bitspersample=12)
    )
    return folder / "a.jpg"


def jpeg_of_kind(marker):
    """A jpeg that says that it is of another kind, such as arithmetic (0xC9)."""

    def make(folder):
        buffer = io.BytesIO()
        Image.fromarray(GREY).save(buffer, "jpeg")
        (folder / "a.jpg").write_bytes(buffer.getvalue().replace(b"\xff\xc0", bytes([255, marker])))
        return folder / "a.jpg"

    return make


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def png_with_alpha_table(folder):
    """A palette with one colour declared see-through (tRNS)."""
    image = Image.fromarray(RGB).quantize(8)
    image.save(folder / "a.png", transparency=0)
    return folder / "a.png"


QUANTIZED = Image.fromarray(RGB).quantize(16)
PALETTE = (np.random.default_rng(0).integers(0, 256, (3, 256)) * 257).astype(np.uint16)

# Each rule: files, and for those that are read what is to come out.
READ = {
    "grey": [
        (tif(), GREY),
        (tif(array=GREY > 50, photometric="minisblack"), (GREY > 50).astype(np.uint8)),
        (tif(array=DEEP[:1]), DEEP[0]),
        (tif(array=GREY[None, ..., None]), GREY),
        (tif(array=GREY[:1]), GREY[:1]),
        (pil("a.png", Image.fromarray(GREY)), GREY),
        (pil("a.jpg", Image.new("L", (W, H), 90)), np.full((H, W), 90, np.uint8)),
        (pil("a.bmp", Image.fromarray(GREY)), GREY),
        (npy(GREY), GREY),
    ],
    "rgb": [
        (tif(array=RGB, photometric="rgb"), RGB),
        (tif(array=RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), RGB),
        (tif(array=RGB.astype(np.float32), photometric="rgb"), RGB.astype(np.float32)),
        (pil("a.png", Image.fromarray(RGB)), RGB),
        (pil("a.bmp", Image.fromarray(RGB)), RGB),
        (pil("misnamed.jpg", Image.fromarray(RGB), format="png"), RGB),
    ],
    "channels": [
        (tif(array=DEEP[:3], imagej=True, metadata={"axes": "CYX"}), DEEP[:3].transpose(1, 2, 0)),
        (tif("a.ome.tif", DEEP[:2], photometric="minisblack", metadata={"axes": "CYX"}),
         DEEP[:2].transpose(1, 2, 0)),
        (tif(array=FOUR[..., :2], photometric="minisblack", planarconfig="contig"), FOUR[..., :2]),
        (npy(FOUR[..., :2]), FOUR[..., :2]),
    ],
    "ycbcr": [
        (pil("a.tif", Image.fromarray(RGB).convert("YCbCr")),
         np.asarray(Image.fromarray(RGB).convert("YCbCr").convert("RGB"))),
        (pil("a.tif", Image.fromarray(RGB).convert("YCbCr"), compression="tiff_lzw"),
         np.asarray(Image.fromarray(RGB).convert("YCbCr").convert("RGB"))),
        (pil("a.tif", Image.new("RGB", (W, H), (90,) * 3).convert("YCbCr"), compression="jpeg"),
         np.full_like(RGB, 90)),
    ],
    "palette": [
        (pil("a.png", QUANTIZED), np.asarray(QUANTIZED.convert("RGB"))),
        (pil("a.bmp", QUANTIZED), np.asarray(QUANTIZED.convert("RGB"))),
    ],
    "pyramid": [
        (lambda folder: _pyramid(folder), np.kron(GREY, np.ones((4, 4), np.uint8))),
    ],
    "alpha": [
        (pil("a.tif", Image.fromarray(np.dstack([GREY, 0 * GREY + 255]), "LA")), GREY),
        (tif(array=np.dstack([RGB, 0 * GREY + 7]), photometric="rgb", extrasamples=["assocalpha"]),
         RGB),
        (pil("a.png", Image.fromarray(np.dstack([RGB, 0 * GREY + 255]))), RGB),
    ],
    "transparent": [
        (pil("a.png", Image.fromarray(FOUR)), FOUR[..., :3]),
        (pil("a.png", Image.fromarray(FOUR[..., :2].copy(), "LA")), GREY),
        (tif(array=FOUR, photometric="rgb", extrasamples=["unassalpha"]), FOUR[..., :3]),
        (png_with_alpha_table,
         np.asarray(Image.fromarray(RGB).quantize(8).convert("RGB"))),
    ],
    "blank-fourth": [
        (npy(np.dstack([RGB, 0 * GREY + 255])), RGB),
        (npz(np.dstack([RGB, 0 * GREY])), RGB),
        (tif(array=np.stack([*DEEP[:3], 0 * DEEP[0]]), imagej=True, metadata={"axes": "CYX"}),
         DEEP[:3].transpose(1, 2, 0)),
    ],
    "planes": [
        (tif(array=DEEP[:3], photometric="minisblack"), DEEP[:3].transpose(1, 2, 0)),
        (tif(array=DEEP[:2], photometric="minisblack"), DEEP[:2].transpose(1, 2, 0)),
        (npy(DEEP[:3]), DEEP[:3].transpose(1, 2, 0)),
        (npz(DEEP[:2]), DEEP[:2].transpose(1, 2, 0)),
    ],
    "min-is-white": [
        (tif(photometric="miniswhite"), GREY),
        (tif(array=DEEP[0], photometric="miniswhite", compression="zlib"), DEEP[0]),
    ],
    "colour-table": [
        (tif(photometric="palette", colormap=PALETTE),
         (PALETTE >> 8).astype(np.uint8)[:, GREY].transpose(1, 2, 0)),
        (pil("a.tif", QUANTIZED), np.asarray(QUANTIZED.convert("RGB"))),
    ],
    "cmyk": [
        (pil("a.tif", Image.fromarray(RGB).convert("CMYK")), RGB),
        (pil("a.tif", Image.fromarray(RGB).convert("CMYK"), compression="tiff_lzw"), RGB),
        (pil("a.jpg", Image.new("RGB", (W, H), (90,) * 3).convert("CMYK")),
         np.full_like(RGB, 90)),
    ],
    "orientation": [
        (retagged(GREY, {274: 6}, extratags=[(274, 3, 1, 1, True)]), GREY),
        (retagged(RGB, {274: 2}, photometric="rgb", extratags=[(274, 3, 1, 1, True)]), RGB),
        (pil("a.jpg", Image.new("L", (W, H), 90), exif=exif(8)), np.full((H, W), 90, np.uint8)),
        (pil("a.png", Image.fromarray(RGB), exif=exif(3)), RGB),
    ],
    "ome-companions": [
        (ome(ome_xml("s_C0.ome.tif", "s_C1.ome.tif", own=1)), GREY),
        (ome(ome_xml("s_C0.ome.tif", "s_C1.ome.tif"), "s_C0.ome.tif"), GREY),
        (ome(BINARY_ONLY), GREY),
    ],
    "second-picture": [(mpo, None)],
}  # fmt: skip

REFUSED = {
    "fourth-channel": [
        tif(array=DEEP, imagej=True, metadata={"axes": "CYX"}),
        tif("a.ome.tif", DEEP, photometric="minisblack", metadata={"axes": "CYX"}),
        tif(array=DEEP, photometric="minisblack"),
        tif(array=FOUR, photometric="rgb", extrasamples=["unspecified"]),
        tif(array=FOUR, photometric="minisblack", planarconfig="contig"),
        npy(DEEP),
        npy(FOUR),
        npz(DEEP),
    ],
    "stack": [
        tif(array=DEEP[:3], photometric="minisblack", metadata={"axes": "ZYX"}),
        tif(array=DEEP[:3], imagej=True, metadata={"axes": "TYX"}),
        tif("a.ome.tif", DEEP, photometric="minisblack", metadata={"axes": "TYX"}),
        tif(array=np.stack([RGB, RGB]), photometric="rgb"),
        pages(GREY, GREY),
    ],
    "shape": [
        tif(array=np.zeros((7, H, W), np.uint8), photometric="minisblack"),
        npy(np.zeros((7, H, W), np.uint8)),
        npy(np.zeros((2, 3, H, W), np.uint8)),
        tif(array=np.zeros((H, W, 6), np.uint8), photometric="minisblack", planarconfig="contig"),
    ],
    "many-images": [pages(GREY, GREY[:9]), pages(GREY, RGB)],
    "animation": [animation],
    "missing-planes": [ome(ome_xml(planes=3))],
    "cielab": [tif(array=RGB, photometric="cielab"), tif(array=RGB, photometric="icclab")],
    "ycbcr-other": [
        retagged(RGB, {530: (2, 2)}, photometric="ycbcr", extratags=[(530, 3, 2, (1, 1), True)]),
        retagged(RGB, {530: (1, 1)}, photometric="ycbcr",
                 extratags=[(530, 3, 2, (1, 1), True), (529, 5, 3, (1, 3, 1, 3, 1, 3), True)]),
    ],
    "other-colours": [
        retagged(GREY, {262: 32803}),
        retagged(RGB, {262: 34892}, photometric="rgb"),
        retagged(FOUR, {262: 5}, photometric="rgb"),
        retagged(GREY, {262: 2}),
        retagged(GREY, {262: 4242}),
    ],
    "compression": [
        retagged(GREY, {259: 34661}, compression="zlib"),
        retagged(GREY, {259: 6}, compression="zlib"),
        retagged(GREY, {259: 65000}, compression="zlib"),
    ],
    "jpeg-kind": [lossless_jpeg, jpeg_of_kind(0xC9), jpeg_of_kind(0xC3)],
    "pixel-type": [
        npy(GREY.astype(complex)),
        npy(np.full((3, 3), "x")),
        tif(array=GREY.astype(np.complex64), photometric="minisblack"),
    ],
}  # fmt: skip


def _pyramid(folder):
    large = np.kron(GREY, np.ones((4, 4), np.uint8))
    with tifffile.TiffWriter(folder / "a.tif") as writer:
        writer.write(large, tile=(64, 64), subifds=1)
        writer.write(large[::2, ::2], tile=(64, 64), subfiletype=1)
        writer.write(large[::4, ::4], subfiletype=1)
    return folder / "a.tif"


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, k) for rule, cases in READ.items() for k in range(len(cases))]
)
def test_what_is_read(tmp_path, rule, number):
    make, expected = READ[rule][number]
    picture = open_image(make(tmp_path))
    if expected is not None:
        assert picture.pixels.dtype == expected.dtype
        assert picture.pixels.shape == expected.shape
        loss = np.abs(picture.pixels.astype(float) - expected.astype(float)).max()
        assert loss <= 2 * (rule in ("cmyk", "ycbcr"))
    told = {finding.code for finding in picture.findings}
    assert (rule in told) == (RULES[rule].answer == "told")
    assert picture.pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, k) for rule, cases in REFUSED.items() for k in range(len(cases))]
)
def test_what_is_refused_is_named_with_its_remedy(tmp_path, rule, number):
    path = REFUSED[rule][number](tmp_path)
    with pytest.raises(UnsupportedImageError) as error:
        read_image(path)
    for words in (path.name, RULES[rule].says, RULES[rule].meaning):
        assert words in str(error.value)


def test_every_rule_is_tried():
    untried = set(RULES) - set(READ) - set(REFUSED)
    # An image set that lies in several files cannot be written by tifffile.
    assert untried == {"file-set"}
    assert all(RULES[rule].answer in ANSWERS for rule in RULES)
    assert {rule for rule in RULES if RULES[rule].answer == "refused"} == {*REFUSED, "file-set"}


def test_the_documented_list_is_the_one_that_is_used():
    text = (PROJECT / "docs/images-and-labels.md").read_text(encoding="utf-8")
    assert rules_table() in text


def test_pixels_of_another_file_are_never_taken(tmp_path):
    """A pair of files that name each other: each is itself, beside the other and alone."""
    names = ("s_C0.ome.tif", "s_C1.ome.tif")
    for own, (name, array) in enumerate(zip(names, (GREY, 255 - GREY), strict=True)):
        ome(ome_xml(*names, own=own), name, array)(tmp_path)
    np.testing.assert_array_equal(read_image(tmp_path / names[0]), GREY)
    np.testing.assert_array_equal(read_image(tmp_path / names[1]), 255 - GREY)
    (tmp_path / names[0]).rename(tmp_path / "renamed.tif")
    picture = open_image(tmp_path / "renamed.tif")
    np.testing.assert_array_equal(picture.pixels, GREY)
    assert "s_C1.ome.tif" in picture.findings[0].message


def test_a_large_png_is_read(tmp_path):
    """Pillow would refuse it; a field of a slide scanner is as large."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    side = 14_000
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes((side // 8 + 1) * side))
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    (tmp_path / "a.png").write_bytes(content)
    assert read_image(tmp_path / "a.png").shape == (side, side)


# Labels.

IDS = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((5, 6), np.uint8))


def seg_npy(folder):
    saved = {"masks": IDS.astype(np.uint16), "outlines": IDS > 0, "diameter": np.float32(6.5)}
    saved |= {"chan_choose": [0, 0], "flows": [[IDS > 1], None], "filename": "a.png"}
    np.save(folder / "a_seg.npy", saved, allow_pickle=True)
    return folder / "a_seg.npy"


def voc(name):
    def make(folder):
        image = Image.fromarray(IDS, "P")
        image.putpalette([0, 0, 0, *np.random.default_rng(0).integers(0, 256, 765).tolist()])
        image.save(folder / name)
        return folder / name

    return make


@pytest.mark.parametrize(
    "make",
    [
        tif(array=IDS, photometric="palette", colormap=PALETTE),
        voc("a.png"),
        voc("a.bmp"),
        pil("a.bmp", Image.fromarray(IDS)),
        tif(array=IDS.astype(np.float32)),
        tif(array=IDS.astype(np.float64)),
        npy(IDS.astype(np.float16)),
        npy(IDS.astype(np.int64)),
        npz(IDS),
        pil("a.png", Image.fromarray(np.dstack([IDS] * 3))),
        pil("a.png", Image.fromarray(np.dstack([IDS, IDS, IDS, 0 * IDS + 255]))),
        pil("a.png", Image.fromarray(np.dstack([IDS, 0 * IDS + 255]), "LA")),
        tif(array=np.dstack([IDS] * 3), photometric="rgb"),
        tif(photometric="miniswhite", array=IDS),
        seg_npy,
    ],
)
def test_labels_as_programs_write_them(tmp_path, make):
    labels = open_label(make(tmp_path)).pixels
    assert labels.dtype.kind == "u"
    np.testing.assert_array_equal(labels, IDS)


def test_an_archive_of_image_and_label_gives_each(tmp_path):
    np.savez(tmp_path / "a.npz", image=GREY, label=IDS)
    np.testing.assert_array_equal(open_image(tmp_path / "a.npz").pixels, GREY)
    np.testing.assert_array_equal(open_label(tmp_path / "a.npz").pixels, IDS)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (tif(array=IDS + 0.25), "not whole numbers"),
        (npy(np.where(IDS, IDS, np.nan)), "not whole numbers"),
        (npy(np.full((3, 3), -1.0)), "negative or beyond"),
        (npy(np.full((3, 3), 1e30)), "negative or beyond"),
        (pil("a.png", Image.fromarray(RGB)), "channels differ.*Export the ids"),
        (tif(array=DEEP[:2], photometric="minisblack"), "channels differ"),
        (pil("a.jpg", Image.fromarray(IDS)), "lossy"),
        (pil("a.png", Image.fromarray(IDS), format="jpeg"), "lossy"),
    ],
)
def test_labels_that_hold_no_ids_are_refused(tmp_path, make, words):
    with pytest.raises(UnsupportedImageError, match=words):
        open_label(make(tmp_path))


class Harmful:
    """A pickle of it calls a function when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_what_a_pickle_asks_for_is_not_run(tmp_path):
    saved = {"masks": IDS, "more": Harmful(tmp_path / "written")}
    np.save(tmp_path / "a_seg.npy", saved, allow_pickle=True)
    with pytest.raises(UnsupportedImageError, match=r"a_seg\.npy.*asks for .*open.*Export it"):
        open_label(tmp_path / "a_seg.npy")
    assert not (tmp_path / "written").exists()
    np.save(tmp_path / "b_seg.npy", {"other": IDS}, allow_pickle=True)
    with pytest.raises(UnsupportedImageError, match=r"b_seg\.npy.*KeyError.*Export it"):
        open_label(tmp_path / "b_seg.npy")
