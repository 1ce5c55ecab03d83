"""Label images made again from fixed cases equal those that kept runs hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import frozen
from cellharness.data.images import model_input, read_image, read_label
from cellharness.data.manifest import Manifest
from cellharness.methods.child_process import seed_everything
from cellharness.methods.registry import build
from cellharness.run_directory import MethodRecord, RunDirectory, RunRecord
from cellharness.running.worker import check_labels

#: A processor may round otherwise and so move a pixel of an outline.
_SAME_PIXELS = 0.999
_CASES = 3


def remade(run: Path, method: MethodRecord):
    """Yield name, kept and new label image of one case a modality, of no more than a few."""
    root = run / RunRecord.read(run / "run.json").dataset.root
    manifest = Manifest.read(run / "manifest.csv", root)
    chosen = {case.modality: case for case in reversed(manifest.cases)}
    segmenter = build(method.adapter, method.parameters)
    segmenter.weights()
    segmenter.load()
    for case in list(chosen.values())[:_CASES]:
        image = model_input(read_image(case.image), method.input)
        seed_everything(0)
        segmenter.begin_case(case)
        made = check_labels(segmenter.segment(image), image.shape[:2])
        yield case.case, read_label(RunDirectory(run).prediction(method.name, case.case)), made


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("demo", "otsu-watershed"),
        pytest.param("demo", "cellpose-cyto", marks=pytest.mark.slow),
        pytest.param("real", "otsu-watershed", marks=pytest.mark.slow),
        pytest.param("real", "cellpose", marks=pytest.mark.slow),
        pytest.param("real", "omnipose", marks=pytest.mark.slow),
    ],
)
def test_masks_made_again_equal_the_kept_ones(name, method, tmp_path, request):
    try:
        run = frozen.prepare(name, tmp_path)
    except frozen.MissingImagesError as error:
        pytest.skip(str(error))
    record = next(m for m in RunRecord.read(run / "run.json").methods if m.name == method)
    if record.weights:
        request.getfixturevalue("cyto")
    if record.adapter.startswith("omnipose"):
        pytest.importorskip("omnipose", reason="needs the extra 'omnipose'")
    for case, kept, made in remade(run, record):
        assert made.shape == kept.shape
        # Numbers of cells may be given in another order where an outline moved.
        same = np.mean((made > 0) == (kept > 0))
        assert same >= _SAME_PIXELS, f"{case}: {same:.4f} of the pixels are the same"
        assert abs(int(made.max()) - int(kept.max())) <= 1, case
