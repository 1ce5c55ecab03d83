"""3 x 3 convolutions with a quarter of the multiplications, for one core.

Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray, CVPR 2016, section 4): patches of
6 x 6 px become 36 products of matrices, which give 4 x 4 px of the result. With the nodes that
:mod:`cellharness_adapters.cellpose.cpu.winograd_tiles` uses its error in float32 is three to five
times that of the direct sum, in the seventh digit; at the network's output the two are alike. What
stands before and after a convolution (scale, shift, ReLU, doubling in size, a residual) is done on
the way, without passes of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from cellharness_adapters.cellpose.cpu.winograd_tiles import BLOCK, PLANE, from_planes, to_planes

_NODES = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))


def fits(conv: torch.nn.Conv2d) -> bool:
    """Whether a convolution can be run by :class:`WinogradConvolution`."""
    return conv.kernel_size == (3, 3) and not (conv.in_channels | conv.out_channels) % BLOCK


def transformed(kernels: torch.Tensor) -> torch.Tensor:
    """Take 3 x 3 kernels to the 36 points where the products are made.

    Parameters
    ----------
    kernels : Tensor of float32, (O, C, 3, 3)

    Returns
    -------
    Tensor of float32, (36, C, O)
    """
    rows = [
        [node**power / np.prod([node - other for other in _NODES if other != node])
         for power in range(3)]
        for node in _NODES
    ]  # fmt: skip
    points = torch.tensor([*rows, [0.0, 0.0, 1.0]], dtype=torch.float64)
    outputs, channels = kernels.shape[:2]
    taps = kernels.double().permute(2, 3, 1, 0).reshape(9, channels * outputs)
    return (torch.kron(points, points) @ taps).float().view(36, channels, outputs)


class Scratch:
    """Memory of one thread for the convolutions of a network, fetched once."""

    def __init__(self) -> None:
        self.planes = torch.empty(36 * PLANE), torch.empty(36 * PLANE)
        self._named: dict[str, np.ndarray] = {}

    def array(self, name: str, *shape: int) -> np.ndarray:
        """Float32 with arbitrary content, in the memory that this name had last time."""
        size = math.prod(shape)
        if name not in self._named or self._named[name].size < size:
            self._named[name] = np.empty(size, np.float32)
        return self._named[name][:size].reshape(shape)


@dataclass(frozen=True)
class Before:
    """What is done to the input: ``relu(input * scale + shift)``, each (C,) float32."""

    scale: np.ndarray
    shift: np.ndarray


class WinogradConvolution:
    """A 3 x 3 convolution with padding 1 of channels-last images.

    Parameters
    ----------
    conv : Conv2d
        Float32; its numbers of channels are multiples of 32 (see :func:`fits`).
    """

    def __init__(self, conv: torch.nn.Conv2d) -> None:
        assert conv.bias is not None
        self._kernels = transformed(conv.weight.detach())
        self._bias = conv.bias.detach().numpy()

    def __call__(
        self,
        image: np.ndarray,
        out: np.ndarray,
        scratch: Scratch,
        *,
        before: Before | None = None,
        doubled: bool = False,
        cut: bool = False,
        added: np.ndarray | None = None,
        added_doubled: bool = False,
    ) -> np.ndarray:
        """Convolve one image.

        Parameters
        ----------
        image : ndarray of float32, (H, W, C)
        out : ndarray of float32, (H, W, O)
            Written; twice H and W with `doubled`. Not `image`; it may be `added`.
        scratch : Scratch
            Of this thread.
        before : Before, optional
            Scale, shift and ReLU of the input. The border of zeros comes after it.
        doubled : bool
            Repeat every pixel of the input twice in y and x first.
        cut : bool
            ReLU of the result, where nothing is added.
        added : ndarray of float32, (H, W, O), optional
            Added to the result.
        added_doubled : bool
            Repeat every pixel of `added` twice in y and x first.

        Returns
        -------
        ndarray
            `out`.

        Raises
        ------
        ValueError
            One row of patches is too wide for the scratch memory.
        """
        _, channels, outputs = self._kernels.shape
        height, width, _ = out.shape
        across, down = -(-width // 4), -(-height // 4)
        at_once = PLANE // (across * max(channels, outputs))
        if not at_once:
            most = 4 * (PLANE // max(channels, outputs))
            msg = f"an image {width} px wide does not fit; at most {most} px do"
            raise ValueError(msg)
        strip = scratch.array("strip", 6, (4 * across + 2) * channels)
        forth, back = scratch.planes
        scale, shift = (before.scale, before.shift) if before else (self._bias, self._bias)
        more = out if added is None else added
        for top in range(0, down, at_once):
            rows = min(at_once, down - top)
            to_planes(
                image, scale, shift, before is not None, int(doubled), top, rows, strip,
                forth.numpy(),
            )  # fmt: skip
            n = rows * across
            torch.bmm(
                forth.as_strided((36, n, channels), (PLANE, channels, 1)),
                self._kernels,
                out=back.as_strided((36, n, outputs), (PLANE, outputs, 1)),
            )
            from_planes(
                back.numpy(), self._bias, more, int(added_doubled), added is not None, cut, top,
                rows, out,
            )  # fmt: skip
        return out
