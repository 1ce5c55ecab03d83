"""The steps of a training: forward, backward, update; on a GPU recorded once and repeated."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric

from cellharness.training.learner import Batch, Learner, Network

#: Steps whose operations are launched one by one before one is recorded: in the first ones
#: libraries choose their kernels and the optimizer makes its state.
BEFORE_RECORDING = 3
#: Steps that the GPU may have before it.
STEPS_AHEAD = 4

Shapes = tuple[torch.Size, ...]
Result = TypeVar("Result")


class Steps:
    """Does the steps of a training.

    A step is a thousand and more operations, each of which Python hands to the GPU by itself; for
    a small network that takes several times as long as the GPU needs for them. So a GPU records
    the operations of one step, forward and backward, and repeats them on the next batches (a CUDA
    graph): the same kernels on the same numbers. Batches of other shapes, such as the last one of
    an epoch, are launched one by one. A recording keeps the memory of a whole step; where that
    leaves too little for anything else it is given up, and nothing but time is lost.

    Parameters
    ----------
    fabric : Fabric
    learner : Learner
        In training mode when a step is done.
    network : callable
        The learner's model as the device runs it.
    optimizer : Optimizer
        As Fabric has set it up.
    recorded : bool
        Record and repeat; for a learner that says it may be, on one GPU.
    """

    def __init__(
        self, fabric: Fabric, learner: Learner, network: Network, optimizer: Any, *, recorded: bool
    ) -> None:
        self._fabric, self._learner = fabric, learner
        self._network, self._optimizer = network, optimizer
        self._records = recorded
        self._done: Counter[Shapes] = Counter()
        self._recording: _Recording | None = None
        self._stream = torch.cuda.Stream() if recorded else None
        #: Ends of the last steps, which the GPU may not have come to yet.
        self._ends: deque[torch.cuda.Event] = deque()

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """Do the steps inside after what the device was given before, and before what follows.

        A recording cannot be made in the device's default stream, and the steps before it must
        have run in the stream that it is made in.
        """
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Do a step.

        Parameters
        ----------
        batch : tuple of Tensor
            This process's part, not on the device yet.

        Returns
        -------
        Tensor
            The mean loss, on the device. The next step may overwrite it.
        """
        shapes = tuple(part.shape for part in batch)
        if self._records and self._recording is None and self._done[shapes] == BEFORE_RECORDING:
            self._record(batch)
        if self._recording is not None and self._recording.shapes == shapes:
            loss = self._recording.repeat(batch)
        else:
            loss = self.with_memory(partial(self._one_by_one, batch))
        self._optimizer.step()
        self._done[shapes] += 1
        self._wait_for_earlier_steps()
        return loss

    def with_memory(self, do: Callable[[], Result]) -> Result:
        """Do something; where memory is too short beside a recording, once more without it.

        What batch normalisation has seen by then, it sees again.
        """
        try:
            return do()
        except torch.cuda.OutOfMemoryError:
            if self._recording is None:
                raise
        # Not above: while an error is handled, what led to it stays in memory.
        self._recording = None
        self._no_memory_to_record()
        return do()

    def _one_by_one(self, batch: Batch) -> torch.Tensor:
        """Launch the operations of forward and backward."""
        # The gradients of a recording lie where it writes them, so they are zeroed in place.
        self._optimizer.zero_grad(set_to_none=self._recording is None)
        return self._forward_and_backward(tuple(self._fabric.to_device(part) for part in batch))

    def _forward_and_backward(self, batch: Batch) -> torch.Tensor:
        loss = self._learner.loss(self._network, batch)
        self._fabric.backward(loss)
        return loss.detach()

    def _record(self, batch: Batch) -> None:
        assert self._stream is not None
        self._optimizer.zero_grad(set_to_none=True)
        try:
            self._recording = _Recording(batch, self._forward_and_backward, self._stream)
        except RuntimeError as error:
            if not _for_want_of_memory(error):
                raise
        if self._recording is None:
            self._no_memory_to_record()

    def _no_memory_to_record(self) -> None:
        self._records = False
        self._optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        logging.getLogger(__name__).warning(
            "the GPU has too little memory to keep a recorded step; operations are launched one "
            "by one, which gives the same and takes longer. A smaller batch_size helps"
        )

    def _wait_for_earlier_steps(self) -> None:
        """Let Python run ahead of the GPU by a few steps only: each holds its batch in memory."""
        if self._stream is None:
            return
        end = torch.cuda.Event(blocking=True)
        end.record()
        self._ends.append(end)
        if len(self._ends) > STEPS_AHEAD:
            self._ends.popleft().synchronize()


def _for_want_of_memory(error: BaseException | None) -> bool:
    """Whether an error is of the GPU's memory, or another one that came of it."""
    while error is not None:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            return True
        error = error.__context__
    return False


class _Recording:
    """Forward and backward of one step on batches of one shape, as a GPU repeats them."""

    def __init__(self, batch: Batch, do: Any, stream: torch.cuda.Stream) -> None:
        self.shapes: Shapes = tuple(part.shape for part in batch)
        # torch keeps the order of dimensions in memory, channels last among them.
        self._batch = tuple(torch.empty_like(part, device="cuda") for part in batch)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            self._loss: torch.Tensor = do(self._batch)

    def repeat(self, batch: Batch) -> torch.Tensor:
        """Do it with a batch; the gradients lie at the parameters, the loss is overwritten."""
        for place, part in zip(self._batch, batch, strict=True):
            place.copy_(part, non_blocking=True)
        self._graph.replay()
        return self._loss
