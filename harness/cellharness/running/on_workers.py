"""A method's cases on many workers: handed out, their masks written, what is unsure told."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from cellharness.cluster.workers import Lost, Unfit, Workers
from cellharness.config.run import LimitsConfig
from cellharness.files import whole_file
from cellharness.methods.child_process import describe
from cellharness.provenance import package_versions
from cellharness.running.in_turn import Wanted
from cellharness.running.keeper import Keeper, Made, Order, resolve, segment
from cellharness.running.ledger import Outcome
from cellharness.running.place import packages_of
from cellharness.running.plan import Plan
from cellharness.running.worker import MethodSpec


class MethodsOnWorkers:
    """Methods on the workers of a Dask cluster; the ledger is left to who asks.

    Parameters
    ----------
    workers : Workers
    keeper : str
        Name of the plug-in that keeps a method on each of them.
    """

    def __init__(self, workers: Workers, keeper: str) -> None:
        self._workers = workers
        self._keeper = keeper

    def resolve(self, spec: MethodSpec) -> dict[str, Any]:
        """What a method's automatic choices come to on a worker: it may have a GPU, and we none."""
        return self._workers.ask(resolve, spec)

    def segment(
        self, plan: Plan, wanted: Iterable[Wanted], timeout_s: float, limits: LimitsConfig
    ) -> Generator[tuple[Wanted, Outcome], None, None]:
        """Segment cases beside each other.

        Parameters
        ----------
        plan : Plan
        wanted : iterable of Wanted
            Taken as workers become free.
        timeout_s : float
            Seconds for a case.
        limits : LimitsConfig
            For loading, and for memory.

        Yields
        ------
        Wanted, Outcome
            In the order in which they finish; the mask is written.

        Raises
        ------
        StoppedError
            The scheduler was lost.
        """
        at_once = plan.segmenter is not None and plan.segmenter.all_at_once()
        spec = replace(
            plan.spec,
            # With every case go all of them otherwise.
            cases=plan.spec.cases if at_once else (),
            expected=_expected(plan),
        )
        threads = self._workers.threads()
        handed: dict[str, Wanted] = {}
        impossible: list[Wanted] = []

        def each() -> Iterator[Order]:
            for one in wanted:
                if one.problem:
                    impossible.append(one)
                    continue
                handed[one.case.case] = one
                yield Order(
                    self._keeper,
                    spec,
                    one.case.absolute(),
                    one.image_sha256,
                    one.case.label is not None and one.case.label.is_file(),
                    timeout_s,
                    limits.load_timeout_s,
                    limits.memory_gb,
                    threads,
                )

        answers = self._workers.each(segment, each(), what=plan.config.name, one_worker=at_once)
        with closing(answers):
            for order, answer in answers:
                one = handed.pop(order.case.case)
                yield one, _outcome(one, answer)
        for one in impossible:
            yield one, Outcome("error", one.problem)


def _expected(plan: Plan) -> dict[str, Any]:
    """What the method must come to on every worker."""
    if plan.place is None:
        versions = package_versions(packages_of(plan.info))
    else:
        # Of another Python ours is not among its packages, though our code runs there.
        versions = {name: v for name, v in plan.place.versions.items() if name != "cellharness"}
    return {
        "weights": [weights["sha256"] for weights in plan.weights],
        "resolved": dict(plan.resolved),
        "versions": versions,
    }


def _outcome(one: Wanted, answer: Made | Lost | Unfit) -> Outcome:
    """Write the mask that came, and give its row."""
    if isinstance(answer, Lost):
        return Outcome("error", answer.message)
    if isinstance(answer, Unfit) and answer.answer is None:
        return Outcome("error", f"no worker is fit: {answer.message}")
    made: Made = answer.answer if isinstance(answer, Unfit) else answer
    if made.mask:
        try:
            one.prediction.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(one.prediction) as partial:
                partial.write_bytes(made.mask)
        except OSError as error:
            return Outcome("error", describe(error), made.outcome.seconds)
    return made.outcome


@contextmanager
def methods_on(workers: Workers) -> Iterator[MethodsOnWorkers]:
    """Have workers keep a method loaded for as long as the block lasts."""
    name = f"cellharness-{uuid.uuid4().hex}"
    with workers.keeping(Keeper(), name):
        yield MethodsOnWorkers(workers, name)
