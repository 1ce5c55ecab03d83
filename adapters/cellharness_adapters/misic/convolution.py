"""Convolutions of 7 x 7 pixels by Fourier transforms: half the processor time on a CPU."""

from __future__ import annotations

import torch
from torch import nn

KERNEL = 7
#: Side of the blocks that an image is transformed in; larger ones need more memory for the
#: kernels' spectra, smaller ones overlap more.
_BLOCK = 32
_STEP = _BLOCK - KERNEL + 1
# Below these, computing it directly is as fast.
_LEAST_SIDE, _LEAST_CHANNELS = 64, 64


class WideConvolution(nn.Conv2d):
    """``nn.Conv2d`` with a 7 x 7 kernel, and zeros around the image.

    Where `by_blocks` is set, it is computed on the CPU, in float32 and without gradients, block by
    block with Fourier transforms ("overlap-save"), an eighth of the multiplications. The errors of
    both ways against float64 are of the same size.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, KERNEL, padding=KERNEL // 2)
        self.by_blocks = False
        self._kept: tuple[tuple[int, int], torch.Tensor] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve (N, C, H, W) to (N, O, H, W)."""
        if not (self.by_blocks and self._blocks_pay(x)):
            return super().forward(x)
        n, channels, height, width = x.shape
        down, across = -(-height // _STEP), -(-width // _STEP)
        edge = KERNEL // 2
        x = nn.functional.pad(
            x, (edge, across * _STEP - width + edge, edge, down * _STEP - height + edge)
        )
        blocks = x.unfold(2, _BLOCK, _STEP).unfold(3, _BLOCK, _STEP)
        # One product of matrices a frequency: (blocks, channels) times (channels, outputs).
        spectra = torch.fft.rfft2(blocks).permute(4, 5, 0, 2, 3, 1)
        found = spectra.reshape(-1, n * down * across, channels) @ self._spectrum()
        found = found.reshape(*spectra.shape[:-1], self.out_channels).permute(2, 5, 3, 4, 0, 1)
        # The last rows and columns of a block wrap around and belong to the next one.
        found = torch.fft.irfft2(found, s=(_BLOCK, _BLOCK))[..., :_STEP, :_STEP]
        found = found.permute(0, 1, 2, 4, 3, 5).reshape(n, self.out_channels, down * _STEP, -1)
        found = found[:, :, :height, :width]
        return found if self.bias is None else found + self.bias[:, None, None]

    def _blocks_pay(self, x: torch.Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and x.dtype == torch.float32
            and not torch.is_autocast_enabled(x.device.type)
            and not torch.is_grad_enabled()
            and self.in_channels >= _LEAST_CHANNELS
            and min(x.shape[2:]) >= _LEAST_SIDE
        )

    def _spectrum(self) -> torch.Tensor:
        """Spectra of the kernels, (frequencies, C, O), made anew when the weights have changed."""
        state = (self.weight.data_ptr(), self.weight._version)
        if self._kept is None or self._kept[0] != state:
            # Networks correlate, hence the conjugate.
            spectra = torch.fft.rfft2(self.weight, s=(_BLOCK, _BLOCK)).conj()
            made = spectra.permute(2, 3, 1, 0).reshape(-1, self.in_channels, self.out_channels)
            self._kept = (state, made.resolve_conj().contiguous())
        return self._kept[1]
