"""What README, guides and pages point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "harness" / "cellharness"
#: Pages that no generator checks, and those of the site.
OUTSIDE = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
OUTSIDE += [PROJECT / "CHANGELOG.md", PROJECT / "reports" / "README.md"]
PAGES = sorted((PROJECT / "docs").glob("*.md"))

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\s]+)`")
_FOLDERS = ("harness/", "adapters/", "tests/", "configs/", "docs/", "reports/", ".ci/", ".github/")


def _name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@pytest.mark.parametrize("page", [*OUTSIDE, *PAGES], ids=_name)
def test_links_lead_to_files(page):
    targets = _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    files = [target.split("#")[0] for target in targets if "://" not in target]
    assert not [file for file in files if file and not (page.parent / file).exists()]


@pytest.mark.parametrize("page", [*OUTSIDE, *PAGES], ids=_name)
def test_paths_of_the_project_exist(page):
    named = _CODE.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    paths = [name for name in named if name.startswith(_FOLDERS) and "<" not in name]
    assert not [path for path in paths if not list(PROJECT.glob(path.rstrip("/")))]


def test_paths_of_commands_and_contracts_exist():
    page = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    start = page.index("## Contracts")
    paths = [
        name for name in _CODE.findall(page[start:]) if name.endswith(".py") and "<" not in name
    ]
    assert len(paths) > 30
    assert not [path for path in paths if not (PACKAGE / path).is_file()]
