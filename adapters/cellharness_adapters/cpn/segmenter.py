"""CPN: third of the NeurIPS 2022 challenge, from weights that the user brings."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cellharness.installation import missing_package
from cellharness.methods.base import FLAT_IMAGE, MethodInfo, Parameters
from cellharness.methods.device import choose_device
from cellharness.methods.replicas import SharedPredictor
from cellharness.weights import SHA256_START, Weights, local_weights
from cellharness_adapters.cpn.presets import PRESETS, Normalisation, PresetName

if TYPE_CHECKING:
    import numpy as np

_TEAM, _PACKAGE = PRESETS["challenge"], PRESETS["package"]
#: The library ends the name of a checkpoint in the first digits of its SHA256.
_IN_NAME = re.compile(r"-([0-9a-f]{16})\.pt$")


class CpnParameters(Parameters):
    """Parameters of CPN; what is left empty is as in the preset."""

    weights: Path = Field(
        description="Path of a checkpoint of celldetection, such as the challenge's "
        "ginoro_CpnResNeXt101UNet-fbe875f1a3e5ce2c.pt, which its authors publish at "
        "https://celldetection.org/torch/models/ (see https://github.com/FZJ-INM1-BDA/celldetection)."
    )
    sha256: str | None = Field(
        None,
        pattern=SHA256_START,
        description="That the file must have, or its first digits. Empty: those in its name.",
    )
    preset: PresetName = Field(
        "challenge",
        description=f"challenge: the team's settings (tiles of {_TEAM.tile} px, stride "
        f"{_TEAM.stride}, score {_TEAM.score_threshold}, overlap {_TEAM.nms_threshold:.8f}, the "
        f"surer contour stays, normalisation {_TEAM.normalisation}). package: celldetection's "
        f"defaults ({_PACKAGE.tile}, {_PACKAGE.stride}, the checkpoint's thresholds).",
    )
    normalisation: Normalisation | None = Field(
        None, description="percentile: of what is not 8 bit. cstm-mix: as in the challenge."
    )
    tile: int | None = Field(None, ge=64, description="Side of a tile in px.")
    stride: int | None = Field(None, ge=32, description="From one tile to the next, px.")
    score_threshold: float | None = Field(
        None, gt=0, lt=1, description="Score above which a contour counts."
    )
    nms_threshold: float | None = Field(
        None, gt=0, le=1, description="Overlap (IoU of boxes) from which two contours are one cell."
    )
    uncertainty_nms: bool | None = Field(
        None, description="Of two the surer one stays, in the place of the higher score."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")

    @model_validator(mode="after")
    def _tiles_meet(self) -> CpnParameters:
        tile, stride = tiling_of(self)
        if stride > tile:
            msg = (
                f"stride {stride} leaves gaps between tiles of {tile} px; it must be {tile} or less"
            )
            raise ValueError(msg)
        return self


def tiling_of(parameters: CpnParameters) -> tuple[int, int]:
    """Side of a tile and stride, those of the preset where none are given, px."""
    preset = PRESETS[parameters.preset]
    return parameters.tile or preset.tile, parameters.stride or preset.stride


class Cpn(SharedPredictor):
    """Contour Proposal Network (Upschulte et al. 2022), third of the challenge."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Network that proposes contours as Fourier series; third of the challenge.",
        licence="BSD-3-Clause (own code), Apache-2.0 (celldetection, which has the network)",
        citation="Upschulte et al., Medical Image Analysis 77, 102371 (2022)",
        input="native",
        training_data=("NeurIPS 2022 CellSeg",),
        url="https://github.com/FZJ-INM1-BDA/celldetection",
        extra="cpn",
        packages=("torch", "torchvision", "celldetection", "numpy", "scikit-image"),
        requires=("torch>=2.6", "torchvision>=0.21", "celldetection==0.4.9"),
        limits="The published weights are not brought and were not run here; random weights were. "
        "The release of celldetection is not the one that the team ran in the challenge, whose "
        "checkpoints of that time do not load. The team used external data too, which the list of "
        "training data lacks.",
    )
    Parameters: ClassVar[type[Parameters]] = CpnParameters
    parameters: CpnParameters

    def weights(self) -> tuple[Weights, ...]:
        """Find the file, and compare it with the SHA256 that is asked for or in its name."""
        given = self.parameters.weights
        in_name = _IN_NAME.search(given.name)
        sha256 = self.parameters.sha256 or (in_name[1] if in_name else None)
        return (local_weights(given, sha256=sha256),)

    def load(self) -> None:
        """Build the network and fill it; thresholds that are set replace the checkpoint's."""
        try:
            from cellharness_adapters.cpn.network import load_network
            from cellharness_adapters.cpn.prediction import find_contours
        except ImportError as error:
            raise missing_package(what="CPN", error=error, extra="cpn") from error
        (weights,) = self.weights()
        wanted, preset = self.parameters, PRESETS[self.parameters.preset]
        device = choose_device(wanted.device)
        self.timer.wait_for(device)
        network: Any = load_network(weights.files["network"]).to(device)
        for name, given, default in (
            ("score_thresh", wanted.score_threshold, preset.score_threshold),
            ("nms_thresh", wanted.nms_threshold, preset.nms_threshold),
            ("uncertainty_nms", wanted.uncertainty_nms, preset.uncertainty_nms),
        ):
            chosen = default if given is None else given
            if chosen is not None:
                setattr(network, name, chosen)
        tile, stride = tiling_of(wanted)
        tiles: dict[str, Any] = {
            "tile": tile,
            "stride": stride,
            "border": preset.border,
            "device": device,
        }
        self._predict = partial(find_contours, network=network, **tiles)
        self._how = {
            "preset": wanted.preset,
            "network": type(network).__name__,
            "score_threshold": float(network.score_thresh),
            "nms_threshold": float(network.nms_thresh),
            **tiles,
        }

    def resolved(self) -> dict[str, Any]:
        """What ``auto`` comes to on this machine; torch is imported only to answer that."""
        wanted = self.parameters.device
        return {"device": choose_device(wanted)} if wanted == "auto" else {}

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W) or (H, W, C)
            Any finite range; grey becomes three equal channels.

        Returns
        -------
        ndarray of int32, (H, W)
        """
        import numpy as np

        from cellharness_adapters.cpn.prediction import labels_of
        from cellharness_adapters.cpn.preparing import prepare

        self._details = dict(self._how)
        preset = PRESETS[self.parameters.preset]
        ready = prepare(image, self.parameters.normalisation or preset.normalisation)
        size = (image.shape[0], image.shape[1])
        if ready is None:
            self._details["remark"] = FLAT_IMAGE
            return np.zeros(size, np.int32)
        with self.timer.phase("network"):
            contours = self._predict(ready)
        with self.timer.phase("postprocess"):
            return labels_of(contours, size)
