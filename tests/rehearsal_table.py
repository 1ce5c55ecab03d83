"""Keep what a rehearsal measured, and set its tables into ``docs/performance.md``.

From the root of the project::

    python tests/rehearsal_table.py ../rehearsal/rehearsal.json

Without a file, the page is made anew of what is kept. Beside the table of what was measured stand
the projections of the whole comparison (``rehearsal_projection.py``).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bench_table
from gpu_table import DOCS, PAGE, with_block
from gpu_table import KEPT as GPU
from rehearsal_projection import Part, on_one_gpu, on_processors

KEPT = DOCS / "rehearsal.json"
BEGIN, END = "<!-- rehearsal: begin -->", "<!-- rehearsal: end -->"


def steps(kept: dict[str, Any]) -> Iterator[list[str]]:
    """Rows of the table: one a call of a command."""
    for name, attempts in kept["steps"].items():
        for attempt in attempts:
            there = attempt["files_before"]
            again = f"{attempt['files_before_kept']:,} of {there:,}" if there else ""
            yield [
                name,
                attempt["ended"],
                f"{attempt['wall_s']:,.0f}",
                f"{attempt['processor_s']:,.0f}",
                f"{attempt['peak_mb']:,.0f}",
                again,
            ]


def table(header: list[str], rows: list[list[str]], right: set[int]) -> str:
    """Write a table of the page."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def block() -> str:
    """What stands between the marks, marks included, of what is kept."""
    kept = read(KEPT)
    amounts, machine = kept["amounts"], kept["environment"]["machine"]
    sizes = "; ".join(
        f"{name} {part['images']:,} images, {part['megapixels']:,.0f} megapixels, "
        f"{part['megabytes']:,.0f} MB"
        for name, part in kept["data"].items()
    )
    said = (
        f"{kept['written'][:10]}, {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory_gb']:.0f} GiB, at nice {kept['niceness']}. "
        f"{sizes}; two of the test images are slides of {amounts['slide']:,} px."
    )
    measured = table(
        ["command", "ended", "passed, s", "processor, s", "peak, MiB", "files there, kept"],
        list(steps(kept)),
        {2, 3, 4, 5},
    )
    methods = [
        [
            run,
            name,
            f"{part['images']:,}",
            ", ".join(f"{count} {status}" for status, count in part["statuses"].items()),
            f"{part['megapixels']:.1f}",
            f"{part['seconds'] / part['megapixels']:.1f}",
            f"{part['network_s'] / part['megapixels']:.1f}",
            f"{part['postprocess_s'] / part['megapixels']:.1f}",
            f"{part['peak_mb']:,.0f}",
        ]
        for run, found in kept["predictions"].items()
        for name, part in found.items()
    ]
    predicted = table(
        [
            *("run", "method", "images", "status", "megapixels", "s a megapixel"),
            *("of these network", "masks", "peak, MiB"),
        ],
        methods,
        {2, 4, 5, 6, 7, 8},
    )
    with_gpu = "With one GPU and 16 cores:\n\n" + _projected(gpu_parts(), 1, "minutes")
    without = "With 16 cores and no GPU:\n\n" + _projected(processor_parts(), 60, "hours")
    return "\n\n".join((f"{BEGIN}\n{said}", measured, predicted, with_gpu, f"{without}\n{END}"))


def gpu_parts() -> list[Part]:
    """Project what is kept onto one GPU."""
    return on_one_gpu(read(KEPT), read(GPU))


def processor_parts() -> list[Part]:
    """Project what is kept onto processors alone."""
    return on_processors(read(KEPT), read(bench_table.KEPT))


def _projected(parts: Sequence[Part], unit_minutes: int, unit: str) -> str:
    total = sum(part.minutes for part in parts) / unit_minutes
    digits = 1 if unit_minutes == 1 else 2
    rows = [
        [part.name, f"{part.minutes / unit_minutes:.{digits}f}", part.measured, part.assumed]
        for part in parts
    ]
    rows.append(["**all**", f"**{total:.0f}**", "", ""])
    return table(["part", unit, "measured", "assumed"], rows, {1})


def read(path: Path) -> dict[str, Any]:
    """Read what was kept."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    for name in sys.argv[1:]:
        shutil.copyfile(name, KEPT)
    page = PAGE.read_text(encoding="utf-8")
    made = with_block(page, block(), BEGIN, END)
    PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
