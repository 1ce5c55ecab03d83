"""What the machine can do, to hold the benchmarks against."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

import numpy as np

_ROUNDS = 5
_SIDE = 2048


@cache
def matrix_products_per_s(threads: int, precision: str = "float32") -> float:
    """Operations a second of torch's product of two matrices of 2048 x 2048, best of five."""
    import torch

    dtype = getattr(torch, precision)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a, b = (torch.randn(_SIDE, _SIDE).to(dtype) for _ in range(2))
        a @ b
        best = min(_passed(lambda: a @ b) for _ in range(_ROUNDS))
    finally:
        torch.set_num_threads(before)
    return 2 * _SIDE**3 / best


@cache
def copied_bytes_per_s() -> float:
    """Bytes a second that one core reads from memory while it copies them, best of five."""
    source = np.ones(2**27, np.uint8)
    target = np.empty_like(source)
    np.copyto(target, source)
    return source.nbytes / min(_passed(lambda: np.copyto(target, source)) for _ in range(_ROUNDS))


def disk_bytes_per_s(folder: Path, mib: int = 256) -> tuple[float, float]:
    """Bytes a second written until they are on the disk, and read again past the cache.

    Reading tells more than the disk gives where the system keeps the file in memory all the same.
    """
    file = folder / "disk"
    part = np.random.default_rng(0).bytes(2**20)

    def write() -> None:
        with file.open("wb", buffering=0) as stream:
            for _ in range(mib):
                stream.write(part)
            os.fsync(stream.fileno())

    def read() -> None:
        with file.open("rb", buffering=0) as stream:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while stream.read(2**20):
                pass

    written, was_read = _passed(write), _passed(read)
    file.unlink()
    return mib * 2**20 / written, mib * 2**20 / was_read


def _passed(work: object) -> float:
    begun = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begun
