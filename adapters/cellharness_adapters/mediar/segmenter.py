"""MEDIAR: the winner of the NeurIPS 2022 challenge, from weights that the user brings."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from cellharness.installation import missing_package
from cellharness.methods.base import MethodInfo, Parameters
from cellharness.weights import SHA256_START, Weights, local_weights
from cellharness_adapters.mediar.presets import (
    PRESETS,
    Fault,
    Flips,
    Normalisation,
    Preset,
    PresetName,
    overlap_of,
)
from cellharness_adapters.mediar.windowed import WindowedSegmenter


class MediarParameters(Parameters):
    """Parameters of MEDIAR; what is left empty is as in the preset."""

    weights: Path = Field(
        description="Path of the authors' from_phase1.pth (repository) or main_model.pth (napari "
        "plug-in); both projects link a folder on Google Drive in their README: "
        "https://github.com/Lee-Gihun/MEDIAR, https://github.com/joonkeekim/mediar-napari."
    )
    second_weights: Path | None = Field(
        None,
        description="Path of from_phase2.pth or sub_model.pth, whose output is averaged with that "
        "of the first as the authors do. Empty: the first alone.",
    )
    sha256: str | None = Field(
        None, pattern=SHA256_START, description="That the file must have, or its first digits."
    )
    second_sha256: str | None = Field(None, pattern=SHA256_START, description="Of the second file.")
    preset: PresetName = Field(
        "repo",
        description="repo: as predict.py of the repository (percentiles of the whole image, both "
        f"flips, cell above {PRESETS['repo'].cellprob_threshold}). napari: as the plug-in, whose "
        "way to clean up and to choose flips by the image's size it has (percentiles of each "
        f"channel, cell above {PRESETS['napari'].cellprob_threshold}).",
    )
    normalisation: Normalisation | None = Field(
        None, description="Percentiles 0 to 99.5 of what is not zero, of the image or by channel."
    )
    flips: Flips | None = Field(
        None,
        description="all: the mean over the image and both its flips, six passes with two files. "
        "by_size: two passes below 4 Mpx, four below 25 Mpx, one above. none: each file once.",
    )
    cellprob_threshold: float | None = Field(
        None, ge=0, le=1, description="Probability above which a pixel is cell."
    )
    flow_threshold: float | None = Field(
        None, ge=0, description="Largest error of a cell's flows; 0 keeps all cells."
    )
    clean: bool | None = Field(
        None,
        description="Fill holes, drop cells below 15 px and 2.7 standard deviations below the "
        "mean area.",
    )
    overlap: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Of neighbouring windows. In both presets 0.6, but 0.5 between 0.9 and 1.15 "
        "Mpx in napari.",
    )
    faults: tuple[Fault, ...] = Field(
        (),
        description="Faults of the original to have back. no_foreground: an image without cells "
        "fails. tile_ids: from 25 Mpx on tiles of 2000 px are segmented apart, and cells of "
        "different tiles share ids. large_dropped: what covers more than 90 % of the image is "
        "dropped.",
    )
    window: int = Field(512, ge=64, multiple_of=32, description="Side of a window in px.")
    batch_size: int = Field(4, ge=1, description="Windows at once.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="auto: bfloat16 where the processor computes in it, else float32."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class Mediar(WindowedSegmenter):
    """MEDIAR-Former and flow following (Lee et al. 2022), first of the challenge."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="SegFormer encoder and MA-Net decoder that predict flows; first of the challenge.",
        licence="BSD-3-Clause (own code after the published method, which is MIT)",
        citation="Lee et al., arXiv 2212.03465 (2022)",
        input="native",
        # The repository's list, and TissueNet, which the challenge's paper names.
        training_data=(
            "NeurIPS 2022 CellSeg",
            "Omnipose",
            "Cellpose",
            "LiveCell",
            "DSB2018",
            "TissueNet",
        ),
        url="https://github.com/Lee-Gihun/MEDIAR",
        extra="mediar",
        packages=(
            "torch",
            "segmentation-models-pytorch",
            "monai",
            "numpy",
            "scipy",
            "scikit-image",
        ),
        requires=("torch>=2.4", "segmentation-models-pytorch>=0.5", "monai>=1.4"),
        limits="The published weights are not brought: they lie on Google Drive, and were not run "
        "here. What was tested is the network with random weights, equal to the library's release "
        "that the authors used, and all around it.",
    )
    Parameters: ClassVar[type[Parameters]] = MediarParameters
    parameters: MediarParameters

    def weights(self) -> tuple[Weights, ...]:
        """Find one or two files, and compare them with the SHA256 that is asked for."""
        wanted = self.parameters
        found = [local_weights(wanted.weights, sha256=wanted.sha256)]
        if wanted.second_weights is not None:
            found.append(local_weights(wanted.second_weights, sha256=wanted.second_sha256))
        return tuple(found)

    def load(self) -> None:
        """Build the networks and fill them."""
        try:
            import cellharness_adapters.mediar.prediction  # noqa: F401 - for `get_ready`
            from cellharness_adapters.mediar.network import load_network
        except ImportError as error:
            raise missing_package(what="MEDIAR", error=error, extra="mediar") from error
        wanted = self.parameters
        networks = [load_network(weights.files["network"]) for weights in self.weights()]
        given = wanted.model_dump(
            include={field.name for field in fields(Preset)}, exclude_none=True
        )
        self.get_ready(networks, wanted.window, replace(PRESETS[wanted.preset], **given))
        self._how = {"preset": wanted.preset, "networks": len(networks), **self._how}

    def settle_overlap(self, height: int, width: int) -> float:
        """That of the preset for this size unless another is asked for; the ledger keeps it."""
        wanted = self.parameters
        overlap = wanted.overlap
        if overlap is None:
            overlap = overlap_of(wanted.preset, height, width)
        self._details["overlap"] = overlap
        return overlap

    def faults(self) -> tuple[Fault, ...]:
        """Faults of the original to have back."""
        return self.parameters.faults
