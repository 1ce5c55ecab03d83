"""Run a task over many items in several processes, and outlive a worker that dies."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from cellharness.scoring.validation import ScoringError

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_in_processes(
    task: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    lost: Callable[[Item], Result],
) -> Iterator[tuple[int, Result]]:
    """Apply `task` to every item; yield (position, result) as they are finished.

    When a worker dies (killed for its memory, say) the executor gives up every item it holds and
    does not say which one did it. The first open items are then done alone, as many as the
    workers may have held; a worker that dies at a lone item has shown which one it is. Then all
    workers go on with the rest.

    Parameters
    ----------
    task
        Picklable, and expected not to raise.
    items
        Picklable.
    workers
        Processes at a time, each started afresh ("spawn"): no state is inherited.
    lost
        Makes the result of an item whose worker died; called in this process.

    Raises
    ------
    ScoringError
        If no worker can be started, as in a script without the guard that "spawn" needs.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(range(len(items)))
    suspects = 0
    workers_start = False
    while waiting:
        alone = suspects > 0
        batch = waiting[:1] if alone else waiting
        finished: set[int] = set()
        pool = ProcessPoolExecutor(1 if alone else workers, mp_context=context)
        try:
            if not workers_start:
                _check_workers_start(pool)
                workers_start = True
            futures = {pool.submit(task, items[index]): index for index in batch}
            for future in as_completed(futures):
                result = future.result()
                finished.add(futures[future])
                yield futures[future], result
            suspects = max(0, suspects - 1)
        except BrokenProcessPool:
            if alone:
                finished.add(batch[0])
                yield batch[0], lost(items[batch[0]])
            # The executor hands out one item more than it has workers.
            suspects = 0 if alone else workers + 1
        finally:
            pool.shutdown(cancel_futures=True)
        waiting = [index for index in waiting if index not in finished]


def _check_workers_start(pool: ProcessPoolExecutor) -> None:
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        msg = (
            "Worker processes cannot be started. In a script, call this under "
            "'if __name__ == \"__main__\":'; otherwise use workers=1."
        )
        raise ScoringError(msg) from error
