from __future__ import annotations

import pytest


@pytest.fixture
def small_crops(monkeypatch):
    """Side in px of the crops that Cellpose is fine-tuned on, a fifth of the usual work."""
    side = 96
    monkeypatch.setattr("cellharness_adapters.cellpose.learner._CROP", side)
    return side
