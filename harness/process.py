"""Keep a method's worker process: start it, give it a case, end it when it misbehaves."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import psutil

from harness.ledger import Outcome
from harness.worker import MethodSpec, Task, serve

_TICK_S = 0.1


class WorkerStartError(Exception):
    """The method did not load; no case of it can be segmented."""


class MethodProcess:
    """One method in its own process, restarted after a timeout, a kill or a crash.

    Parameters
    ----------
    spec : MethodSpec
        The method.
    timeout_s, load_timeout_s : float
        Seconds after which a case, or loading, is given up.
    memory_gb : float or None
        Resident memory in GiB at which the process is ended.
    """

    def __init__(
        self, spec: MethodSpec, timeout_s: float, load_timeout_s: float, memory_gb: float | None
    ) -> None:
        self.spec = spec
        self.timeout_s = timeout_s
        self.load_timeout_s = load_timeout_s
        self.memory_gb = memory_gb
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None

    def start(self) -> None:
        """Load the method.

        Raises
        ------
        WorkerStartError
            It raised, hung, died or ran out of memory while loading.
        """
        if self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self.spec))
        self._process.start()
        theirs.close()
        answer = self._wait(self.load_timeout_s)
        if isinstance(answer, Outcome):
            msg = f"the method did not load: {answer.message}"
            raise WorkerStartError(msg)
        kind, content = answer
        if kind == "failed":
            self.stop()
            raise WorkerStartError(content)

    def segment(self, task: Task) -> Outcome:
        """Segment one case.

        Returns
        -------
        Outcome
            The worker's, or ``timeout``, ``oom`` or ``error`` where it had to be ended.

        Raises
        ------
        WorkerStartError
            The method had to be loaded for this case and did not load.
        """
        self.start()
        assert self._connection is not None
        begun = time.perf_counter()
        try:
            self._connection.send(task)
        except OSError:
            return self._death(time.perf_counter() - begun)
        answer = self._wait(self.timeout_s)
        assert isinstance(answer, Outcome)
        return answer

    def stop(self) -> None:
        """End the process; harmless when there is none."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.join(0 if self._process.exitcode is not None else 2)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self._connection = None

    def _wait(self, timeout_s: float) -> Any:
        """The worker's answer, or the outcome of having ended it."""
        assert self._connection is not None
        begun = time.perf_counter()
        while True:
            try:
                if self._connection.poll(_TICK_S):
                    return self._connection.recv()
            except (EOFError, OSError):
                return self._death(time.perf_counter() - begun)
            spent = time.perf_counter() - begun
            if spent > timeout_s:
                self._kill()
                message = f"no result within {timeout_s:g} s; the process was ended"
                return Outcome("timeout", message, {"total": spent})
            used = self._resident_gb()
            if self.memory_gb is not None and used > self.memory_gb:
                self._kill()
                message = f"used {used:.2f} GiB, over the limit of {self.memory_gb:g} GiB"
                return Outcome("oom", message, {"total": spent}, peak_host_mb=used * 1024)

    def _death(self, spent: float) -> Outcome:
        assert self._process is not None
        self._process.join(5)
        code = self._process.exitcode
        self._kill()
        seconds = {"total": spent}
        if code == -signal.SIGKILL:
            message = "the process was killed from outside, most likely for want of memory"
            return Outcome("oom", message, seconds)
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return Outcome("error", f"the process died of {name}", seconds)
        return Outcome("error", f"the process ended by itself with exit code {code}", seconds)

    def _kill(self) -> None:
        """End the process and all that it has started."""
        assert self._process is not None
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.stop()

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            worker = psutil.Process(self._process.pid)
            return [worker, *worker.children(recursive=True)]
        except psutil.Error:
            return []

    def _resident_gb(self) -> float:
        used = 0
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                used += process.memory_info().rss
        return used / 2**30
