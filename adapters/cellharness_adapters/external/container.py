"""Containers as the challenge ran them: docker, podman or apptainer on the command line."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from cellharness.errors import UsageError
from cellharness.methods.base import MethodInfo, Parameters
from cellharness.weights import Weights
from cellharness_adapters.external.program import Finished, run_program
from cellharness_adapters.external.segmenter import External, ExternalParameters

#: Where the challenge's images look for images and write masks.
_INPUTS, _OUTPUTS = "/workspace/inputs", "/workspace/outputs"
#: Seconds for asking the engine a question, or for having it remove a container.
_PATIENCE_S = 60


class ContainerParameters(ExternalParameters):
    """Which image, and how it is run; defaults are the challenge's."""

    image: str = Field(
        min_length=1,
        description="Such as joonkeekim/mediar, lewislou/sribd-cellseg:tagname or "
        "ericup/neurips22-cell-seg:v0.0.1; for apptainer a .sif file or docker://NAME.",
    )
    engine: Literal["docker", "podman", "apptainer"] = Field("docker", description="Runs it.")
    script: str = Field(
        "sh predict.sh", description="Run by /bin/bash -c in the image's own working directory."
    )
    gpus: str | None = Field(
        "device=0", description="GPUs that it sees, as docker spells them; null for none."
    )
    memory: str | None = Field("28g", description="Its memory; null for no limit.")
    network: bool = Field(True, description="Off (--network none) it can fetch and send nothing.")
    timeout_s: float | None = Field(
        600,
        gt=0,
        description="Seconds for one call, after which the container is removed; keep it below the "
        "run's limits.timeout_s, which ends the call but cannot reach the container.",
    )
    read_only_inputs: bool = Field(False, description="On, it cannot change the images.")
    shm_size: str | None = Field(
        None, description="Shared memory, such as 8g, which torch's loaders may need."
    )


class Container(External):
    """A team's container, one image at a time."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="A container, called for one image at a time as the challenge did.",
        licence="that of the container",
        citation="Ma et al., Nature Methods 21, 1103 (2024)",
        input="native",
        url="https://neurips22-cellseg.grand-challenge.org",
        limits="Needs the engine and, for GPUs, its toolkit; what it was trained on is known only "
        "if the configuration says so.",
    )
    Parameters: ClassVar[type[Parameters]] = ContainerParameters
    parameters: ContainerParameters
    forgives_exit_code = True

    def weights(self) -> tuple[Weights, ...]:
        """The image stands in the place of weights; its id is among what is resolved."""
        wanted = self.parameters
        source = f"{wanted.engine} image"
        return (Weights(wanted.image, {}, {}, source, wanted.licence, wanted.training_data),)

    def resolved(self) -> dict[str, Any]:
        """The image's own id, so that masks of another build are not taken for this one's.

        Raises
        ------
        UsageError
            The engine is not installed, or the image is not on this machine.
        """
        wanted = self.parameters
        if shutil.which(wanted.engine) is None:
            msg = (
                f"no '{wanted.engine}' on PATH; install it, or choose another engine (docker, "
                "podman, apptainer), or make the masks elsewhere and compare them as `precomputed`"
            )
            raise UsageError(msg)
        if wanted.engine == "apptainer":
            return {}
        ask = [wanted.engine, "image", "inspect", "--format", "{{.Id}}", wanted.image]
        try:
            answer = subprocess.run(
                ask, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
            )
        except subprocess.TimeoutExpired:
            msg = f"'{wanted.engine}' did not answer within {_PATIENCE_S} s"
            raise UsageError(msg) from None
        if answer.returncode:
            reason = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
            msg = (
                f"{wanted.engine} has no image '{wanted.image}' ({reason:.200}); get it with "
                f"`{wanted.engine} pull {wanted.image}`"
            )
            raise UsageError(msg)
        return {"image_id": answer.stdout.strip()}

    def call(self, inputs: Path, outputs: Path) -> Finished:
        """Run the container once; it is removed whatever happens."""
        name = f"cellharness-{uuid.uuid4().hex[:12]}"
        self._name = name
        return run_program(
            self.command(name, inputs, outputs),
            timeout_s=self.parameters.timeout_s,
            keep=self.parameters.keep_printed,
            on_limit=lambda: self._remove(name),
        )

    def facts(self) -> dict[str, Any]:
        """Name of the container, and where it was held more strictly than in the challenge."""
        wanted = self.parameters
        stricter = {
            "network none": not wanted.network,
            "read-only inputs": wanted.read_only_inputs,
            "shm-size": wanted.shm_size is not None,
            "no GPU": wanted.gpus is None,
        }
        differs = [what for what, on in stricter.items() if on]
        return {"container": self._name, "unlike_the_challenge": differs}

    def command(self, name: str, inputs: Path, outputs: Path) -> list[str]:
        """The command line.

        Parameters
        ----------
        name : str
            Of the container.
        inputs, outputs : Path
            The two folders.
        """
        wanted = self.parameters
        source = f"{inputs}:{_INPUTS}" + (":ro" if wanted.read_only_inputs else "")
        target = f"{outputs}:{_OUTPUTS}"
        if wanted.engine == "apptainer":
            # It has neither names nor --rm: its process is the container.
            words = ["apptainer", "exec", "--writable-tmpfs", "--bind", source, "--bind", target]
            words += ["--nv"] if wanted.gpus is not None else []
            words += ["--memory", wanted.memory] if wanted.memory is not None else []
            words += [] if wanted.network else ["--net", "--network", "none"]
        else:
            words = [wanted.engine, "run"]
            words += ["--gpus", wanted.gpus] if wanted.gpus is not None else []
            words += ["-m", wanted.memory] if wanted.memory is not None else []
            words += ["--name", name, "--rm"]
            words += [] if wanted.network else ["--network", "none"]
            words += ["--shm-size", wanted.shm_size] if wanted.shm_size is not None else []
            words += ["-v", source, "-v", target]
        return [*words, wanted.image, "/bin/bash", "-c", wanted.script]

    def _remove(self, name: str) -> None:
        """Killing the client leaves the container running; the engine must be told."""
        if self.parameters.engine == "apptainer":
            return
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [self.parameters.engine, "rm", "-f", name],
                capture_output=True,
                check=False,
                timeout=_PATIENCE_S,
            )
