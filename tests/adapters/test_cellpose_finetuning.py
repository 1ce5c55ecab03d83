"""Fine-tuning against the library's own training, and against bad training data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

from cellpose import train as library  # noqa: E402

from cellharness.data.manifest import Manifest  # noqa: E402
from cellharness.errors import UsageError  # noqa: E402
from cellharness.methods.registry import build  # noqa: E402
from cellharness.training import loop  # noqa: E402
from cellharness.training.samples import TrainingDataError, read_labelled  # noqa: E402
from cellharness.training.trainer import build_trainer  # noqa: E402
from cellharness.weights import WeightFileError, local_weights  # noqa: E402
from cellharness_adapters.cellpose.cpu.flows import flows_of  # noqa: E402
from cellharness_adapters.cellpose.finetuning import CellposeTrainer  # noqa: E402
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters  # noqa: E402
from cellharness_adapters.cellpose.learner import CellposeLearner, learning_rates  # noqa: E402
from cellharness_adapters.cellpose.network import load_network  # noqa: E402


@pytest.fixture
def cases(small_manifest):
    return list(Manifest.read(small_manifest).cases)


def options(**more):
    given = {
        "recipe": "short",
        "weights": "cyto",
        "epochs": 2,
        "batch_size": 2,
        "learning_rate": 0.2,
        "precision": "float32",
        "device": "cpu",
    }
    return FinetuningParameters.model_validate({**given, **more})


@pytest.mark.usefixtures("one_core")
def test_epochs_are_those_of_the_library(cyto, cases, small_crops, tmp_path, monkeypatch):
    # The library knows no seed: it seeds an epoch with its number.
    monkeypatch.setattr(loop, "_seed_of_epoch", lambda _, epoch: epoch)
    used = cases[:2]
    records = []
    checkpoint = CellposeTrainer(options(epochs=3), watch=records.append).fit(used, [], tmp_path)
    ours = torch.load(checkpoint, weights_only=True)

    samples = read_labelled(used, "gray_max")
    network = load_network(cyto.files["network"], 27.0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    _, losses, _ = library.train_seg(
        network,
        train_data=[sample.image for sample in samples],
        train_labels=[sample.labels.astype(np.int32) for sample in samples],
        channels=[0, 0],
        batch_size=2,
        learning_rate=0.2,
        n_epochs=3,
        weight_decay=1e-5,
        SGD=True,
        bsize=small_crops,
        save_path=tmp_path,
    )
    # Channels-last convolutions sum in another order; nothing else differs.
    np.testing.assert_allclose([record.train_loss for record in records], losses, rtol=1e-3)
    theirs = network.state_dict()
    for name, value in theirs.items():
        moved = (value - before[name]).abs().max() if value.is_floating_point() else 0
        assert (ours[name] - value).abs().max() <= 0.02 * moved + 1e-5, name
    # Any cellpose reads the checkpoint, the training mean diameter included.
    again = load_network(checkpoint, 30.0)
    assert again.diam_mean.item() == 27.0
    assert again.diam_labels.item() == pytest.approx(theirs["diam_labels"].item())


@pytest.mark.parametrize("epochs", [3, 10, 60, 150, 500])
def test_learning_rates_rise_and_fall_as_published(epochs):
    rates = learning_rates(0.2, epochs)
    assert len(rates) == epochs
    assert rates[0] == 0
    assert rates.max() == (0.2 if epochs >= 10 else rates[-1])
    if epochs > 100:
        assert rates[-1] == pytest.approx(0.2 / 2**10)


def test_the_recipes_fill_what_is_not_given():
    paper = FinetuningParameters.model_validate({})
    assert (paper.epochs, paper.batch_size, paper.learning_rate) == (500, 32, 0.2)
    assert (paper.optimizer, paper.weight_decay, paper.weights) == ("sgd", 1e-5, "cyto2")
    mixed = FinetuningParameters.model_validate({"recipe": "short", "epochs": 7})
    assert (mixed.epochs, mixed.batch_size) == (7, 8)
    with pytest.raises(UsageError, match="recipe: Input should be 'paper' or 'short'"):
        build_trainer("cellpose2", {"recipe": "long"}, input=None, seed=0, watch=None)


@pytest.mark.usefixtures("small_crops")
def test_a_resumed_fine_tuning_ends_with_the_same_bits(cyto, cases, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STATE_EVERY_S", -1.0)

    class StopError(Exception):
        pass

    def stop(record):
        if record.epoch == 1:
            raise StopError

    whole = CellposeTrainer(options(epochs=2)).fit(cases[:2], [], tmp_path / "whole")
    with pytest.raises(StopError):
        CellposeTrainer(options(epochs=2), watch=stop).fit(cases[:2], [], tmp_path / "broken")
    resumed = CellposeTrainer(options(epochs=2)).fit(cases[:2], [], tmp_path / "broken")
    assert whole.read_bytes() == resumed.read_bytes()


@pytest.mark.usefixtures("small_crops", "one_core")
def test_validation_is_scored_by_modality(cyto, cases, tmp_path):
    trainer = CellposeTrainer(options(epochs=1, validate_every=1))
    trainer.fit(cases[:2], cases[2:4], tmp_path)
    scores = pd.read_csv(tmp_path / "validation.csv").set_index(["epoch", "modality"])
    assert list(scores.index) == [
        (epoch, name) for epoch in (0, 1) for name in ("DIC", "Fluorescent", "all")
    ]
    # Nine bright discs on a dark ground are no trouble to cyto.
    assert (scores["mean_f1"] > 0.9).all()
    assert pd.read_csv(tmp_path / "epochs.csv")["validation_loss"].notna().all()


@pytest.mark.usefixtures("small_crops", "one_core")
def test_the_result_predicts_with_the_training_mean(cyto, cases, tmp_path):
    checkpoint = CellposeTrainer(options(epochs=1)).fit(cases[:2], [], tmp_path)
    method = build("cellpose2", {"weights": str(checkpoint), "precision": "float32"})
    method.load()
    method.begin_case(cases[2])
    masks = method.segment(tifffile.imread(cases[2].image))
    assert masks.max() == 9
    details = method.details()
    assert details["diameter_policy"] == "training_mean"
    assert details["diameter"] == pytest.approx(15.8, abs=1.0)
    with pytest.raises(UsageError, match="weights"):
        build("cellpose2", {})


@pytest.mark.usefixtures("one_core")
def test_a_size_model_of_other_weights_estimates_the_diameter(cyto, cases, tmp_path):
    path = tmp_path / "copy.pt"
    torch.save(load_network(cyto.files["network"], 27.0).state_dict(), path)
    image = tifffile.imread(cases[2].image).astype(np.float32)

    def segmented(method, **parameters):
        made = build(method, {"precision": "float32", "diameter": "estimate", **parameters})
        made.load()
        made.begin_case(cases[2])
        return made.segment(image), made.details()["diameter"]

    expected = segmented("cellpose", weights="cyto")
    masks, diameter = segmented("cellpose2", weights=str(path), size_weights="cyto")
    assert diameter == expected[1]
    assert np.array_equal(masks, expected[0])
    with pytest.raises(UsageError, match=r"'copy.pt' have none; name weights that do"):
        segmented("cellpose2", weights=str(path))


def test_flows_are_kept_and_a_damaged_file_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))
    labels = np.zeros((40, 50), np.uint16)
    labels[5:20, 5:25] = 7
    labels[22:38, 20:44] = 70000 % 65536
    first = flows_of(labels)
    assert first.shape == (3, 40, 50)
    assert np.array_equal(first[0], labels > 0)
    (kept,) = (tmp_path / "flows").glob("*-flows.npy")
    assert np.array_equal(flows_of(labels), first)
    for length in (0, 50, 200):
        kept.write_bytes(kept.read_bytes()[:length])
        assert np.array_equal(flows_of(labels), first)
    kept.write_bytes(b"no array at all")
    assert np.array_equal(flows_of(labels), first)
    assert not np.array_equal(flows_of(labels.T)[1], first[1])


@pytest.mark.usefixtures("small_crops", "one_core")
def test_cases_that_are_not_learned_from_are_named(cyto, cases, tmp_path):
    poor = cases[1]
    labels = tifffile.imread(poor.label)
    tifffile.imwrite(poor.label, np.where(labels > 2, 0, labels))
    trainer = CellposeTrainer(options(epochs=1))
    trainer.fit(cases[:2], [], tmp_path)
    assert trainer.left_out == (poor.case,)


class TestTrainingData:
    def learner(self, cyto, samples, **more):
        return CellposeLearner(cyto, samples, [], options(**more))

    def test_images_without_enough_cells_are_left_out_or_refused(self, cyto, cases):
        samples = read_labelled(cases[:2], "gray_max")
        samples[0].labels[samples[0].labels > 2] = 0
        learner = self.learner(cyto, samples)
        assert len(learner._train) == 1
        samples[1].labels[:] = 0
        with pytest.raises(TrainingDataError, match="none of 2 training images has 5 cells"):
            self.learner(cyto, samples)

    def test_one_cell_no_cell_and_a_tiny_image_make_batches(self, cyto, cases):
        samples = read_labelled(cases[:3], "gray_max")
        samples[0].labels[samples[0].labels > 1] = 0
        samples[1].labels[:] = 0
        object.__setattr__(samples[2], "image", samples[2].image[:30, :30])
        object.__setattr__(samples[2], "labels", samples[2].labels[:30, :30])
        learner = self.learner(cyto, samples, min_cells=0)
        np.random.seed(0)  # noqa: NPY002
        batches = list(learner.batches(0))
        assert [len(images) for images, *_ in batches] == [2, 1]
        assert all(torch.isfinite(part).all() for batch in batches for part in batch)

    def test_balanced_sampling_draws_modalities_equally_often(self, cyto, cases):
        samples = read_labelled([cases[0], cases[2], cases[4], cases[1]], "gray_max")
        learner = self.learner(cyto, samples, sampling="balanced")
        assert learner._probabilities == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])

    def test_colour_images_train_in_their_own_channels(self, cyto, cases):
        samples = read_labelled(cases[:1], "gray_max")
        colour = np.stack([samples[0].image, 0 * samples[0].image, 255 - samples[0].image], -1)
        object.__setattr__(samples[0], "image", colour)
        learner = self.learner(cyto, samples, channels=(1, 3))
        ((images, *_),) = learner.batches(0)
        assert images.shape == (1, 2, 224, 224)
        assert not torch.equal(images[:, 0], images[:, 1])


def test_weights_of_another_network_are_refused(tmp_path, cases):
    path = tmp_path / "other.pt"
    torch.save({"conv.weight": torch.zeros(3, 3)}, path)
    weights = local_weights(path)
    samples = read_labelled(cases[:1], "gray_max")
    with pytest.raises(WeightFileError, match="does not fit Cellpose's network"):
        CellposeLearner(weights, samples, [], options())
