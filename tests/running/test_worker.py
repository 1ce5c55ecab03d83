from __future__ import annotations

import errno
import time

import numpy as np
import pytest

from cellharness.methods.base import MissingPredictionError, UnsupportedCaseError
from cellharness.methods.child_process import describe, status_of
from cellharness.methods.timing import PhaseTimer
from cellharness.running import worker
from cellharness.running.labels import check_labels
from cellharness.running.worker import MethodSpec


def test_labels_are_numbered_without_gaps():
    labels = np.array([[0, 7, 7], [4_000_000_000, 0, 2]], np.int64)
    assert check_labels(labels, (2, 3)).tolist() == [[0, 2, 2], [3, 0, 1]]
    full = np.array([[3, 5]], np.uint8)
    assert check_labels(full, (1, 2)).tolist() == [[1, 2]]
    contiguous = np.array([[0, 1, 2]], np.uint8)
    assert check_labels(contiguous, (1, 3)).tolist() == [[0, 1, 2]]
    assert check_labels(np.zeros((2, 2), np.int8), (2, 2)).dtype == np.uint32


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((3, 2), int), r"returned \(3, 2\) for an image of \(2, 3\)"),
        (np.zeros((2, 3)), "must be integers"),
        (np.full((2, 3), -1), "negative"),
        ([[0, 1, 2]], "returned list"),
    ],
)
def test_what_is_no_label_image_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels(labels, (2, 3))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "oom"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), "oom"),
        (RuntimeError("CUDA error: out of memory"), "oom"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `x`"), "oom"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "error"),
        (MissingPredictionError("none"), "missing"),
        (UnsupportedCaseError("no"), "unsupported"),
        (KeyError("x"), "error"),
    ],
)
def test_each_failure_has_its_status(error, status):
    assert status_of(error) == status


def test_a_full_disk_is_named():
    error = OSError(errno.ENOSPC, "No space left on device", "masks/a.tiff")
    assert describe(error) == "no space left on the device of 'masks/a.tiff'"


def test_loading_and_warming_up_wait_for_the_device(monkeypatch):
    """Work that is only queued must not be charged to the first case."""

    class Queueing:
        queued = 0.0

        def __init__(self) -> None:
            self.timer = PhaseTimer()

        def load(self) -> None:
            self.timer.synchronise = self.wait
            self.queued += 0.05

        def begin_run(self, cases: object) -> None:
            assert cases == ()

        def warmup(self) -> None:
            self.queued += 0.05

        def wait(self) -> None:
            time.sleep(self.queued)
            self.queued = 0.0

    monkeypatch.setattr(worker, "build", lambda *_: Queueing())
    segmenter, seconds = worker.start(MethodSpec("queueing", {}, None, 0))
    assert segmenter.queued == 0.0
    assert seconds["load"] >= 0.05
    assert seconds["warmup"] >= 0.05
