"""The page: one file that opens from disk, with everything in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from harness.report.content import Content
from harness.report.headline import Headline
from harness.report.loading import RunData
from harness.report.outlines import STYLES
from harness.report.provenance import (
    CONTAMINATION_RULE,
    banners,
    config_text,
    methods_of,
    overlaps,
    shorten_paths,
)
from harness.report.seen_unseen import not_stated
from harness.report.selection import EXAMPLE_RULE
from harness.report.style import LineStyle
from harness.report.tiles import CaseTiles, MethodTile, data_uri, path_data
from harness.report.wording import count, number
from harness.statistics import differing_cases

_HEAD = ("name", "title", "created", "finished", "status", "seed", "versions")
_EXAMPLE_PX = 512
_SMALL_PX = 320


@dataclass(frozen=True)
class Pane:
    """One picture with outlines, as the template draws it.

    Attributes
    ----------
    picture
        Id of the shared picture.
    size
        Width and height of the cut-out in its pixels.
    paths
        Kind of outline, id and path data, in drawing order.
    badge
        Text in the corner.
    name
        Caption.
    note
        Second line of the caption.
    colour
        Of the method, or "".
    alt
        What a reader who does not see the picture is told.
    """

    picture: str
    size: tuple[int, int]
    paths: tuple[tuple[str, str, str], ...]
    badge: str
    name: str
    note: str
    colour: str
    alt: str


@dataclass
class _Gallery:
    """Keeps each picture once, however many panes show it."""

    pictures: dict[str, tuple[str, int, int]]

    def add(self, tiles: CaseTiles, prefix: str, longest_px: int) -> str:
        name = f"{prefix}-{tiles.case}"
        if tiles.picture is not None and name not in self.pictures:
            height, width = tiles.picture.shape[:2]
            self.pictures[name] = (data_uri(tiles.picture, longest_px), width, height)
        return name


def render_page(
    run: RunData, top: Headline, content: Content, styles: Mapping[str, LineStyle]
) -> str:
    """Render the page.

    Parameters
    ----------
    run : RunData
        The run.
    top : Headline
        What stands at the top.
    content : Content
        Tables, figures and pictures.
    styles : mapping of str to LineStyle
        Colours of the methods.

    Returns
    -------
    str
        HTML without any reference to another file or to the network.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    gallery = _Gallery({})
    example_rows = [
        (group, tiles, _example_panes(run, tiles, gallery, styles) if _shown(tiles) else [])
        for group, tiles in content.examples
    ]
    extreme_rows = [
        (
            run.labels[method],
            styles[method].colour,
            [
                (rank, _extreme_panes(run, tiles, gallery, styles))
                for rank, tiles in zip(("Best", "Worst"), pair, strict=True)
            ],
        )
        for method, pair in content.extremes.items()
    ]
    return environment.get_template("page.html").render(
        run=run,
        info={key: run.info.get(key) for key in _HEAD},
        css=Markup(_template("page.css")),
        banners=banners(run),
        top=top,
        figures={name: tuple(map(Markup, pair)) for name, pair in content.figures.items()},
        tables=content.tables,
        examples=example_rows,
        extremes=extreme_rows,
        extremes_shown=any(panes for _, _, ranks in extreme_rows for _, panes in ranks),
        pictures=gallery.pictures,
        outline_styles=STYLES,
        licence_rule=content.licence_rule,
        example_rule=EXAMPLE_RULE,
        n_panel_methods=len(content.panel_methods),
        methods=methods_of(run),
        overlaps=overlaps(run),
        trainings=[(t.label, shorten_paths(t.parameters), t.versions) for t in content.trainings],
        not_stated=not_stated(run),
        agreement=_agreement(run),
        contamination_rule=CONTAMINATION_RULE,
        config_yaml=config_text(run),
        dataset=shorten_paths(run.info.get("dataset") or {}),
        machine=_machine(run.info),
        git={"commit": None, "dirty": False, **(run.info.get("git") or {})},
        n_images=count(run.scores["case"].nunique(), "image"),
        n_methods=count(len(run.methods), "method"),
        number=number,
        colours={method: style.colour for method, style in styles.items()},
    )


def _agreement(run: RunData) -> str:
    """Say in a sentence whether the choice of profile matters in this run."""
    cases = differing_cases(run.scores, run.threshold)
    if cases.empty:
        return "In this run the two agree on every image to four decimals."
    dropped = int(cases["dropped"].sum())
    return (
        f"In this run they differ on {count(len(cases), 'score')}, of which the challenge profile "
        f"leaves out {dropped}."
    )


def _template(name: str) -> str:
    return files("harness.report").joinpath(name).read_text(encoding="utf-8")


def _shown(tiles: CaseTiles | None) -> bool:
    return tiles is not None and tiles.picture is not None


def _example_panes(
    run: RunData, tiles: CaseTiles | None, gallery: _Gallery, styles: Mapping[str, LineStyle]
) -> list[Pane]:
    assert tiles is not None
    name = gallery.add(tiles, "example", _EXAMPLE_PX)
    where = f"{tiles.modality} image {tiles.case}"
    truth = Pane(
        picture=name,
        size=_size(tiles),
        paths=_paths(f"{name}-truth", tiles.truth),
        badge="",
        name="Truth",
        note="",
        colour="",
        alt=f"{where} with the outlines of the true cells",
    )
    return [truth, *(_method_pane(run, tiles, t, name, styles) for t in tiles.methods)]


def _extreme_panes(
    run: RunData,
    shown: Sequence[CaseTiles],
    gallery: _Gallery,
    styles: Mapping[str, LineStyle],
) -> list[Pane]:
    panes = []
    for tiles in shown:
        if tiles.picture is None:
            continue
        name = gallery.add(tiles, "small", _SMALL_PX)
        pane = _method_pane(run, tiles, tiles.methods[0], name, styles)
        about = f"{tiles.modality}, {tiles.experiment}" if tiles.experiment else tiles.modality
        panes.append(
            Pane(pane.picture, pane.size, pane.paths, pane.badge, tiles.case, about, "", pane.alt)
        )
    return panes


def _method_pane(
    run: RunData,
    tiles: CaseTiles,
    result: MethodTile,
    picture: str,
    styles: Mapping[str, LineStyle],
) -> Pane:
    label = run.labels[result.method]
    badge = f"F1 {number(result.f1, 2)}" if result.has_mask else f"no mask: {result.status}"
    note = ""
    if result.counts is not None:
        note = "{} correct · {} wrong · {} missed".format(*result.counts)
    return Pane(
        picture=picture,
        size=_size(tiles),
        paths=_paths(f"{picture}-{result.method}", result.outlines),
        badge=badge,
        name=label,
        note=note,
        colour=styles[result.method].colour,
        alt=f"{tiles.modality} image {tiles.case} as {label} segmented it: {badge}; {note}",
    )


def _size(tiles: CaseTiles) -> tuple[int, int]:
    assert tiles.picture is not None
    return tiles.picture.shape[1], tiles.picture.shape[0]


def _paths(prefix: str, outlines: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", prefix)
    return tuple(
        (kind, f"{name}-{kind}", path_data(outlines[kind])) for kind in STYLES if outlines.get(kind)
    )


def _machine(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    machine = info.get("machine") or {}
    gpus = machine.get("gpus") or []
    names = [str(g.get("name", g)) if isinstance(g, Mapping) else str(g) for g in gpus]
    memory = machine.get("memory_gb")
    facts = [
        ("Platform", info.get("platform")),
        ("Python", info.get("python")),
        ("Processor", machine.get("cpu")),
        ("Cores", machine.get("cores")),
        ("Memory", f"{memory} GB" if memory else None),
        ("GPU", ", ".join(names) or "none"),
    ]
    return [(key, str(value)) for key, value in facts if value not in (None, "")]
