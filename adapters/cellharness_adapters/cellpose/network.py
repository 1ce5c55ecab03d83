"""Cellpose's network, loaded from any of its weight formats and run fast on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

import torch
from cellpose.resnet_torch import CPnet

from cellharness.weights import (
    Network,
    WeightFileError,
    check_fits,
    read_weights,
    refuse_unsound,
    shapes_of,
)
from cellharness_adapters.cellpose.cpu.folded import FoldedNetwork
from cellharness_adapters.cellpose.cpu.tile_networks import TileNetworks
from cellharness_adapters.cellpose.cpu.winograd_network import LARGEST_TILE
from cellharness_adapters.cellpose.mxnet_arrays import MAGIC, read_arrays, torch_name
from cellharness_adapters.cellpose.precision import Precision
from cellharness_adapters.networks import CELLPOSE, NETWORKS

_BASE = [2, 32, 64, 128, 256]
_OUTPUTS = 3
#: More at once make every layer fetch memory from the system and hand it back.
_DIRECT_TILES = 2


def read_state(path: Path, expected: Network = CELLPOSE) -> dict[str, torch.Tensor]:
    """Read the named arrays of a weight file.

    Parameters
    ----------
    path : Path
        A torch state dict as cellpose 1 to 3 writes, whatever is around it, or the original MXNet
        arrays.
    expected : Network
        What the file should hold.

    Raises
    ------
    WeightFileError
        It is neither, or holds values that are not finite, or a diameter that is not above 0.
    """
    with path.open("rb") as file:
        is_mxnet = file.read(len(MAGIC)) == MAGIC
    if not is_mxnet:
        return read_weights(path, expected, NETWORKS).state
    arrays = read_arrays(path)
    state = {torch_name(name): torch.from_numpy(array.copy()) for name, array in arrays.items()}
    refuse_unsound(path, state, expected.positive)
    return state


def load_network(
    path: Path,
    diam_mean: float,
    *,
    mkldnn: bool = False,
    state: dict[str, torch.Tensor] | None = None,
    channels: int = _BASE[0],
    outputs: int = _OUTPUTS,
) -> CPnet:
    """Build Cellpose's network and fill it from a weight file.

    Parameters
    ----------
    path : Path
        As for :func:`read_state`.
    diam_mean : float
        Diameter in px to which cells were rescaled in training; a value in the file wins.
    mkldnn : bool
        Run in the library's own CPU form.
    state : dict of str to Tensor, optional
        What the file holds, if it was read before.
    channels, outputs : int
        Of the network.

    Returns
    -------
    CPnet
        In evaluation mode, on the CPU.

    Raises
    ------
    WeightFileError
        Names or shapes differ from the network's; the first differences are named.
    """
    _refuse_style_off(path)
    state = read_state(path) if state is None else state
    network = CPnet([channels, *_BASE[1:]], outputs, sz=3, mkldnn=mkldnn, diam_mean=diam_mean)
    expected = shapes_of(network.state_dict())
    # Files of early versions carry neither the batch counters nor the diameters.
    optional = {name for name in expected if name.endswith("num_batches_tracked")}
    optional |= set(CELLPOSE.positive)
    form = f"Cellpose's network ({channels} channels, {outputs} outputs)"
    check_fits(path, state, expected, form, optional)
    network.load_state_dict(state, strict=False)
    return network.eval()


def _refuse_style_off(path: Path) -> None:
    """Raise for a network of Cellpose 0.6 to 2 that ran without style: only its name tells."""
    if "_style_off_" in path.name:
        msg = (
            f"'{path}' was trained with style_on off, as its name says; the library of Cellpose 3 "
            "runs all networks with style, and so finds other cells. Train again with the defaults"
        )
        raise WeightFileError(msg)


@contextmanager
def without_tf32() -> Iterator[None]:
    """Convolve float32 as float32, which torch by default does not on a GPU."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class FastNetwork:
    """One or several Cellpose networks behind the interface that ``cellpose.core`` calls.

    The batch norms are folded away. On the CPU float32 runs with Winograd convolutions, tiles
    shared out to the cores; bfloat16, and float32 where there are many more cores than tiles,
    with the processor's own convolutions on channels-last memory. Several networks are
    averaged, as ``net_avg`` did in cellpose 1 and 2. On a GPU float32 runs without TF32, whose
    rounding moves diameters by up to some percent and with them the masks.

    Attributes
    ----------
    style_only : bool
        Skip the decoder: the size model needs nothing but the style, which the encoder
        gives. Flows and cell probability are then zero.
    exact : bool
        Run in float32 where the precision is ``mixed``.
    """

    mkldnn = False
    nout = _OUTPUTS

    def __init__(self, networks: list[CPnet], precision: Precision, device: torch.device) -> None:
        self.device = device
        self.style_only = False
        self.exact = False
        reduced = precision in ("mixed", "bfloat16")
        self._fast: list[FoldedNetwork] = self._folded(
            networks, torch.bfloat16 if reduced else torch.float32
        )
        self._exact: list[FoldedNetwork] = (
            self._folded(networks, torch.float32) if precision == "mixed" else self._fast
        )
        self._by_tile: TileNetworks | None = None

    def _folded(self, networks: list[CPnet], dtype: torch.dtype) -> list[FoldedNetwork]:
        folded = [FoldedNetwork(network).to(self.device, dtype) for network in networks]
        return [network.to(memory_format=torch.channels_last) for network in folded]

    def eval(self) -> FastNetwork:
        """Do nothing: it never trains."""
        return self

    def __call__(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the networks on tiles.

        Parameters
        ----------
        tiles : Tensor of float32, (N, 2, H, W)
            Normalised.

        Returns
        -------
        output : Tensor of float32, (N, 3, H, W)
            Flow in y and x (times 5), cell probability logit.
        style : Tensor of float32, (N, 256)
            Of the first network.
        """
        networks = self._exact if self.exact else self._fast
        if self._suits_tile_by_tile(networks[0], tiles):
            if self._by_tile is None:
                self._by_tile = TileNetworks(networks)
            return self._by_tile(tiles, style_only=self.style_only)
        at_once = _DIRECT_TILES if self.device.type == "cpu" else len(tiles)
        with without_tf32():  # of no effect on a CPU and on bfloat16
            parts = [self._direct(networks, part) for part in tiles.split(at_once)]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _suits_tile_by_tile(self, network: FoldedNetwork, tiles: torch.Tensor) -> bool:
        return (
            self.device.type == "cpu"
            and network.output.weight.dtype == torch.float32
            and max(tiles.shape[2:]) <= LARGEST_TILE
            # Half the cores idle are made up for by half the work, more are not.
            and 2 * len(tiles) >= torch.get_num_threads()
        )

    def _direct(
        self, networks: list[FoldedNetwork], tiles: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tiles = tiles.to(networks[0].output.weight.dtype)
        tiles = tiles.contiguous(memory_format=torch.channels_last)
        if self.style_only:
            shape = (len(tiles), _OUTPUTS, *tiles.shape[2:])
            style = networks[0].encode(tiles)[1]
            return tiles.new_zeros(shape, dtype=torch.float32), style.float()
        results = [network(tiles) for network in networks]
        output = torch.stack([result[0].float() for result in results]).mean(dim=0)
        return output, results[0][1].float()


class SharedNetwork:
    """A network that several use at once, each with switches of its own.

    It runs in one thread, whoever calls: how torch splits up an operation is a setting of the
    thread, on which the last bits may hang.

    Parameters
    ----------
    network : FastNetwork
    thread : Executor
        Of one thread, the same for all that share the network.

    Attributes
    ----------
    style_only, exact : bool
        As of :class:`FastNetwork`.
    """

    mkldnn = False

    def __init__(self, network: FastNetwork, thread: Executor) -> None:
        self.device = network.device
        self.nout = network.nout
        self.style_only = False
        self.exact = False
        self._network = network
        self._thread = thread

    def eval(self) -> SharedNetwork:
        """Do nothing: it never trains."""
        return self

    def __call__(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Wait for the network and run it; as :meth:`FastNetwork.__call__`."""
        return self._thread.submit(self._run, tiles).result()

    def _run(self, tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._network.style_only, self._network.exact = self.style_only, self.exact
        with torch.no_grad():  # a setting of each thread's own
            return self._network(tiles)
