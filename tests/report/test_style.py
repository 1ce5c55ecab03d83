"""Figures are the same bytes whatever fonts the system has."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import font_manager

from cellharness.report.layout import text_mm
from cellharness.report.style import journal_style, new_figure, save


def draw(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    with journal_style():
        figure = new_figure(60, 30)
        axes = figure.add_subplot()
        axes.set_title("Fluorescent", fontweight="bold")
        axes.set_xlabel("F1 (IoU ≥ 0.5), −0.12 to 0.34", fontstyle="oblique")
        save(figure, folder, "one", dpi=80, for_print=True)
        folder.joinpath("width").write_text(repr(text_mm("Cellpose 2.0, 12 epochs", 7)))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def other_fonts(monkeypatch):
    """Make matplotlib see another font under the names that figures might fall for."""
    serif = Path(mpl.get_data_path()) / "fonts" / "ttf" / "STIXGeneral.ttf"
    names = ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans", "sans-serif")
    entries = [
        font_manager.FontEntry(
            fname=str(serif), name=name, style=style, variant="normal", weight=weight,
            stretch="normal", size="scalable",
        )
        for name in names for style in ("normal", "oblique") for weight in (400, 700)
    ]  # fmt: skip
    listed = [*entries, *font_manager.fontManager.ttflist]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", listed)
    font_manager.fontManager._findfont_cached.cache_clear()
    yield
    font_manager.fontManager._findfont_cached.cache_clear()


def test_other_fonts_change_nothing(tmp_path, request):
    first = draw(tmp_path / "first")
    request.getfixturevalue("other_fonts")
    assert draw(tmp_path / "second") == first
    assert first.keys() == {"one.png", "one.pdf", "one.svg", "width"}
