"""The configuration of workers beside each other: on this machine, of a job queue, or running."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from cellharness.config.reading import BasedConfig, Strict
from cellharness.errors import UsageError

#: Workers where none are asked for.
_WORKERS = 2


class JobConfig(Strict):
    """What a job queue is asked for; one job is one worker."""

    cores: int = Field(4, ge=1, description="Processor cores of a job.")
    memory: str = Field("16 GB", description="Memory of a job, such as 16 GB.")
    walltime: str | None = Field(
        None,
        description="Longest time of a job: hh:mm:ss, or hh:mm for LSF; default four hours. A "
        "case that it cuts off is made by another job.",
    )
    queue: str | None = Field(None, description="Queue or partition.")
    account: str | None = Field(None, description="Account, or project, that is charged.")
    directives: list[str] = Field([], description="More directives, such as --constraint=a100.")
    prologue: list[str] = Field(
        [], description="Lines of the job's script before the worker, such as module load cuda."
    )
    logs: Path | None = Field(None, description="Folder for the jobs' logs; it must be there.")


class ClusterConfig(Strict):
    """Workers that segment and train beside each other, by Dask (extra ``cluster``)."""

    kind: Literal["local", "slurm", "pbs", "lsf"] | None = Field(
        None, description="local: processes on this machine, the default; or a job queue."
    )
    scheduler: str | None = Field(
        None,
        description="Address of a Dask scheduler that runs already, such as tcp://node1:8786, in "
        "the place of a kind.",
    )
    workers: int | None = Field(None, ge=1, description="How many, or at most; default 2.")
    at_least: int | None = Field(
        None,
        ge=0,
        description="Scale with the work, from so many workers to `workers`; default: all, always.",
    )
    gpu: bool = Field(
        False,
        description="One worker a GPU: only workers with the Dask resource GPU get cases. Those of "
        "kind local see one GPU each, those of a job queue ask for one.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Processor threads of a method on a worker; default: the cores of a machine "
        "shared among the workers on it, of a job queue those of a job.",
    )
    job: JobConfig | None = Field(None, description="What a job queue is asked for.")

    @model_validator(mode="after")
    def _fits(self) -> ClusterConfig:
        if self.scheduler is not None:
            given = [name for name in ("kind", "workers", "at_least", "job") if self._has(name)]
            if given:
                msg = (
                    f"{', '.join(given)} with 'scheduler': whoever started that decides on its "
                    "workers; leave out either"
                )
                raise ValueError(msg)
        if self.job is not None and self.place == "local":
            msg = "'job' is for a job queue; give kind slurm, pbs or lsf, or leave it out"
            raise ValueError(msg)
        if self.at_least is not None and self.at_least > self.most:
            msg = f"at_least {self.at_least} is above workers {self.most}"
            raise ValueError(msg)
        if self.at_least is not None and self.gpu and self.place == "local":
            msg = "at_least does not go with the GPUs of this machine; leave out either"
            raise ValueError(msg)
        return self

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None

    @property
    def place(self) -> str:
        """The kind, ``local`` where none is given."""
        return self.kind or "local"

    @property
    def most(self) -> int:
        """Number of workers, or the most of them."""
        return self.workers or _WORKERS


_Config = TypeVar("_Config", bound=BasedConfig)


def on_scheduler(config: _Config, address: str | None) -> _Config:
    """Have a run or a study work on the workers of a scheduler; None leaves it as configured.

    What the configuration says of GPUs and threads stays.
    """
    if address is None:
        return config
    former: ClusterConfig | None = getattr(config, "cluster", None)
    kept: dict[str, Any] = {"gpu": former.gpu, "threads": former.threads} if former else {}
    cluster = ClusterConfig(scheduler=address, **kept)
    return config.model_copy(update={"cluster": cluster})


def check_cluster(cluster: ClusterConfig | None, repeats: int, cases_at_once: int | str) -> None:
    """Refuse what goes with one process on this machine alone.

    Raises
    ------
    UsageError
        A case is to be segmented more than once, which has no other use than to take running
        times; or several cases at the same time, where each worker takes one.
    """
    if cluster is not None and cases_at_once != 1:
        msg = (
            f"cases_at_once {cases_at_once} with a cluster: each worker takes one case at a time. "
            "Start more workers, or leave out one of the two"
        )
        raise UsageError(msg)
    if cluster is not None and repeats > 1:
        msg = (
            f"timing.repeats {repeats} with a cluster: workers beside each other slow each other "
            "down, and their seconds tell nothing. Take running times without the cluster, or "
            "leave out timing.repeats"
        )
        raise UsageError(msg)
