from __future__ import annotations

import pytest


@pytest.fixture
def small_crops(monkeypatch):
    """Side in px of the crops that Cellpose is fine-tuned on, a fifth of the usual work."""
    from cellharness_adapters.cellpose.finetuning_parameters import RECIPES

    side = 96
    monkeypatch.setitem(RECIPES["short"], "crop", side)
    return side
