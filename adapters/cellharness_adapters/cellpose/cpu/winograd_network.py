"""Cellpose's network with Winograd convolutions, one tile on one core at a time.

The same layers as :class:`cellharness_adapters.cellpose.cpu.folded.FoldedNetwork`, from which it is
made, in float32; all that stands between two convolutions is done by them. Cores share out tiles,
not rows of an image, so that none waits for another after each layer.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from cellharness.compiled import compiled
from cellharness_adapters.cellpose.cpu.folded import Down, FoldedNetwork, NormRelu, Styled, Up
from cellharness_adapters.cellpose.cpu.winograd import Before, Scratch, WinogradConvolution, fits

#: Largest tile; the library cuts images into such.
LARGEST_TILE = 224


@compiled
def _halve(image, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Largest of each 2 x 2 px."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            a, b = image[2 * y, 2 * x], image[2 * y, 2 * x + 1]
            c, d = image[2 * y + 1, 2 * x], image[2 * y + 1, 2 * x + 1]
            place = out[y, x]
            for k in range(out.shape[2]):
                place[k] = max(max(a[k], b[k]), max(c[k], d[k]))


def _before(norm: NormRelu) -> Before:
    return Before(norm.scale.flatten().numpy(), norm.shift.flatten().numpy())


class _Projection:
    """A 1 x 1 convolution."""

    def __init__(self, conv: torch.nn.Conv2d) -> None:
        assert conv.bias is not None
        self._matrix = conv.weight.detach()[:, :, 0, 0].T.contiguous()
        self._bias = conv.bias.detach()

    def __call__(self, image: np.ndarray, out: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(image).flatten(0, 1)
        torch.addmm(self._bias, pixels, self._matrix, out=torch.from_numpy(out).flatten(0, 1))
        return out


class _First:
    """The very first convolution: of two channels, which are too few for Winograd's way."""

    def __init__(self, norm: NormRelu, conv: torch.nn.Conv2d) -> None:
        self._norm, self._conv = norm, conv

    def __call__(self, image: np.ndarray) -> np.ndarray:
        tile = torch.from_numpy(image).permute(2, 0, 1)[None]
        result = F.conv2d(self._norm(tile), self._conv.weight, self._conv.bias, padding=1)
        return result.relu_()[0].permute(1, 2, 0).contiguous().numpy()


class _WinogradDown:
    """One level of the encoder."""

    def __init__(self, block: Down) -> None:
        self._outputs = block.conv_3.out_channels
        self._projection = _Projection(block.projection)
        self._first = None if fits(block.conv_0) else _First(block.norm_0, block.conv_0)
        self._before_0, self._before_2 = _before(block.norm_0), _before(block.norm_2)
        self._conv_0 = WinogradConvolution(block.conv_0) if self._first is None else None
        self._conv_1 = WinogradConvolution(block.conv_1)
        self._conv_2 = WinogradConvolution(block.conv_2)
        self._conv_3 = WinogradConvolution(block.conv_3)

    def __call__(self, image: np.ndarray, scratch: Scratch, name: str) -> np.ndarray:
        shape = (*image.shape[:2], self._outputs)
        inner = scratch.array("inner", *shape)
        out = self._projection(image, scratch.array(name, *shape))
        if self._conv_0 is None:
            assert self._first is not None
            opened = self._first(image)
        else:
            opened = self._conv_0(image, inner, scratch, before=self._before_0, cut=True)
        self._conv_1(opened, out, scratch, added=out)
        self._conv_2(out, inner, scratch, before=self._before_2, cut=True)
        return self._conv_3(inner, out, scratch, added=out)


class _WinogradStyled:
    """A convolution of the decoder whose shift comes from the style."""

    def __init__(self, layer: Styled) -> None:
        self._scale = layer.scale.flatten().numpy()
        self._bias = layer.bias
        self._conv = WinogradConvolution(layer.conv)

    def __call__(
        self,
        style: torch.Tensor,
        image: np.ndarray,
        out: np.ndarray,
        scratch: Scratch,
        *,
        added: np.ndarray | None = None,
        added_doubled: bool = False,
    ) -> np.ndarray:
        before = Before(self._scale, self._bias(style)[0].numpy())
        return self._conv(
            image, out, scratch, before=before, added=added, added_doubled=added_doubled
        )


class _WinogradUp:
    """One level of the decoder."""

    def __init__(self, block: Up) -> None:
        self._projection = _Projection(block.projection)
        self._before_0 = _before(block.norm_0)
        self._conv_0 = WinogradConvolution(block.conv_0)
        self._conv_1 = _WinogradStyled(block.conv_1)
        self._conv_2 = _WinogradStyled(block.conv_2)
        self._conv_3 = _WinogradStyled(block.conv_3)

    def __call__(
        self,
        image: np.ndarray,
        skip: np.ndarray,
        style: torch.Tensor,
        scratch: Scratch,
        name: str,
    ) -> np.ndarray:
        doubled = image.shape[0] < skip.shape[0]
        inner = scratch.array("inner", *skip.shape)
        out = scratch.array(name, *skip.shape)
        # A 1 x 1 convolution may as well come before the doubling.
        projected = scratch.array("projected", *image.shape[:2], skip.shape[2])
        self._projection(image, projected)
        self._conv_0(image, inner, scratch, before=self._before_0, doubled=doubled, added=skip)
        self._conv_1(style, inner, out, scratch, added=projected, added_doubled=doubled)
        self._conv_2(style, out, inner, scratch)
        return self._conv_3(style, inner, out, scratch, added=out)


class WinogradNetwork:
    """A float32 :class:`FoldedNetwork` made ready for single tiles on single cores.

    Parameters
    ----------
    network : FoldedNetwork
        Float32, on the CPU.
    """

    def __init__(self, network: FoldedNetwork) -> None:
        self._down = [_WinogradDown(block) for block in network.down if isinstance(block, Down)]
        self._up = [_WinogradUp(block) for block in network.up if isinstance(block, Up)]
        self._output = network.output
        self._norm = network.norm
        self._make_style = network.make_style

    def encode(self, tile: np.ndarray, scratch: Scratch) -> tuple[list[np.ndarray], torch.Tensor]:
        """Run the encoder.

        Parameters
        ----------
        tile : ndarray of float32, (H, W, 2)
            H and W multiples of 8, at most :data:`LARGEST_TILE`.
        scratch : Scratch
            Of this thread; the levels lie in it.

        Returns
        -------
        levels : list of ndarray of float32, (H / 2**k, W / 2**k, C)
        style : Tensor of float32, (1, 256)
        """
        levels: list[np.ndarray] = []
        image = tile
        for number, block in enumerate(self._down):
            if number:
                height, width, channels = image.shape
                half = scratch.array("half", height // 2, width // 2, channels)
                _halve(image, half)
                image = half
            image = block(image, scratch, f"down {number}")
            levels.append(image)
        deepest = torch.from_numpy(levels[-1]).permute(2, 0, 1)[None]
        return levels, self._make_style(deepest)

    def __call__(self, tile: np.ndarray, scratch: Scratch) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the network.

        Returns
        -------
        output : Tensor of float32, (3, H, W)
        style : Tensor of float32, (256,)
        """
        levels, style = self.encode(tile, scratch)
        image = levels[-1]
        for number in range(len(self._up) - 1, -1, -1):
            image = self._up[number](image, levels[number], style, scratch, f"up {number}")
        activated = self._norm(torch.from_numpy(image).permute(2, 0, 1)[None])
        return self._output(activated)[0].contiguous(), style[0]
