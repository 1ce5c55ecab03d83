"""Batches that threads fill ahead: order, errors, and the end of an epoch that is cut short."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch")

from cellharness.training.arrays_on_disk import content_key, kept
from cellharness.training.prefetch import SWITCH_S, batches_ahead


def fill(item, batch, position):
    time.sleep(0.001 * (item % 3))
    batch[position] = item


def empty(group):
    return [None] * len(group)


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_batches_come_in_order_whatever_the_number_of_threads(workers):
    groups = [[3 * n, 3 * n + 1, 3 * n + 2] for n in range(12)]
    assert list(batches_ahead(iter(groups), empty, fill, workers)) == groups


def test_no_more_is_drawn_than_a_little_ahead():
    drawn = []

    def groups():
        for n in range(100):
            drawn.append(n)
            yield [n]

    before = set(threading.enumerate())
    batches = batches_ahead(groups(), empty, fill, workers=2)
    next(batches)
    assert len(drawn) <= 5
    assert set(threading.enumerate()) > before
    batches.close()
    assert set(threading.enumerate()) <= before


def test_threads_give_way_soon_and_only_while_they_work():
    usual = sys.getswitchinterval()
    batches = batches_ahead(iter([[1], [2]]), empty, fill, workers=2)
    next(batches)
    assert sys.getswitchinterval() == pytest.approx(min(usual, SWITCH_S))
    batches.close()
    assert sys.getswitchinterval() == usual


def test_an_error_appears_where_its_batch_would_have():
    def broken(item, batch, position):
        if item == 2:
            raise ValueError("no crop 2")
        fill(item, batch, position)

    batches = batches_ahead(iter([[0, 1], [2, 3]]), empty, broken, workers=2)
    assert next(batches) == [0, 1]
    with pytest.raises(ValueError, match="no crop 2"):
        next(batches)


class TestArraysOnDisk:
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))

    def test_are_made_once_and_read_back(self):
        made = []

        def make():
            made.append(1)
            return np.arange(12, dtype=np.uint16).reshape(3, 4).T

        arrays = [kept("room", "a", make).open() for _ in range(2)]
        assert len(made) == 1
        for array in arrays:
            assert np.array_equal(array, make())
            assert not array.flags.writeable

    @pytest.mark.parametrize("length", [0, 20, 130])
    def test_are_made_again_where_a_kill_has_cut_them(self, length):
        path = kept("room", "a", lambda: np.ones(9)).path
        path.write_bytes(path.read_bytes()[:length])
        assert np.array_equal(kept("room", "a", lambda: np.ones(9)).open(), np.ones(9))

    def test_may_be_empty(self):
        assert kept("room", "a", lambda: np.zeros((0, 3, 4))).open().shape == (0, 3, 4)

    def test_say_what_to_do_where_there_is_no_room(self, tmp_path):
        (tmp_path / "room").write_text("a file where the folder would be")
        from cellharness.errors import UsageError

        with pytest.raises(UsageError, match="CELLHARNESS_CACHE name a folder with more"):
            kept("room", "a", lambda: np.ones(9))

    def test_another_content_has_another_name(self):
        zeros = np.zeros((2, 3))
        others = [zeros.T, zeros + 1, zeros.astype(np.float32)]
        names = {content_key(array, "x") for array in (zeros, *others)} | {content_key(zeros, "y")}
        assert len(names) == 5
