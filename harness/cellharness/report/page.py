"""The page: one file that opens from disk, with everything in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from cellharness.printing import wording
from cellharness.printing.table import group_title
from cellharness.report.cutouts import CUTOUT_WORDS
from cellharness.report.declare import Report
from cellharness.report.outlines import LEGEND, STYLES
from cellharness.statistics.estimates import how_tested

_PACKAGE = "cellharness.report"
_SCRIPTS = ("sort.js", "nav.js")


@cache
def environment(package: str = "") -> jinja2.Environment:
    """Templates of a package, and behind them those that all pages share.

    Functions are those of `cellharness.printing.wording`, and two more.
    """
    places = [package, f"{_PACKAGE}/templates"] if package else [f"{_PACKAGE}/templates"]
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.FunctionLoader(partial(read_text, place)) for place in places]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    words = {
        name: value
        for name, value in vars(wording).items()
        if callable(value) and not name.startswith("_") and value.__module__ == wording.__name__
    }
    words |= {"how_tested": how_tested, "group_title": group_title}
    made.globals |= words
    return made


def write_words(template: str | Callable[[Any], str], report: Report) -> str:
    """Fill in a caption; ``d`` is the report, and the text is plain, not yet HTML."""
    if callable(template):
        return template(report)
    plain = environment().overlay(autoescape=False)
    return plain.from_string(template).render(d=report, run=report.run).strip()


def render(template: str, report: Report, context: Mapping[str, Any], package: str = "") -> str:
    """Render a page that is built on ``base.html``; its templates are those of `environment`."""
    shared = {
        "d": report,
        "run": report.run,
        "css": Markup(read_text(f"{_PACKAGE}/templates", "page.css") or ""),
        "scripts": [Markup(read_text(f"{_PACKAGE}/templates", name) or "") for name in _SCRIPTS],
        "outline_styles": {kind: STYLES[kind] for kind in LEGEND},
        "cutout_words": CUTOUT_WORDS,
    }
    return environment(package).get_template(template).render(shared | dict(context))


def read_text(place: str, name: str) -> str | None:
    """Text of a file of a package, ``package/folder``; None where there is none."""
    package, _, folder = place.partition("/")
    file = files(package).joinpath(*filter(None, [folder]), name)
    return file.read_text(encoding="utf-8") if file.is_file() else None
