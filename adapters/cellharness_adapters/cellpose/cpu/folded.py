"""Cellpose's network for inference, with its batch norms folded into what stands next to them.

A batch norm is a scale and a shift per channel once training is over. Where it follows a
convolution directly it becomes part of that convolution; where it precedes a 1 x 1 one,
likewise; where neither holds it becomes one multiply-add, which takes the style's bias
along. The outputs are the same up to rounding, with half the passes over memory. In
bfloat16 fewer roundings also mean a smaller error than under autocast.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from cellpose.resnet_torch import CPnet, batchconv, batchconvstyle, resdown, resup
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """What a batch norm in evaluation mode does, each (C,)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _per_channel(values: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach()[None, :, None, None].clone(), requires_grad=False)


def _norm_then_projection(layers: nn.Sequential) -> nn.Conv2d:
    """Fold a batch norm into the 1 x 1 convolution behind it."""
    norm, conv = layers[0], layers[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    scale, shift = _scale_and_shift(norm)
    kernel = conv.weight[:, :, 0, 0]
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
    folded.weight = nn.Parameter((kernel * scale)[:, :, None, None].detach(), False)
    folded.bias = nn.Parameter((conv.bias + kernel @ shift).detach(), False)
    return folded


class NormRelu(nn.Module):
    """Batch norm and ReLU as one multiply-add and one clamp in place."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        scale, shift = _scale_and_shift(norm)
        self.scale, self.shift = _per_channel(scale), _per_channel(shift)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) in and out."""
        return torch.addcmul(self.shift, x, self.scale).relu_()


class Down(nn.Module):
    """One level of the encoder: two residual pairs of convolutions."""

    def __init__(self, block: resdown) -> None:
        super().__init__()
        layers: list[batchconv] = list(block.conv)
        self.projection = _norm_then_projection(block.proj)
        self.norm_0, self.norm_2 = NormRelu(layers[0][0]), NormRelu(layers[2][0])
        self.conv_0 = fuse_conv_bn_eval(layers[0][2], layers[1][0])
        self.conv_1 = layers[1][2]
        self.conv_2 = fuse_conv_bn_eval(layers[2][2], layers[3][0])
        self.conv_3 = layers[3][2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) in, with other C out."""
        x = self.projection(x).add_(self.conv_1(self.conv_0(self.norm_0(x)).relu_()))
        return x.add_(self.conv_3(self.conv_2(self.norm_2(x)).relu_()))


class Styled(nn.Module):
    """A convolution of the decoder, whose norm takes the style's bias along."""

    def __init__(self, block: batchconvstyle) -> None:
        super().__init__()
        scale, shift = _scale_and_shift(block.conv[0])
        self.scale = _per_channel(scale)
        self.bias = nn.Linear(block.full.in_features, block.full.out_features)
        self.bias.weight.data = (block.full.weight * scale[:, None]).detach().clone()
        self.bias.bias.data = (block.full.bias * scale + shift).detach().clone()
        self.conv = block.conv[2]

    def forward(self, style: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """(N, 256) and (N, C, H, W) in, (N, C, H, W) out."""
        bias = self.bias(style)[:, :, None, None]
        return self.conv(torch.addcmul(bias, x, self.scale).relu_())


class Up(nn.Module):
    """One level of the decoder."""

    def __init__(self, block: resup) -> None:
        super().__init__()
        first, *styled = list(block.conv)
        self.projection = _norm_then_projection(block.proj)
        self.norm_0, self.conv_0 = NormRelu(first[0]), first[2]
        self.conv_1, self.conv_2, self.conv_3 = (Styled(layer) for layer in styled)

    def forward(self, x: torch.Tensor, skip: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), the encoder's level and (N, 256) in, the level's shape out."""
        inner = self.conv_0(self.norm_0(x)).add_(skip)
        x = self.projection(x).add_(self.conv_1(style, inner))
        return x.add_(self.conv_3(style, self.conv_2(style, x)))


class FoldedNetwork(nn.Module):
    """A copy of a Cellpose network for inference only.

    Parameters
    ----------
    network : CPnet
        In evaluation mode, float32; left as it is.
    """

    def __init__(self, network: CPnet) -> None:
        super().__init__()
        network = copy.deepcopy(network)  # convolutions are taken over as they are
        self.down = nn.ModuleList([Down(block) for block in network.downsample.down])
        self.up = nn.ModuleList([Up(block) for block in network.upsample.up])
        self.norm, self.output = NormRelu(network.output[0]), network.output[2]
        self.make_style = network.make_style

    def encode(self, tiles: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Run the encoder.

        Returns
        -------
        levels : list of Tensor, (N, C, H / 2**k, W / 2**k)
        style : Tensor of float32, (N, 256)
        """
        levels: list[torch.Tensor] = []
        for block in self.down:
            levels.append(block(F.max_pool2d(levels[-1], 2) if levels else tiles))
        return levels, self.make_style(levels[-1].float())

    def forward(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the network; (N, 2, H, W) in, (N, 3, H, W) and style (N, 256) out."""
        levels, style = self.encode(tiles)
        bias = style.to(tiles.dtype)
        x = self.up[-1](levels[-1], levels[-1], bias)
        for level in range(len(self.up) - 2, -1, -1):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.up[level](x, levels[level], bias)
        return self.output(self.norm(x)), style
