"""What Cellpose's automatic choices come to, as part of a prediction's identity."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cellharness.methods.registry import build

pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")


def resolved(**options):
    return build("cellpose", {"weights": "cyto", **options}).resolved()


def test_automatic_choices_are_told_as_they_will_be_made():
    import torch

    found = resolved()
    assert found["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert found["precision"] in ("mixed", "float32")
    assert resolved(device="cpu", precision="stock") == {}
    assert resolved(precision="stock")["precision"] == "stock"
    assert resolved(device="cpu")["device"] == "cpu"


def test_nothing_heavy_is_imported_where_nothing_is_left_to_the_machine():
    code = (
        "import sys; from cellharness.methods.registry import build\n"
        "options = {'weights': 'cyto', 'device': 'cpu', 'precision': 'float32'}\n"
        "build('cellpose', options).resolved(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_told_is_what_is_then_used(cyto):
    method = build("cellpose", {"weights": "cyto", "diameter": 30})
    method.load()
    method.segment(np.random.default_rng(0).normal(100, 20, (64, 64)).astype(np.float32))
    told = method.resolved()
    assert {key: method.details()[key] for key in told} == told
