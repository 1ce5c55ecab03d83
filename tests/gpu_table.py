"""Keep what a GPU test measured beside ``docs/performance.md``, and set its table into the page.

From the root of the project::

    python tests/gpu_table.py build/gpu/selftest.json

Parts that are named after the file are taken from it alone, the others stay as they were kept; the
page says from when these are. Without a file, the page is made anew of what is kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cellharness.errors import UsageError
from cellharness.selftest import read_results, to_markdown

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "performance.md"
KEPT = DOCS / "gpu-selftest.json"
BEGIN, END = "<!-- gpu selftest: begin -->", "<!-- gpu selftest: end -->"
NOT_RUN = "Not run on a GPU yet."


def keep(found: Path, kept: Path = KEPT, parts: Sequence[str] = ()) -> None:
    """Copy the results of a GPU, all or some parts of them.

    Raises
    ------
    UsageError
        They are of no GPU or of another one than the parts that stay, or no such file or part.
    """
    content = read_results(found)
    if not content["gpu_test"] or content["rehearsal"]:
        msg = f"'{found}' is of no GPU (device {content['device']}); it would invent numbers"
        raise UsageError(msg)
    if parts:
        content = _joined(content, read_results(kept), parts)
    kept.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _joined(new: dict[str, Any], old: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    made = {part["part"]: part for part in new["parts"]}
    if unknown := set(parts) - set(made):
        msg = f"no part {', '.join(sorted(unknown))}; there are: {', '.join(made)}"
        raise UsageError(msg)
    one, other = (content["environment"]["machine"]["gpus"] for content in (new, old))
    if one[0]["name"] != other[0]["name"]:
        msg = f"{one[0]['name']} and {other[0]['name']} do not stand in one table; keep all parts"
        raise UsageError(msg)
    stay = {p["part"]: p for p in old["parts"] if p["part"] not in parts}
    then = {"written": old["written"], "commit": old["environment"]["git"]["commit"]}
    known = old.get("earlier", {})
    earlier = {
        name: known.get(name, then) for name, part in stay.items() if part["status"] != "skipped"
    }
    order = dict.fromkeys([*(p["part"] for p in old["parts"]), *parts])
    joined = [stay.get(name) or made[name] for name in order]
    return {**new, "parts": joined, "earlier": earlier}


def block(kept: Path = KEPT) -> str:
    """Give what stands between the marks, marks included."""
    inside = NOT_RUN
    if kept.is_file():
        content = read_results(kept)
        inside = to_markdown(content).strip()
        measured: dict[str, list[str]] = {}
        for name, then in content.get("earlier", {}).items():
            measured.setdefault(_when(then), []).append(name)
        if measured:
            told = [f"from {when}: {', '.join(names)}" for when, names in measured.items()]
            inside += f"\n\nF{'; '.join(told)[1:]}; the rest from {_when(content)}."
    return f"{BEGIN}\n{inside}\n{END}"


def _when(measured: dict[str, Any]) -> str:
    commit = measured.get("commit")
    told = str(measured["written"])[:16].replace("T", " ")
    return f"{told} (commit {commit[:9]})" if commit else told


def with_block(page: str, made: str, begin: str = BEGIN, end: str = END) -> str:
    """Give the page with what is between two marks replaced."""
    before, _, rest = page.partition(begin)
    return before + made + rest.partition(end)[2]


if __name__ == "__main__":
    try:
        if len(sys.argv) > 1:
            keep(Path(sys.argv[1]), parts=sys.argv[2:])
    except UsageError as error:
        sys.exit(f"error: {error}")
    text = with_block(PAGE.read_text(encoding="utf-8"), block())
    PAGE.write_text(text, encoding="utf-8")
