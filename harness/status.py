"""What can become of a case: the one list that ledger, scores and report share."""

from __future__ import annotations

from typing import Literal, get_args

Status = Literal["ok", "empty", "error", "oom", "timeout", "unsupported", "missing"]
STATUSES: tuple[str, ...] = get_args(Status)

#: A case with one of these has a mask.
SEGMENTED: tuple[str, ...] = ("ok", "empty")
