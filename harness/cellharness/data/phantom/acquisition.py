"""How experiments of one kind differ: magnification, confluence, focus, contrast and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from cellharness.data.phantom.layout import Layout


@dataclass(frozen=True)
class Acquisition:
    """One laboratory's way to take a kind of picture.

    Attributes
    ----------
    magnification
        Diameter of the cells relative to the kind's own.
    confluence
        Covered share of the picture relative to the kind's own.
    defocus
        Standard deviation of a further blur in px.
    contrast
        Deviations from the mean grey level relative to what they are in focus, 0..1.
    noise
        Standard deviation of further noise relative to that of the grey levels.
    """

    magnification: float
    confluence: float
    defocus: float
    contrast: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Acquisition:
        """Draw one."""
        return cls(
            magnification=rng.uniform(0.8, 1.15),
            confluence=rng.uniform(0.85, 1.15),
            defocus=rng.uniform(0.2, 1.4),
            contrast=rng.uniform(0.5, 1.0),
            noise=rng.uniform(0.0, 0.3),
        )

    def arranged(self, layout: Layout) -> Layout:
        """Give the cells the size and density that they have here."""
        return replace(
            layout,
            diameter=layout.diameter * self.magnification,
            cover=min(layout.cover * self.confluence, 0.95),
        )

    def taken(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Take the picture again, shape (H, W) or (H, W, C) and dtype as they were."""
        light = image.astype(float)
        spread = float(light.std())
        mean = light.mean(axis=(0, 1))
        blur = (self.defocus, self.defocus, *(0,) * (light.ndim - 2))
        light = mean + self.contrast * (ndimage.gaussian_filter(light, blur) - mean)
        light += self.noise * spread * rng.standard_normal(light.shape)
        return np.clip(np.rint(light), 0, np.iinfo(image.dtype).max).astype(image.dtype)
