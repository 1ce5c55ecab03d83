"""Hand out jobs to workers: one at a time each, those of a lost worker to another."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import queue
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cellharness.config.cluster import ClusterConfig, JobConfig
from cellharness.errors import MissingDependencyError, StoppedError, UsageError
from cellharness.installation import install_command
from cellharness.processes import cores

if TYPE_CHECKING:
    from distributed import Client, Future, WorkerPlugin

_Job = TypeVar("_Job")

_REQUIRES = ("bokeh>=3.1", "dask-jobqueue>=0.9", "distributed>=2026.8")

_NOT_EVEN_CRITICAL = logging.CRITICAL + 1

_TICK_S = 1.0
#: Seconds that a running scheduler is given to answer, and to show a worker.
_PATIENCE_S = 30.0
#: How often workers are counted, at most.
_COUNT_EVERY_S = 2.0
# What libraries read as they are loaded.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

#: Dask itself gives a job to four workers before it gives up; so often it is then tried again.
_ROUNDS = 2


@dataclass(frozen=True)
class Lost:
    """No worker lived to finish a job."""

    message: str


@dataclass(frozen=True)
class Unfit:
    """A worker's answer where it cannot do a job as the others would; it gets no more of them.

    Attributes
    ----------
    worker : str
        Its address.
    message : str
        Why.
    answer : object
        What came of the job, where every worker is like that.
    """

    worker: str
    message: str
    answer: Any = None


@dataclass(frozen=True)
class Threads:
    """Processor threads of a method: so many, or its share of a machine."""

    exact: int | None = None
    beside: int = 1

    def here(self) -> int:
        """On a worker: how many."""
        return self.exact or max(1, cores() // self.beside)


@dataclass
class _Running(Generic[_Job]):
    """A job that was handed out."""

    job: _Job
    rounds: int


class Workers:
    """Workers of a Dask cluster.

    Parameters
    ----------
    client : Client
        Connected.
    config : ClusterConfig
    noted : callable
        Told what a user should know.
    """

    def __init__(self, client: Client, config: ClusterConfig, noted: Callable[[str], None]) -> None:
        self.client = client
        self.config = config
        self._noted = noted
        self._resources = {"GPU": 1} if config.gpu else {}
        self._inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        #: What workers tell while a job runs is sent under this name.
        self.topic = f"cellharness-{uuid.uuid4().hex}"
        self._counted = (-_COUNT_EVERY_S, 0)
        self._waits = False
        self._unfit: dict[str, set[str]] = {}
        client.subscribe_topic(self.topic, self._hear)
        client.subscribe_topic("all", self._hear_of_workers)

    def threads(self) -> Threads:
        """Processor threads of a method on a worker."""
        if self.config.threads is not None:
            return Threads(self.config.threads)
        if self.config.scheduler is None and self.config.place != "local":
            return Threads((self.config.job or JobConfig()).cores)
        if self.config.scheduler is None:
            return Threads(beside=len(self.there()) if self.config.gpu else self.config.most)
        hosts = Counter(each["host"] for each in self.facts().values())
        return Threads(beside=max(hosts.values(), default=1))

    def facts(self) -> dict[str, Any]:
        """What the scheduler knows of its workers, by address."""
        return self._identity()["workers"]

    def _identity(self) -> dict[str, Any]:
        """What the scheduler says of itself."""
        if self.client.status != "running":
            raise _stopped()
        # The client's own `scheduler_info` keeps what comes first of two answers, one without
        # workers.
        return self._spoken_to(self.client.sync, self._ask_scheduler)

    async def _ask_scheduler(self) -> dict[str, Any]:
        assert self.client.scheduler is not None, "it is connected"
        return await self.client.scheduler.identity(n_workers=-1)

    def dashboard(self) -> str:
        """Address of the dashboard; ours listens on this machine only, whatever name that has."""
        port = self._identity().get("services", {}).get("dashboard")
        if self.config.scheduler is not None or port is None:
            return self.client.dashboard_link
        return f"http://127.0.0.1:{port}/status"

    def ask(self, work: Callable[[_Job], Any], job: _Job) -> Any:
        """Have one job done, by any worker, and wait for its answer.

        Raises
        ------
        StoppedError
            The scheduler was lost, or every worker that took the job.
        """
        for _, answer in self.each(work, [job], what="question"):
            if isinstance(answer, Lost | Unfit):
                raise StoppedError(answer.message)
            return answer
        raise AssertionError

    def each(
        self,
        work: Callable[[_Job], Any],
        jobs: Iterable[_Job],
        *,
        what: str,
        told: Callable[[Any], None] | None = None,
        one_worker: bool = False,
    ) -> Generator[tuple[_Job, Any], None, None]:
        """Do some jobs on the workers, in the order in which they finish.

        Parameters
        ----------
        work : callable
            Function of a module, called on a worker with a job. It may give :class:`Unfit`.
        jobs : iterable
            Taken as workers become free.
        what : str
            How the dashboard calls them.
        told : callable or None
            Given what workers :func:`tell` meanwhile.
        one_worker : bool
            All of them on the same worker, as long as that lives.

        Yields
        ------
        job, answer
            What `work` gave; :class:`Lost` where it cost every worker that tried, :class:`Unfit`
            where no worker was fit.

        Raises
        ------
        StoppedError
            The scheduler was lost.
        UsageError
            `work` raised, as where a worker lacks what it needs.
        """
        self._unfit[what] = set()
        running: dict[Future, _Running[_Job]] = {}
        waiting = iter(jobs)
        pinned = ""
        try:
            while True:
                room = 1 if one_worker else self._room(what)
                while len(running) < room:
                    job = next(waiting, None)
                    if job is None:
                        break
                    running[self._hand_out(work, job, what, pinned)] = _Running(job, 1)
                if not running:
                    return
                future = self._next(running, told)
                if future is None:
                    continue
                each = running.pop(future)
                answer = self._answer(future)
                if isinstance(answer, Lost) and each.rounds < _ROUNDS:
                    again = self._hand_out(work, each.job, what, "")
                    running[again] = _Running(each.job, each.rounds + 1)
                    continue
                if isinstance(answer, Unfit) and self._others(answer, what):
                    again = self._hand_out(work, each.job, what, "")
                    running[again] = _Running(each.job, each.rounds)
                    continue
                if one_worker:
                    pinned = self._last_worker or pinned
                yield each.job, answer
        finally:
            with suppress(Exception):
                self.client.cancel(list(running), force=True)

    def _hand_out(self, work: Callable[[Any], Any], job: Any, what: str, pinned: str) -> Future:
        fit = [pinned] if pinned else self._fit(what) if self._unfit[what] else None
        future = self._spoken_to(
            self.client.submit,
            _timed,
            work,
            job,
            key=f"{what}-{uuid.uuid4().hex}",
            resources=self._resources or None,
            workers=fit or None,
            # Or a job would wait for one of them that was lost for ever.
            allow_other_workers=bool(fit),
            pure=False,
        )
        future.add_done_callback(lambda done: self._inbox.put(("done", done)))
        return future

    def _next(
        self, running: dict[Future, Any], told: Callable[[Any], None] | None
    ) -> Future | None:
        """The next finished job; None after a tick, or where something else came."""
        try:
            kind, content = self._inbox.get(timeout=_TICK_S)
        except queue.Empty:
            self._look_after()
            return None
        if kind == "done":
            return content if content in running else None
        if kind == "noted":
            self._noted(content)
        elif told is not None:
            told(content)
        return None

    def _answer(self, future: Future) -> Any:
        from distributed import KilledWorker

        self._last_worker = ""
        if future.status not in ("finished", "error"):
            raise _stopped()
        try:
            self._last_worker, answer = self._spoken_to(future.result)
        except (KilledWorker, StoppedError) as error:
            if isinstance(error, StoppedError):
                raise
            return Lost("every worker that took it was lost: killed, or its machine or time ended")
        except Exception as error:
            msg = (
                f"a worker failed with {type(error).__name__}: {error}. Workers need the same "
                "packages as this environment, cellharness among them"
            )
            raise UsageError(msg) from error
        return answer

    def _others(self, answer: Unfit, what: str) -> bool:
        """Whether some worker is left that may be fit."""
        unfit = self._unfit[what]
        if answer.worker not in unfit:
            unfit.add(answer.worker)
            self._noted(f"worker {answer.worker} gets no such jobs: {answer.message}")
        return bool(self._fit(what))

    def _fit(self, what: str) -> list[str]:
        return [name for name in self.there() if name not in self._unfit[what]]

    def _room(self, what: str) -> int:
        """How many jobs may be handed out at once."""
        if self.config.at_least is not None:
            # What no worker has room for tells the cluster to grow.
            return self.config.most
        if time.monotonic() - self._counted[0] >= _COUNT_EVERY_S:
            self._counted = (time.monotonic(), len(self._fit(what)))
        return max(1, self._counted[1])

    def there(self) -> list[str]:
        """Addresses of the workers that have what is asked for."""
        workers = self.facts()
        return [
            name
            for name, facts in workers.items()
            if all(
                facts.get("resources", {}).get(key, 0) >= n for key, n in self._resources.items()
            )
        ]

    def _look_after(self) -> None:
        """Find out that the scheduler is gone; say once that no worker is there."""
        waits = not self.there()
        if waits and not self._waits:
            self._noted("no worker is there; waiting for one")
        self._waits = waits

    def _spoken_to(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call what speaks to the scheduler; where that is gone, say so in our words."""
        from concurrent.futures import CancelledError

        try:
            return call(*args, **options)
        except (OSError, CancelledError, TimeoutError) as error:
            raise _stopped() from error
        except RuntimeError as error:
            if self.client.status == "running":
                raise
            raise _stopped() from error

    def _hear(self, event: tuple[float, Any]) -> None:
        self._inbox.put(("told", pickle.loads(event[1])))

    def _hear_of_workers(self, event: tuple[float, Any]) -> None:
        facts = event[1]
        if isinstance(facts, dict) and facts.get("action") == "remove-worker":
            self._counted = (-_COUNT_EVERY_S, 0)
            if not facts.get("expected"):
                text = f"worker {facts['worker']} was lost; what it was at is done by another"
                self._inbox.put(("noted", text))

    @contextmanager
    def keeping(self, plugin: WorkerPlugin, name: str) -> Iterator[None]:
        """Have every worker keep something while the block lasts, those that come later too."""
        try:
            self._spoken_to(self.client.register_plugin, plugin, name=name)
        except (ImportError, AttributeError) as error:
            msg = f"a worker lacks what is needed ({error}); it needs the same packages as here"
            raise UsageError(msg) from error
        try:
            yield
        finally:
            with suppress(Exception):
                self.client.unregister_worker_plugin(name)


def allow_children() -> None:
    """On a worker: let it start processes, which Python forbids those that Dask's nannies start."""
    multiprocessing.current_process().daemon = False


@contextmanager
def environment_of(threads: Threads) -> Iterator[None]:
    """On a worker: give a process that is started meanwhile its share of the processor."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(threads.here())))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def current_job() -> tuple[str, Callable[[], bool]]:
    """On a worker: its address, and what tells whether the job at hand is still wanted."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        # A coordinator that was killed takes its jobs along; Dask ends none that has begun.
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return worker.address, wanted


def tell(topic: str, message: Any) -> None:
    """On a worker: tell the coordinator something while a job runs."""
    from distributed import get_worker

    get_worker().log_event(topic, pickle.dumps(message))


def _timed(work: Callable[[Any], Any], job: Any) -> tuple[str, Any]:
    """On a worker: do a job, and say who did it."""
    from distributed import get_worker

    return get_worker().address, work(job)


def _stopped() -> StoppedError:
    return StoppedError("the Dask scheduler was lost, and with it all workers")


@contextmanager
def connected(config: ClusterConfig, noted: Callable[[str], None]) -> Iterator[Workers]:
    """Start workers, or find those of a running scheduler, for as long as the block lasts.

    Parameters
    ----------
    config : ClusterConfig
    noted : callable
        Told of the dashboard, of lost workers and of waiting.

    Raises
    ------
    MissingDependencyError
        Dask's packages are not installed.
    UsageError
        No scheduler answers, or it has no worker that fits.
    """
    try:
        from distributed import Client

        from cellharness.cluster.starting import start_cluster
    except ImportError as error:
        command = install_command("cluster", _REQUIRES)
        msg = f"workers need what is not installed ({error.name}): {command}"
        raise MissingDependencyError(msg) from error
    # What is lost is told in our words. Of the handlers, since some of its loggers have levels of
    # their own.
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(_NOT_EVEN_CRITICAL)
    if config.scheduler is not None:
        try:
            client = Client(config.scheduler, timeout=_PATIENCE_S, set_as_default=False)
        except (OSError, ValueError) as error:
            msg = (
                f"no Dask scheduler answers at '{config.scheduler}' ({error}); give the address "
                "that `dask scheduler` printed, such as tcp://node1:8786"
            )
            raise UsageError(msg) from error
        cluster = None
    else:
        with warnings.catch_warnings():
            # Dask then takes another one, which is printed.
            warnings.filterwarnings("ignore", message="Port .* is already in use")
            cluster = start_cluster(config)
        client = Client(cluster, set_as_default=False)
    try:
        workers = Workers(client, config, noted)
        if config.scheduler is not None:
            _check_workers(workers, config)
        noted(f"{_described(workers, config)}; dashboard: {workers.dashboard()}")
        yield workers
    finally:
        # Or the scheduler tells a client that has gone of its going.
        with suppress(Exception):
            client.unsubscribe_topic("all")
        with suppress(Exception):
            client.close(timeout=5)
        if cluster is not None:
            with suppress(Exception):
                cluster.close(timeout=15)


def _described(workers: Workers, config: ClusterConfig) -> str:
    if config.scheduler is not None:
        return f"{len(workers.there())} Dask worker(s) at {config.scheduler}"
    least = "" if config.at_least is None else f"{config.at_least} to "
    return f"{least}{config.most} Dask worker(s) ({config.place})"


def _check_workers(workers: Workers, config: ClusterConfig) -> None:
    """Refuse a scheduler without workers that fit, after some patience."""
    resources = " --resources GPU=1" if config.gpu else ""
    command = f"dask worker {config.scheduler} --nthreads 1{resources}"
    until = time.monotonic() + _PATIENCE_S
    while not (there := workers.there()):
        if time.monotonic() > until:
            what = " with the resource GPU" if config.gpu else ""
            msg = f"no worker{what} at '{config.scheduler}'; start some: {command}"
            raise UsageError(msg)
        time.sleep(_TICK_S)
    facts = workers.facts()
    wide = {name: facts[name]["nthreads"] for name in there if facts[name]["nthreads"] > 1}
    if wide:
        name, count = next(iter(wide.items()))
        msg = (
            f"worker {name} has {count} threads, and a method takes one case at a time; start "
            f"workers with one: {command}"
        )
        raise UsageError(msg)
