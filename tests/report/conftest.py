from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from page_reader import Page
from run_maker import RunMaker
from study_built import BuiltStudy, build_study


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    return RunMaker(tmp_path)


@pytest.fixture(scope="session")
def built_study(tmp_path_factory) -> BuiltStudy:
    return build_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def build_quickly(monkeypatch) -> Callable[..., Page]:
    """Build a report whose figures are drawn, or not even that, but not written to files."""
    from cellharness.report import build

    def nothing(figure, folder, name, **options):
        for suffix in ("svg", "png", "pdf"):
            (folder / f"{name}.{suffix}").touch()
        return "<svg></svg>"

    def quickly(run: Path, *, drawn: bool = True) -> Page:
        monkeypatch.setattr(build, "save", nothing)
        if not drawn:
            monkeypatch.setattr(build, "_figure", lambda *_: None)
        return Page(build.build_report(run))

    return quickly
