"""Options that take several values at once: ``--threshold 0.5 0.7``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand


class SpreadCommand(TyperCommand):
    """Let an option that may be repeated take several values at once: ``--threshold 0.5 0.7``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option in front of each further value."""
        names = {
            name
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for name in parameter.opts
        }
        return super().parse_args(ctx, spread(args, names))


def spread(args: Sequence[str], names: set[str]) -> list[str]:
    """Turn ``--a 1 2 --b`` into ``--a 1 --a 2 --b`` for the options in ``names``.

    Examples
    --------
    >>> spread(["--a", "1", "2", "--b", "3", "4"], {"--a"})
    ['--a', '1', '--a', '2', '--b', '3', '4']
    """
    result: list[str] = []
    option = waiting = ""
    for arg in args:
        if arg.startswith("-"):
            # An option that got no value is passed on, so that its absence is reported.
            result += [waiting] if waiting else []
            option = waiting = arg if arg in names else ""
            if not option:
                result.append(arg)
        elif option:
            result += [option, arg]
            waiting = ""
        else:
            result.append(arg)
    return result + ([waiting] if waiting else [])
