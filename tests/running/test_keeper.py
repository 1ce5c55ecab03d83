"""What a worker keeps: its method while cases come, and no case that it sees otherwise."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

pytest.importorskip("distributed", reason="needs the extra 'cluster'")

from cellharness.cluster.workers import Threads, Unfit
from cellharness.data.manifest import Manifest
from cellharness.files import hash_file
from cellharness.running import keeper
from cellharness.running.keeper import Keeper, Order
from cellharness.running.worker import MethodSpec, UnfitError, start, what_it_is


@pytest.fixture
def kept(tmp_path):
    worker = SimpleNamespace(address="tcp://there:1", local_directory=str(tmp_path))
    made = Keeper()
    made.setup(worker)
    yield made
    made.teardown(worker)
    assert not list(tmp_path.glob("cellharness-*"))


@pytest.fixture
def order(small_manifest):
    def make(number=0, method="dummy-threshold", image_sha256=None, expected=None):
        case = Manifest.read(small_manifest).cases[number]
        spec = MethodSpec(method, {}, None, 0, expected=expected)
        sha256 = image_sha256 or hash_file(case.image)
        return Order("keeper", spec, case, sha256, True, 60.0, 60.0, None, Threads(1))

    return make


def test_a_method_stays_loaded_until_another_comes_or_no_more_cases(kept, order, monkeypatch):
    first = kept.segment(order())
    process = kept._process._process.pid
    second = kept.segment(order(1))
    assert kept._process._process.pid == process
    assert (first.outcome.status, second.outcome.status) == ("ok", "ok")
    assert first.outcome.seconds["load"] > 0
    assert second.outcome.seconds.get("load", 0) == 0
    assert first.mask[:2] in (b"II", b"MM")
    assert first.outcome.details["worker"] == "tcp://there:1"
    monkeypatch.setattr(keeper, "_IDLE_S", 0.2)
    kept.segment(order(method="dummy-empty"))
    assert kept._process is None or kept._process._process.pid != process
    until = time.monotonic() + 30
    while kept._process is not None and time.monotonic() < until:
        time.sleep(0.05)
    assert kept._process is None


def test_another_image_or_none_is_not_segmented(kept, order):
    other = kept.segment(order(image_sha256="0" * 64))
    assert isinstance(other, Unfit)
    assert "is another one there" in other.message
    untrue = order(1)
    untrue.case.label.unlink()
    assert "does not see the truth" in kept.segment(untrue).message
    gone = order()
    gone.case.image.unlink()
    assert "cannot read the image" in kept.segment(gone).message
    assert kept._process is None


def test_a_method_that_comes_to_something_else_is_not_loaded(kept, order):
    expected = {"weights": [], "resolved": {}, "versions": {"numpy": "0.1"}}
    answer = kept.segment(order(expected=expected))
    assert isinstance(answer, Unfit)
    assert answer.worker == "tcp://there:1"
    assert "where the run has {'numpy': '0.1'}" in answer.message
    assert answer.answer.outcome.status == "error"


@pytest.mark.parametrize(
    "change", [{"weights": ["0" * 64]}, {"resolved": {"precision": "float16"}}, {"versions": {}}]
)
def test_what_a_method_comes_to_is_compared(change):
    spec = MethodSpec("dummy-threshold", {}, None, 0)
    segmenter, _ = start(spec)
    here = what_it_is(segmenter, ["numpy"])
    start(MethodSpec("dummy-threshold", {}, None, 0, expected=here))
    if change == {"versions": {}}:
        change = {"versions": {"numpy": "1"}}
    with pytest.raises(UnfitError, match=f"{next(iter(change))} are"):
        start(MethodSpec("dummy-threshold", {}, None, 0, expected={**here, **change}))
