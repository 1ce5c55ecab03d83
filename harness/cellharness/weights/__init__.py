"""Named weights: where they come from, their SHA256, their licence; fetched once, checked always.

A source says what it is and can do two things: ``locate`` finds verified files on
this machine, ``fetch`` gets them. Nothing here ever answers with other weights than
those that were asked for.
"""

from __future__ import annotations

from cellharness.weights.hosted import HostedWeights
from cellharness.weights.source import (
    Weights,
    WeightsError,
    WeightsHashError,
    WeightSource,
    WeightsUnavailableError,
    check_hash,
    local_weights,
    refuse_if_offline,
)
from cellharness.weights.wheel import WheelWeights

__all__ = [
    "HostedWeights",
    "WeightSource",
    "Weights",
    "WeightsError",
    "WeightsHashError",
    "WeightsUnavailableError",
    "WheelWeights",
    "check_hash",
    "local_weights",
    "refuse_if_offline",
]
