"""Steps that a GPU records, with a stand-in for the recording: it does the step anew."""

from __future__ import annotations

import logging
from contextlib import nullcontext

import pytest

torch = pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("lightning_fabric", reason="needs lightning-fabric")

from lightning_fabric import Fabric  # noqa: E402
from torch import nn  # noqa: E402

from cellharness.training import steps  # noqa: E402
from cellharness.training.learner import Learner  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_core")

SIZES = (4, 4, 4, 4, 2, 4, 4)


class Small(Learner):
    recordable = True

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.validation = []
        self.short_of_memory_at = None
        self.calls = 0

    def batches(self, epoch):
        generator = torch.Generator().manual_seed(epoch)
        for size in SIZES:
            yield (torch.randn(size, 3, generator=generator),)

    def loss(self, network, batch):
        self.calls += 1
        if self.calls == self.short_of_memory_at:
            raise torch.cuda.OutOfMemoryError
        return network(batch[0]).square().mean()

    def segment(self, samples):
        return iter(())

    def checkpoint(self):
        return self.model.state_dict()


class Stream:
    def wait_stream(self, other):
        pass


class Event:
    waited = 0

    def __init__(self, blocking):
        pass

    def record(self):
        pass

    def synchronize(self):
        Event.waited += 1


class Recording:
    """Does the step anew where a GPU would repeat it; gradients are overwritten, as there."""

    made = 0
    repeated = 0
    fails = None

    def __init__(self, batch, do, stream):
        if Recording.fails is not None:
            raise Recording.fails
        Recording.made += 1
        self.shapes = tuple(part.shape for part in batch)
        self.do = do

    def repeat(self, batch):
        Recording.repeated += 1
        for group in self.learner.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.zero_()
        return self.do(batch)


@pytest.fixture
def gpu(monkeypatch):
    """What of torch.cuda the steps use, without a GPU."""
    Event.waited = Recording.made = Recording.repeated = 0
    Recording.fails = None
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(steps, "_Recording", Recording)


def trained(learner, *, recorded, epochs=2):
    """Weights and losses."""
    fabric = Fabric(accelerator="cpu", devices=1)
    network, optimizer = fabric.setup(learner.model, learner.optimizer)
    Recording.learner = learner
    step = steps.Steps(fabric, learner, network, optimizer, recorded=recorded)
    losses = []
    with step.in_order():
        for epoch in range(epochs):
            losses += [float(step(batch)) for batch in learner.batches(epoch)]
    return learner.model.state_dict(), losses


def same(one, other):
    return one[1] == other[1] and all(torch.equal(one[0][k], other[0][k]) for k in one[0])


def test_recorded_steps_and_those_between_them_learn_the_same(gpu):
    plain = trained(Small(), recorded=False)
    assert Recording.made == 0
    recorded = trained(Small(), recorded=True)
    assert same(recorded, plain)
    # Three of the usual size first, and the smaller batch of each epoch, are launched one by one.
    assert (Recording.made, Recording.repeated) == (1, 2 * len(SIZES) - 3 - 2)
    assert plain[1][0] > 2 * plain[1][-1]


def test_the_gpu_is_waited_for_after_a_few_steps(gpu):
    trained(Small(), recorded=True)
    assert Event.waited == 2 * len(SIZES) - steps.STEPS_AHEAD


@pytest.mark.parametrize("after_it", [False, True])
def test_without_memory_to_record_steps_are_launched_one_by_one(gpu, caplog, after_it):
    plain = trained(Small(), recorded=False)
    Recording.fails = torch.cuda.OutOfMemoryError("none left")
    if after_it:
        # What ends a recording that broke says something else.
        Recording.fails = RuntimeError("capture failed")
        Recording.fails.__context__ = torch.cuda.OutOfMemoryError("none left")
    with caplog.at_level(logging.WARNING):
        found = trained(Small(), recorded=True)
    assert same(found, plain)
    assert (Recording.made, Recording.repeated) == (0, 0)
    assert caplog.text.count("A smaller batch_size helps") == 1


def test_another_error_of_a_recording_is_passed_on(gpu):
    Recording.fails = RuntimeError("not permitted when stream is capturing")
    with pytest.raises(RuntimeError, match="not permitted"):
        trained(Small(), recorded=True)


def test_a_recording_gives_way_to_a_step_that_has_no_memory_beside_it(gpu, caplog):
    plain = trained(Small(), recorded=False)
    learner = Small()
    # The smaller batch, after three steps and one that is repeated.
    learner.short_of_memory_at = 5
    found = trained(learner, recorded=True)
    assert Recording.repeated == 1
    assert same(found, plain)
    assert "too little memory" in caplog.text
    learner = Small()
    learner.short_of_memory_at = 2
    with pytest.raises(torch.cuda.OutOfMemoryError):
        trained(learner, recorded=True)
