"""Named weights: where they come from, their SHA256, their licence; fetched once, checked always.

A source says what it is and can do two things: ``locate`` finds verified files on
this machine, ``fetch`` gets them. Nothing here ever answers with other weights than
those that were asked for.
"""

from __future__ import annotations

from cellharness.weights.file_kinds import WeightFileError
from cellharness.weights.hosted import HostedWeights
from cellharness.weights.local import SHA256_START, find_weights, local_weights, places
from cellharness.weights.source import (
    Weights,
    WeightsError,
    WeightsHashError,
    WeightsOfflineError,
    WeightSource,
    WeightsUnavailableError,
    check_hash,
    refuse_if_offline,
)
from cellharness.weights.state import (
    Network,
    Shapes,
    WeightFile,
    check_fits,
    read_weights,
    refuse_unsound,
    shapes_of,
)
from cellharness.weights.wheel import WheelWeights
from cellharness.weights.zipped import ZippedWeights

__all__ = [
    "SHA256_START",
    "HostedWeights",
    "Network",
    "Shapes",
    "WeightFile",
    "WeightFileError",
    "WeightSource",
    "Weights",
    "WeightsError",
    "WeightsHashError",
    "WeightsOfflineError",
    "WeightsUnavailableError",
    "WheelWeights",
    "ZippedWeights",
    "check_fits",
    "check_hash",
    "find_weights",
    "local_weights",
    "places",
    "read_weights",
    "refuse_if_offline",
    "refuse_unsound",
    "shapes_of",
]
