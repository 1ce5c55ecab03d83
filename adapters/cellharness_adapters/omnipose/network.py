"""Networks of Cellpose's architecture, run over an image the way Omnipose does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from cellpose.resnet_torch import CPnet
from scipy.ndimage import zoom

from cellharness.methods.base import check_finite, check_left
from cellharness.weights import WeightFileError
from cellharness_adapters.cellpose.network import FastNetwork, load_network, read_state
from cellharness_adapters.networks import FIRST, LAST, OMNIPOSE
from cellharness_adapters.omnipose.library import library

Form = Literal["whole", "tiles"]
Precision = Literal["bfloat16", "float32", "stock"]
Forward = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
_Module = TypeVar("_Module", bound=torch.nn.Module)

#: Side of a tile in px, and the share of it that two have in common.
TILE, OVERLAP = 224, 0.1
#: What cellpose_omni 0.9 repeats of an image at its border before it cuts tiles, in px.
EDGE = 3
#: What convolutions see beyond the border.
_PADDING: dict[Form, Literal["reflect", "zeros"]] = {"whole": "reflect", "tiles": "zeros"}


@dataclass(frozen=True)
class Fields:
    """What the networks say of an image.

    Attributes
    ----------
    flows : ndarray of float32, (2, H, W)
        In y and x, times 5.
    distance : ndarray of float32, (H, W)
        Distance to the cell's edge, or Cellpose's logit of being cell; cells are above zero.
    boundary : ndarray of float32, (H, W), or None
        Logit of being edge, of networks that have it.
    """

    flows: np.ndarray
    distance: np.ndarray
    boundary: np.ndarray | None

    @property
    def outputs(self) -> int:
        """How many numbers the network gives for a pixel."""
        return 3 if self.boundary is None else 4


def load_omnipose_network(path: Path, diam_mean: float) -> CPnet:
    """Build the network that a weight file holds: 1 or 2 channels, 3 or 4 outputs.

    Raises
    ------
    WeightFileError
        It is another network; the first differences are named.
    """
    state = read_state(path, OMNIPOSE)

    def size(name: str, axis: int, sizes: Sequence[int]) -> int:
        """How many the file has; one that cannot be leads to an error that names the array."""
        found = state[name].shape[axis] if name in state and state[name].ndim == 4 else 0
        return found if found in sizes else sizes[-1]

    channels, outputs = size(FIRST, 1, (1, 2)), size(LAST, 0, (4, 3))
    return load_network(path, diam_mean, state=state, channels=channels, outputs=outputs)


class FieldNetworks:
    """One or several networks, averaged, over whole images or tiles of them.

    Parameters
    ----------
    networks : list of CPnet
        Alike in channels and outputs.
    precision : {"bfloat16", "float32", "stock"}
        Stock is the library's own network module.
    device : torch.device
    batch_size : int
        Tiles at once.

    Attributes
    ----------
    channels, outputs : int
        Of the networks.
    batch_size : int
        As given.

    Raises
    ------
    WeightFileError
        They are not alike.
    """

    def __init__(
        self, networks: list[CPnet], precision: Precision, device: torch.device, batch_size: int
    ) -> None:
        shapes = {(network.nbase[0], network.nout) for network in networks}
        if len(shapes) > 1:
            msg = f"networks of different (channels, outputs) cannot be averaged: {sorted(shapes)}"
            raise WeightFileError(msg)
        ((self.channels, self.outputs),) = shapes
        self._networks, self._precision, self._device = networks, precision, device
        self.batch_size = batch_size
        self._made: dict[Form, Forward] = {}
        self._transforms = library("cellpose_omni.transforms")
        self._utils = library("omnipose.utils")

    def __call__(self, image: np.ndarray, form: Form, scale: float = 1.0) -> Fields:
        """Run the networks over an image.

        Parameters
        ----------
        image : ndarray, (H, W)
            Any finite range; its 0.01st and 99.99th percentile become 0 and 1.
        form : {"whole", "tiles"}
        scale : float
            Zoom of the image beforehand; the fields are zoomed back.

        Returns
        -------
        Fields
            Of the image's size.
        """
        check_left(image.shape, scale, round(min(image.shape) * scale), "set a smaller diameter")
        channels = np.zeros((*image.shape, self.channels), np.float32)
        channels[..., 0] = image
        channels = self._transforms.normalize_img(channels, omni=True).transpose(2, 0, 1)
        if scale != 1.0:
            channels = np.stack([zoom(channel, scale, order=3) for channel in channels])
        fields = self._fields(channels, form)
        if scale != 1.0:
            back = np.array(image.shape) / fields.shape[1:]
            fields = np.stack([zoom(field, back, order=1) for field in fields])
        return Fields(fields[:2], fields[2], fields[3] if self.outputs == 4 else None)

    def _fields(self, channels: np.ndarray, form: Form) -> np.ndarray:
        """Outputs for normalised channels, (C, H, W) in, (O, H, W) out."""
        edge, run = (0, self._run_whole) if form == "whole" else (EDGE, self._run_tiles)
        channels = np.pad(channels, ((0, 0), (edge, edge), (edge, edge)), "edge")
        padded, (rows, columns) = self._transforms.pad_image_ND(channels, dim=2)
        fields = run(np.ascontiguousarray(padded, np.float32))
        top, left = rows[0] + edge, columns[0] + edge
        bottom, right = rows[-1] + 1 - edge, columns[-1] + 1 - edge
        return np.ascontiguousarray(fields[:, top:bottom, left:right])

    def _run_whole(self, padded: np.ndarray) -> np.ndarray:
        return self._forward("whole", padded[None])[0]

    def _run_tiles(self, padded: np.ndarray) -> np.ndarray:
        _, places, shape, _ = self._utils.make_tiles_ND(
            padded, bsize=TILE, tile_overlap=OVERLAP, return_tiles=False
        )
        at_once = self.batch_size
        parts = [
            self.run_tiles(np.stack([padded[:, y, x] for y, x in places[k : k + at_once]]))
            for k in range(0, len(places), at_once)
        ]
        return self._utils.average_tiles_ND(np.concatenate(parts), places, shape)

    def run_tiles(self, batch: np.ndarray) -> np.ndarray:
        """Outputs for a batch of tiles, (N, C, h, w) in, (N, O, h, w) out."""
        return self._forward("tiles", batch)

    def _forward(self, form: Form, batch: np.ndarray) -> np.ndarray:
        """Outputs for a batch, (N, C, H, W) in, (N, O, H, W) out."""
        if form not in self._made:
            self._made[form] = self._make(form)
        exact = self._precision == "stock" and self._device.type == "cuda"
        # As the library runs on a GPU, so that it gives what the CPU gives.
        flags = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with torch.no_grad(), flags if exact else nullcontext():
            found = self._made[form](torch.from_numpy(batch).to(self._device))[0].cpu().numpy()
        check_finite("Omnipose's network", found)
        return found

    def _make(self, form: Form) -> Forward:
        if self._precision == "stock":
            return _Average([self._stock(network, form) for network in self._networks])
        padded = [_with_padding(network, _PADDING[form]) for network in self._networks]
        kind = _WholeImageNetwork if form == "whole" else FastNetwork
        return kind(padded, self._precision, self._device)

    def _stock(self, network: CPnet, form: Form) -> torch.nn.Module:
        """The library's own module with the weights of ours."""
        module = library("cellpose_omni.resnet_torch")
        stock = module.CPnet(list(network.nbase), self.outputs, sz=3)
        state = network.state_dict()
        stock.load_state_dict({name: state[name] for name in stock.state_dict()})
        return _with_padding(stock, _PADDING[form]).eval().to(self._device)


def _with_padding(network: _Module, mode: Literal["reflect", "zeros"]) -> _Module:
    """Set what the 3 x 3 convolutions see beyond the border."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3):
            module.padding_mode = mode
    return network


class _WholeImageNetwork(FastNetwork):
    """Without the Winograd convolutions, which are for tiles with zeros beyond their border."""

    def _suits_tile_by_tile(self, *_: object) -> bool:
        return False


class _Average:
    """Mean of several networks' outputs."""

    def __init__(self, networks: list[torch.nn.Module]) -> None:
        self._networks = networks

    def __call__(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        results = [network(batch) for network in self._networks]
        return sum(result[0] for result in results) / len(results), results[0][1]
