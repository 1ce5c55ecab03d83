"""A process that has imported what a method needs, kept from one method of a run to the next."""

from __future__ import annotations

from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, TypeAlias

from cellharness.methods.registry import method_class

if TYPE_CHECKING:
    from cellharness.running.elsewhere import ElsewhereProcess
    from cellharness.running.messages import Line
    from cellharness.running.worker import MethodSpec

    Process: TypeAlias = SpawnProcess | ElsewhereProcess


class KeptProcess:
    """Keeps one process, that of the last method, until a method comes that needs another.

    See :mod:`cellharness.running.forking` for what such a process is.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[str, ...], Process, Line] | None = None

    def take(self, spec: MethodSpec) -> tuple[Process, Line] | None:
        """Give the process that has imported what a method needs, if that is here.

        Parameters
        ----------
        spec : MethodSpec
            The method, which may be told to it.

        Returns
        -------
        process, line
            No longer kept; None where there is none. One that does not suit is ended.
        """
        if self._kept is not None:
            needs, process, line = self._kept
            # It has nothing to say: what can be read is that it ended.
            if needs == needs_of(spec) and process.is_alive() and not line.poll(0):
                self._kept = None
                return process, line
        self.close()
        return None

    def keep(self, spec: MethodSpec, process: Process, line: Line) -> None:
        """Keep the process of a method that is done, and was told so.

        Parameters
        ----------
        spec : MethodSpec
            The method.
        process : SpawnProcess or ElsewhereProcess
        line : Connection or JsonLine
            Our end of the connection to it.
        """
        self.close()
        self._kept = needs_of(spec), process, line

    def close(self) -> None:
        """End the process that is kept; harmless where there is none."""
        if self._kept is not None:
            _, process, line = self._kept
            self._kept = None
            end_process(process, line)


def needs_of(spec: MethodSpec) -> tuple[str, ...]:
    """Interpreter and modules that a method needs; empty where it says nothing of modules."""
    imports = method_class(spec.method).imports
    return (spec.python, *imports) if imports else ()


def end_process(process: Process, line: Line) -> None:
    """End a process: by closing the connection, or else at once."""
    line.close()
    process.join(0 if process.exitcode is not None else 2)
    if process.is_alive():
        process.kill()
        process.join()
