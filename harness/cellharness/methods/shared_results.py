"""What one method of a run found of an image, kept for others that would find the very same."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellharness.methods.timing import PhaseTimer


@dataclass(frozen=True)
class SharedBy:
    """Where results are kept, and for whom.

    Attributes
    ----------
    path : str
        Of the file, one result a line; it may be absent.
    method : str
        Name of the method in the run, told to those that use its results.
    """

    path: str
    method: str


class SharedResults:
    """Results of methods, by all that they depend on.

    The file is read once, and a line is added for each new result. A line that was cut off by the
    end of a process, or that is not as it was written, is passed over.

    Parameters
    ----------
    shared_by : SharedBy
    versions : mapping of str to str
        Of the packages that results depend on.
    timed : bool
        Whether seconds are measures of the method, as where one case comes after another. Results
        whose seconds are not known are then found anew.
    """

    def __init__(self, shared_by: SharedBy, versions: Mapping[str, str], *, timed: bool) -> None:
        self._path = Path(shared_by.path)
        self._method = shared_by.method
        self._versions = dict(versions)
        self._timed = timed
        self._adding = threading.Lock()
        self._known = {line["key"]: line for line in self._lines()}

    def find(
        self,
        what: str,
        case: str,
        key: Mapping[str, Any],
        timer: PhaseTimer,
        compute: Callable[[], dict[str, float]],
    ) -> tuple[dict[str, float], str]:
        """Give a result that is known, or compute and keep it.

        Parameters
        ----------
        what : str
            Its name, such as ``diameter``.
        case : str
            Name of the case, for who reads the file.
        key : mapping
            All that it depends on besides the versions of packages, as JSON has it.
        timer : PhaseTimer
            Of the method. The seconds that a known result once took are counted on it in full.
        compute : callable
            Finds the result; it raises where there is none, and nothing is kept then.

        Returns
        -------
        result : dict of str to float
        method : str
            By which it was found before; "" where it was computed now.
        """
        facts = json.dumps([what, dict(key), self._versions], sort_keys=True)
        digest = hashlib.sha256(facts.encode()).hexdigest()
        known = self._known.get(digest)
        if known is not None and not (self._timed and known["seconds"] is None):
            for name, spent in (known["seconds"] or {}).items():
                timer.count(name, spent, reused=True)
            return known["result"], known["method"]
        before = dict(timer.seconds)
        begun = time.perf_counter()
        result = compute()
        spent = time.perf_counter() - begun
        seconds = {name: value - before.get(name, 0.0) for name, value in timer.seconds.items()}
        # What no inner phase took is of the phase in which a method segments.
        seconds["network"] = seconds.get("network", 0.0) + spent - sum(seconds.values())
        line = {
            "what": what,
            "case": case,
            "method": self._method,
            "key": digest,
            "result": result,
            "seconds": seconds if self._timed else None,
        }
        self._add({**line, "sha256": _seal(line)})
        return result, ""

    def _add(self, line: dict[str, Any]) -> None:
        with self._adding:
            self._known[line["key"]] = line
            try:
                with self._path.open("ab+") as file:
                    # Not behind a line that was cut off.
                    cut = file.tell() > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
                    file.write(b"\n" * cut + json.dumps(line).encode() + b"\n")
            except OSError:
                # Without it, as on a full disk, others compute it again.
                return

    def _lines(self) -> list[dict[str, Any]]:
        try:
            text = self._path.read_bytes()
        except OSError:
            return []
        found = []
        for each in text.splitlines():
            try:
                line = json.loads(each)
                sha256 = line.pop("sha256")
            except (ValueError, AttributeError, KeyError, TypeError):
                continue
            if sha256 == _seal(line):
                found.append(line)
        return found


def _seal(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()
