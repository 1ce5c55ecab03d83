"""Sound files that an installation without an optional package cannot read."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from cellharness.data import decoding
from cellharness.data.images import read_image
from cellharness.errors import MissingDependencyError

GREY = np.arange(24 * 39, dtype=np.uint8).reshape(24, 39)
TOLD = r"Reading .*{name} needs a package that is not installed: .*imagecodecs"
REMEDY = r".*pip install 'imagecodecs>="


def test_a_png_without_imagecodecs_names_the_package_and_not_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path)
    assert (read_image(path) == GREY).all()
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingDependencyError, match=TOLD.format(name=r"a\.png") + REMEDY):
        read_image(path)


# tifffile looks for imagecodecs once, where it is imported.
ALONE = """
import sys
sys.modules["imagecodecs"] = None
from cellharness.data.images import read_image
from cellharness.data.regions import open_regions
from cellharness.errors import MissingDependencyError
from pathlib import Path

for path in map(Path, sys.argv[1:]):
    try:
        print(path.name, read_image(path).sum())
    except Exception as error:
        print(path.name, type(error).__name__, error)
    try:
        with open_regions(path) as regions:
            print(path.name, "opened")
    except Exception as error:
        print(path.name, type(error).__name__)
"""


def test_a_tiff_without_imagecodecs_names_it_where_the_compression_needs_it(tmp_path):
    kinds = {
        "plain": {},
        "zlib": {"compression": "zlib", "predictor": 2},
        "lzw": {"compression": "lzw"},
        "floats": {"compression": "zlib", "predictor": 3},
        "12-bit": {},
    }
    paths = []
    for name, options in kinds.items():
        paths.append(tmp_path / f"{name}.tif")
        tifffile.imwrite(
            paths[-1], GREY.astype(np.float32 if name == "floats" else "u1"), **options
        )
    # Of its bytes, two thirds as many pixels of 12 bits.
    with tifffile.TiffFile(paths[-1], mode="r+b") as tiff:
        for tag, value in ((258, 12), (256, GREY.shape[1] * 2 // 3)):
            tiff.pages[0].tags[tag].overwrite(value)
    (tmp_path / "cut.tif").write_bytes(paths[1].read_bytes()[:100])
    paths.append(tmp_path / "cut.tif")
    called = subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    said = called.stdout.splitlines()
    total = int(GREY.astype(int).sum())
    assert said[:4] == [
        f"plain.tif {total}",
        "plain.tif opened",
        f"zlib.tif {total}",
        "zlib.tif opened",
    ]
    for line in said[4:10:2]:
        assert "MissingDependencyError Reading" in line
        assert "pip install 'imagecodecs>=" in line
    names = ("lzw", "floats", "12-bit")
    assert said[5:11:2] == [f"{name}.tif MissingDependencyError" for name in names]
    # What is damaged is so with and without the package.
    assert said[10].startswith("cut.tif ImageError")


def test_any_package_that_a_decoder_does_not_find_is_told(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    np.save(path, GREY)

    def needs_more(path, labels):
        import no_such_decoder  # noqa: F401

    monkeypatch.setattr(decoding, "_READERS", {".npy": needs_more})
    with pytest.raises(MissingDependencyError, match="provides the module 'no_such_decoder'"):
        read_image(path)
