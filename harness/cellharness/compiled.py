"""Compile functions with numba, and keep the machine code on disk wherever that is possible."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numba
from numba.core import config

from cellharness.caching import cache_dir

Function = TypeVar("Function", bound=Callable[..., Any])

_njit = numba.njit
_config: Any = config


def compiled(function: Function) -> Function:
    """Compile `function` at its first call; later processes load what an earlier one compiled."""
    machine_code: Any = kept_njit(nogil=True)(function)
    return machine_code


def kept_njit(signature_or_function: Any = None, **options: Any) -> Any:
    """Decorate as ``numba.njit`` does, with a cache on disk.

    numba keeps its cache beside the source, else in the user's cache folder. Where neither can be
    written, as in some containers, it refuses to compile at all; then the code is kept in the
    folder that ``CELLHARNESS_CACHE`` names, and where that fails too, not kept.
    """
    if inspect.isfunction(signature_or_function):
        return kept_njit()(signature_or_function)
    signature = () if signature_or_function is None else (signature_or_function,)

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return _njit(*signature, **{**options, "cache": True})(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
        try:
            with _numba_cache(str(cache_dir() / "compiled")):
                return _njit(*signature, **{**options, "cache": True})(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
        return _njit(*signature, **{**options, "cache": False})(function)

    return decorate


@contextmanager
def _numba_cache(folder: str) -> Iterator[None]:
    """Have functions that are decorated in this block cached in `folder`."""
    before = _config.CACHE_DIR
    _config.CACHE_DIR = folder
    try:
        yield
    finally:
        _config.CACHE_DIR = before


@contextmanager
def package_keeps_code(package: str) -> Iterator[None]:
    """Have a package that is imported in this block keep what numba compiles for it.

    Loops with explicit signatures are compiled when their module is imported; without a cache
    that is done again in every process, and takes seconds. Other packages that are imported
    on the way are left as they are.

    Parameters
    ----------
    package : str
        Top-level name, such as ``"cellpose"``.
    """

    def njit(signature_or_function: Any = None, **options: Any) -> Any:
        if inspect.isfunction(signature_or_function):
            return njit()(signature_or_function)

        def decorate(function: Callable[..., Any]) -> Any:
            own = function.__module__.partition(".")[0] == package
            return (kept_njit if own else _njit)(signature_or_function, **options)(function)

        return decorate

    numba.njit = njit  # type: ignore[assignment]
    try:
        yield
    finally:
        numba.njit = _njit
