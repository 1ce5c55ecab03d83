"""Jobs on workers within this process: who does them, and who does not any more."""

from __future__ import annotations

import contextlib
import time

import pytest

pytest.importorskip("distributed", reason="needs the extra 'cluster'")

import distributed

from cellharness.cluster.workers import Lost, Threads, Unfit, Workers, tell
from cellharness.config.cluster import ClusterConfig
from cellharness.errors import StoppedError, UsageError


@contextlib.contextmanager
def _workers(count=2, notes=None, **options):
    with (
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            memory_limit=0,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        noted = (notes if notes is not None else []).append
        yield Workers(client, ClusterConfig(workers=count, **options), noted)


def _here(job):
    time.sleep(0.05)
    return distributed.get_worker().address


def _first_is_unfit(job):
    address = distributed.get_worker().address
    return Unfit(address, "another numpy", "its answer") if address == job else address


def _all_are_unfit(job):
    return Unfit(distributed.get_worker().address, "another numpy", job * 2)


def _tells(job):
    topic, text = job
    tell(topic, text)
    return text


def _fails(job):
    msg = f"no module for {job}"
    raise ModuleNotFoundError(msg)


def test_every_job_is_done_once_and_every_worker_has_its_share():
    with _workers() as workers:
        done = list(workers.each(_here, range(8), what="jobs"))
    assert sorted(job for job, _ in done) == list(range(8))
    assert len({address for _, address in done}) == 2


def test_what_belongs_together_goes_to_one_worker():
    with _workers() as workers:
        done = list(workers.each(_here, range(6), what="jobs", one_worker=True))
    assert [job for job, _ in done] == list(range(6))
    assert len({address for _, address in done}) == 1


def test_a_worker_that_is_not_like_the_others_gets_no_more_and_is_told_of_once():
    notes = []
    with _workers(notes=notes) as workers:
        first = workers.there()[0]
        done = list(workers.each(_first_is_unfit, [first] * 6, what="jobs"))
        other = workers.there()[1]
    assert [answer for _, answer in done] == [other] * 6
    assert notes == [f"worker {first} gets no such jobs: another numpy"]


def test_a_job_does_not_wait_for_a_fit_worker_that_was_lost():
    with _workers() as workers:
        first, other = workers.there()
        jobs = workers.each(_first_is_unfit, [first] * 40, what="jobs")
        assert next(jobs)[1] == other
        # Only the unfit one is left: its answer is what there is.
        workers.client.retire_workers([other])
        assert len(list(jobs)) == 39


def test_where_no_worker_is_fit_the_jobs_get_what_came_of_them():
    with _workers() as workers:
        done = list(workers.each(_all_are_unfit, [1, 2, 3], what="jobs"))
    assert sorted((job, answer.answer) for job, answer in done) == [(1, 2), (2, 4), (3, 6)]


def test_workers_tell_something_while_they_work():
    heard = []
    with _workers() as workers:
        jobs = [(workers.topic, text) for text in ("a", "b")]
        list(workers.each(_tells, jobs, what="jobs", told=heard.append))
    assert sorted(heard) == ["a", "b"]


def test_a_worker_without_the_packages_is_told_of():
    with _workers() as workers, pytest.raises(UsageError, match=r"no module for 1.*same packages"):
        list(workers.each(_fails, [1], what="jobs"))


def test_a_job_that_costs_every_worker_is_given_up(monkeypatch):
    rounds = []

    def gone(future):
        rounds.append(future.key)
        raise distributed.KilledWorker(future.key, None, 3)

    with _workers() as workers:
        monkeypatch.setattr(distributed.Future, "result", gone)
        done = list(workers.each(_here, [1], what="jobs"))
    assert isinstance(done[0][1], Lost)
    assert len(set(rounds)) == 2


def test_without_a_scheduler_it_stops():
    with _workers() as workers:
        jobs = workers.each(_here, range(100), what="jobs")
        next(jobs)
        workers.client.cluster.close()
        with pytest.raises(StoppedError, match="scheduler was lost"):
            list(jobs)


def test_only_workers_with_a_gpu_get_what_needs_one():
    with _workers(1) as workers:
        assert len(workers.there()) == 1
    with _workers(1, gpu=True) as workers:
        assert workers.there() == []


def test_the_processor_is_shared_out(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(7)), raising=False)
    assert Threads(beside=2).here() == 3
    assert Threads(beside=20).here() == 1
    assert Threads(5, beside=20).here() == 5
    job = ClusterConfig(kind="slurm", job={"cores": 6})
    with _workers(1) as workers:
        assert workers.threads() == Threads(beside=1)
        workers.config = job
        assert workers.threads() == Threads(6)
