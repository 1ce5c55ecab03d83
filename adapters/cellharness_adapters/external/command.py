"""Any program: its own interpreter, folder, environment and limits."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from cellharness.errors import UsageError
from cellharness.files import hash_file
from cellharness.methods.base import CaseError, MethodInfo, Parameters
from cellharness.weights import Weights
from cellharness_adapters.external.exchange import put_file
from cellharness_adapters.external.program import Finished, run_program
from cellharness_adapters.external.segmenter import External, ExternalParameters, exchange

if TYPE_CHECKING:
    import numpy as np

    from cellharness.data.manifest import Case


class CommandParameters(ExternalParameters):
    """Which program, and how it is called."""

    command: tuple[str, ...] = Field(
        min_length=1,
        description="Program and arguments, as a list or as a shell would split it; no shell runs. "
        "{inputs} and {outputs} stand for the two folders; without them `-i INPUTS -o OUTPUTS` is "
        "added. It writes <case>_label.tiff into the second.",
    )
    interpreter: Path | None = Field(
        None,
        description="Put before the command, such as the python of another environment: "
        "../theirs/bin/python.",
    )
    folder: Path | None = Field(
        None, description="Working directory; relative names in the command start there."
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Variables set for it; PYTHONPATH and VIRTUAL_ENV of ours are not passed on.",
    )
    files: tuple[Path, ...] = Field(
        (),
        description="Files that the masks depend on, such as its weights: their SHA256 are "
        "recorded and a change makes all masks anew. Files named in the command are among them "
        "already.",
    )
    memory_gb: float | None = Field(
        None, gt=0, description="Resident memory at which a call is ended, GiB."
    )
    per: Literal["case", "folder"] = Field(
        "case",
        description="folder: one call for all cases of the run, whose time is counted on the first "
        "of them; give the run's limits.timeout_s room for it.",
    )

    @field_validator("command", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _files_for_folders(self) -> CommandParameters:
        if self.per == "folder" and self.images != "file":
            msg = "per 'folder' hands over the image files; leave images at 'file'"
            raise ValueError(msg)
        return self


class Command(External):
    """A program of somebody else's, in an environment of its own."""

    info: ClassVar[MethodInfo] = MethodInfo(
        summary="Any program that reads a folder of images and writes a folder of masks.",
        licence="that of the program",
        input="native",
        limits="What it was trained on is known only if the configuration says so.",
    )
    Parameters: ClassVar[type[Parameters]] = CommandParameters
    parameters: CommandParameters

    def __init__(self, parameters: CommandParameters | None = None) -> None:
        super().__init__(parameters)
        self._cases: Sequence[Case] = ()
        self._kept = ExitStack()
        self._outputs: Path | None = None
        self._once: Finished | CaseError | None = None

    def weights(self) -> tuple[Weights, ...]:
        """The program's files stand in the place of weights.

        Raises
        ------
        UsageError
            The program, its interpreter, folder or one of its files is not there.
        """
        wanted = self.parameters
        if wanted.folder is not None and not wanted.folder.is_dir():
            msg = f"no working directory '{wanted.folder}'"
            raise UsageError(msg)
        first = self._command()[0]
        if shutil.which(first) is None and not self._at(first).is_file():
            msg = f"no program '{first}'; give its path, or put it on PATH"
            raise UsageError(msg)
        for path in wanted.files:
            if not path.is_file():
                msg = f"no file '{path}', which parameter 'files' names"
                raise UsageError(msg)
        named = [self._at(argument) for argument in wanted.command]
        found = {str(n): path for n, path in enumerate([*named, *wanted.files]) if path.is_file()}
        files = {f"{path.name} ({n})": path for n, path in found.items()}
        hashes = {role: hash_file(path) for role, path in files.items()}
        name, source = Path(wanted.command[0]).name, "files of the program"
        return (Weights(name, files, hashes, source, wanted.licence, wanted.training_data),)

    def begin_run(self, cases: Sequence[Case]) -> None:
        """Keep the cases, for a program that is called once for all."""
        self._cases = cases

    def all_at_once(self) -> bool:
        """Whether the program is called once for all cases."""
        return self.parameters.per == "folder"

    def call(self, inputs: Path, outputs: Path) -> Finished:
        """Run the program once."""
        wanted = self.parameters
        return run_program(
            self._command(inputs, outputs),
            folder=wanted.folder,
            environment=wanted.environment,
            timeout_s=wanted.timeout_s,
            memory_gb=wanted.memory_gb,
            keep=wanted.keep_printed,
        )

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Call the program for one image, or once for all; see :meth:`External.segment`."""
        if self.parameters.per == "case":
            return super().segment(image)
        assert self._case is not None, "begin_case names the case"
        with self.recorded() as details:
            details["calls_for_all_cases"] = 1
            once = self._for_all()
            if isinstance(once, CaseError):
                # A new one each time: what is raised holds on to the images of its case.
                raise CaseError(str(once), once.status, once.details)
            assert self._outputs is not None
            details.update(once.details())
            with self.timer.phase("postprocess"):
                return self.take(self._outputs, self._case.case, image.shape[:2], once)

    def _for_all(self) -> Finished | CaseError:
        """Call it once; what came of that is told to every case."""
        if self._once is None:
            inputs, self._outputs = self._kept.enter_context(exchange())
            assert self._case is not None
            for case in {each.case: each for each in (*self._cases, self._case)}.values():
                if case.image.is_file():
                    put_file(inputs, case)
            try:
                self._once = self.call(inputs, self._outputs)
            except CaseError as error:
                self._once = error
        return self._once

    def _command(self, inputs: Path = Path("inputs"), outputs: Path = Path("outputs")) -> list[str]:
        places = {"{inputs}": str(inputs), "{outputs}": str(outputs)}
        words = list(self.parameters.command)
        if not any(mark in word for word in words for mark in places):
            words += ["-i", "{inputs}", "-o", "{outputs}"]
        for mark, place in places.items():
            words = [word.replace(mark, place) for word in words]
        chosen = self.parameters.interpreter
        return [str(chosen), *words] if chosen is not None else words

    def _at(self, name: str) -> Path:
        return (self.parameters.folder or Path()) / name
