"""Keep a method's worker process: start it, give it a case, end it when it misbehaves."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import signal
import time
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from cellharness.errors import UsageError
from cellharness.processes import family, kill, over_limit, resident_gb
from cellharness.running.kept_process import KeptProcess, end_process
from cellharness.running.ledger import Outcome
from cellharness.running.worker import Answered, MethodSpec, Next, Ready, Task, serve
from cellharness.vocabulary import NOT_LOADED

if TYPE_CHECKING:
    from cellharness.running.kept_process import Process
    from cellharness.running.messages import Line

_TICK_S = 0.1

#: Failed loads in a row after which a method that once loaded is not tried again.
_FAILED_LOADS = 2

# After these torch refuses every further call in the same process.
_BROKEN_GPU = re.compile(r"CUDA (driver )?error|cuDNN error|CUBLAS_STATUS|device-side assert")


class WorkerStartError(Exception):
    """The method did not load.

    Attributes
    ----------
    outcome : Outcome
        ``timeout``, ``oom`` or ``error``, with the seconds that were spent on it.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class MethodProcess:
    """One method in its own process, restarted when that hangs, dies or may be unsound.

    A method that does not load the first time is given up; one that loaded before is given
    up after two failed loads in a row.

    Parameters
    ----------
    spec : MethodSpec
        The method.
    timeout_s, load_timeout_s : float
        Seconds after which a case, or loading, is given up.
    memory_gb : float or None
        Resident memory in GiB at which the process is ended.
    kept : KeptProcess or None
        Gives and gets processes that several methods use, one after the other; None where the
        process is for this method alone.
    """

    def __init__(
        self,
        spec: MethodSpec,
        timeout_s: float,
        load_timeout_s: float,
        memory_gb: float | None,
        kept: KeptProcess | None = None,
    ) -> None:
        self.spec = spec if kept is None else replace(spec, forks=True)
        self._kept = kept
        self._forked = False
        self.timeout_s = timeout_s
        self.load_timeout_s = load_timeout_s
        self.memory_gb = memory_gb
        self._process: Process | None = None
        self._connection: Line | None = None
        self._has_loaded = False
        self._failed_loads = 0
        self._given_up: Outcome | None = None
        self._at_once = 1

    def start(self) -> None:
        """Load the method.

        Raises
        ------
        WorkerStartError
            It raised, hung, died or ran out of memory while loading, now or before.
        """
        if self._process is not None:
            return
        if self._given_up is not None:
            raise WorkerStartError(self._given_up)
        self._start_process()
        begun = time.perf_counter()
        answer = self._wait(self.load_timeout_s)
        if isinstance(answer, Ready):
            self._at_once, self._forked = answer.at_once, answer.forked
            self._has_loaded, self._failed_loads = True, 0
            return
        assert isinstance(answer, Outcome)
        if self._process is not None:
            self._kill()
        spent = time.perf_counter() - begun
        message = f"{NOT_LOADED}: {answer.message}"
        outcome = replace(answer, message=message, seconds={"load": spent, "total": spent})
        self._failed_loads += 1
        if not self._has_loaded or self._failed_loads >= _FAILED_LOADS:
            # Later cases get the reason, but not the seconds, which were spent once.
            self._given_up = Outcome(outcome.status, message)
        raise WorkerStartError(outcome)

    def _start_process(self) -> None:
        self._forked = False
        if self._kept is not None and (found := self._kept.take(self.spec)):
            self._process, self._connection = found
            with contextlib.suppress(OSError):  # it died meanwhile, which is seen below
                self._connection.send(self.spec)
            return
        if self.spec.python:
            # What speaks JSON is imported only for who needs it.
            from cellharness.running.elsewhere import ElsewhereProcess

            try:
                self._process = process = ElsewhereProcess(Path(self.spec.python))
            except UsageError as error:
                raise WorkerStartError(Outcome("error", str(error))) from error
            self._connection = process.line
            with contextlib.suppress(OSError):  # it died at once, which is seen below
                process.line.send(self.spec)
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self.spec))
        self._process.start()
        theirs.close()

    def segment(self, task: Task) -> Outcome:
        """Segment one case; load the method first where that is needed.

        Returns
        -------
        Outcome
            The worker's; ``timeout``, ``oom`` or ``error`` where it had to be ended, or
            where the method did not load.
        """
        try:
            self.start()
        except WorkerStartError as error:
            return error.outcome
        assert self._connection is not None
        begun = time.perf_counter()
        try:
            self._connection.send(task)
        except OSError:
            return self._death(time.perf_counter() - begun)
        answer = self._wait(self.timeout_s)
        outcome: Outcome = answer.outcome if isinstance(answer, Answered) else answer
        if self._process is not None and _may_be_unsound(outcome):
            self._kill()
        return outcome

    def segment_each(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Outcome], None, None]:
        """Segment cases, as many at the same time as the specification says and the method can.

        Where the process dies, hangs or may be unsound, every case that it had is segmented again,
        one after the other, so that each gets the outcome that it has by itself. A case that hangs
        therefore costs its time twice. After memory ran out there are half as many at once.

        Parameters
        ----------
        tasks : iterable of Task
            The next is taken when there is room for it; their cases' names differ.

        Yields
        ------
        Task, Outcome
            In the order in which they finish.
        """
        left = iter(tasks)
        task = next(left, None)
        busy: dict[str, tuple[Task, float]] = {}
        while task is not None or busy:
            if task is not None and len(busy) < self._at_once:
                try:
                    self.start()
                except WorkerStartError as error:
                    yield task, error.outcome
                else:
                    if self._at_once == 1:
                        yield task, self.segment(task)
                    else:
                        busy[task.case.case] = task, time.perf_counter()
                        self._hand_over(task)
                task = next(left, None)
                continue
            longest = time.perf_counter() - min(begun for _, begun in busy.values())
            answer = self._wait(max(0.0, self.timeout_s - longest))
            outcome = answer.outcome if isinstance(answer, Answered) else answer
            if self._process is not None:
                if not _may_be_unsound(outcome):
                    yield busy.pop(answer.case)[0], outcome
                    continue
                self._kill()
            if outcome.status == "oom":
                self.spec = replace(self.spec, at_once=max(1, self._at_once // 2))
            for again, _ in busy.values():
                # What was written of it must not outlive a failure.
                again.prediction.unlink(missing_ok=True)
                if again.maps is not None:
                    again.maps.unlink(missing_ok=True)
                yield again, self.segment(again)
            busy.clear()

    def _hand_over(self, task: Task) -> None:
        assert self._connection is not None
        with contextlib.suppress(OSError):  # it died, which is seen where its answer is waited for
            self._connection.send(task)

    def stop(self) -> None:
        """End the process; harmless when there is none."""
        if self._process is not None and self._connection is not None:
            end_process(self._process, self._connection)
        self._process = self._connection = None

    def hand_on(self) -> None:
        """Let the next method have the process, where it can; only once no case is left."""
        if self._kept is None or self._process is None or not self._forked:
            return
        assert self._connection is not None
        with contextlib.suppress(OSError):  # it died, which is seen where it is taken
            self._connection.send(Next())
        self._kept.keep(self.spec, self._process, self._connection)
        self._process = self._connection = None

    def end_now(self) -> None:
        """End the process, from another thread than that which waits for it."""
        process = self._process
        if process is not None and process.pid is not None:
            kill(family(process.pid))

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
            if self.memory_gb is None:
                continue
            used = resident_gb(self._measured())
            if message := over_limit(used, self.memory_gb):
                self._kill()
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
        kill(self._family())
        self.stop()

    def _measured(self) -> list[psutil.Process]:
        """The processes whose memory is the method's."""
        processes = self._family()
        # What a process that forked has in memory, the forked one has too.
        return processes[1:] if self.spec.forks and len(processes) > 1 else processes

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        assert self._process.pid is not None, "it was started"
        return family(self._process.pid)


def _may_be_unsound(outcome: Outcome) -> bool:
    """Whether what happened may spoil the cases that come after it in the same process."""
    # After an allocation that failed, memory is held or in pieces: the next case may fail of it.
    broken_gpu = outcome.status == "error" and _BROKEN_GPU.search(outcome.message)
    return outcome.status == "oom" or bool(broken_gpu)
