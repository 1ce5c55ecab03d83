"""Device and precision that ``auto`` comes to on this machine, for methods and trainings alike.

torch takes seconds to import, so it is asked only where the system itself gives no answer.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from cellharness.errors import UsageError

Device = Literal["cpu", "cuda"]

_PROCESSOR = Path("/proc/cpuinfo")


def one_thread() -> ThreadPoolExecutor:
    """Start the thread in which a network runs for all replicas of a method, one call at a time.

    How torch splits up an operation is a setting of each thread, on which the last bits may hang.
    It is that of the thread that calls this.
    """
    import torch

    pool = ThreadPoolExecutor(1, "network", torch.set_num_threads, (torch.get_num_threads(),))
    # Now, while nobody else changes torch's settings.
    pool.submit(torch.get_num_threads).result()
    return pool


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Settle what ``auto`` means here: the GPU if there is one.

    Raises
    ------
    UsageError
        CUDA was asked for and is not there.
    """
    if wanted == "cpu":
        return "cpu"
    if may_have_gpu():
        import torch

        if torch.cuda.is_available():
            return "cuda"
    if wanted == "cuda":
        msg = "device 'cuda' was asked for and there is no CUDA GPU; see `cellharness doctor`"
        raise UsageError(msg)
    return "cpu"


def half_where_native(device: str) -> str:
    """``bfloat16`` where it is computed and not emulated (``float16`` on older GPUs)."""
    if device == "cuda":
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "bfloat16" if has_native_bfloat16() else "float32"


def choose_precision(
    wanted: str, device: str, automatic: Callable[[str], str] = half_where_native
) -> str:
    """Settle what ``auto`` means here; any other precision stays as it is.

    Parameters
    ----------
    wanted : str
        As in the method's parameters.
    device : {"cpu", "cuda"}
    automatic : callable
        Gives the precision of ``auto`` on a device, for methods that have a rule of their own.

    Examples
    --------
    >>> choose_precision("float32", "cuda")
    'float32'
    >>> choose_precision("auto", "cpu", lambda device: "stock")
    'stock'
    """
    return automatic(device) if wanted == "auto" else wanted


def settled(device: Literal["auto", "cpu", "cuda"], precision: str) -> dict[str, str]:
    """What ``auto`` comes to here, by parameter; empty, and soon said, where nothing is ``auto``.

    Examples
    --------
    >>> settled("cpu", "float32")
    {}
    """
    if "auto" not in (device, precision):
        return {}
    chosen = choose_device(device)
    return {"device": chosen, "precision": choose_precision(precision, chosen)}


def has_amx() -> bool:
    """Whether the processor multiplies whole matrices of bfloat16 (AMX)."""
    return _reports("amx_tile")


def has_native_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 (AVX512-BF16 or AMX); others emulate it."""
    return _reports("avx512_bf16") or has_amx()


def may_have_gpu() -> bool:
    """Whether torch should be asked: it finds no GPU on a Linux without a driver for one."""
    if sys.platform != "linux" or Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _reports(instructions: str) -> bool:
    """Ask Linux about the processor, or torch on other systems."""
    try:
        lines = _PROCESSOR.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return instructions in flags.split()
    import torch

    check = getattr(torch.cpu, f"_is_{instructions}_supported", None)
    return bool(check and check())  # releases that cannot tell do not use them either
