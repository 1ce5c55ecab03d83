"""The page and what lies beside it: style, scripts, the library and the data."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from cellharness.report.explorer.packing import script_text
from cellharness.report.loading import RunData
from cellharness.report.panes import Gallery
from cellharness.report.template import render, shared_context

_PACKAGE = "cellharness.report.explorer"
_LIBRARY = "d3.min.js"
#: In the order in which each may use those before it.
SCRIPTS = (
    "model", "format", "state", "selection", "summary", "outlines", "picture", "filters",
    "scatter", "preview", "methods", "table", "gallery", "panel", "main",
)  # fmt: skip


def write_page(
    run: RunData, colours: Mapping[str, str], data: Mapping[str, Any], rule: str, folder: Path
) -> None:
    """Write ``explore.html``, and beside it ``explore/`` with the files it loads.

    A page from disk may not fetch, so the data come as a script; nor may it import modules, so
    its scripts are joined into one.

    Parameters
    ----------
    run : RunData
        The run.
    colours : mapping of str to str
        Hex colour of each method.
    data : mapping
        From `cellharness.report.explorer.data.explorer_data`.
    rule : str
        Which images may be shown, in words.
    folder : Path
        Folder of the report, in which ``explore`` exists.
    """
    beside = folder / "explore"
    context = shared_context(run, {}, {}, [], Gallery(), colours)
    own = {"licence_rule": rule, "n_methods": len(run.methods)}
    page = render("explore.html", context | own, _PACKAGE)
    (folder / "explore.html").write_text(page, encoding="utf-8")
    text = f"window.EXPLORER_DATA={script_text(data)};\n"
    (beside / "data.js").write_text(text, encoding="ascii")
    scripts = [_read(f"{_PACKAGE}.scripts", f"{name}.js") for name in SCRIPTS]
    (beside / "explore.js").write_text("\n".join(scripts), encoding="utf-8")
    (beside / "explore.css").write_text(_read(_PACKAGE, "explore.css"), encoding="utf-8")
    (beside / _LIBRARY).write_text(_read(f"{_PACKAGE}.vendor", _LIBRARY), encoding="utf-8")


def _read(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
