"""Keep what a GPU test measured beside ``docs/performance.md``, and set its table into the page.

From the root of the project::

    python tests/gpu_table.py build/gpu/selftest.json

Without a file, the page is made anew of what is kept.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from cellharness.errors import UsageError
from cellharness.selftest import read_results, to_markdown

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "performance.md"
KEPT = DOCS / "gpu-selftest.json"
BEGIN, END = "<!-- gpu selftest: begin -->", "<!-- gpu selftest: end -->"
NOT_RUN = "Not run on a GPU yet."


def keep(found: Path, kept: Path = KEPT) -> None:
    """Copy the results of a GPU.

    Raises
    ------
    UsageError
        They are of no GPU, or no such file.
    """
    content = read_results(found)
    if not content["gpu_test"] or content["rehearsal"]:
        msg = f"'{found}' is of no GPU (device {content['device']}); it would invent numbers"
        raise UsageError(msg)
    shutil.copyfile(found, kept)


def block(kept: Path = KEPT) -> str:
    """Give what stands between the marks, marks included."""
    inside = to_markdown(read_results(kept)).strip() if kept.is_file() else NOT_RUN
    return f"{BEGIN}\n{inside}\n{END}"


def with_block(page: str, made: str, begin: str = BEGIN, end: str = END) -> str:
    """Give the page with what is between two marks replaced."""
    before, _, rest = page.partition(begin)
    return before + made + rest.partition(end)[2]


if __name__ == "__main__":
    try:
        for name in sys.argv[1:]:
            keep(Path(name))
    except UsageError as error:
        sys.exit(f"error: {error}")
    text = with_block(PAGE.read_text(encoding="utf-8"), block())
    PAGE.write_text(text, encoding="utf-8")
