"""KIT-GE (Scherr et al. 2021): cells from predicted cell and neighbour distances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellharness_adapters.kit_ge.distances import distance_maps
from cellharness_adapters.kit_ge.instances import instances_from_distances

if TYPE_CHECKING:
    from cellharness_adapters.kit_ge.network import DUNet

__all__ = ["DUNet", "distance_maps", "instances_from_distances"]


def __getattr__(name: str) -> Any:
    # torch is imported by who uses the network, not by who makes or reads distance maps.
    if name == "DUNet":
        from cellharness_adapters.kit_ge.network import DUNet

        return DUNet
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
