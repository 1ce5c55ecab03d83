"""One part of a self test: what is to be tried, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "error", "timeout", "skipped"]

#: Statuses of a part that is not as it should be.
FAILED = frozenset({"failed", "error", "timeout"})


@dataclass(frozen=True)
class Part:
    """What to try, in a process of its own.

    Attributes
    ----------
    kind : {"method", "training", "tests"}
    name : str
        Of the method; of tests the folder that holds them.
    device : {"cpu", "cuda"}
    measured : bool
        Whether it is compared with the CPU and timed, or only checked.
    number : int
        Which of the method's trainings.
    images : str
        Path of a manifest of real images; "" for embedded ones alone.
    folder : str
        Where it may write.
    """

    kind: Literal["method", "training", "tests"]
    name: str
    device: Literal["cpu", "cuda"]
    measured: bool = False
    number: int = 0
    images: str = ""
    folder: str = ""

    @property
    def title(self) -> str:
        """How the part is called in tables.

        Examples
        --------
        >>> Part("training", "mine", "cpu", number=1).title
        'training mine 2'
        """
        if self.kind == "tests":
            return "GPU tests"
        more = f" {self.number + 1}" if self.kind == "training" else ""
        return f"{self.kind} {self.name}{more}"


@dataclass(frozen=True)
class Seen:
    """One thing that was looked at.

    Attributes
    ----------
    what, value, wanted : str
        In words; `wanted` is "" where nothing was demanded.
    ok : bool
    """

    what: str
    value: str
    wanted: str = ""
    ok: bool = True


@dataclass
class Result:
    """What came of a part.

    Attributes
    ----------
    part : str
        Its title.
    status : {"passed", "failed", "error", "timeout", "skipped"}
        ``failed``: it ran and something was not as wanted. ``error``: it did not run to its end.
    message : str
        Why, where it did not pass.
    seconds : float
        What it took, start of its process included.
    seen : list of Seen
    measured : dict of str to value
        Times in s, memory in MiB, rates; the units are in the names. Empty where nothing was timed.
    """

    part: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    seen: list[Seen] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def judged(cls, part: Part, seen: list[Seen], measured: dict[str, Any]) -> Result:
        """Make the result of a part that ran to its end."""
        bad = [each.what for each in seen if not each.ok]
        message = f"not as wanted: {'; '.join(bad)}" if bad else ""
        return cls(part.title, "failed" if bad else "passed", message, 0.0, seen, measured)

    def as_json(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Result:
        """Make it of what :meth:`as_json` gave."""
        return cls(**{**found, "seen": [Seen(**each) for each in found["seen"]]})
