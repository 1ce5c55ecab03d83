"""Which channels of an image Cellpose looks at, and whether the image has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from cellharness.errors import UsageError
from cellharness.methods.base import UnsupportedCaseError

if TYPE_CHECKING:
    import numpy as np

_GREY = (0, 0)


def _sensible(channels: tuple[int, int]) -> tuple[int, int]:
    if channels[1] and not channels[0]:
        msg = "a nucleus channel needs a cell channel; with 0 first the mean of all is taken"
        raise ValueError(msg)
    return channels


#: Cell and nucleus channel, as the library counts them.
Channels = Annotated[
    tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], AfterValidator(_sensible)
]


def refuse_channels_of_grey(channels: tuple[int, int], mode: str) -> None:
    """Raise where channels are chosen of images that are made grey before.

    Raises
    ------
    UsageError
        They would have no effect.
    """
    if mode != "native" and tuple(channels) != _GREY:
        msg = (
            f"channels {list(channels)} have no effect with input {mode}, which hands over grey "
            "images; leave channels out, or choose input native"
        )
        raise UsageError(msg)


def check_channels(image: np.ndarray, channels: tuple[int, int]) -> str:
    """Look whether an image has the channels that are asked for.

    Parameters
    ----------
    image : ndarray, (H, W) or (H, W, C)
    channels : (int, int)

    Returns
    -------
    str
        A remark where the image is grey, so that the channels have no effect; else "".

    Raises
    ------
    UnsupportedCaseError
        The image has channels, but not so many.
    """
    if tuple(channels) == _GREY:
        return ""
    count = image.shape[2] if image.ndim == 3 else 1
    if count == 1:
        return f"the image is grey, so channels {list(channels)} have no effect"
    if max(channels) > count:
        msg = (
            f"channels {list(channels)} of an image with {count} channels; choose from 1 to "
            f"{count}, or 0 0 for their mean"
        )
        raise UnsupportedCaseError(msg)
    return ""
