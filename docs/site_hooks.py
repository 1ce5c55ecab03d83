"""Take the kept reports into the site; links to them are those of the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

_REPORTS = "reports"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file of the reports, below the same folder as in the checkout."""
    project = Path(config.config_file_path).parent
    for path in sorted((project / _REPORTS).rglob("*")):
        if path.is_file() and path.suffix != ".md":
            name = path.relative_to(project).as_posix()
            files.append(File(name, str(project), config.site_dir, use_directory_urls=False))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links out of ``docs/`` into links within the site."""
    return markdown.replace(f"](../{_REPORTS}/", f"]({_REPORTS}/")
