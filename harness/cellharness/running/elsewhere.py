"""Start this copy of the code in another Python, such as that of an environment of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cellharness.caching import cache_dir
from cellharness.errors import UsageError
from cellharness.installation import own_requirements
from cellharness.methods.registry import code_of_ours
from cellharness.running.ledger import Outcome
from cellharness.running.messages import Answer, JsonLine, Question

#: Of our own environment; another Python would load our packages by them.
_OURS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
#: Seconds for the answer to a question; a first import of torch from a slow disk takes long.
_PATIENCE_S = 600.0

# What the other Python runs. It must be understood by any Python 3, and finds the two packages by
# their files: their folder may hold other packages too, which are not for that Python.
_START = """
import sys
sys.path[:] = [place for place in sys.path if place]
import json
from multiprocessing.connection import Connection
line = Connection(int(sys.argv[1]))
try:
    if sys.version_info < (3, 11):
        raise ImportError("it is Python %d.%d, and 3.11 is the oldest" % sys.version_info[:2])
    from importlib.util import module_from_spec, spec_from_file_location
    for name, place in json.loads(sys.argv[2]).items():
        spec = spec_from_file_location(name, place)
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    from cellharness.running.answering import answer
except Exception as error:
    reason = "%s: %s" % (type(error).__name__, error)
    told = {"status": "error", "message": sys.argv[3].replace("{reason}", reason)}
    line.send_bytes(b"Outcome\\n" + json.dumps(told).encode())
else:
    answer(line)
"""


class ElsewhereProcess:
    """A process of another Python, with the interface of :class:`multiprocessing.Process`.

    Parameters
    ----------
    python : Path
        The interpreter.
    """

    def __init__(self, python: Path) -> None:
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        code = {name: str(place) for name, place in code_of_ours().items()}
        arguments = [str(theirs.fileno()), json.dumps(code), _complaint(python)]
        command = [str(python), "-c", _START, *arguments]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=_settings(python)
            )
        except OSError as error:
            ours.close()
            msg = f"cannot start '{python}': {error.strerror}; give the path of a Python"
            raise UsageError(msg) from error
        finally:
            theirs.close()
        #: Our end of the connection.
        self.line = JsonLine(ours)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def exitcode(self) -> int | None:
        """None while it lives; negative where a signal ended it."""
        return self._process.poll()

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.exitcode is None

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def ask(
    python: Path, method: str, parameters: Mapping[str, Any], packages: Sequence[str]
) -> Answer:
    """Ask another Python what a method comes to there.

    Parameters
    ----------
    python : Path
        The interpreter.
    method : str
        Registered name.
    parameters : mapping
        Of the method.
    packages : sequence of str
        Distributions whose versions are asked for.

    Raises
    ------
    UsageError
        It is no Python, lacks what cellharness needs, or the method cannot be made there.
    """
    with _started(python) as process:
        answer: Any = None
        with contextlib.suppress(EOFError, OSError):
            process.line.send(Question(method, dict(parameters), tuple(packages)))
        with contextlib.suppress(EOFError, OSError):
            if process.line.poll(_PATIENCE_S):
                answer = process.line.recv()
    if isinstance(answer, Answer):
        return answer
    if isinstance(answer, Outcome):
        raise UsageError(answer.message)
    msg = (
        f"'{python}' gave no answer (exit code {process.exitcode}); is it a Python? Give the path "
        "of one, such as that of an environment's bin/python"
    )
    raise UsageError(msg)


@contextlib.contextmanager
def _started(python: Path) -> Iterator[ElsewhereProcess]:
    process = ElsewhereProcess(python)
    try:
        yield process
    finally:
        process.line.close()
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()


def _complaint(python: Path) -> str:
    """What is said where it lacks what the two packages need; the reason goes in."""
    needed = " ".join(f"'{text}'" for text in own_requirements())
    return (
        f"'{python}' cannot run methods of cellharness ({{reason}}). It must be Python 3.11 or "
        f"later with what cellharness itself needs: {python} -m pip install {needed}"
    )


def _settings(python: Path) -> dict[str, str]:
    """Our environment variables, less what would lead another Python to our packages."""
    settings = {name: value for name, value in os.environ.items() if name not in _OURS}
    # Another version of numba would take the machine code that ours keeps for its own, and both
    # would compile all of it again and again.
    digest = hashlib.sha256(os.fspath(python).encode()).hexdigest()[:12]
    settings.setdefault("NUMBA_CACHE_DIR", str(cache_dir() / "compiled" / digest))
    return settings
