"""MEDIAR-Former: the encoder of SegFormer, the decoder of MA-Net, two heads. Imports torch.

Submodules are named as in the published checkpoints, which therefore load unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn

from cellharness.weights import read_weights
from cellharness_adapters.networks import MEDIAR, NETWORKS
from cellharness_adapters.unfilled import fill, without_initialising


@dataclass(frozen=True)
class Size:
    """How large the network is.

    Attributes
    ----------
    encoder : str
        Of segmentation_models_pytorch.
    channels : tuple of int
        Of the decoder's five stages, the coarsest first.
    attention : int
        Channels of the decoder's position-wise attention.
    """

    encoder: str
    channels: tuple[int, ...]
    attention: int


#: Of the published network, 121,303,587 parameters.
PUBLISHED = Size("mit_b5", (1024, 512, 256, 128, 64), 256)
#: MA-Net's own head, which the plug-in's checkpoints carry and no output comes from.
_UNUSED = {"segmentation_head.0.weight": (3, 64, 3, 3), "segmentation_head.0.bias": (3,)}


class _Head(nn.Sequential):
    """Convolution, activation, norm, convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs // 2, 3, padding=1),
            nn.Mish(inplace=True),
            nn.BatchNorm2d(inputs // 2),
            nn.Conv2d(inputs // 2, outputs, 3, padding=1),
        )


class MediarFormer(nn.Module):
    """The network of Lee et al. 2022, or one built alike, randomly initialised.

    Parameters
    ----------
    size : Size
    """

    def __init__(self, size: Size = PUBLISHED) -> None:
        super().__init__()
        whole = smp.MAnet(
            size.encoder,
            encoder_weights=None,
            decoder_channels=size.channels,
            decoder_pab_channels=size.attention,
            in_channels=3,
            classes=3,
        )
        self.encoder, self.decoder = whole.encoder, whole.decoder
        _replace_relu(self.decoder)  # the encoder has none
        self.cellprob_head = _Head(size.channels[-1], 1)
        self.gradflow_head = _Head(size.channels[-1], 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict flows and cell.

        Parameters
        ----------
        x : Tensor, (N, 3, H, W)
            Colours, 0 to 1; H and W multiples of 32.

        Returns
        -------
        Tensor of float32, (N, 3, H, W)
            Flow in y and in x (times 5), logit of cell.
        """
        decoded = self.decoder(self.encoder(x))
        # Pixels move by these for 200 steps: half precision ends at the heads.
        with torch.autocast(x.device.type, enabled=False):
            decoded = decoded.float()
            return torch.cat([self.gradflow_head(decoded), self.cellprob_head(decoded)], dim=1)


def _replace_relu(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, nn.Mish(inplace=True))
        else:
            _replace_relu(child)


def unfilled_network(size: Size = PUBLISHED) -> MediarFormer:
    """Build the network with whatever lies in memory, to be filled at once."""
    with without_initialising():
        return MediarFormer(size)


def load_network(path: Path) -> MediarFormer:
    """Build the network and fill it from a checkpoint.

    Parameters
    ----------
    path : Path
        A state dict as the repository publishes (``from_phase1.pth``) or as the napari plug-in does
        (``main_model.pth``), which has MA-Net's unused head as well. No code in it is run.

    Returns
    -------
    MediarFormer
        In evaluation mode, on the CPU.

    Raises
    ------
    WeightFileError
        It is no such file, is damaged, or holds another network; the first differences are named.
    """
    state = read_weights(path, MEDIAR, NETWORKS).state
    network = unfilled_network()
    fill(network, state, path, "a MEDIAR-Former", _UNUSED)
    return network.eval()
