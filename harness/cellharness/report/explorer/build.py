"""Build the explorer: a page beside the report on which every case can be looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from cellharness.report.explorer.data import arrange_scores, explorer_data
from cellharness.report.explorer.page import write_page
from cellharness.report.explorer.pictures import draw_cases, is_much
from cellharness.report.loading import RunData
from cellharness.report.selection import showable
from cellharness.report.style import LineStyle

_MOST_WORKERS = 4


@contextmanager
def explorer_meanwhile(
    run: RunData,
    styles: Mapping[str, LineStyle],
    folder: Path,
    pair: tuple[str, str] | None = None,
) -> Iterator[None]:
    """Build the explorer while the block does something else; it is there when the block ends.

    Of large runs the pictures are drawn in other processes, and a thread waits for them. Of small
    ones the explorer is built after the block.

    Parameters
    ----------
    run, styles, folder, pair
        See `build_explorer`.
    """
    if not is_much(len(run.main)):
        yield
        build_explorer(run, styles, folder, pair)
        return
    with ThreadPoolExecutor(1) as pool:
        built = pool.submit(build_explorer, run, styles, folder, pair)
        yield
        built.result()


def build_explorer(
    run: RunData,
    styles: Mapping[str, LineStyle],
    folder: Path,
    pair: tuple[str, str] | None = None,
) -> None:
    """Write ``explore.html`` and the folder ``explore`` into a report.

    Parameters
    ----------
    run : RunData
        The run.
    styles : mapping of str to LineStyle
        Looks of the methods, as in the report's figures.
    folder : Path
        Existing folder of the report.
    pair : tuple of str, optional
        Methods that the page shows first; by default the first two of the run.
    """
    allowed, rule = showable(run)
    scores = arrange_scores(run)
    workers = min(_MOST_WORKERS, _cores())
    pictures = draw_cases(run, scores.cases, allowed, folder / "explore", workers)
    first = pair or (run.methods[0], run.methods[min(1, len(run.methods) - 1)])
    data = explorer_data(run, scores, styles, pictures, first)
    colours = {method: style.colour for method, style in styles.items()}
    write_page(run, colours, data, rule, folder)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
