"""The driver's figures, from a driver that a test plays."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace

import pytest

from cellharness.running import driver as driver_module
from cellharness.running.memory import DriverPeak
from cellharness.selftest.utilisation import Utilisation

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
        self.busy = 40

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

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        return SimpleNamespace(gpu=self.busy)


class Cuda:
    """torch.cuda of a process that may have done nothing on a GPU so far."""

    def __init__(self):
        self.reserved: dict[int, int] = {}

    def is_initialized(self):
        return bool(self.reserved)

    def device_count(self):
        return 2

    def memory_reserved(self, number):
        return self.reserved[number]

    def get_device_properties(self, number):
        return SimpleNamespace(uuid=f"uuid-{number}")


@pytest.fixture
def cuda(monkeypatch):
    made = Cuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=made))
    monkeypatch.setattr(driver_module, "may_have_gpu", lambda: True)
    return made


@pytest.fixture
def driver(monkeypatch, cuda):
    made = Driver(os.getpid())
    cuda.reserved = {0: 0, 1: 5}
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


def test_a_gpu_that_comes_into_use_within_the_block_is_measured(driver, cuda, monkeypatch):
    cuda.reserved = {}
    torch = sys.modules["torch"]
    # A training imports torch itself; while it does, there is no more than the name.
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    with DriverPeak() as peak, Utilisation() as busy:
        time.sleep(0.1)
        monkeypatch.setitem(sys.modules, "torch", torch)
        time.sleep(0.1)
        cuda.reserved = {0: 0, 1: 0}
        time.sleep(0.1)
        assert (peak.mb, busy.percent, driver.asked) == (None, None, [])
        cuda.reserved = {0: 0, 1: 5}
        wait_for(lambda: peak.mb and busy.percent)
        driver.used = 300 * MIB
    assert (peak.mb, peak.of, busy.percent) == (300, "process", 40)
    assert driver.asked == ["GPU-uuid-1", "GPU-uuid-1"]


def test_utilisation_can_begin_again_after_a_set_up(driver):
    with Utilisation() as busy:
        wait_for(lambda: busy.percent)
        driver.busy = 90
        busy.begin_again()
        wait_for(lambda: (busy.percent or 0) > 80)


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
    driver.broken = False
    monkeypatch.delitem(sys.modules, "torch")
    with DriverPeak() as peak, Utilisation() as busy:
        time.sleep(0.1)
    assert (peak.mb, busy.percent) == (None, None)
    monkeypatch.setattr(driver_module, "may_have_gpu", lambda: False)
    with DriverPeak() as peak:
        assert peak._thread is None


def test_an_error_inside_the_block_is_passed_on_and_the_thread_ends(driver):
    with pytest.raises(KeyError), DriverPeak() as peak:
        raise KeyError
    assert not peak._thread.is_alive()
