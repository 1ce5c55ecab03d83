"""In a method's process: import what methods need once, and fork a process for each of them.

What is forked has imported everything and loaded nothing, as if it had started by itself. It is
ended with its method, so that nothing of one method is left for the next: no memory, no setting.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from cellharness.methods.child_process import die_with_parent, end
from cellharness.methods.registry import method_class

if TYPE_CHECKING:
    from cellharness.running.messages import Line
    from cellharness.running.worker import MethodSpec

#: Exit code of a method that is done and lets the next begin; any other ends all of them.
_HANDED_ON = 117

#: Of an entry of Linux's ``pagemap``: the page is mapped here; it is a file's.
_PRESENT, _OF_FILE = np.uint64(1 << 63), np.uint64(1 << 61)


@dataclass(frozen=True)
class Imported:
    """What a process has imported before its method is loaded.

    Attributes
    ----------
    seconds : float
        That it took.
    reused : bool
        Whether they were spent for an earlier method.
    forked : bool
        Whether the next method can begin where this one began.
    """

    seconds: float = 0.0
    reused: bool = False
    forked: bool = False


def fork_for_each(line: Line, spec: MethodSpec) -> tuple[MethodSpec, Imported]:
    """Import what a method needs, and fork for it and for each that follows.

    It returns in the forked processes; the one that forks them waits for the end of each, and then
    for the next method. When one dies it ends itself in the same way, so that who watches it sees
    what has happened. It returns without having forked where Linux does not tell which pages of
    libraries are mapped, so that too little memory would be measured, and where an import opened a
    GPU, which a forked process cannot use.

    Parameters
    ----------
    line : Connection or JsonLine
        Specifications come from it. What is forked has it too, and alone uses it while it lives.
    spec : MethodSpec
        The first method.

    Returns
    -------
    MethodSpec, Imported
        The method that this process is for.
    """
    begun = time.perf_counter()
    # The first is what every method's process imports for images in colour.
    for name in ("skimage.color.colorconv", *method_class(spec.method).imports):
        # What is missing is told where the method needs it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    seconds = time.perf_counter() - begun
    try:
        pages = _pages_of_files()
    except OSError:
        return spec, Imported(seconds)
    if _has_opened("/dev/nvidia"):
        return spec, Imported(seconds)
    reused = False
    while True:
        child = os.fork()
        if child == 0:
            die_with_parent()
            _touch(pages)
            return spec, Imported(seconds, reused, forked=True)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != _HANDED_ON:
            _end_as(code)
        try:
            spec = line.recv()
        except EOFError:
            end()
        reused = True


def hand_on() -> NoReturn:
    """End a forked process whose method is done, so that the next can begin."""
    end(_HANDED_ON)


def _end_as(code: int) -> NoReturn:
    if code < 0:
        # The memory of the process that died was written out already, if it is at all.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        with contextlib.suppress(OSError):  # the signals that cannot be handled
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(max(code, 0))


def _has_opened(start: str) -> bool:
    """Whether this process has a file open whose path begins so."""
    for each in Path("/proc/self/fd").iterdir():
        # The list of them was open itself.
        with contextlib.suppress(OSError):
            if str(each.readlink()).startswith(start):
                return True
    return False


def _pages_of_files() -> list[tuple[int, np.ndarray]]:
    """Where files are mapped, mostly libraries, and the pages of each that are in use, in bytes."""
    size = os.sysconf("SC_PAGE_SIZE")
    found = []
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        for each in Path("/proc/self/maps").read_text().splitlines():
            place, rights, _, _, inode, *name = each.split(maxsplit=5)
            if inode == "0" or rights[0] != "r" or name[0].startswith("/dev/"):
                continue
            start, stop = (int(edge, 16) for edge in place.split("-"))
            pagemap.seek(start // size * 8)
            entries = np.frombuffer(pagemap.read((stop - start) // size * 8), np.uint64)
            used = np.flatnonzero((entries & _PRESENT > 0) & (entries & _OF_FILE > 0))
            if used.size:
                found.append((start, used * size))
    return found


def _touch(pages: list[tuple[int, np.ndarray]]) -> None:
    """Map pages of files here too: forking leaves them out, and they are part of what is needed."""
    for start, used in pages:
        mapped = (ctypes.c_ubyte * (int(used[-1]) + 1)).from_address(start)
        np.frombuffer(memoryview(mapped), np.uint8)[used].sum()
