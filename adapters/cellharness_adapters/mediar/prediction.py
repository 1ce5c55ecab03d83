"""The networks on an image of any size: windows that overlap, and flips. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from cellharness.methods.base import check_finite
from cellharness_adapters.mediar.network import MediarFormer
from cellharness_adapters.mediar.presets import Pass

#: Above so many px windows are put together in the memory of the machine, not of the GPU.
_TOO_LARGE = 5000**2
#: Of the Gaussian with which a window counts, in sides of a window.
SIGMA_SCALE = 0.125


class Predictor:
    """One or two networks, of which the mean over passes is taken.

    Parameters
    ----------
    networks : sequence of MediarFormer
        Moved to the device.
    device : {"cpu", "cuda"}
    precision : {"float32", "bfloat16", "float16"}
    window : int
        Side of a window in px.
    batch_size : int
        Windows at once.
    """

    def __init__(
        self,
        networks: Sequence[MediarFormer],
        device: str,
        precision: str,
        window: int,
        batch_size: int,
    ) -> None:
        self._networks = [network.to(device) for network in networks]
        self._device = device
        self._dtype = getattr(torch, precision)
        self._window = window
        self._batch_size = batch_size

    def __call__(self, image: np.ndarray, passes: Sequence[Pass], overlap: float) -> np.ndarray:
        """Predict flows and logits of a prepared image.

        Parameters
        ----------
        image : ndarray of float32, (3, H, W)
        passes : sequence of Pass
            What is averaged.
        overlap : float
            Share of a window that the next one covers too.

        Returns
        -------
        ndarray of float32, (3, H, W)

        Raises
        ------
        NotFiniteError
            A network gives NaN or infinity.
        """
        total = np.zeros_like(image)
        for each in passes:
            given = image if each.axis is None else np.flip(image, each.axis)
            found = self._one(self._networks[each.network], given, overlap)
            if each.axis is not None:
                found = np.flip(found, each.axis).copy()
                # Channel 0 is the flow along rows, axis 1; what is flipped flows the other way.
                found[each.axis - 1] *= -1
            total += found
        total /= len(passes)
        check_finite("MEDIAR's network", total)
        return total

    def of_windows(self, windows: np.ndarray, network: int) -> np.ndarray:
        """Output of one network for windows, (N, 3, h, w) float32 in and out."""
        mixed = self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self._device, self._dtype, enabled=mixed):
            output = self._networks[network](torch.from_numpy(windows).to(self._device))
        found = output.float().cpu().numpy()
        check_finite("MEDIAR's network", found)
        return found

    def _one(self, network: MediarFormer, image: np.ndarray, overlap: float) -> np.ndarray:
        together = "cpu" if image[0].size >= _TOO_LARGE else self._device
        mixed = self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self._device, self._dtype, enabled=mixed):
            output = sliding_window_inference(
                torch.from_numpy(np.ascontiguousarray(image[None])).to(together),
                roi_size=(self._window, self._window),
                sw_batch_size=self._batch_size,
                predictor=network,
                overlap=overlap,
                mode="gaussian",
                sigma_scale=SIGMA_SCALE,
                padding_mode="constant",
                sw_device=self._device,
                device=together,
            )
        assert isinstance(output, torch.Tensor)
        return output[0].float().cpu().numpy()
