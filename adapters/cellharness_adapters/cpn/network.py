"""CPN's networks as `celldetection` builds them, filled from its checkpoints. Imports torch.

A checkpoint names the network and its arguments, in part as a pickled ``Config``. That one name is
read, as a plain dict, and nothing else that is no number, text, list or tensor.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cellharness.weights import WeightFileError, read_weights
from cellharness_adapters.networks import CPN, NETWORKS
from cellharness_adapters.unfilled import fill, without_initialising

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of torch and timm, about how the library calls them
    import celldetection

__all__ = ["celldetection", "load_network"]

#: Where the library's dict lives; read as what it is, without the library's own code.
_CONFIG = (OrderedDict, "celldetection.util.schedule.Config")
_PLAIN = (str, int, float, bool, type(None))


def load_network(path: Path) -> nn.Module:
    """Build the network that a checkpoint describes, and fill it.

    Parameters
    ----------
    path : Path
        As ``celldetection.save_fetchable_model`` writes it, such as
        ``ginoro_CpnResNeXt101UNet-fbe875f1a3e5ce2c.pt``.

    Returns
    -------
    Module
        A ``celldetection.models.CPN``, in evaluation mode, on the CPU.

    Raises
    ------
    WeightFileError
        It is no such file, is damaged, describes no network of the library, or its tensors are
        another's.
    """
    with torch.serialization.safe_globals([_CONFIG]):
        found = read_weights(path, CPN, NETWORKS)
    described = found.beside.get("cd.models")
    name, arguments = _description(described, path)
    try:
        with without_initialising():
            network = getattr(celldetection.models, name)(**arguments)
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        msg = f"'{path}': celldetection cannot build {name} as the file describes it: {error}"
        raise WeightFileError(msg) from error
    fill(network, found.state, path, f"the {name} that it describes")
    return network.eval().requires_grad_(False)


def _description(described: Any, path: Path) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the network."""
    if not isinstance(described, Mapping) or not isinstance(described.get("model"), str):
        msg = (
            f"'{path}' does not describe its network (key 'cd.models'), as checkpoints of "
            "celldetection do; write it with celldetection.save_fetchable_model(model, FILE)"
        )
        raise WeightFileError(msg)
    name = described["model"]
    known = [each for each in dir(celldetection.models) if each.startswith("Cpn")]
    if name not in known:
        msg = f"'{path}' describes a network '{name}'; valid: {', '.join(known)}"
        raise WeightFileError(msg)
    arguments = described.get("kwargs", described.get("kw", {}))
    plain = _plain(arguments, path)
    if not isinstance(plain, dict):
        msg = f"'{path}' describes the arguments of {name} by {plain!r}, which are no names"
        raise WeightFileError(msg)
    return name, plain


def _plain(value: Any, path: Path) -> Any:
    """Take arguments as plain values; none of them may fetch weights from elsewhere."""
    if isinstance(value, Mapping):
        plain = {str(key): _plain(each, path) for key, each in value.items()}
        return {key: False if key == "pretrained" else each for key, each in plain.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(each, path) for each in value)
    if isinstance(value, _PLAIN):
        return value
    msg = f"'{path}' describes its network by a {type(value).__name__}; plain values are taken"
    raise WeightFileError(msg)
