"""The machine's limits, beside which other benchmarks say how near they come."""

from __future__ import annotations

import pytest

from machine import copied_bytes_per_s, disk_bytes_per_s, matrix_products_per_s
from recording import measured

torch = pytest.importorskip("torch", reason="needs torch")


def test_what_the_machine_can_do(benchmark, tmp_path):
    benchmark.pedantic(matrix_products_per_s, args=(1,), rounds=1)
    cores = torch.get_num_threads()
    for precision in ("float32", "bfloat16"):
        for threads in sorted({1, cores}):
            what = f"products of matrices in {precision}, {threads} thread{'s' * (threads > 1)}"
            rate = matrix_products_per_s(threads, precision) / 1e9
            measured(benchmark, "limits", what, rate, "Gflop/s")
    measured(benchmark, "limits", "memory, one core copies", copied_bytes_per_s() / 1e9, "GB/s")
    written, read = disk_bytes_per_s(tmp_path)
    measured(benchmark, "limits", "disk, written and synced", written / 1e9, "GB/s")
    measured(benchmark, "limits", "disk, read again", read / 1e9, "GB/s")
