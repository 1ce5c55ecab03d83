"""Building a network that is filled from a file at once. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cellharness.weights import Shapes, check_fits, shapes_of

#: What fills a tensor with random numbers, or makes others of these. Nothing else is left out: a
#: network may hold constants, which no file has, and fill them in place too.
_RANDOM = frozenset(
    {"uniform_", "normal_", "erfinv_", "trunc_normal_"}
    | {f"{name}_{kind}_" for name in ("kaiming", "xavier") for kind in ("uniform", "normal")}
)


class _WithoutFilling(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in _RANDOM:
            return args[0] if args else (kwargs or {})["tensor"]  # as torch.nn.init hands it over
        return func(*args, **(kwargs or {}))


@contextmanager
def without_initialising() -> Iterator[None]:
    """Leave out random numbers: a hundred million of them take half a minute.

    Whatever lies in memory is in the parameters of a network that is built meanwhile.
    """
    with _WithoutFilling():
        yield


def fill(
    network: nn.Module,
    state: Mapping[str, torch.Tensor],
    path: Path,
    what: str,
    unused: Shapes | None = None,
) -> None:
    """Fill a network with all tensors of a checkpoint.

    Parameters
    ----------
    network : Module
    state : mapping of str to Tensor
        Read from `path`. Counts of batches, which prediction has no use for, may be absent.
    path : Path
        For the message.
    what : str
        What the file must hold, for the message.
    unused : mapping of str to tuple of int, optional
        Shapes of tensors that it may hold besides.

    Raises
    ------
    WeightFileError
        A tensor is absent, of another shape, or not the network's; the first ones are named.
    """
    unused = unused or {}
    shapes = shapes_of(network.state_dict())
    counts = {name for name in shapes if name.endswith("num_batches_tracked")}
    check_fits(path, state, {**shapes, **unused}, what, {*counts, *unused})
    # In a dict of the network's own, which says that names are not those of early torchvision.
    filled = network.state_dict()
    filled.update({name: value for name, value in state.items() if name in shapes})
    network.load_state_dict(filled)
