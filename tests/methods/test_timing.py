from __future__ import annotations

import time

import pytest

from cellharness.methods.timing import PhaseTimer


def test_an_inner_phase_is_taken_from_the_outer_one():
    timer = PhaseTimer()
    begun = time.perf_counter()
    with timer.phase("network"):
        time.sleep(0.02)
        with timer.phase("postprocess"):
            time.sleep(0.05)
    whole = time.perf_counter() - begun
    assert timer.seconds["postprocess"] >= 0.05
    assert 0.02 <= timer.seconds["network"] < whole - 0.049
    assert sum(timer.seconds.values()) <= whole


def test_the_device_is_waited_for_at_both_ends():
    timer, calls = PhaseTimer(), []
    timer.synchronise = lambda: calls.append(1)
    with timer.phase("network"):
        pass
    assert len(calls) == 2


def test_a_cuda_device_is_waited_for_and_a_processor_is_not(monkeypatch):
    torch, calls = pytest.importorskip("torch"), []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append(1))
    for device, count in (("cpu", 0), ("cuda", 2)):
        timer = PhaseTimer()
        timer.wait_for(device)
        with timer.phase("network"):
            pass
        assert len(calls) == count


def test_time_is_counted_when_the_block_raises():
    timer = PhaseTimer()
    with pytest.raises(KeyError), timer.phase("read"):
        raise KeyError
    assert "read" in timer.seconds


def test_an_unknown_phase_names_the_valid_ones():
    with (
        pytest.raises(ValueError, match=r"unknown phase 'rest'.*network"),
        PhaseTimer().phase("rest"),
    ):
        pass
