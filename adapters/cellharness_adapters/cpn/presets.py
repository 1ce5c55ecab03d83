"""The two ways in which CPN's authors predict. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PresetName = Literal["package", "challenge"]
Normalisation = Literal["percentile", "cstm-mix"]


@dataclass(frozen=True)
class Preset:
    """What is set together.

    Attributes
    ----------
    tile, stride : int
        Side of a tile, and from one to the next, px.
    border : int
        Contours that come so close to the inner border of a tile are its neighbour's, px.
    normalisation : {"percentile", "cstm-mix"}
    score_threshold, nms_threshold : float or None
        None: those of the checkpoint.
    uncertainty_nms : bool or None
        Of contours that overlap the surer one stays, in the place of the higher score. None: as the
        checkpoint says.
    """

    tile: int
    stride: int
    border: int
    normalisation: Normalisation
    score_threshold: float | None
    nms_threshold: float | None
    uncertainty_nms: bool | None


PRESETS: dict[PresetName, Preset] = {
    "package": Preset(1024, 768, 4, "percentile", None, None, None),
    "challenge": Preset(768, 384, 3, "cstm-mix", 0.891415, 0.3141592653589793, True),
}
