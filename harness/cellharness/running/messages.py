"""What a run and the worker of a method in another Python say to each other, as JSON.

Two versions of Python, or of a library, may write the same object in two ways; plain text is the
same to both. Workers of our own Python are spoken to by `multiprocessing` itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, Protocol

from pydantic import TypeAdapter

from cellharness.running.ledger import Outcome
from cellharness.running.worker import Answered, MethodSpec, Next, Ready, Task


class Line(Protocol):
    """One end of a connection between two processes."""

    def send(self, message: Any, /) -> None:
        """Send one message."""

    def recv(self) -> Any:
        """Wait for a message; EOFError where the other end is closed."""

    def poll(self, timeout: float, /) -> bool:
        """Wait so many seconds for a message to be there."""

    def close(self) -> None:
        """Close this end."""


@dataclass(frozen=True)
class Question:
    """What is asked of another Python before a method runs there.

    Attributes
    ----------
    method : str
        Registered name.
    parameters : mapping
        Of the method.
    packages : tuple of str
        Distributions whose versions are asked for.
    """

    method: str
    parameters: Mapping[str, Any]
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a method comes to in another Python.

    Attributes
    ----------
    python : str
        Its version.
    versions : mapping of str to str
        Of those distributions that are installed there.
    resolved : mapping
        As :meth:`cellharness.methods.base.BaseSegmenter.resolved` gives it there.
    """

    python: str
    versions: Mapping[str, str]
    resolved: Mapping[str, Any]


_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (MethodSpec, Task, Ready, Answered, Next, Outcome, Question, Answer)
}


class JsonLine:
    """A connection that carries the messages of this module, and nothing else, as JSON.

    Parameters
    ----------
    connection : Connection
        That carries the bytes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, message: Any) -> None:
        """Send one message of a known kind."""
        name = type(message).__name__
        # Python's own writer keeps NaN and infinity, which a method may tell of a case.
        body = json.dumps(_form(name).dump_python(message), default=str)
        self._connection.send_bytes(f"{name}\n{body}".encode())

    def recv(self) -> Any:
        """Wait for a message; EOFError where the other end is closed."""
        name, _, body = self._connection.recv_bytes().partition(b"\n")
        return _form(name.decode()).validate_json(body)

    def poll(self, timeout: float) -> bool:
        """Wait so many seconds for a message to be there."""
        return self._connection.poll(timeout)

    def close(self) -> None:
        """Close this end."""
        self._connection.close()


@cache
def _form(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_KINDS[name])
