"""Build the explorer: the page, and what it loads from the folder beside it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from cellharness.processes import cores
from cellharness.report.declare import Report
from cellharness.report.explorer.data import axes_of, explorer_data, script_text
from cellharness.report.explorer.pictures import draw_cases, is_much
from cellharness.report.page import render

_PACKAGE = "cellharness.report.explorer"
_MOST_WORKERS = 4
#: In the order in which each may use those before it.
SCRIPTS = (
    "model", "format", "state", "selection", "summary", "outlines", "picture", "filters",
    "preview", "scatter", "methods", "table", "gallery", "viewer", "panel", "main",
)  # fmt: skip


@contextmanager
def explorer_meanwhile(report: Report, folder: Path) -> Iterator[None]:
    """Build the explorer while the block does something else; it is there when the block ends.

    Of large runs the pictures are drawn in other processes, and a thread waits for them. Of small
    ones the explorer is built after the block. For the parameters see `build_explorer`.
    """
    if not is_much(len(report.run.main)):
        yield
        build_explorer(report, folder)
        return
    with ThreadPoolExecutor(1) as pool:
        built = pool.submit(build_explorer, report, folder)
        yield
        built.result()


def build_explorer(report: Report, folder: Path) -> None:
    """Write ``explore.html`` and the folder ``explore`` into the folder of a report.

    A page from disk may not fetch, so the data come as a script; nor may it import modules, so
    its scripts are joined into one.
    """
    run = report.run
    allowed, rule = report.licences
    axes = axes_of(run)
    beside = folder / "explore"
    workers = min(_MOST_WORKERS, cores())
    pictures = draw_cases(run, axes, allowed, beside, workers)
    first = report.first_pair or (run.methods[0], run.methods[min(1, len(run.methods) - 1)])
    data = explorer_data(run, axes, report.styles, pictures, first, report.exposures)
    page = render("explore.html", report, {"licence_rule": rule}, _PACKAGE)
    (folder / "explore.html").write_text(page, encoding="utf-8")
    text = f"window.EXPLORER_DATA={script_text(data)};\n"
    (beside / "data.js").write_text(text, encoding="ascii")
    scripts = "\n".join(_read(f"scripts/{name}.js") for name in SCRIPTS)
    (beside / "explore.js").write_text(scripts, encoding="utf-8")
    (beside / "explore.css").write_text(_read("explore.css"), encoding="utf-8")
    (beside / "d3.min.js").write_text(_read("vendor/d3.min.js"), encoding="utf-8")


def _read(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
