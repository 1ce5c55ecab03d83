"""Tiles of an image shared out to the processor's cores, each by itself through the network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from cellharness_adapters.cellpose.cpu.folded import FoldedNetwork
from cellharness_adapters.cellpose.cpu.winograd import Scratch
from cellharness_adapters.cellpose.cpu.winograd_network import WinogradNetwork


class TileNetworks:
    """One or several networks, as many tiles at once as torch has threads.

    Parameters
    ----------
    networks : list of FoldedNetwork
        Float32, on the CPU; their outputs are averaged.
    """

    def __init__(self, networks: list[FoldedNetwork]) -> None:
        self._networks = [WinogradNetwork(network) for network in networks]
        self._outputs = networks[0].output.out_channels
        self._mine = threading.local()
        self._pool: ThreadPoolExecutor | None = None
        self._threads = 0

    def __call__(
        self, tiles: torch.Tensor, *, style_only: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the networks.

        Parameters
        ----------
        tiles : Tensor of float32, (N, 2, H, W)
            H and W multiples of 8.
        style_only : bool
            Skip the decoder; the output is then zero.

        Returns
        -------
        output : Tensor of float32, (N, O, H, W)
            O as the networks have, 3 for Cellpose's.
        style : Tensor of float32, (N, 256)
            Of the first network.
        """
        output = torch.zeros(len(tiles), self._outputs, *tiles.shape[2:])
        style = torch.empty(len(tiles), 256)

        def run(number: int) -> None:
            tile = tiles[number].permute(1, 2, 0).contiguous().numpy()
            with torch.no_grad():  # a setting of each thread's own
                if style_only:
                    style[number] = self._networks[0].encode(tile, self._mine.scratch)[1][0]
                    return
                results = [network(tile, self._mine.scratch) for network in self._networks]
                output[number] = torch.stack([result[0] for result in results]).mean(dim=0)
                style[number] = results[0][1]

        pool = self._workers()
        with _one_thread_an_operation():
            list(pool.map(run, range(len(tiles))))
        return output, style

    def _workers(self) -> ThreadPoolExecutor:
        threads = torch.get_num_threads()
        if self._pool is None or threads != self._threads:
            if self._pool is not None:
                self._pool.shutdown()
            self._pool, self._threads = (
                ThreadPoolExecutor(threads, initializer=self._start),
                threads,
            )
        return self._pool

    def _start(self) -> None:
        torch.set_num_threads(1)
        self._mine.scratch = Scratch()


@contextmanager
def _one_thread_an_operation() -> Iterator[None]:
    """Keep torch from starting threads below ours; part of that setting is the process's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
