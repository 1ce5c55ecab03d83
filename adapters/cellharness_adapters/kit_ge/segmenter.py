"""KIT-GE-style segmentation: distances by a U-Net, cells by a watershed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from cellharness.methods.base import BaseSegmenter, MethodInfo, Parameters
from cellharness.weights import Weights, local_weights
from cellharness_adapters.kit_ge.instances import instances_from_distances
from cellharness_adapters.kit_ge.normalisation import Normalisation, normalise
from cellharness_adapters.kit_ge.scaling import resize_labels, shrink
from cellharness_adapters.kit_ge.tiles import predict_tiled

if TYPE_CHECKING:
    import torch


class KitGeParameters(Parameters):
    """Parameters of prediction; defaults as in the published inference script."""

    weights: str = Field(
        description="trained:NAME for a training of the same configuration, or a path; the "
        "published weights lie on no host that hands them out."
    )
    th_cell: float = Field(0.07, description="Cell distance above which a pixel is cell.")
    th_seed: float = Field(0.45, description="Cell distance, less borders, of a seed.")
    merge: bool = Field(
        False, description="Join neighbours whose common border has next to no neighbour distance."
    )
    scale: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Shrink the image first, for large cells. Empty: as in the training of the "
        "checkpoint, 1 where it does not say.",
    )
    normalisation: Normalisation = Field(
        "min_max", description="Both are the same in prediction: the image's range to [-1, 1]."
    )
    activation: Literal["relu", "mish"] | None = Field(
        None, description="Of the network, where the checkpoint does not say; relu if empty."
    )
    tile: int = Field(512, ge=64, multiple_of=16, description="Side of a tile in px.")
    tile_overlap: int = Field(96, ge=0, description="Px that tiles share.")
    batch_size: int = Field(1, ge=1, description="Tiles at once.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the processor computes in it, else float32."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if any.")


class KitGe(BaseSegmenter):
    """Cell and neighbour distances by a U-Net with two decoders (Scherr et al. 2020)."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="U-Net with two decoders for cell and neighbour distances, then watershed.",
        licence="BSD-3-Clause (own code after the published method)",
        citation="Scherr et al., PLoS ONE 15, e0243219 (2020)",
        input="gray_max",
        url="https://git.scc.kit.edu/KIT-Sch-GE/2021_segmentation",
        extra="kit-ge",
        packages=("torch", "numpy", "scipy", "scikit-image"),
        requires=("torch>=2.4", "lightning-fabric>=2.4"),
    )
    Parameters: ClassVar[type[Parameters]] = KitGeParameters
    parameters: KitGeParameters
    trainer: ClassVar[str] = "cellharness_adapters.kit_ge.training:KitGeTrainer"

    def weights(self) -> tuple[Weights, ...]:
        """Find the checkpoint."""
        return (local_weights(Path(self.parameters.weights)),)

    def load(self) -> None:
        """Build the network that the checkpoint is of."""
        import torch

        from cellharness.training.checkpoints import load
        from cellharness.training.loop import choose_device, choose_precision
        from cellharness_adapters.kit_ge.network import ArchitectureError, network_from

        path = Path(self.parameters.weights)
        try:
            content = load(path)
        except Exception as error:  # of any kind, on bytes that are no weights
            msg = f"'{path.name}' is no file of torch weights: {error!s:.200}"
            raise ArchitectureError(msg) from error
        meta = content.get("meta", {}) if isinstance(content, dict) else {}
        state = content.get("model", content) if isinstance(content, dict) else {}
        activation = self.parameters.activation or meta.get("activation", "relu")
        network = network_from(state, activation, path.name)
        device = choose_device(self.parameters.device)
        precision = choose_precision(self.parameters.precision, device)
        if device == "cuda":
            self.timer.synchronise = torch.cuda.synchronize
        self._predict = Predictor(network, device, precision)
        self._scale = float(self.parameters.scale or meta.get("scale", 1.0))
        self._how = {
            "scale": self._scale,
            "device": device,
            "precision": precision,
            "filters": list(network.filters),
        }

    def resolved(self) -> dict[str, Any]:
        """What ``auto`` comes to on this machine; torch is imported only to answer that."""
        wanted = self.parameters
        if "auto" not in (wanted.device, wanted.precision):
            return {}
        from cellharness.training.loop import choose_device, choose_precision

        device = choose_device(wanted.device)
        return {"device": device, "precision": choose_precision(wanted.precision, device)}

    def warmup(self) -> None:
        """Run one tile."""
        side = self.parameters.tile
        self._predict(np.zeros((1, side, side), np.float32))
        self.timer.reset()

    def details(self) -> dict[str, Any]:
        """Scale, device, precision and width of the network."""
        return self._how

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image.

        Parameters
        ----------
        image : ndarray, (H, W)
            Grey, any finite range.

        Returns
        -------
        ndarray of unsigned int, (H, W)

        Raises
        ------
        ValueError
            The image has channels; use input gray_max or gray.
        """
        if image.ndim != 2:
            msg = f"kit-ge takes grey images, this one has shape {image.shape}; use input gray_max"
            raise ValueError(msg)
        values = shrink(normalise(image, self.parameters.normalisation), self._scale)
        neighbor, cell = predict_tiled(
            values,
            self._predict,
            tile=self.parameters.tile,
            overlap=self.parameters.tile_overlap,
            divisor=self._predict.divisor,
            batch_size=self.parameters.batch_size,
        )
        with self.timer.phase("postprocess"):
            labels = instances_from_distances(
                cell,
                neighbor,
                self.parameters.th_cell,
                self.parameters.th_seed,
                merge=self.parameters.merge,
            )
            return resize_labels(labels, image.shape)


class Predictor:
    """The network on batches of NumPy tiles.

    Parameters
    ----------
    network : DUNet
        In evaluation mode; moved to the device.
    device : {"cpu", "cuda"}
    precision : {"float32", "bfloat16", "float16"}
    """

    def __init__(self, network: Any, device: str, precision: str) -> None:
        import torch

        self._network: torch.nn.Module = network.to(
            device=device, memory_format=torch.channels_last
        )
        self.divisor: int = network.divisor
        self._device = device
        self._dtype = getattr(torch, precision)

    def __call__(self, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict (neighbour, cell), each float32 (N, H, W), of tiles (N, H, W)."""
        import torch

        batch = torch.from_numpy(np.ascontiguousarray(tiles[:, None])).to(self._device)
        batch = batch.contiguous(memory_format=torch.channels_last)
        mixed = self._dtype != torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self._device, self._dtype, enabled=mixed),
        ):
            neighbor, cell = self._network(batch)
        return neighbor[:, 0].float().cpu().numpy(), cell[:, 0].float().cpu().numpy()
