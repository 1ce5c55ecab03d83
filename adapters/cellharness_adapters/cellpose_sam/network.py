"""Cellpose 4's model around a weight file that was checked; only where Cellpose 4 is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from cellpose import models
from cellpose.vit import CPSAM

from cellharness.errors import MissingDependencyError
from cellharness.methods.base import check_finite
from cellharness.methods.timing import PhaseTimer
from cellharness.weights import WeightFileError, check_fits, read_weights, shapes_of
from cellharness_adapters.networks import CELLPOSE_SAM, NETWORKS

#: Of the training images; the published files have neither.
_OPTIONAL = ("diam_labels", "diam_mean")
#: Width of an encoder of DINOv3 by the name that the library has for it.
_DINO = {1024: "vitl", 768: "vitb"}


def load_model(path: Path, precision: str, device: str, timer: PhaseTimer) -> models.CellposeModel:
    """Build the library's model, its network filled from a weight file.

    The library itself would take its default weights where it does not find those asked for, and
    would leave tensors that a file lacks as they come; here a file must hold all of them.

    Parameters
    ----------
    path : Path
        A state dict of Cellpose 4.
    precision : {"bfloat16", "float32"}
    device : {"cpu", "cuda"}
    timer : PhaseTimer
        Told of the phases ``network`` and ``postprocess``.

    Raises
    ------
    WeightFileError
        The file is damaged, or holds another network.
    MissingDependencyError
        It holds a network whose code is not installed.
    """
    state = read_weights(path, CELLPOSE_SAM, NETWORKS).state
    dtype = getattr(torch, precision)
    backbone, network = _empty_network(path, state, dtype)
    check_fits(path, state, shapes_of(network.state_dict()), "Cellpose-SAM's network", _OPTIONAL)
    network.load_state_dict(state, strict=False)
    network.to(device=torch.device(device), dtype=dtype).eval()

    class TimedModel(models.CellposeModel):
        def __init__(self) -> None:
            # The library's own would look for the weights by itself.
            self.device = torch.device(device)
            self.gpu = device == "cuda"
            self.pretrained_model = str(path)
            self.backbone = backbone
            self.net = network

        def _run_net(self, *args: Any, **kwargs: Any) -> Any:
            with timer.phase("network"):
                flows, cellprob, styles = super()._run_net(*args, **kwargs)
            check_finite("Cellpose-SAM's network", flows, cellprob)
            return flows, cellprob, styles

        def _compute_masks(self, *args: Any, **kwargs: Any) -> Any:
            with timer.phase("postprocess"):
                return super()._compute_masks(*args, **kwargs)

    return TimedModel()


def _empty_network(
    path: Path, state: dict[str, torch.Tensor], dtype: torch.dtype
) -> tuple[str, Any]:
    """The library's name of a network, and the network without its weights."""
    if "encoder.cls_token" not in state:
        return "sam_vitl", CPSAM(dtype=dtype)
    patches = state.get("encoder.patch_embed.proj.weight")
    kind = _DINO.get(len(patches)) if patches is not None else None
    if kind is None:
        msg = f"'{path}' holds no network of Cellpose 4 that is known; take one of its own weights"
        raise WeightFileError(msg)
    try:
        import dinov3.hub.backbones  # noqa: F401
        from cellpose.vit import CPDINO
    except ImportError as error:
        msg = (
            f"'{path}' needs the code of DINOv3, which no package registry has ({error}). Make an "
            "environment of your own with Cellpose 4 and github.com/facebookresearch/dinov3, and "
            "name its interpreter as `python`, or take the weights cpsam_v2"
        )
        raise MissingDependencyError(msg) from error
    return f"dino_{kind}", CPDINO(model_name=kind, dtype=dtype)
