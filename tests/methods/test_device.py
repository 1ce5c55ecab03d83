"""What ``auto`` comes to, for every kind of processor."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cellharness.errors import UsageError
from cellharness.methods import device
from cellharness.methods.device import (
    choose_device,
    choose_precision,
    half_where_native,
    has_amx,
    has_native_bfloat16,
)

torch = pytest.importorskip("torch", reason="needs torch")


@pytest.fixture(params=["linux", "elsewhere"])
def machine(request, monkeypatch, tmp_path):
    """Call with what the machine has to make the system, or else torch, report just that."""

    def has(*instructions, cuda=False, bfloat16_on_cuda=True):
        processor = tmp_path / "cpuinfo"
        monkeypatch.setattr(device, "_PROCESSOR", processor)
        if request.param == "linux":
            flags = " ".join(["fpu", "avx2", *instructions])
            processor.write_text(f"processor : 0\nflags\t\t: {flags}\nbugs : none\n")
        monkeypatch.setattr(device, "may_have_gpu", lambda: cuda or request.param != "linux")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bfloat16_on_cuda)
        for name in ("amx_tile", "avx512_bf16"):
            monkeypatch.setattr(
                torch.cpu, f"_is_{name}_supported", lambda n=name: n in instructions, raising=False
            )

    return has


@pytest.mark.parametrize(
    ("instructions", "precision", "amx"),
    [
        ([], "float32", False),
        (["avx512_bf16"], "bfloat16", False),
        (["amx_tile"], "bfloat16", True),
        (["avx512_bf16", "amx_tile"], "bfloat16", True),
    ],
)
def test_bfloat16_is_taken_where_the_processor_computes_in_it(
    machine, instructions, precision, amx
):
    machine(*instructions)
    assert choose_precision("auto", "cpu") == half_where_native("cpu") == precision
    assert has_native_bfloat16() == (precision == "bfloat16")
    assert has_amx() == amx


@pytest.mark.parametrize(("bfloat16", "precision"), [(True, "bfloat16"), (False, "float16")])
def test_on_a_gpu_it_is_the_half_precision_that_the_gpu_has(machine, bfloat16, precision):
    machine(cuda=True, bfloat16_on_cuda=bfloat16)
    assert choose_precision("auto", "cuda") == precision


def test_a_given_precision_stays_and_a_rule_of_ones_own_is_asked_for_auto_only(machine):
    machine("amx_tile")
    assert choose_precision("float16", "cpu", "own on {}".format) == "float16"
    assert choose_precision("auto", "cpu", "own on {}".format) == "own on cpu"


def test_a_torch_that_cannot_tell_has_no_native_bfloat16(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "_PROCESSOR", tmp_path / "none")
    for name in ("amx_tile", "avx512_bf16"):
        monkeypatch.delattr(torch.cpu, f"_is_{name}_supported", raising=False)
    assert not has_native_bfloat16()


@pytest.mark.parametrize(
    ("cuda", "wanted", "chosen"),
    [
        (True, "auto", "cuda"),
        (True, "cuda", "cuda"),
        (True, "cpu", "cpu"),
        (False, "auto", "cpu"),
        (False, "cpu", "cpu"),
    ],
)
def test_auto_is_the_gpu_if_there_is_one(machine, cuda, wanted, chosen):
    machine(cuda=cuda)
    assert choose_device(wanted) == chosen


def test_a_gpu_that_is_not_there_is_refused(machine):
    machine()
    with pytest.raises(UsageError, match="no CUDA GPU; see `cellharness doctor`"):
        choose_device("cuda")


def test_this_machine_is_told_as_torch_tells_it():
    assert has_amx() == torch.cpu._is_amx_tile_supported()
    assert device._reports("avx512_bf16") == torch.cpu._is_avx512_bf16_supported()
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def imports_torch(code):
    names = "from cellharness.methods.device import choose_device, choose_precision"
    lines = f"import sys; {names}; {code}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", lines], capture_output=True, check=True)
    return answer.stdout == b"True\n"


def test_a_given_device_and_precision_need_no_torch():
    assert not imports_torch("choose_precision('float32', choose_device('cpu'))")


@pytest.mark.skipif(
    sys.platform != "linux" or torch.cuda.is_available(), reason="needs a Linux without a GPU"
)
def test_automatic_choices_need_no_torch_on_a_linux_without_a_gpu():
    assert not imports_torch("choose_precision('auto', choose_device('auto'))")
