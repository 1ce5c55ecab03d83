"""Start workers: processes of this machine, or jobs of a queue."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from distributed import LocalCluster, Nanny, Scheduler, SpecCluster
from distributed.deploy.cluster import Cluster

from cellharness.config.cluster import ClusterConfig, JobConfig
from cellharness.errors import UsageError
from cellharness.provenance import gpus

#: The Dask resource that one GPU is; workers have one each.
GPU = "GPU"

# Reached by a tunnel from elsewhere: it asks nobody who they are.
_DASHBOARD = "127.0.0.1:8787"
#: Memory is the method's, in a process of its own with limits of its own.
_NO_LIMIT = 0

#: How each queue is asked for a GPU; PBS among the resources of a job.
_GPU_DIRECTIVES = {"slurm": ["--gres=gpu:1"], "pbs": [], "lsf": ['-gpu "num=1"']}
#: Four hours; LSF knows no seconds, and SLURM would take the shorter form for minutes.
_WALLTIMES = {"slurm": "04:00:00", "pbs": "04:00:00", "lsf": "04:00"}

# Looked at every so often, and so often without work before a worker is closed: a model that must
# be loaded again costs more than a minute of waiting.
_ADAPTIVE: dict[str, Any] = {"interval": "2s", "wait_count": 30, "target_duration": "1s"}


def start_cluster(config: ClusterConfig) -> Cluster:
    """Start the workers of a configuration, or ask a queue for them.

    Parameters
    ----------
    config : ClusterConfig
        Without ``scheduler``.

    Returns
    -------
    Cluster
        Of ``distributed``; to be closed.

    Raises
    ------
    UsageError
        More local workers with a GPU than there are GPUs, or a queue's commands are not there.
    """
    if config.place != "local":
        cluster = job_cluster(config)
        _scale(cluster, config)
        return cluster
    if config.gpu:
        return _gpu_cluster(config)
    cluster = LocalCluster(
        n_workers=config.most if config.at_least is None else 0,
        threads_per_worker=1,
        processes=True,
        memory_limit=_NO_LIMIT,
        dashboard_address=_DASHBOARD,
        silence_logs="ERROR",
    )
    if config.at_least is not None:
        _scale(cluster, config)
    return cluster


def _scale(cluster: Cluster, config: ClusterConfig) -> None:
    if config.at_least is None:
        cluster.scale(config.most)
    else:
        cluster.adapt(minimum=config.at_least, maximum=config.most, **_ADAPTIVE)


def _gpu_cluster(config: ClusterConfig) -> SpecCluster:
    devices = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), len(gpus()))
    wanted = config.workers or len(devices)
    if not 0 < wanted <= len(devices):
        msg = (
            f"cluster: {wanted or 'no'} workers with a GPU each, and this machine shows "
            f"{len(devices)} GPU(s); leave out 'gpu', or give as many workers as there are GPUs"
        )
        raise UsageError(msg)
    return SpecCluster(
        scheduler={
            "cls": Scheduler,
            "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": _DASHBOARD},
        },
        workers={
            number: {"cls": Nanny, "options": gpu_worker(device)}
            for number, device in enumerate(devices[:wanted])
        },
        silence_logs="ERROR",
    )


def visible_gpus(setting: str | None, count: int) -> Sequence[str]:
    """Name the GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` names them.

    Examples
    --------
    >>> visible_gpus(None, 2), visible_gpus("3, 5", 8), visible_gpus("", 2)
    (['0', '1'], ['3', '5'], [])
    """
    if setting is None:
        return [str(number) for number in range(count)]
    return [name.strip() for name in setting.split(",") if name.strip()]


def gpu_worker(device: str) -> dict[str, Any]:
    """Options of a Dask nanny whose worker sees one GPU, and has it as a resource."""
    return {
        "nthreads": 1,
        "memory_limit": _NO_LIMIT,
        "resources": {GPU: 1},
        "env": {"CUDA_VISIBLE_DEVICES": device},
    }


def job_cluster(config: ClusterConfig) -> Any:
    """Make the cluster of a job queue; no job is asked for yet.

    Returns
    -------
    JobQueueCluster
        Of dask-jobqueue. Its ``job_script()`` is what the queue gets.
    """
    import dask_jobqueue

    kind, job = config.place, config.job or JobConfig()
    # Dask is told of one core, since a worker has one case at a time; all of them are the method's.
    options: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": job.memory,
        "walltime": job.walltime or _WALLTIMES[kind],
        "queue": job.queue,
        "project" if kind == "lsf" else "account": job.account,
        "job_name": "cellharness",
        "job_extra_directives": [*(_GPU_DIRECTIVES[kind] if config.gpu else ()), *job.directives],
        "job_script_prologue": list(job.prologue),
        "worker_extra_args": ["--resources", f"{GPU}=1"] if config.gpu else [],
        "log_directory": str(job.logs) if job.logs is not None else None,
        "scheduler_options": {"dashboard_address": _DASHBOARD},
    }
    made: Any
    if kind == "slurm":
        made, options["job_cpu"] = dask_jobqueue.SLURMCluster, job.cores
    elif kind == "lsf":
        made, options["ncpus"] = dask_jobqueue.LSFCluster, job.cores
    else:
        devices, memory = ":ngpus=1" * config.gpu, job.memory.replace(" ", "")
        options["resource_spec"] = f"select=1:ncpus={job.cores}{devices}:mem={memory}"
        made = dask_jobqueue.PBSCluster
    return made(**{name: value for name, value in options.items() if value is not None})
