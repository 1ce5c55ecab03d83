"""The environment of StarDist, whose network is one of Keras and TensorFlow."""

from __future__ import annotations

from pathlib import Path

from cellharness.environments import EnvironmentSource

STARDIST = EnvironmentSource(
    name="stardist",
    summary="StarDist with TensorFlow, for stardist; about 2.6 GB.",
    requirements=Path(__file__).with_name("stardist.txt"),
)
