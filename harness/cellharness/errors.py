"""The errors a user can mend; the command line prints them without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """Bad input or bad usage: a name, path, value or file that the user can put right."""


class MissingDependencyError(UsageError):
    """An optional package is not installed; the message holds the command that installs it."""


class BrokenPackageError(MissingDependencyError):
    """A package is there but fails on import, or lacks what its entry promises."""


def first_of(names: Iterable[object], most: int = 5) -> str:
    """List names in a message, of many the first ones.

    Examples
    --------
    >>> first_of(["a", "b"]), first_of(range(9), most=3)
    ('a, b', '0, 1, 2, ...')
    """
    told = [str(name) for name in names]
    return ", ".join([*told[:most], "..."] if len(told) > most else told)


def unknown_name(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> UsageError:
    """Build the error for a name that no registry holds.

    Parameters
    ----------
    kind : str
        What the name should have been, such as ``"method"``.
    name : str
        What was given.
    known : iterable of str
        Every valid name.
    hint : str
        A closing sentence, such as the command that lists the valid names.

    Returns
    -------
    UsageError
        Names the bad value, the nearest valid one and all valid ones.

    Examples
    --------
    >>> str(unknown_name("method", "celpose", ["cellpose", "otsu-watershed"]))
    "unknown method 'celpose'. Did you mean 'cellpose'? Valid: cellpose, otsu-watershed."
    """
    valid = sorted(known)
    near = difflib.get_close_matches(name, valid, n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    listing = f" Valid: {', '.join(valid)}." if valid else " None are known."
    return UsageError(f"unknown {kind} '{name}'.{meant}{listing}{' ' + hint if hint else ''}")
