from __future__ import annotations

import numpy as np

from cellharness.methods.base import BaseSegmenter, MethodInfo


class Counting(BaseSegmenter):
    info = MethodInfo(summary="", licence="")

    def segment(self, image):
        if image.any():
            self._details = {"bright": int(image.sum())}
        return image.astype(np.uint8)


class Telling(Counting):
    def details(self):
        return {"bright": -1}


def test_details_are_what_segment_kept_unless_a_method_has_its_own():
    kept, own = Counting(), Telling()
    assert kept.details() == {}
    for method in (kept, own):
        method.segment(np.ones((2, 2)))
    assert kept.details() == {"bright": 4}
    assert own.details() == {"bright": -1}
    assert Counting().details() == {}
