"""From an image to cells: width and background settled, tiles predicted, cells grown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from skimage.transform import resize

from cellharness.methods.base import check_finite
from cellharness.methods.timing import PhaseTimer
from cellharness_adapters.misic.cells import find_cells
from cellharness_adapters.misic.convolution import WideConvolution
from cellharness_adapters.misic.network import MisicNet
from cellharness_adapters.misic.preparing import normalise, prepare
from cellharness_adapters.misic.tiles import MARGIN, TILE, predict_tiled
from cellharness_adapters.misic.width import STANDARD_WIDTH, cell_widths, estimate_width, scale_for

if TYPE_CHECKING:
    from cellharness_adapters.misic.segmenter import MisicParameters

#: Side of the part that width and background are found on, px of the network: one tile.
_PROBE = TILE - 2 * MARGIN
#: Ratios of measured to estimated width at which the estimate is left as it is.
_CLOSE = (0.8, 1.25)


class Predictor:
    """The network on batches of NumPy tiles.

    Parameters
    ----------
    network : MisicNet
        Moved to the device.
    device : {"cpu", "cuda"}
    precision : {"float32", "bfloat16", "float16"}
    """

    def __init__(self, network: MisicNet, device: str, precision: str) -> None:
        self._network = network.to(device)
        for layer in network.modules():
            if isinstance(layer, WideConvolution):
                layer.by_blocks = True
        self._device = device
        self._dtype = getattr(torch, precision)

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        """Predict probabilities, float32 (N, H, W), of shape indices (N, 3, H, W)."""
        batch = torch.from_numpy(tiles).to(self._device)
        batch = batch.contiguous(memory_format=torch.channels_last)
        mixed = self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self._device, self._dtype, enabled=mixed):
            found = self._network(batch)[:, 0].float().cpu().numpy()
        check_finite("MiSiC's network", found)
        return found


class Found(NamedTuple):
    """Cells of one image, and what they were found with.

    Attributes
    ----------
    labels : ndarray of int32, (H, W)
    width : float
        Width of the cells that the image was scaled by, px.
    background : {"light", "dark"}
    probability : ndarray of float, (H, W)
        Of being cell.
    """

    labels: np.ndarray
    width: float
    background: str
    probability: np.ndarray


def predict_cells(
    gray: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    parameters: MisicParameters,
    true_width: float | None,
    timer: PhaseTimer,
) -> Found:
    """Segment one grey image that is not constant.

    Parameters
    ----------
    gray : ndarray, (H, W)
        Any finite range.
    predict : callable
        The network, see :class:`Predictor`.
    parameters : MisicParameters
    true_width : float or None
        Of the true cells, where that is asked for.
    timer : PhaseTimer
        Told what is post-processing.
    """
    network = Seer(predict, parameters)
    fixed = true_width
    if fixed is None and not isinstance(parameters.width, str):
        fixed = parameters.width
    wanted = {"auto": (True, False), "light": (True,), "dark": (False,)}[parameters.background]
    if len(wanted) == 1 and fixed is not None:
        light, width, probability = wanted[0], fixed, None
    else:
        tried = [network.probe(gray, light, fixed) for light in wanted]
        light, width, _, probability = max(tried, key=lambda each: each.plausibility)
    if probability is None:
        probability = network.probability(gray, width, light)
    with timer.phase("postprocess"):
        labels = network.cells(gray, probability, width, light)
    return Found(labels, width, "light" if light else "dark", probability)


class Probe(NamedTuple):
    """What a look at one part of an image came to; the probability if that part was all of it."""

    light: bool
    width: float
    plausibility: float
    probability: np.ndarray | None


class Seer:
    """The network with its parameters, on images or parts of them."""

    def __init__(
        self, predict: Callable[[np.ndarray], np.ndarray], parameters: MisicParameters
    ) -> None:
        self.predict = predict
        self._parameters = parameters

    def probability(self, gray: np.ndarray, width: float, light: bool) -> np.ndarray:
        """Probability of being cell, (H, W), of an image in one piece."""
        ready = prepare(gray, scale_for(width), self._parameters, light=light)
        found = predict_tiled(ready, self.predict, batch_size=self._parameters.batch_size)
        return resize(found, gray.shape)

    def cells(
        self, gray: np.ndarray, probability: np.ndarray, width: float, light: bool
    ) -> np.ndarray:
        """Cells of an image or a part of one, int32, (H, W)."""
        # In the plug-in seeds and holes are judged by the width that the zoom stands for.
        return find_cells(
            gray if light else -gray,
            probability,
            STANDARD_WIDTH / scale_for(width),
            self._parameters,
        )

    def probe(self, gray: np.ndarray, light: bool, fixed: float | None) -> Probe:
        """Look at one part of the image: the cells' width, and how well the background fits."""
        width = fixed or estimate_width(normalise(-gray if light else gray))
        part = liveliest(gray, probe_side(width))
        found = self.look(part, light, width, is_fixed=fixed is not None)
        return found if part.shape == gray.shape else found._replace(probability=None)

    def look(self, part: np.ndarray, light: bool, width: float, *, is_fixed: bool) -> Probe:
        """Look at a part of the image as :meth:`probe` does."""
        probability = self.probability(part, width, light)
        if not is_fixed:
            # At a wrong width the network still finds cells, and these tell a better one.
            labels = self.cells(part, probability, width, light)
            measured = float(np.median(cell_widths(labels))) if labels.any() else width
            if not _CLOSE[0] < measured / width < _CLOSE[1]:
                width = measured
                probability = self.probability(part, width, light)
        plausibility = _plausibility(probability, self._parameters)
        return Probe(light, width, plausibility, probability)


def probe_side(width: float) -> int:
    """Side of the part of an image that is looked at, px."""
    return round(_PROBE / scale_for(width))


def liveliest(gray: np.ndarray, side: int) -> np.ndarray:
    """Cut out the square of the largest variance; cells lie where an image is uneven."""
    variance = variances(gray, side)
    place = np.unravel_index(variance.argmax(), gray.shape)
    return gray.astype(np.float64)[square_around(place, side, gray.shape)]


def variances(gray: np.ndarray, side: int) -> np.ndarray:
    """Variance of the square around each pixel, float64, (H, W)."""
    gray = gray.astype(np.float64)
    mean, square = (uniform_filter(each, side, mode="reflect") for each in (gray, gray**2))
    return square - mean**2


def square_around(place: Sequence[Any], side: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the square around a pixel, moved into the image."""
    top, left = (
        int(np.clip(at - side // 2, 0, max(length - side, 0)))
        for at, length in zip(place, shape, strict=True)
    )
    return slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1]))


def _plausibility(probability: np.ndarray, parameters: MisicParameters) -> float:
    """How well a background fits: taken wrongly, more of the image is cell, less of it surely.

    Chosen by eye on images for training; the plug-in leaves the choice to its user.
    """
    cell = float((probability > parameters.th_cell).mean())
    seed = float((probability > parameters.th_seed).mean())
    return seed**2 / cell**3 if cell else 0.0
