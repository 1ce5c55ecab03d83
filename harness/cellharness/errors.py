"""The errors a user can mend; the command line prints them without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_MOST_FAULTS = 20
_MOST_NAMES = 30


class UsageError(Exception):
    """Bad input or bad usage: a name, path, value or file that the user can put right."""


class MissingDependencyError(UsageError):
    """An optional package is not installed; the message holds the command that installs it."""


class StoppedError(UsageError):
    """What a run works with was lost on the way; what is finished is kept, and it can go on."""


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


def all_faults(faults: Sequence[str]) -> str:
    r"""Put faults on a line each, of very many the first ones.

    Examples
    --------
    >>> all_faults(["no image", "no label"])
    'no image\nno label'
    """
    more = [f"... and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
    return "\n".join([*faults[:_MOST_FAULTS], *more])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask whether the nearest of the valid names was meant; "" where none is near.

    Examples
    --------
    >>> did_you_mean("Celpose", ["cellpose", "omnipose"]), did_you_mean("x", ["cellpose"])
    (" Did you mean 'cellpose'?", '')
    """
    by_lower = {str(each).lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""


def unknown_name(
    kind: str,
    name: str,
    known: Iterable[str],
    *,
    hint: str = "",
    error: type[UsageError] = UsageError,
) -> UsageError:
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
    error : type of UsageError
        What it shall be.

    Returns
    -------
    UsageError
        Names the bad value, the nearest valid one and all valid ones, of very many the first.

    Examples
    --------
    >>> str(unknown_name("method", "celpose", ["cellpose", "otsu-watershed"]))
    "unknown method 'celpose'. Did you mean 'cellpose'? Valid: cellpose, otsu-watershed."
    """
    valid = sorted(known)
    many = f" ({len(valid)} in all)" if len(valid) > _MOST_NAMES else ""
    listing = f" Valid: {first_of(valid, _MOST_NAMES)}{many}." if valid else " None are known."
    meant = did_you_mean(name, valid)
    return error(f"unknown {kind} '{name}'.{meant}{listing}{' ' + hint if hint else ''}")
