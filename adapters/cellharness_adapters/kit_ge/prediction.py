"""From an image to cells: the network tile by tile, then the watershed. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cellharness.methods.base import check_finite, check_left
from cellharness.methods.timing import PhaseTimer
from cellharness_adapters.kit_ge.instances import instances_from_distances
from cellharness_adapters.kit_ge.normalisation import normalise
from cellharness_adapters.kit_ge.scaling import resize_labels, resize_map, shrink
from cellharness_adapters.kit_ge.tiles import predict_tiled

if TYPE_CHECKING:
    from cellharness_adapters.kit_ge.segmenter import KitGeParameters


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
        self._network: torch.nn.Module = network.to(
            device=device, memory_format=torch.channels_last
        )
        self.divisor: int = network.divisor
        self._device = device
        self._dtype = getattr(torch, precision)

    def __call__(self, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict (neighbour, cell), each float32 (N, H, W), of tiles (N, H, W)."""
        batch = torch.from_numpy(np.ascontiguousarray(tiles[:, None])).to(self._device)
        batch = batch.contiguous(memory_format=torch.channels_last)
        mixed = self._dtype != torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self._device, self._dtype, enabled=mixed),
        ):
            neighbor, cell = self._network(batch)
        found = neighbor[:, 0].float().cpu().numpy(), cell[:, 0].float().cpu().numpy()
        check_finite("the distance U-Net", *found)
        return found


def predict_cells(
    image: np.ndarray,
    predict: Predictor,
    parameters: KitGeParameters,
    scale: float,
    timer: PhaseTimer,
    maps: dict[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Segment one grey image.

    Parameters
    ----------
    image : ndarray, (H, W)
    predict : Predictor
        The network.
    parameters : KitGeParameters
        Thresholds, tiles and normalisation.
    scale : float
        Factor by which the image is shrunk first.
    timer : PhaseTimer
        Told what is post-processing.
    maps : dict or None
        Given both distances, float32 (H, W), if there is one.

    Returns
    -------
    ndarray of unsigned int, (H, W)
    """
    check_left(image.shape, scale, round(min(image.shape) * scale), "set a larger scale")
    neighbor, cell = predict_tiled(
        shrink(normalise(image, parameters.normalisation), scale),
        predict,
        tile=parameters.tile,
        overlap=parameters.tile_overlap,
        divisor=predict.divisor,
        batch_size=parameters.batch_size,
    )
    if maps is not None:
        found = {"cell_distance": cell, "neighbor_distance": neighbor}
        maps |= {name: resize_map(each, image.shape) for name, each in found.items()}
    with timer.phase("postprocess"):
        labels = instances_from_distances(
            cell, neighbor, parameters.th_cell, parameters.th_seed, merge=parameters.merge
        )
        return resize_labels(labels, image.shape)
