"""Masks made elsewhere are found by name."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import imageio.v3 as iio
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


def test_of_a_note_that_names_masks_only_these_are_taken(tmp_path):
    cells = np.kron(np.array([[0, 1], [2, 0]], np.uint8), np.ones((9, 9), np.uint8))
    for name in ("a_label.png", "b_label.tiff", "cafe\u0301_label.tiff"):
        iio.imwrite(tmp_path / name, cells)
    note = tmp_path / "note.json"
    method = {"folder": tmp_path, "provenance": note}

    def taken(**more):
        facts = {"status": "complete", "method": "m", "parameters": {}, "images": {}, **more}
        note.write_text(json.dumps(facts))
        segmenter, found = build("precomputed", method), []
        for case in ("a", "b", "caf\u00e9"):
            segmenter.begin_case(SimpleNamespace(case=case))
            with contextlib.suppress(MissingPredictionError):
                segmenter.segment(cells)
                found.append(case)
        return found

    # One that was saved in another format is named too.
    assert taken(masks=["a_label.tiff", "caf\u00e9_label.tiff"]) == ["a", "caf\u00e9"]
    segmenter = build("precomputed", method)
    segmenter.begin_case(SimpleNamespace(case="b"))
    with pytest.raises(
        MissingPredictionError, match=r"note\.json' does not speak for 'b_label\.tif"
    ):
        segmenter.segment(cells)
    # Notes of others, and those of earlier versions, do not say which masks they speak for.
    assert taken() == ["a", "b", "caf\u00e9"]
    assert taken(images=["a"], masks=["a"]) == ["a", "b", "caf\u00e9"]
