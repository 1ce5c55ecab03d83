"""The omnipose library, imported without letting it take over logging and warnings."""

from __future__ import annotations

import importlib
import logging
import warnings
from types import ModuleType

from harness.errors import MissingDependencyError

_INSTALL = "Install it with: pip install 'cellharness[omnipose]'"


def library(module: str) -> ModuleType:
    """Import a module of the library.

    On import it replaces the handlers of the root logger by its own; they are put back.

    Parameters
    ----------
    module : str
        Full name, such as ``"omnipose.core"``.

    Raises
    ------
    MissingDependencyError
        It, or what it needs, is not installed.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        msg = f"Omnipose needs a package that is not installed or too new: {error}. {_INSTALL}"
        raise MissingDependencyError(msg) from error
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
