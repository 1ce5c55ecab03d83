"""The omnipose library, imported without letting it take over logging, warnings and printing."""

from __future__ import annotations

import importlib
import logging
import warnings
from types import ModuleType

from cellharness.errors import MissingDependencyError
from cellharness.installation import install_command


def library(module: str) -> ModuleType:
    """Import a module of the library.

    On import it replaces the handlers of the root logger, and a package below it (colour)
    changes how numpy prints numbers, 12 digits in CSV tables included; both are put back. What
    numba compiles for it is kept, so that later processes need not compile it again.

    Parameters
    ----------
    module : str
        Full name, such as ``"omnipose.core"``.

    Raises
    ------
    MissingDependencyError
        It, or what it needs, is not installed.
    """
    # The methods are listed without what segments, and without NumPy.
    import numpy as np

    from cellharness.compiled import package_keeps_code

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with warnings.catch_warnings(), np.printoptions(), package_keeps_code("omnipose"):
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        msg = (
            f"Omnipose needs a package that is not installed or too new: {error}. "
            f"Install it with: {install_command('omnipose')}"
        )
        raise MissingDependencyError(msg) from error
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
