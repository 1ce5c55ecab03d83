"""The two ways to score, see :mod:`harness.scoring`."""

from __future__ import annotations

from typing import Literal, get_args

Profile = Literal["challenge", "strict"]
PROFILES: tuple[str, ...] = get_args(Profile)
