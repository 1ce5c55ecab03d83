"""The small network: MEDIAR-Former with the smallest encoder of SegFormer. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellharness.weights import read_weights
from cellharness_adapters.mediar.network import MediarFormer, Size, unfilled_network
from cellharness_adapters.networks import MEDIAR_STYLE, NETWORKS
from cellharness_adapters.unfilled import fill

#: 7,665,867 parameters, a sixteenth of the published network's.
SMALL = Size("mit_b0", (256, 128, 64, 32, 16), 64)


def load_small_network(path: Path) -> tuple[MediarFormer, Mapping[str, Any]]:
    """Build the network and fill it from a checkpoint of a training.

    Parameters
    ----------
    path : Path

    Returns
    -------
    network : MediarFormer
        In evaluation mode, on the CPU.
    meta : mapping
        How images were prepared in the training; empty where the file does not say.

    Raises
    ------
    WeightFileError
        It is no such file, is damaged, or holds another network; the first differences are named.
    """
    found = read_weights(path, MEDIAR_STYLE, NETWORKS)
    network = unfilled_network(SMALL)
    fill(network, found.state, path, MEDIAR_STYLE.name)
    return network.eval(), found.beside.get("meta", {})
