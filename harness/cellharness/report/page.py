"""The page: one file that opens from disk, with everything in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cellharness.report.content import Content
from cellharness.report.headline import Headline
from cellharness.report.loading import RunData
from cellharness.report.panes import Gallery, Pane, has_picture, method_pane, truth_pane
from cellharness.report.rankings.ranked import Ranked
from cellharness.report.rankings.row_grid import FEWEST_FOR_ROWS
from cellharness.report.rankings.words import ranking_captions, ranking_sentences
from cellharness.report.seen_unseen import not_stated
from cellharness.report.selection import EXAMPLE_RULE
from cellharness.report.style import LineStyle
from cellharness.report.template import render, shared_context
from cellharness.report.tiles import CaseTiles
from cellharness.report.wording import count
from cellharness.statistics import differing_cases

_EXAMPLE_PX = 512
_SMALL_PX = 320
# Longer tables than this are folded.
_LONG_TABLE = 40


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
    gallery = Gallery()
    colours = {method: style.colour for method, style in styles.items()}
    example_rows = [
        (group, tiles, _example_panes(run, tiles, gallery, colours))
        for group, tiles in content.examples
    ]
    extreme_rows = [
        (
            run.labels[method],
            colours[method],
            [
                (rank, _extreme_panes(run, tiles, gallery, colours))
                for rank, tiles in zip(("Best", "Worst"), pair, strict=True)
            ],
        )
        for method, pair in content.extremes.items()
    ]
    shared = shared_context(
        run, content.figures, content.tables, content.trainings, gallery, colours
    )
    own = {
        "top": top,
        "examples": example_rows,
        "extremes": extreme_rows,
        "extremes_shown": any(panes for _, _, ranks in extreme_rows for _, panes in ranks),
        "licence_rule": content.licence_rule,
        "example_rule": EXAMPLE_RULE,
        "n_panel_methods": len(content.panel_methods),
        "not_stated": not_stated(run),
        "agreement": _agreement(run),
        "n_methods": count(len(run.methods), "method"),
        "ranking": _ranking(content.ranked),
        "as_rows": content.ranked is not None and len(run.methods) >= FEWEST_FOR_ROWS,
    }
    return render("page.html", shared | own)


def _ranking(ranked: Ranked | None) -> dict[str, Any] | None:
    """Collect what the section on rankings says; None where there is none."""
    if ranked is None:
        return None
    return {
        "sentences": ranking_sentences(ranked),
        "captions": ranking_captions(ranked),
        "folded": len(ranked.order) * len(ranked.groups) > _LONG_TABLE,
    }


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


def _example_panes(
    run: RunData, tiles: CaseTiles | None, gallery: Gallery, colours: Mapping[str, str]
) -> list[Pane]:
    if tiles is None or not has_picture(tiles):
        return []
    name = gallery.add(tiles, "example", _EXAMPLE_PX)
    results = [
        method_pane(tiles, t, name, run.labels[t.method], colours[t.method]) for t in tiles.methods
    ]
    return [truth_pane(tiles, name), *results]


def _extreme_panes(
    run: RunData, shown: Sequence[CaseTiles], gallery: Gallery, colours: Mapping[str, str]
) -> list[Pane]:
    panes = []
    for tiles in shown:
        if not has_picture(tiles):
            continue
        name = gallery.add(tiles, "small", _SMALL_PX)
        result = tiles.methods[0]
        pane = method_pane(tiles, result, name, run.labels[result.method], colours[result.method])
        about = f"{tiles.modality}, {tiles.experiment}" if tiles.experiment else tiles.modality
        panes.append(
            Pane(pane.picture, pane.size, pane.paths, pane.badge, tiles.case, about, "", pane.alt)
        )
    return panes
