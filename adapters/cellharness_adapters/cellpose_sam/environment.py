"""The environment of Cellpose 4, which cannot share one with Cellpose 3."""

from __future__ import annotations

from pathlib import Path

from cellharness.environments import EnvironmentSource

CELLPOSE4 = EnvironmentSource(
    name="cellpose4",
    summary="Cellpose 4 with torch, for cellpose-sam; about 6 GB.",
    requirements=Path(__file__).with_name("cellpose4.txt"),
)
