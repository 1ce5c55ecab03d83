"""The training loop on a toy network: repeatable, resumable, stopping where it should."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")

from pathlib import Path  # noqa: E402

from torch import nn  # noqa: E402

from adapters.training import loop  # noqa: E402
from adapters.training.checkpoints import load  # noqa: E402
from adapters.training.learner import Learner  # noqa: E402
from adapters.training.trainer import TrainingParameters  # noqa: E402
from harness.dataset import Case  # noqa: E402
from harness.errors import UsageError  # noqa: E402
from harness.training.samples import LabelledImage  # noqa: E402

SHAPE = (24, 24)


def sample(modality):
    labels = np.zeros(SHAPE, np.uint16)
    labels[4:10, 4:10] = 1
    labels[14:20, 12:20] = 2
    case = Case(modality, Path("i"), Path("l"), modality, "given", "e", "train", "")
    return LabelledImage(case, labels.astype(np.float32), labels)


class Toy(Learner):
    """A convolution that learns to tell noise with a square from noise without."""

    def __init__(self, poison=None, validation=True):
        torch.manual_seed(3)
        self.model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self.validation = [sample("DIC"), sample("Fluorescent")] if validation else []
        self.poison = poison
        self.epoch = 0
        self.losses = []

    def start_epoch(self, epoch):
        self.epoch = epoch

    def batches(self, epoch):
        for _ in range(3):
            images = np.random.normal(size=(4, 1, 8, 8)).astype(np.float32)  # noqa: NPY002
            yield torch.from_numpy(images), torch.from_numpy(images.mean(axis=(1, 2, 3)))

    def loss(self, network, batch):
        images, wanted = batch
        loss = (network(images).mean(dim=(1, 2, 3)) - wanted).square().mean()
        return loss * float("nan") if self.poison == self.epoch else loss

    def validation_loss(self, network):
        return float(len(self.losses) < 2) + self.epoch / 100

    def segment(self, samples):
        for each in samples:
            yield each.labels if each.case.modality == "DIC" else np.zeros(SHAPE, np.uint16)

    def after_epoch(self, train_loss, validation_loss):
        self.losses.append(train_loss)

    def checkpoint(self):
        return self.model.state_dict()

    def state(self):
        return {"losses": self.losses}

    def load_state(self, state):
        self.losses = list(state["losses"])


def knobs(**more):
    given = {"epochs": 6, "save_every": 2, "validate_every": 2, "precision": "float32"}
    return TrainingParameters(**{**given, "device": "cpu", **more})


def same(first, second):
    first, second = load(first), load(second)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    paths = [
        loop.run(Toy, knobs(), seed, tmp_path / name)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same(paths[0], paths[1])
    assert not same(paths[0], paths[2])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_interrupted_training_ends_with_the_weights_of_an_unbroken_one(tmp_path, monkeypatch):
    whole = loop.run(Toy, knobs(), 0, tmp_path / "whole")

    class StopError(Exception):
        pass

    def stop_after(epoch, record):
        if record.epoch == epoch:
            raise StopError

    # A state after every epoch; then only the one that a shorter training would leave.
    monkeypatch.setattr(loop, "STATE_EVERY_S", -1.0)
    for epoch in (2, 3, 5):
        broken = tmp_path / f"broken-{epoch}"
        with pytest.raises(StopError):
            loop.run(Toy, knobs(), 0, broken, partial(stop_after, epoch))
        seen = []
        resumed = loop.run(Toy, knobs(), 0, broken, lambda record, seen=seen: seen.append(record))
        assert [record.epoch for record in seen] == list(range(epoch + 1, 7))
        assert same(whole, resumed)
        assert pd.read_csv(broken / "epochs.csv")["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
        assert (
            pd.read_csv(broken / "epochs.csv")["train_loss"].tolist()
            == pd.read_csv(tmp_path / "whole" / "epochs.csv")["train_loss"].tolist()
        )


def test_checkpoints_and_validation_by_modality_are_kept_as_asked(tmp_path):
    loop.run(Toy, knobs(epochs=5), 0, tmp_path)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["epoch-0002.pt", "epoch-0004.pt", "epoch-0005.pt", "last.pt"]
    validation = pd.read_csv(tmp_path / "validation.csv")
    assert validation["epoch"].unique().tolist() == [2, 4, 5]
    last = validation[validation["epoch"] == 5].set_index("modality")
    assert last["mean_f1"].to_dict() == {"DIC": 1.0, "Fluorescent": 0.0, "all": 0.5}
    assert last["n"].to_dict() == {"DIC": 1, "Fluorescent": 1, "all": 2}


def test_a_loss_that_is_not_finite_stops_and_keeps_the_epoch_before(tmp_path):
    with pytest.raises(loop.DivergedError, match=r"became nan in epoch 4, step 1.*learning_rate"):
        loop.run(partial(Toy, poison=3), knobs(save_every=100), 0, tmp_path / "bad")
    kept = tmp_path / "bad" / "checkpoints" / "epoch-0003.pt"
    good = loop.run(Toy, knobs(epochs=3), 0, tmp_path / "good")
    assert same(kept, good)


def test_training_stops_early_and_keeps_the_best(tmp_path):
    # The toy's validation loss falls once, at its third epoch, and rises ever after.
    chosen = knobs(epochs=40, patience=3, keep="best_loss")
    best = loop.run(Toy, chosen, 0, tmp_path)
    assert best.name == "best.pt"
    assert pd.read_csv(tmp_path / "epochs.csv")["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert same(best, loop.run(Toy, knobs(epochs=3), 0, tmp_path / "three"))
    # A finished training is not gone on with.
    seen = []
    loop.run(Toy, chosen, 0, tmp_path, seen.append)
    assert seen == []


def test_without_validation_images_the_last_weights_are_the_result(tmp_path):
    path = loop.run(partial(Toy, validation=False), knobs(epochs=2, keep="best_f1"), 0, tmp_path)
    assert same(path, tmp_path / "checkpoints" / "last.pt")
    assert not (tmp_path / "validation.csv").exists()


def test_a_gpu_that_is_not_there_is_named(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU")
    with pytest.raises(UsageError, match="no CUDA GPU; see `cellharness doctor`"):
        loop.run(Toy, knobs(device="cuda"), 0, tmp_path)


def test_two_processes_share_a_batch(tmp_path):
    path = loop.run(Toy, knobs(epochs=2, devices=2), 0, tmp_path)
    assert all(torch.isfinite(value).all() for value in load(path).values())
    assert pd.read_csv(tmp_path / "epochs.csv")["epoch"].tolist() == [1, 2]
