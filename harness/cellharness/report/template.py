"""What every page shares: how templates are found, and the parts around the sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from cellharness.report.loading import RunData
from cellharness.report.outlines import STYLES
from cellharness.report.panes import Gallery
from cellharness.report.provenance import (
    CONTAMINATION_RULE,
    banners,
    config_text,
    methods_of,
    overlaps,
    shorten_paths,
)
from cellharness.report.rendering import Table
from cellharness.report.trainings import Training
from cellharness.report.wording import count, number
from cellharness.run_directory import RunRecord


def render(name: str, context: Mapping[str, Any], package: str = "cellharness.report") -> str:
    """Render a page that is built on ``base.html``.

    Parameters
    ----------
    name : str
        File name of the template.
    context : mapping
        From `shared_context`, and what the page itself needs.
    package : str
        Where the template lies; those it shares with other pages lie in ``cellharness.report``.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.FunctionLoader(lambda file: _read(package, file)),
                jinja2.FunctionLoader(lambda file: _read("cellharness.report", file)),
            ]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name).render(context)


def shared_context(
    run: RunData,
    figures: Mapping[str, tuple[str, str]],
    tables: Mapping[str, Table],
    trainings: Sequence[Training],
    gallery: Gallery,
    colours: Mapping[str, str],
) -> dict[str, Any]:
    """Collect what ``base.html``, ``parts.html``, the training and the provenance need.

    Parameters
    ----------
    run : RunData
        The run.
    figures : mapping
        Name to SVG in one and in two columns' width.
    tables : mapping of str to Table
        By name.
    trainings : sequence of Training
        Of the run.
    gallery : Gallery
        Pictures that the page keeps.
    colours : mapping of str to str
        Hex colour of each method.
    """
    return {
        "run": run,
        "info": run.record,
        "css": Markup(_read("cellharness.report", "page.css")),
        "sort_script": Markup(_read("cellharness.report", "sort.js")),
        "banners": banners(run),
        "figures": {name: tuple(map(Markup, pair)) for name, pair in figures.items()},
        "tables": tables,
        "pictures": gallery.pictures,
        "outline_styles": STYLES,
        "methods": methods_of(run),
        "overlaps": overlaps(run),
        "trainings": [(t.label, shorten_paths(t.parameters), t.versions) for t in trainings],
        "contamination_rule": CONTAMINATION_RULE,
        "config_yaml": config_text(run),
        "dataset": shorten_paths(run.record.dataset.model_dump()),
        "machine": _machine(run.record),
        "git": {"commit": None, "dirty": False, **run.record.git},
        "n_images": count(run.scores["case"].nunique(), "image"),
        "number": number,
        "colours": dict(colours),
    }


def _read(package: str, name: str) -> str | None:
    file = files(package).joinpath(name)
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _machine(record: RunRecord) -> list[tuple[str, str]]:
    machine = record.machine
    gpus = machine.get("gpus") or []
    names = [str(g.get("name", g)) if isinstance(g, Mapping) else str(g) for g in gpus]
    memory = machine.get("memory_gb")
    facts = [
        ("Platform", record.platform),
        ("Python", record.python),
        ("Processor", machine.get("cpu")),
        ("Cores", machine.get("cores")),
        ("Memory", f"{memory} GB" if memory else None),
        ("GPU", ", ".join(names) or "none"),
    ]
    return [(key, str(value)) for key, value in facts if value not in (None, "")]
