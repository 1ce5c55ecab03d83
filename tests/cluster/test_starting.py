"""What a job queue is asked for, as dask-jobqueue itself writes it; GPUs of this machine."""

from __future__ import annotations

import pytest

pytest.importorskip("dask_jobqueue", reason="needs the extra 'cluster'")

from cellharness.cluster import starting
from cellharness.cluster.starting import gpu_worker, job_cluster, start_cluster
from cellharness.config.cluster import ClusterConfig
from cellharness.errors import UsageError

JOB = {
    "cores": 6,
    "memory": "20 GB",
    "walltime": "01:30:00",
    "queue": "long",
    "account": "lab",
    "directives": ["--more=1"],
    "prologue": ["module load cuda"],
    "logs": "/scratch/logs",
}
WANTED = {
    "slurm": [
        "#SBATCH -p long",
        "#SBATCH -A lab",
        "#SBATCH --cpus-per-task=6",
        "#SBATCH --mem=19G",
        "#SBATCH -t 01:30:00",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --more=1",
        "#SBATCH -o /scratch/logs/cellharness-%J.out",
    ],
    "pbs": [
        "#PBS -q long",
        "#PBS -A lab",
        "#PBS -l select=1:ncpus=6:ngpus=1:mem=20GB",
        "#PBS -l walltime=01:30:00",
        "#PBS --more=1",
        "#PBS -o /scratch/logs/",
    ],
    "lsf": [
        "#BSUB -q long",
        '#BSUB -P "lab"',
        "#BSUB -n 6",
        "#BSUB -M 20000000",
        "#BSUB -W 01:30:00",
        '#BSUB -gpu "num=1"',
        "#BSUB --more=1",
    ],
}


@pytest.mark.parametrize("kind", sorted(WANTED))
def test_a_job_gets_what_is_asked_for_and_one_worker_with_one_gpu(kind):
    with job_cluster(ClusterConfig(kind=kind, gpu=True, job=JOB)) as cluster:
        lines = cluster.job_script().splitlines()
    assert [line for line in WANTED[kind] if line not in lines] == []
    assert lines.index("module load cuda") < len(lines) - 1
    (worker,) = [line for line in lines if "dask_worker" in line]
    assert "--nthreads 1 " in worker
    assert "--nworkers" not in worker
    assert worker.endswith("--resources GPU=1")


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("slurm", "#SBATCH -t 04:00:00"),
        ("pbs", "#PBS -l walltime=04:00:00"),
        ("lsf", "#BSUB -W 04:00"),
    ],
)
def test_without_more_a_job_is_of_four_hours_and_without_a_gpu(kind, line):
    with job_cluster(ClusterConfig(kind=kind)) as cluster:
        script = cluster.job_script()
    assert line in script.splitlines()
    assert "gpu" not in script.lower()


def test_each_local_worker_sees_one_gpu_of_those_that_may_be_used(monkeypatch):
    monkeypatch.setattr(starting, "gpus", lambda: [{}] * 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    asked = {}
    monkeypatch.setattr(starting, "SpecCluster", lambda **options: asked.update(options))
    start_cluster(ClusterConfig(gpu=True))
    assert [worker["options"] for worker in asked["workers"].values()] == [
        gpu_worker("2"),
        gpu_worker("3"),
    ]
    assert gpu_worker("3")["env"] == {"CUDA_VISIBLE_DEVICES": "3"}
    assert gpu_worker("3")["resources"] == {"GPU": 1}


@pytest.mark.parametrize(("found", "workers"), [(0, None), (1, 2)])
def test_more_workers_than_gpus_are_refused(found, workers, monkeypatch):
    monkeypatch.setattr(starting, "gpus", lambda: [{}] * found)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(UsageError, match=rf"this machine shows {found} GPU"):
        start_cluster(ClusterConfig(gpu=True, workers=workers))
