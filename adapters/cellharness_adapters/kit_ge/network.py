"""The distance U-Net: one encoder, two decoders (Scherr et al. 2020, Fig. 3).

Submodules are named as in the published checkpoints, which therefore load unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn

from cellharness.weights import WeightFileError, check_fits, shapes_of
from cellharness_adapters.kit_ge.choices import Activation

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "mish": nn.Mish}


def _activated(convolution: nn.Module, channels: int, activation: Activation) -> list[nn.Module]:
    """Convolution, activation, norm: in this order, unlike most U-Nets."""
    return [convolution, _ACTIVATIONS[activation](), nn.BatchNorm2d(channels)]


class _Block(nn.Module):
    """Two 3 x 3 convolutions."""

    def __init__(self, inputs: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *_activated(nn.Conv2d(inputs, outputs, 3, padding=1), outputs, activation),
            *_activated(nn.Conv2d(outputs, outputs, 3, padding=1), outputs, activation),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class _Halve(nn.Module):
    """A convolution of stride 2 in the place of pooling."""

    def __init__(self, channels: int, activation: Activation) -> None:
        super().__init__()
        convolution = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.conv_pool = nn.Sequential(*_activated(convolution, channels, activation))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv_pool(x)


class _Double(nn.Module):
    """A transposed convolution of stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 2, stride=2))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.up(x))


class DUNet(nn.Module):
    """U-Net with two decoders, for neighbour and cell distances.

    Parameters
    ----------
    filters : (int, int)
        Channels at full resolution and at the bottom; they double from level to level, so
        the second is the first times a power of two. The published network has (64, 1024).
    activation : {"relu", "mish"}
        Leaves no trace in the names of the weights.

    Raises
    ------
    ValueError
        ``filters`` is no such pair.

    Examples
    --------
    >>> neighbor, cell = DUNet(filters=(4, 16))(torch.zeros(1, 1, 32, 48))
    >>> neighbor.shape == cell.shape == (1, 1, 32, 48)
    True
    """

    def __init__(
        self, filters: tuple[int, int] = (64, 1024), activation: Activation = "relu"
    ) -> None:
        super().__init__()
        self.filters, self.activation = tuple(filters), activation
        widths = _widths(*filters)
        self.encoderConv = nn.ModuleList(
            _Block(inputs, outputs, activation) for inputs, outputs in pairwise([1, *widths])
        )
        self.pooling = nn.ModuleList(_Halve(width, activation) for width in widths[:-1])
        self.decoder1Upconv, self.decoder1Conv = _decoder(widths, activation)
        self.decoder2Upconv, self.decoder2Conv = _decoder(widths, activation)

    @property
    def divisor(self) -> int:
        """Height and width of the input must be multiples of this."""
        return 2 ** len(self.pooling)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict distances.

        Parameters
        ----------
        x : Tensor, (N, 1, H, W)
            Grey values from -1 to 1; H and W multiples of ``divisor``.

        Returns
        -------
        neighbor, cell : Tensor, (N, 1, H, W)
        """
        skips = []
        for block, halve in zip(self.encoderConv, self.pooling, strict=False):
            skips.append(block(x))
            x = halve(skips[-1])
        x = self.encoderConv[-1](x)
        return (
            _decode(x, skips, self.decoder1Upconv, self.decoder1Conv),
            _decode(x, skips, self.decoder2Upconv, self.decoder2Conv),
        )


def _widths(top: int, bottom: int) -> list[int]:
    """Channels of each level."""
    widths = [top]
    while 0 < widths[-1] < bottom:
        widths.append(2 * widths[-1])
    if widths[-1] != bottom or len(widths) < 2:
        msg = f"filters {(top, bottom)}: the second must be the first times 2, 4, 8 ..."
        raise ValueError(msg)
    return widths


def _decoder(widths: list[int], activation: Activation) -> tuple[nn.ModuleList, nn.ModuleList]:
    steps = list(pairwise(widths[::-1]))
    doubles = nn.ModuleList(_Double(inputs, outputs) for inputs, outputs in steps)
    blocks: list[nn.Module] = [_Block(inputs, outputs, activation) for inputs, outputs in steps]
    return doubles, nn.ModuleList([*blocks, nn.Conv2d(widths[0], 1, 1)])


def _decode(
    x: torch.Tensor, skips: list[torch.Tensor], doubles: nn.ModuleList, blocks: nn.ModuleList
) -> torch.Tensor:
    for skip, double, block in zip(reversed(skips), doubles, blocks, strict=False):
        x = block(torch.cat([double(x), skip], dim=1))
    # Distances lie in 0 ... 1 and are cut at 0.07: bfloat16 would leave three digits of them.
    with torch.autocast(x.device.type, enabled=False):
        return blocks[-1](x.float())


def network_from(
    state: Mapping[str, torch.Tensor], activation: Activation = "relu", name: str = "checkpoint"
) -> DUNet:
    """Build the network that a checkpoint is of, and fill it.

    Parameters
    ----------
    state : mapping of str to Tensor
        Weights by name, as published or as our training writes them.
    activation : {"relu", "mish"}
        Of the network that was trained.
    name : str
        What to call the checkpoint in a message.

    Returns
    -------
    DUNet
        In evaluation mode, on the CPU.

    Raises
    ------
    WeightFileError
        Names or shapes are not those of a distance U-Net; the first are named.
    """
    levels = [key for key in state if key.startswith("encoderConv.") and key.endswith(".0.weight")]
    first = state.get("encoderConv.0.conv.0.weight")
    last = state.get(f"encoderConv.{len(levels) - 1}.conv.0.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        found = ", ".join(list(state)[:3]) or "nothing"
        msg = f"'{name}' is not a distance U-Net: it lacks encoderConv.*; it begins with {found}"
        raise WeightFileError(msg)
    try:
        network = DUNet((first.shape[0], last.shape[0]), activation)
    except ValueError as error:
        msg = f"'{name}' is not a distance U-Net: {error}"
        raise WeightFileError(msg) from error
    form = f"a distance U-Net with filters {network.filters}"
    check_fits(name, state, shapes_of(network.state_dict()), form)
    network.load_state_dict(dict(state))
    return network.eval()
