"""Compile a function with numba, and keep the machine code on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile `function` at its first call; later processes load what an earlier one compiled.

    numba keeps its cache beside the source or in the user's cache folder. Where neither can be
    written, as in some containers, it refuses to compile at all; then nothing is kept.
    """
    machine_code: Any
    try:
        machine_code = njit(cache=True, nogil=True)(function)
    except RuntimeError:
        machine_code = njit(nogil=True)(function)
    return machine_code
