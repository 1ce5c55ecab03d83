"""Run somebody's program under limits: seconds, memory, and how much it may print."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cellharness.methods.base import CaseError
from cellharness.processes import family, kill, over_limit, resident_gb

_TICK_S = 0.05
_CHUNK = 1 << 16
#: Of our own environment; a Python of another one would load our packages by them.
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")


@dataclass(frozen=True)
class Finished:
    """What a program's run came to.

    Attributes
    ----------
    exit_code : int
        Negative where a signal ended it.
    seconds : float
        Wall time around the call.
    printed : str
        What it printed, errors among it; of much the beginning and the end.
    peak_mb : float
        Peak resident memory of it and what it started, as seen every 0.05 s, in MiB.
    """

    exit_code: int
    seconds: float
    printed: str
    peak_mb: float

    def details(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return {
            "exit_code": self.exit_code,
            "program_seconds": round(self.seconds, 3),
            "program_peak_mb": round(self.peak_mb, 1),
            "printed": self.printed,
        }

    def how(self) -> str:
        """Exit code or signal, and the last line that was printed."""
        code = self.exit_code
        known = {each.value for each in signal.Signals}
        ended = f"died of {signal.Signals(-code).name}" if -code in known else f"exit code {code}"
        last = self.printed.strip().splitlines()[-1:]
        return f"{ended}; it last printed: {last[0][:200]}" if last else ended


def run_program(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    memory_gb: float | None = None,
    keep: int = 4000,
    on_limit: Callable[[], None] | None = None,
) -> Finished:
    """Run a program to its end, or end it and all that it started.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; no shell reads them.
    folder : Path or None
        Its working directory.
    environment : mapping of str to str or None
        Set on top of our own, of which what would lead a Python of another environment to our
        packages is left out.
    timeout_s, memory_gb : float or None
        Limits, of seconds and of resident memory in GiB.
    keep : int
        Characters kept of what it prints; the rest is read and dropped.
    on_limit : callable or None
        Called when a limit ends it, for what killing does not reach, such as a container.

    Raises
    ------
    CaseError
        ``timeout`` or ``oom`` where a limit was passed, ``error`` where it could not be started.
    """
    settings = {name: value for name, value in os.environ.items() if name not in _OURS}
    begun = time.perf_counter()
    # Lists of methods are made without what segments.
    from cellharness.methods.child_process import die_with_parent

    try:
        process = subprocess.Popen(
            [*command],
            cwd=folder,
            env={**settings, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=die_with_parent,
        )
    except (OSError, ValueError) as error:
        msg = f"'{command[0]}' cannot be started: {error}"
        raise CaseError(msg) from error
    assert process.stdout is not None
    tape = _Tape(process.stdout, keep)
    reason, status, peak = "", "", 0.0
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_TICK_S)
                break
            used = resident_gb(family(process.pid))
            peak = max(peak, used)
            if timeout_s is not None and time.perf_counter() - begun > timeout_s:
                status, reason = "timeout", f"no result within {timeout_s:g} s; it was ended"
            elif reason := over_limit(used, memory_gb):
                status = "oom"
            if reason:
                if on_limit is not None:
                    on_limit()
                break
    finally:
        # Also what it left behind: it would go on computing, and hold the pipe open.
        _end(process)
    seconds = time.perf_counter() - begun
    finished = Finished(process.returncode, seconds, tape.stop(), peak * 1024)
    if reason:
        raise CaseError(reason, status, finished.details())
    return finished


class _Tape:
    """Reads all that a pipe gives and keeps its beginning and its end."""

    def __init__(self, pipe: IO[bytes], keep: int) -> None:
        self._pipe = pipe
        self._half = keep // 2
        self._first = self._last = b""
        self._dropped = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(self._pipe.fileno(), _CHUNK):
                room = self._half - len(self._first)
                self._first += chunk[:room]
                rest = self._last + chunk[room:]
                self._last = rest[max(0, len(rest) - self._half) :]
                self._dropped += len(rest) - len(self._last)

    def stop(self) -> str:
        """What was kept; waits for the end of the pipe, but not for ever."""
        self._thread.join(2)
        # A process that nothing of ours reaches may hold it open.
        if not self._thread.is_alive():
            self._pipe.close()
        gap = f"\n... {self._dropped} bytes ...\n" if self._dropped else ""
        first, last = (each.decode("utf-8", "replace") for each in (self._first, self._last))
        return (first + gap + last).replace("\0", "")


def _end(process: subprocess.Popen[bytes]) -> None:
    kill(family(process.pid))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
