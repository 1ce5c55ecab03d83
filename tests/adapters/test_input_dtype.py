"""Grey images are handed over as float32; that must not change what Cellpose finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from cellharness.data.images import read_image, read_label, to_gray
from cellharness.methods.registry import build
from cellharness.running.worker import MethodSpec, Task, segment_case

pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

# A 16-bit image, colour (the paper's preprocessing leaves it float64), and an 8-bit one.
CASES = {"cell_00116": np.uint16, "cell_00062": np.float64, "cell_00115": np.uint8}


@pytest.mark.weights
@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if kind is np.float64 else pytest.mark.slow)
        for name, kind in sorted(CASES.items())
    ],
)
def test_masks_are_those_of_the_papers_own_grey_image(cyto, realdata, tmp_path, name):
    # A corner that the network takes in one tile.
    corner = read_image(realdata[name].image)[:160, :160]
    case = replace(realdata[name], image=tmp_path / "corner.tif")
    tifffile.imwrite(case.image, corner)
    gray = to_gray(read_image(case.image))
    assert gray.dtype == CASES[name]
    options = {"weights": "cyto", "diameter": 20, "precision": "stock", "device": "cpu"}
    method = build("cellpose", options)
    method.load()
    expected = method._model.eval(gray, channels=[0, 0], diameter=20.0)[0]
    assert expected.max() > 3
    task = Task(case, tmp_path / "mask.tiff")
    outcome = segment_case(method, MethodSpec("cellpose", options, None, 0), task, {})
    assert outcome.status == "ok", outcome.message
    np.testing.assert_array_equal(read_label(task.prediction), expected)
