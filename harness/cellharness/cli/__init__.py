"""The ``cellharness`` command. No logic of its own: it parses, calls and prints.

One module a group of commands; importing them hangs them onto :data:`app`, in the order in
which ``--help`` shows them.
"""

from __future__ import annotations

# isort: off
from cellharness.cli import (
    init,
    configuration,
    run,
    train,
    forgetting,
    predict,
    score,
    compare,
    power,
    view,
    methods,
    selftest,
    data,
    weights,
    environments,
)

# isort: on
from cellharness.cli.application import app, main

__all__ = [
    "app",
    "compare",
    "configuration",
    "data",
    "environments",
    "forgetting",
    "init",
    "main",
    "methods",
    "power",
    "predict",
    "run",
    "score",
    "selftest",
    "train",
    "view",
    "weights",
]
