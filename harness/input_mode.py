"""The forms in which an image can be handed to a method, see :func:`harness.images.prepare`."""

from __future__ import annotations

from typing import Literal, get_args

InputMode = Literal["gray_max", "gray", "native"]
INPUT_MODES: tuple[str, ...] = get_args(InputMode)
