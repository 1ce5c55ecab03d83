"""Masks made elsewhere are found by name."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from cellharness.errors import UsageError
from cellharness.methods.base import MissingPredictionError
from cellharness.methods.registry import build


def test_masks_are_found_as_all_labels_are(tmp_path):
    cells = np.kron(np.array([[0, 1], [2, 0]], np.uint8), np.ones((9, 9), np.uint8))
    for name in ("a_label.TIF", "b_gt.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, cells)
    method = build("precomputed", {"folder": tmp_path, "provenance": tmp_path / "note.txt"})

    def segment(case):
        method.begin_case(SimpleNamespace(case=case))
        return method.segment(cells)

    np.testing.assert_array_equal(segment("a"), cells)
    with pytest.raises(UsageError, match="keep one"):
        segment("b")
    with pytest.raises(MissingPredictionError, match="no mask of case 'c'"):
        segment("c")
