"""MiSiC's U-Net in torch, filled from the authors' Keras file. Imports torch and h5py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn

from cellharness.errors import UsageError
from cellharness.weights import refuse_unsound, shapes_of
from cellharness_adapters.misic.convolution import WideConvolution

#: Channels of the three shape indices, and of every layer.
SCALES, _WIDTH = 3, 64
#: Of Keras, as the file has it.
_EPSILON = 1e-3
#: What torch calls arrays of Keras.
_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class ArchitectureError(UsageError):
    """A file does not hold this network."""


class _Layer(nn.Sequential):
    """A 7 x 7 convolution, then ReLU, then the norm."""

    def __init__(self, inputs: int) -> None:
        super().__init__(
            WideConvolution(inputs, _WIDTH),
            nn.ReLU(),
            nn.BatchNorm2d(_WIDTH, eps=_EPSILON),
        )


class MisicNet(nn.Module):
    """U-Net of seven layers and three levels of pooling (Panigrahi et al. 2021).

    Examples
    --------
    >>> MisicNet().eval()(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 1, 64, 64])
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_Layer(inputs) for inputs in (SCALES, _WIDTH, _WIDTH))
        self.bottom = _Layer(_WIDTH)
        self.up = nn.ModuleList(_Layer(2 * _WIDTH) for _ in range(3))
        self.head = nn.Conv2d(_WIDTH, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict cell.

        Parameters
        ----------
        x : Tensor, (N, 3, H, W)
            Shape indices, -1 to 1; H and W multiples of 8.

        Returns
        -------
        Tensor of float32, (N, 1, H, W)
            Probability of cell.
        """
        skips = []
        for layer in self.down:
            skips.append(layer(x))
            x = nn.functional.max_pool2d(skips[-1], 2)
        x = self.bottom(x)
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = layer(torch.cat([x, skip], dim=1))
        # Seeds are cut at 0.999, which bfloat16 cannot tell from 1.
        with torch.autocast(x.device.type, enabled=False):
            return torch.sigmoid(self.head(x.float()))


def load_network(path: Path | str) -> MisicNet:
    """Build the network and fill it from a Keras file such as ``MiSiCv2.h5``.

    Parameters
    ----------
    path : Path or str
        HDF5 with ``model_config`` and ``model_weights``. Only arrays are read, nothing is
        executed.

    Returns
    -------
    MisicNet
        In evaluation mode, on the CPU.

    Raises
    ------
    ArchitectureError
        The file is no HDF5, or holds another network; the first difference is named.
    WeightFileError
        It holds NaN or infinity, or a negative variance.
    """
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            config = json.loads(file.attrs["model_config"])
            arrays = [_arrays(file["model_weights"], layer) for layer in config["config"]["layers"]]
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        msg = f"'{path.name}' is no Keras file of MiSiC's network: {error!s:.200}"
        raise ArchitectureError(msg) from error
    network = MisicNet()
    # In the file's own order: convolution, norm, convolution, norm ... and the last convolution.
    found = [each for each in arrays if each]
    expected = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.BatchNorm2d)]
    if len(found) != len(expected):
        msg = (
            f"'{path.name}' holds {len(found)} layers with weights, "
            f"MiSiC's network has {len(expected)}"
        )
        raise ArchitectureError(msg)
    for number, (given, layer) in enumerate(zip(found, expected, strict=True), start=1):
        wanted = shapes_of(layer.state_dict())
        wanted.pop("num_batches_tracked", None)  # of torch alone, and of no use in prediction
        if shapes_of(given) != wanted:
            msg = f"'{path.name}': layer {number} has {shapes_of(given)}, expected {wanted}"
            raise ArchitectureError(msg)
        layer.load_state_dict(given)
    refuse_unsound(path, network.state_dict())
    # In this layout torch computes the 7 x 7 kernels directly, ten times closer to Keras.
    return network.eval().to(memory_format=torch.channels_last)


def _arrays(weights: Any, layer: dict[str, Any]) -> dict[str, torch.Tensor]:
    """A layer's arrays with the names of torch, kernels in its order of axes."""
    if layer["class_name"] not in ("Conv2D", "BatchNormalization"):
        return {}
    group = weights[layer["config"]["name"]]
    arrays = {}
    for key in map(_text, group.attrs["weight_names"]):
        name = key.rpartition("/")[2].partition(":")[0]
        array = np.asarray(group[key], np.float32)
        if name == "kernel":
            array = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
        arrays[_NAMES.get(name, name)] = torch.from_numpy(array)
    return arrays


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
