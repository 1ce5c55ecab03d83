"""How Cellpose scales grey values before its network sees them."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from cellharness.methods.base import Parameters

_DEFAULT = (1.0, 99.0)

#: Said of an image that becomes all zero, which the network finds nothing in.
FLAT = (
    "the image is flat to Cellpose's normalisation, so no cell can be found: its two percentiles "
    "differ by no more than 0.001. Set normalize to other percentiles, such as {percentile: [1, "
    "99.99]}, or to a fixed range, {lowhigh: [0, 1]}"
)


class Normalize(Parameters):
    """What becomes 0 and what becomes 1, as the library's ``normalize`` names it."""

    percentile: tuple[float, float] = Field(
        _DEFAULT, description="Percentiles of the image, 0 to 100."
    )
    lowhigh: tuple[float, float] | None = Field(
        None, description="Fixed grey values, in the image's own range; win over percentiles."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Normalize:
        low, high = self.percentile
        if not 0 <= low < high <= 100:
            msg = f"percentile {[low, high]} must be two numbers from 0 to 100, the smaller first"
            raise ValueError(msg)
        if self.lowhigh is not None and not self.lowhigh[0] < self.lowhigh[1]:
            msg = f"lowhigh {list(self.lowhigh)} must be two grey values, the smaller first"
            raise ValueError(msg)
        return self

    def for_library(self) -> bool | dict[str, Any]:
        """What the library's ``eval`` takes; for the default what it has by default."""
        if self.lowhigh is not None:
            return {"lowhigh": list(self.lowhigh)}
        return True if self.percentile == _DEFAULT else {"percentile": list(self.percentile)}
