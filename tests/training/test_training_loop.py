"""The training loop on a toy network: repeatable, resumable, stopping where it should."""

from __future__ import annotations

import random
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")

from pathlib import Path  # noqa: E402

from torch import nn  # noqa: E402

from cellharness.data.manifest import Case  # noqa: E402
from cellharness.errors import UsageError  # noqa: E402
from cellharness.training import loop  # noqa: E402
from cellharness.training.checkpoints import load  # noqa: E402
from cellharness.training.learner import Learner  # noqa: E402
from cellharness.training.samples import LabelledImage, TrainingDataError  # noqa: E402
from cellharness.training.trainer import TrainingParameters  # noqa: E402

SHAPE = (24, 24)

pytestmark = pytest.mark.usefixtures("one_core")


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


class Breaking(Toy):
    """Its weights break in the last step of an epoch: no loss of that epoch sees them."""

    def loss(self, network, batch):
        self.step = getattr(self, "step", -1) + 1
        loss = super().loss(network, batch)
        if self.step == 3 * self.at + 2:
            # The gradient of a root at 0: the loss is finite, the step is not.
            loss = loss + (self.model[0].weight * 0).sum().sqrt()
        return loss

    at = 3


class BrokenInTheLastStep(Toy):
    """The loss of the last of three steps of the second epoch is not a number."""

    def loss(self, network, batch):
        self.step = getattr(self, "step", 0) + 1
        return super().loss(network, batch) * (float("nan") if self.step == 6 else 1)


class Unvalidated(Toy):
    """Has validation images and no validation loss."""

    def validation_loss(self, network):
        return None


class Unsure(Toy):
    """Its validation loss is not a number after two epochs."""

    def validation_loss(self, network):
        return float("nan") if self.epoch == 2 else super().validation_loss(network)


class Empty(Toy):
    def batches(self, epoch):
        return iter(())


class Plain(Toy):
    """Without batch norm, whose statistics are of one process's part of a batch."""

    def __init__(self, folder=None, poisoned=None):
        super().__init__(poison=None)
        self.model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self.folder, self.poisoned = folder, poisoned

    @property
    def rank(self):
        there = torch.distributed.is_initialized()
        return torch.distributed.get_rank() if there else 0

    def loss(self, network, batch):
        loss = super().loss(network, batch)
        return loss * float("nan") if self.poisoned == (self.rank, self.epoch) else loss

    def validation_loss(self, network):
        return super().validation_loss(network) + self.rank

    def after_epoch(self, train_loss, validation_loss):
        super().after_epoch(train_loss, validation_loss)
        if self.folder is not None:
            with (self.folder / f"told-{self.rank}.csv").open("a") as file:
                file.write(f"{train_loss!r},{validation_loss!r}\n")


def options(**more):
    given = {"epochs": 6, "save_every": 2, "validate_every": 2, "precision": "float32"}
    return TrainingParameters(**{**given, "device": "cpu", **more})


def same(first, second):
    first, second = load(first), load(second)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    paths = [
        loop.run(Toy, options(), seed, tmp_path / name)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same(paths[0], paths[1])
    assert not same(paths[0], paths[2])
    assert paths[0].read_bytes() == paths[1].read_bytes()


class Noting(Toy):
    """Notes what each source of random numbers gives as an epoch begins."""

    def __init__(self, drawn):
        super().__init__()
        self.drawn = drawn

    def batches(self, epoch):
        numpy = np.random.random()  # noqa: NPY002
        self.drawn.append((random.random(), numpy, torch.rand(1).item()))
        return super().batches(epoch)


def test_trainings_with_consecutive_seeds_draw_nothing_alike(tmp_path):
    drawn = {seed: [] for seed in (0, 1, 2, 2**32 - 1)}
    for seed, noted in drawn.items():
        loop.run(partial(Noting, noted), options(), seed, tmp_path / str(seed))
    for numbers in zip(*(each for noted in drawn.values() for each in noted), strict=True):
        assert len(set(numbers)) == 6 * len(drawn)


def test_an_interrupted_training_ends_with_the_weights_of_an_unbroken_one(tmp_path, monkeypatch):
    whole = loop.run(Toy, options(), 0, tmp_path / "whole")

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
            loop.run(Toy, options(), 0, broken, partial(stop_after, epoch))
        seen = []
        resumed = loop.run(Toy, options(), 0, broken, lambda record, seen=seen: seen.append(record))
        assert [record.epoch for record in seen] == list(range(epoch + 1, 7))
        assert same(whole, resumed)
        assert pd.read_csv(broken / "epochs.csv")["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
        assert (
            pd.read_csv(broken / "epochs.csv")["train_loss"].tolist()
            == pd.read_csv(tmp_path / "whole" / "epochs.csv")["train_loss"].tolist()
        )


def test_checkpoints_and_validation_by_modality_are_kept_as_asked(tmp_path):
    loop.run(Toy, options(epochs=5), 0, tmp_path)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["epoch-0002.pt", "epoch-0004.pt", "epoch-0005.pt", "last.pt"]
    validation = pd.read_csv(tmp_path / "validation.csv")
    assert validation["epoch"].unique().tolist() == [2, 4, 5]
    last = validation[validation["epoch"] == 5].set_index("modality")
    assert last["mean_f1"].to_dict() == {"DIC": 1.0, "Fluorescent": 0.0, "all": 0.5}
    assert last["n"].to_dict() == {"DIC": 1, "Fluorescent": 1, "all": 2}


def test_a_loss_that_is_not_finite_stops_and_keeps_the_epoch_before(tmp_path):
    with pytest.raises(loop.DivergedError, match=r"became nan in epoch 4, step 1.*learning_rate"):
        loop.run(partial(Toy, poison=3), options(save_every=100), 0, tmp_path / "bad")
    kept = tmp_path / "bad" / "checkpoints" / "epoch-0003.pt"
    good = loop.run(Toy, options(epochs=3), 0, tmp_path / "good")
    assert same(kept, good)


@pytest.mark.parametrize("at_once", [2, 64])
def test_losses_that_are_read_some_steps_at_once_are_the_same(tmp_path, monkeypatch, at_once):
    usual = loop.run(Toy, options(epochs=2), 0, tmp_path / "usual")
    monkeypatch.setattr(loop, "_losses_at_once", lambda _: at_once)
    seldom = loop.run(Toy, options(epochs=2), 0, tmp_path / "seldom")
    assert same(usual, seldom)
    logs = [pd.read_csv(tmp_path / name / "epochs.csv") for name in ("usual", "seldom")]
    assert logs[0]["train_loss"].equals(logs[1]["train_loss"])
    with pytest.raises(loop.DivergedError, match="epoch 2, step 3"):
        loop.run(BrokenInTheLastStep, options(epochs=2), 0, tmp_path / "broken")


def test_weights_that_the_last_step_of_an_epoch_broke_are_not_kept(tmp_path):
    with pytest.raises(loop.DivergedError, match=r"weights became nan .*epoch 4;.*learning_rate"):
        loop.run(Breaking, options(save_every=1), 0, tmp_path / "bad")
    names = sorted(path.name for path in (tmp_path / "bad" / "checkpoints").iterdir())
    assert names == ["epoch-0001.pt", "epoch-0002.pt", "epoch-0003.pt"]
    good = loop.run(Toy, options(epochs=3), 0, tmp_path / "good")
    assert same(tmp_path / "bad" / "checkpoints" / "epoch-0003.pt", good)


def test_a_kept_epoch_is_not_written_again_when_the_next_one_breaks(tmp_path):
    def mark(record):
        if record.epoch == 3:
            (tmp_path / "checkpoints" / "epoch-0003.pt").write_text("kept")

    with pytest.raises(loop.DivergedError):
        loop.run(partial(Toy, poison=3), options(save_every=1), 0, tmp_path, mark)
    assert (tmp_path / "checkpoints" / "epoch-0003.pt").read_text() == "kept"


def test_an_epoch_without_crops_is_an_error(tmp_path):
    with pytest.raises(TrainingDataError, match="epoch 1 has no crop to learn from"):
        loop.run(Empty, options(), 0, tmp_path)


@pytest.mark.parametrize("keep", ["last", "best_loss"])
def test_a_validation_loss_that_is_not_finite_stops_and_keeps_the_epoch_before(tmp_path, keep):
    with pytest.raises(loop.DivergedError, match="the validation loss became nan in epoch 3"):
        loop.run(Unsure, options(save_every=100, keep=keep), 0, tmp_path / "bad")
    good = loop.run(Toy, options(epochs=2), 0, tmp_path / "good")
    assert same(tmp_path / "bad" / "checkpoints" / "epoch-0002.pt", good)


def test_where_nothing_could_be_judged_the_last_weights_are_the_result(tmp_path):
    path = loop.run(Unvalidated, options(epochs=2, keep="best_loss"), 0, tmp_path)
    assert path.name == "best.pt"
    assert same(path, tmp_path / "checkpoints" / "last.pt")


def test_a_score_that_is_not_a_number_is_not_the_best():
    progress = loop._Progress()
    chosen = options(keep="best_loss")
    told = [loop._judge(progress, chosen, loss, {}) for loss in (2.0, float("nan"), 1.0)]
    assert told == [True, False, True]
    assert progress.best == 1.0


@pytest.mark.parametrize("keep", ["last", "best_loss"])
def test_an_older_state_leads_to_the_same_end(tmp_path, monkeypatch, keep):
    # A kill leaves the log and the checkpoints ahead of the state.
    monkeypatch.setattr(loop, "STATE_EVERY_S", -1.0)
    older = tmp_path / "older.pt"
    run = tmp_path / "run"

    def copy_state(record):
        if record.epoch == 2:
            shutil.copy(run / "state.pt", older)

    chosen = options(keep=keep)
    loop.run(Toy, chosen, 0, run, copy_state)
    logs = ("epochs.csv", "validation.csv")
    files = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    before = [pd.read_csv(run / name).drop(columns="seconds", errors="ignore") for name in logs]
    assert ("best.pt" in files) == (keep == "best_loss")
    shutil.copy(older, run / "state.pt")
    seen = []
    loop.run(Toy, chosen, 0, run, lambda record: seen.append(record.epoch))
    assert seen == [3, 4, 5, 6]
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == files
    for name, frame in zip(logs, before, strict=True):
        again = pd.read_csv(run / name).drop(columns="seconds", errors="ignore")
        pd.testing.assert_frame_equal(again, frame, check_exact=True)


def test_no_row_is_lost_between_the_log_and_the_state(tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    def killed(self, record):
        if record.epoch == 2:
            raise KilledError
        append(self, record)

    append = loop.TrainingLog.append
    monkeypatch.setattr(loop, "STATE_EVERY_S", -1.0)
    monkeypatch.setattr(loop.TrainingLog, "append", killed)
    with pytest.raises(KilledError):
        loop.run(Toy, options(epochs=3), 0, tmp_path)
    monkeypatch.setattr(loop.TrainingLog, "append", append)
    loop.run(Toy, options(epochs=3), 0, tmp_path)
    assert pd.read_csv(tmp_path / "epochs.csv")["epoch"].tolist() == [1, 2, 3]


def test_training_stops_early_and_keeps_the_best(tmp_path):
    # The toy's validation loss falls once, at its third epoch, and rises ever after.
    chosen = options(epochs=40, patience=3, keep="best_loss")
    best = loop.run(Toy, chosen, 0, tmp_path)
    assert best.name == "best.pt"
    assert pd.read_csv(tmp_path / "epochs.csv")["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert same(best, loop.run(Toy, options(epochs=3), 0, tmp_path / "three"))
    # A finished training is not gone on with.
    seen = []
    loop.run(Toy, chosen, 0, tmp_path, seen.append)
    assert seen == []


def test_without_validation_images_the_last_weights_are_the_result(tmp_path):
    path = loop.run(partial(Toy, validation=False), options(epochs=2, keep="best_f1"), 0, tmp_path)
    assert same(path, tmp_path / "checkpoints" / "last.pt")
    assert not (tmp_path / "validation.csv").exists()


def test_a_gpu_that_is_not_there_is_named(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU")
    with pytest.raises(UsageError, match="no CUDA GPU; see `cellharness doctor`"):
        loop.run(Toy, options(device="cuda"), 0, tmp_path)


@pytest.mark.slow
def test_two_processes_share_a_batch(tmp_path):
    # The processes find different validation losses; the first one's counts in both.
    chosen = {"epochs": 9, "patience": 1, "keep": "best_loss"}
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        folder.mkdir()
        loop.run(partial(Plain, folder), options(devices=devices, **chosen), 0, folder)
    one, two = (pd.read_csv(tmp_path / name / "epochs.csv") for name in "12")
    assert one["epoch"].tolist() == two["epoch"].tolist()
    np.testing.assert_allclose(two["train_loss"], one["train_loss"], rtol=1e-5)
    assert one["validation_loss"].tolist() == two["validation_loss"].tolist()
    for name in ("best.pt", "last.pt"):
        alone, shared = (load(tmp_path / devices / "checkpoints" / name) for devices in "12")
        for key, value in alone.items():
            torch.testing.assert_close(shared[key], value, rtol=0, atol=1e-5)
    told = [(tmp_path / "2" / f"told-{rank}.csv").read_text() for rank in (0, 1)]
    assert told[0] == told[1]


@pytest.mark.slow
def test_a_loss_that_breaks_in_one_of_two_processes_stops_both(tmp_path):
    build = partial(Plain, poisoned=(1, 1))
    # Not DivergedError itself: it comes out of another process.
    with pytest.raises(Exception, match="the loss became nan in epoch 2, step 1"):
        loop.run(build, options(epochs=3, devices=2, save_every=100), 0, tmp_path / "bad")
    good = load(loop.run(Plain, options(epochs=1), 0, tmp_path / "good"))
    kept = load(tmp_path / "bad" / "checkpoints" / "epoch-0001.pt")
    for key, value in good.items():
        torch.testing.assert_close(kept[key], value, rtol=0, atol=1e-5)
