"""What a fine-tuning can do against forgetting: each option against what it is said to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")

import torch.nn.functional as F  # noqa: E402, N812

from cellharness.data.manifest import Manifest  # noqa: E402
from cellharness.errors import UsageError  # noqa: E402
from cellharness.methods.registry import build  # noqa: E402
from cellharness.training.samples import TrainingDataError, each, read_labelled  # noqa: E402
from cellharness.training.trainer import build_trainer  # noqa: E402
from cellharness_adapters.cellpose.finetuning import CellposeTrainer  # noqa: E402
from cellharness_adapters.cellpose.finetuning_parameters import FinetuningParameters  # noqa: E402
from cellharness_adapters.cellpose.learner import CellposeLearner  # noqa: E402
from cellharness_adapters.cellpose.network import load_network  # noqa: E402
from cellharness_adapters.cellpose.replay import replay_samples  # noqa: E402

pytestmark = pytest.mark.usefixtures("small_crops", "one_core")


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


def learner(cyto, cases, replay=(), **more):
    return CellposeLearner(cyto, read_labelled(cases, "gray_max"), [], options(**more), replay)


def one_epoch(made, epoch=1):
    made.start_epoch(epoch)
    made.train_mode()
    np.random.seed(0)  # noqa: NPY002 - the learner draws from the global stream
    for batch in made.batches(epoch):
        made.optimizer.zero_grad()
        made.loss(made.model, batch).backward()
        made.optimizer.step()


def test_a_frozen_encoder_stays_as_it_was_and_the_decoder_learns(cyto, cases):
    made = learner(cyto, cases[:2], encoder_rate=0)
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    one_epoch(made)
    moved = {
        name for name, value in made.model.state_dict().items() if not value.equal(before[name])
    }
    assert not [name for name in moved if name.startswith("downsample.")]
    assert {name.split(".")[0] for name in moved} >= {"upsample", "output"}


def test_the_encoder_learns_at_its_share_of_the_rate(cyto, cases):
    made = learner(cyto, cases[:2], encoder_rate=0.1, epochs=20)
    made.start_epoch(9)
    rates = [group["lr"] for group in made.optimizer.param_groups]
    assert rates == pytest.approx([0.2, 0.02])
    count = sum(len(group["params"]) for group in made.optimizer.param_groups)
    assert count == len(list(made.model.parameters()))
    encoder = {id(parameter) for parameter in made.model.downsample.parameters()}
    assert {id(p) for p in made.optimizer.param_groups[1]["params"]} == encoder


def test_replayed_crops_come_on_top_of_each_batch(cyto, cases):
    replay = read_labelled(cases[2:4], "gray_max")
    made = learner(cyto, cases[:2], replay, batch_size=2, replay_ratio=1.5)
    np.random.seed(0)  # noqa: NPY002
    (batch,) = list(made.batches(0))
    assert [len(part) for part in batch] == [5, 5, 5]
    assert batch[2].all()
    # The winner's 1 for 8; at least one, however small the batch.
    few = learner(cyto, cases[:2], replay, batch_size=2)
    np.random.seed(0)  # noqa: NPY002
    assert [len(batch[0]) for batch in few.batches(0)] == [3]


def test_a_training_without_replay_is_not_changed_by_its_options(cyto, cases):
    plain, other = learner(cyto, cases[:2]), learner(cyto, cases[:2], replay_ratio=0.5)
    for made in (plain, other):
        one_epoch(made)
    theirs = other.model.state_dict()
    assert all(value.equal(theirs[name]) for name, value in plain.model.state_dict().items())


@pytest.mark.parametrize("truth", ["model", "none"])
def test_images_are_replayed_without_labels_of_their_own(cyto, cases, truth):
    bare = [replace(case, label=None) for case in cases[2:4]]
    samples = replay_samples(bare, "gray_max", truth, "cyto")
    given = read_labelled(cases[2:4], "gray_max")
    # Nine bright discs, which cyto finds by itself.
    assert [sample.n_cells for sample in samples] == [sample.n_cells for sample in given] == [9, 9]
    made = learner(cyto, cases[:2], samples, replay_labels=truth, distillation=1.0)
    np.random.seed(0)  # noqa: NPY002
    (batch,) = list(made.batches(0))
    assert batch[2].tolist() == [True, True, truth == "model"]
    with pytest.raises(TrainingDataError, match="it has no label image"):
        each(replay_samples(bare, "gray_max", "given", "cyto"), lambda sample: sample.n_cells)


def test_distillation_adds_the_loss_against_the_starting_weights(cyto, cases):
    made = learner(cyto, cases[:2], distillation=0.7)
    made.model.eval()
    np.random.seed(0)  # noqa: NPY002
    (batch,) = list(made.batches(0))
    images, targets, _ = batch
    start = load_network(cyto.files["network"], 27.0).eval()
    with torch.no_grad():
        # A student that has moved away from its teacher.
        made.model.output[2].weight.mul_(1.1)
        output, taught = made.model(images)[0], start(images)[0]
        own = F.mse_loss(output[:, :2], 5 * targets[:, 1:]) / 2
        own = own + F.binary_cross_entropy_with_logits(output[:, 2], targets[:, 0])
        second = F.mse_loss(output[:, :2], taught[:, :2]) / 2
        second = second + F.binary_cross_entropy_with_logits(output[:, 2], taught[:, 2].sigmoid())
        expected = float(own + 0.7 * second)
        assert float(made.loss(made.model, batch)) == pytest.approx(expected, rel=1e-4)
    one_epoch(made)
    teacher = made._teacher.state_dict()
    assert all(value.equal(teacher[name]) for name, value in start.state_dict().items())
    assert "teacher" not in str(list(made.checkpoint()))


def test_replayed_images_without_truth_give_no_loss_of_their_own(cyto, cases):
    samples = replay_samples(cases[2:4], "gray_max", "none", "cyto")
    made = learner(cyto, cases[:2], samples, replay_labels="none", distillation=1e-9)
    made.model.eval()
    np.random.seed(0)  # noqa: NPY002
    (batch,) = list(made.batches(0))
    images, targets, labelled = batch
    with torch.no_grad():
        alone = made.loss(made.model, (images[labelled], targets[labelled], labelled[labelled]))
        assert float(made.loss(made.model, batch)) == pytest.approx(float(alone), rel=1e-4)
    with pytest.raises(UsageError, match="leaves nothing to learn from"):
        build_trainer("cellpose2", {"replay_labels": "none"}, input=None, seed=0, watch=None)


def test_replay_of_images_without_cells_is_refused(cyto, cases):
    samples = read_labelled(cases[2:4], "gray_max")
    empty = [replace(sample, labels=np.zeros_like(sample.labels)) for sample in samples]
    with pytest.raises(TrainingDataError, match=r"none of 2 images to replay has 5 cells"):
        learner(cyto, cases[:2], empty)


def test_balanced_replay_draws_modalities_equally_often(cyto, cases):
    replay = read_labelled(cases[:4], "gray_max")
    kept = [sample for sample in replay if sample.case.case != replay[0].case.case]
    made = learner(cyto, cases[:2], kept, sampling="balanced")
    modalities = [sample.case.modality for sample in kept]
    shares = {
        name: sum(
            chance
            for chance, modality in zip(made._replay_probabilities, modalities, strict=True)
            if modality == name
        )
        for name in modalities
    }
    assert list(shares.values()) == pytest.approx([0.5, 0.5])


class TestInterpolation:
    @pytest.fixture
    def tuned(self, cyto, cases, tmp_path):
        return CellposeTrainer(options(epochs=2)).fit(cases[:2], [], tmp_path)

    def method(self, tuned, **more):
        given = {"weights": str(tuned), "precision": "float32", "diameter": 27.0}
        made = build("cellpose2", {**given, **more})
        made.load()
        return made

    def test_weights_lie_on_the_straight_line(self, cyto, tuned):
        made = self.method(tuned, base_weights="cyto", interpolation=0.25)
        (found, base) = made.weights()
        assert [found.name, base.name] == ["last.pt", "cyto"]
        (mixed,) = made.networks(found, mkldnn=False)
        start = load_network(cyto.files["network"], 27.0).state_dict()
        end = load_network(tuned, 27.0).state_dict()
        for name, value in mixed.state_dict().items():
            if name.startswith("diam_") or not value.is_floating_point():
                assert value.equal(end[name])
            else:
                torch.testing.assert_close(value, 0.75 * start[name] + 0.25 * end[name])

    def test_nothing_of_the_fine_tuned_weights_gives_the_masks_of_the_base(self, tuned, cases):
        image = tifffile.imread(cases[2].image).astype(np.float32)
        mixed = self.method(tuned, base_weights="cyto", interpolation=0.0)
        base = build("cellpose", {"weights": "cyto", "precision": "float32", "diameter": 27.0})
        base.load()
        assert np.array_equal(mixed.segment(image), base.segment(image))

    def test_it_needs_something_to_mix_in(self):
        with pytest.raises(UsageError, match=r"interpolation 0.5 needs base_weights"):
            build("cellpose2", {"weights": "tuned.pt", "interpolation": 0.5})
