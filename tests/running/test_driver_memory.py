"""The driver's figures, from a driver that a test plays."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace

import pytest

from cellharness.running.memory import DriverPeak

MIB = 2**20


class Driver:
    """NVML with one device; `used` is asked for anew every time."""

    class NVMLError(Exception):
        pass

    def __init__(self, pid):
        self.pid = pid
        self.used = 100 * MIB
        self.asked: list[str] = []
        self.broken = False

    def nvmlInit(self):  # noqa: N802
        if self.broken:
            raise self.NVMLError

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        self.asked.append(uuid)
        return "handle"

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        return [SimpleNamespace(pid=self.pid, usedGpuMemory=self.used)]

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(used=self.used + 7 * MIB)


@pytest.fixture
def driver(monkeypatch):
    made = Driver(os.getpid())
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        current_device=lambda: 1,
        get_device_properties=lambda number: SimpleNamespace(uuid=f"uuid-{number}"),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_largest_of_what_the_driver_says_is_kept(driver):
    with DriverPeak() as peak:
        driver.used = 500 * MIB
        wait_for(lambda: peak.mb == 500)
        driver.used = 200 * MIB
    assert (peak.mb, peak.of) == (500, "process")
    assert driver.asked == ["GPU-uuid-1"]


def test_where_the_process_is_not_listed_the_whole_device_is_taken(driver):
    driver.pid = -1
    with DriverPeak() as peak:
        pass
    assert (peak.mb, peak.of) == (107, "device")


def test_nothing_is_measured_without_a_gpu_or_a_driver(driver, monkeypatch):
    driver.broken = True
    with DriverPeak() as peak:
        pass
    assert (peak.mb, peak.of) == (None, "")
    monkeypatch.delitem(sys.modules, "torch")
    with DriverPeak() as peak:
        pass
    assert peak.mb is None


def test_an_error_inside_the_block_is_passed_on_and_the_thread_ends(driver):
    with pytest.raises(KeyError), DriverPeak() as peak:
        raise KeyError
    assert not peak._thread.is_alive()
