"""On a Dask worker: keep one method loaded, and hand its masks back."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from cellharness.cluster.workers import Threads, Unfit, allow_children, environment_of
from cellharness.data.manifest import Case
from cellharness.files import hash_file
from cellharness.methods.registry import build
from cellharness.running.ledger import Outcome
from cellharness.running.process import MethodProcess, WorkerStartError
from cellharness.running.worker import MethodSpec, Task

#: Seconds without a case after which a method is ended: who sent them may be no more.
_IDLE_S = 600.0


@dataclass(frozen=True)
class Order:
    """One case for a worker.

    Attributes
    ----------
    keeper : str
        Name of the :class:`Keeper` there.
    spec : MethodSpec
    case : Case
    image_sha256 : str
        Of its image, as the coordinator sees it.
    has_truth : bool
        Whether the coordinator sees its label image.
    timeout_s, load_timeout_s, memory_gb
        As of :class:`cellharness.running.process.MethodProcess`.
    threads : Threads
        Of the method.
    """

    keeper: str
    spec: MethodSpec
    case: Case
    image_sha256: str
    has_truth: bool
    timeout_s: float
    load_timeout_s: float
    memory_gb: float | None
    threads: Threads


@dataclass(frozen=True)
class Made:
    """What came of an order.

    Attributes
    ----------
    outcome : Outcome
    mask : bytes
        Of the mask file; empty where there is none.
    """

    outcome: Outcome
    mask: bytes = b""


def segment(order: Order) -> Made | Unfit:
    """On a worker: segment one case by the method that is kept, loading it where it is another."""
    keeper: Any = get_worker().plugins[order.keeper]
    return keeper.segment(order)


def resolve(spec: MethodSpec) -> dict[str, Any]:
    """On a worker: what a method's automatic choices come to there."""
    if spec.python:
        # What speaks JSON is imported only for who needs it.
        from cellharness.running.elsewhere import ask

        return dict(ask(Path(spec.python), spec.method, spec.parameters, ()).resolved)
    allow_children()
    # In a process of its own, since it may import torch, which the worker itself does without.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_resolved, spec).result()


def _resolved(spec: MethodSpec) -> dict[str, Any]:
    return build(spec.method, spec.parameters).resolved()


class Keeper(WorkerPlugin):
    """One method in its process, from its first case to that of another method."""

    def setup(self, worker: Worker) -> None:
        """Begin with none."""
        allow_children()
        self._alone = threading.Lock()
        self._process: MethodProcess | None = None
        self._waiting: threading.Timer | None = None
        self._address = worker.address
        self._folder = Path(tempfile.mkdtemp(prefix="cellharness-", dir=worker.local_directory))

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - as Dask calls it
        """End the method, also in the middle of a case."""
        self._stop_waiting()
        if self._process is not None:
            self._process.end_now()
        with self._alone:
            self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def segment(self, order: Order) -> Made | Unfit:
        """Segment one case; see :func:`segment`."""
        with self._alone:
            self._stop_waiting()
            try:
                return self._segment(order)
            finally:
                self._waiting = threading.Timer(_IDLE_S, self._end_idle)
                self._waiting.daemon = True
                self._waiting.start()

    def _segment(self, order: Order) -> Made | Unfit:
        if missing := _not_seen(order):
            return Unfit(self._address, missing)
        process = self._process_for(order)
        mask = self._folder / f"{order.case.case}_label.tiff"
        try:
            with environment_of(order.threads):
                try:
                    process.start()
                except WorkerStartError as error:
                    # Another worker may load it; one that does not would fail case after case.
                    return Unfit(self._address, str(error), Made(error.outcome))
                outcome = process.segment(Task(order.case, mask))
            details = {**outcome.details, "worker": self._address}
            outcome = replace(outcome, details=details)
            return Made(outcome, mask.read_bytes() if outcome.prediction_sha256 else b"")
        finally:
            mask.unlink(missing_ok=True)

    def _process_for(self, order: Order) -> MethodProcess:
        process = self._process
        if process is None or process.spec != order.spec:
            self._stop()
            process = MethodProcess(
                order.spec, order.timeout_s, order.load_timeout_s, order.memory_gb
            )
            self._process = process
        return process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    def _end_idle(self) -> None:
        # Where a case came meanwhile, it is the next timer's turn.
        if self._alone.acquire(blocking=False):
            try:
                self._stop()
            finally:
                self._alone.release()


def _not_seen(order: Order) -> str:
    """What of a case this machine does not see as the coordinator does, or ""."""
    image, label = order.case.image, order.case.label
    try:
        if hash_file(image) != order.image_sha256:
            return f"the image '{image}' is another one there"
    except OSError as error:
        return f"it cannot read the image '{image}' ({error.strerror}); all must see the same files"
    if order.has_truth and label is not None and not label.is_file():
        return f"it does not see the truth '{label}'; all workers must see the same files"
    return ""
