"""The CUDA path of trainings and of the distance U-Net; skips without a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")

from cellharness.data.manifest import Manifest
from cellharness.methods.registry import build
from cellharness.training import steps
from cellharness.training.trainer import build_trainer

pytestmark = pytest.mark.gpu

SHORT = {"epochs": 2, "validate_every": 1, "batch_size": 2, "device": "cuda"}
KIT_GE = {"recipe": "short", "filters": (4, 16), "crop": 64, "scale": 1.0, **SHORT}
CELLPOSE = {"recipe": "short", "weights": "cyto", **SHORT}


@pytest.fixture
def cases(small_manifest):
    return list(Manifest.read(small_manifest).cases)


@pytest.mark.parametrize("precision", ["auto", "float32", "float16"])
@pytest.mark.parametrize(("method", "options"), [("kit-ge", KIT_GE), ("cellpose2", CELLPOSE)])
def test_a_training_goes_through_on_the_gpu(cyto, cases, tmp_path, method, options, precision):
    records = []
    parameters = {**options, "precision": precision}
    trainer = build_trainer(method, parameters, input=None, seed=0, watch=records.append)
    assert trainer.resolved()["device"] == "cuda"
    checkpoint = trainer.fit(cases[:4], cases[4:], tmp_path)
    assert checkpoint.is_file()
    assert np.isfinite([record.train_loss for record in records[-2:]]).all()
    assert records[-1].scores


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("method", "options"), [("kit-ge", KIT_GE), ("cellpose2", CELLPOSE)])
def test_recorded_steps_learn_what_steps_without_a_recording_learn(
    cyto, cases, tmp_path, monkeypatch, method, options, precision
):
    # Three steps an epoch, the last of another size.
    size = {"crops_per_epoch" if method == "kit-ge" else "images_per_epoch": 5}
    parameters = {**options, **size, "epochs": 6, "precision": precision, "sampling": "balanced"}
    repeated = []
    repeat = steps._Recording.repeat
    monkeypatch.setattr(
        steps._Recording, "repeat", lambda self, batch: repeated.append(1) or repeat(self, batch)
    )

    def losses(before):
        monkeypatch.setattr(steps, "BEFORE_RECORDING", before)
        records = []
        trainer = build_trainer(method, parameters, input=None, seed=0, watch=records.append)
        trainer.fit(cases[:4], cases[4:], tmp_path / str(before))
        return [(record.train_loss, record.validation_loss) for record in records[-6:]]

    known = losses(before=10**9)
    assert not repeated
    found = losses(before=1)
    assert len(repeated) == 2 * 6 - 1
    assert np.isfinite(known).all()
    # It learns more than the two may differ by.
    assert known[-1][1] < 0.85 * known[0][1]
    # Sums of a GPU's gradients may come in another order from one training to the next.
    np.testing.assert_allclose(found, known, rtol=0.02, atol=0.002)


def test_the_distance_unet_finds_the_same_cells_on_the_gpu(cases, tmp_path):
    options = {**KIT_GE, "filters": (8, 32), "epochs": 12, "learning_rate": 3e-3, "device": "cpu"}
    trainer = build_trainer("kit-ge", options, input=None, seed=0, watch=None)
    checkpoint = trainer.fit(cases[:4], cases[4:], tmp_path)
    image = tifffile.imread(cases[5].image)
    masks = []
    for device in ("cpu", "cuda"):
        weights = {"weights": str(checkpoint), "device": device, "precision": "float32"}
        method = build("kit-ge", weights)
        method.load()
        masks.append(method.segment(image))
    assert masks[0].max() == masks[1].max()
    assert np.mean((masks[0] > 0) == (masks[1] > 0)) > 0.999


def test_batches_are_made_in_memory_that_the_gpu_reads_by_itself(cyto, cases):
    from cellharness.training.samples import read_labelled
    from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters
    from cellharness_adapters.cellpose.learner import CellposeLearner

    options = FinetuningParameters.model_validate(CELLPOSE)
    learner = CellposeLearner(cyto, read_labelled(cases[:2], "gray_max"), [], options)
    np.random.seed(0)  # noqa: NPY002
    for batch in learner.batches(0):
        assert all(part.is_pinned() for part in batch)
