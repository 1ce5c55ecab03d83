"""The end of a connection that lies in another Python: it answers what a run asks or tells it."""

from __future__ import annotations

import platform
from multiprocessing.connection import Connection

from cellharness.methods.child_process import describe, end
from cellharness.methods.registry import build
from cellharness.provenance import package_versions
from cellharness.running.ledger import Outcome
from cellharness.running.messages import Answer, JsonLine, Question
from cellharness.running.worker import MethodSpec, serve


def answer(connection: Connection) -> None:
    """Do what the first message says, and end this process.

    Parameters
    ----------
    connection : Connection
        A `Question` comes, and its `Answer` is sent, or the `Outcome` of a failure; or a
        `MethodSpec` comes, and its cases are served.
    """
    line = JsonLine(connection)
    first = line.recv()
    if isinstance(first, MethodSpec):
        serve(line, first)
    elif isinstance(first, Question):
        line.send(_answer(first))
    end()


def _answer(question: Question) -> Answer | Outcome:
    try:
        resolved = build(question.method, question.parameters).resolved()
    except BaseException as error:
        return Outcome("error", describe(error))
    return Answer(platform.python_version(), package_versions(question.packages), resolved)
