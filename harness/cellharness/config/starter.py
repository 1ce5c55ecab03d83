"""What ``cellharness init`` writes: configurations, an empty manifest and what to do with them."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml
from jinja2 import Environment, StrictUndefined

from cellharness.config.keys import MANIFEST
from cellharness.errors import UsageError
from cellharness.run_directory import MANIFEST_COLUMNS, OPTIONAL_MANIFEST_COLUMNS
from cellharness.vocabulary import MODALITIES, TRAIN_SPLIT

#: What to call first in the new folder.
FIRST_STEPS = (
    "cellharness data validate manifest.csv   # after you have listed your images in it",
    "cellharness run configs/own.yaml",
)

_FOLDER = "configs"
_EXAMPLE = (
    ("well_a1", "images/a1.tif", "labels/a1.tif", MODALITIES[1], "plate-1", TRAIN_SPLIT, ""),
    ("well_b1", "images/b1.tif", "labels/b1.tif", MODALITIES[1], "plate-2", "test", ""),
)


@dataclass(frozen=True)
class ShippedConfiguration:
    """A configuration that comes with the package.

    Attributes
    ----------
    name : str
        File name.
    text : str
        YAML, comments and all.
    """

    name: str
    text: str

    @property
    def title(self) -> str:
        """What it compares."""
        return str(yaml.safe_load(self.text)["title"])

    @property
    def command(self) -> str:
        """The command that takes it, in the folder that `write_starter` made."""
        verb = "forgetting" if "finetuning" in yaml.safe_load(self.text) else "run"
        return f"cellharness {verb} {_FOLDER}/{self.name}"

    @property
    def stays_inside(self) -> bool:
        """Whether its manifest may lie in the folder that `write_starter` made.

        Some name images that lie beside the project's checkout, and work nowhere else.
        """
        manifest = yaml.safe_load(self.text)["dataset"].get("manifest") or ""
        return not posixpath.normpath(posixpath.join(_FOLDER, manifest)).startswith("..")


def shipped_configurations() -> list[ShippedConfiguration]:
    """Every configuration of the package, by name.

    Raises
    ------
    UsageError
        They are not there: ``shipped`` is a link in the checkout, which some systems do not make.
    """
    folder = files("cellharness.config") / "shipped"
    if not folder.is_dir():
        msg = (
            f"the configurations that belong in '{folder}' are not there; install cellharness "
            "from its wheel, or check it out with symbolic links (git config core.symlinks true)"
        )
        raise UsageError(msg)
    found = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return [
        ShippedConfiguration(entry.name, entry.read_text(encoding="utf-8"))
        for entry in found
        if entry.name.endswith(".yaml")
    ]


def starter_files() -> dict[str, str]:
    """Texts by path, relative to the new folder.

    Examples
    --------
    >>> print(starter_files()["manifest.csv"], end="")
    case,image,label,modality,experiment,split,sha256
    """
    usable = [each for each in shipped_configurations() if each.stays_inside]
    header = ",".join(MANIFEST_COLUMNS)
    page = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = (files("cellharness.config") / "starter.md").read_text(encoding="utf-8")
    readme = page.from_string(template).render(
        columns={name: MANIFEST[name] for name in MANIFEST_COLUMNS},
        optional={name: MANIFEST[name] for name in OPTIONAL_MANIFEST_COLUMNS},
        example="\n".join([header, *map(",".join, _EXAMPLE)]),
        steps=FIRST_STEPS,
        configurations=usable,
    )
    configurations = {f"{_FOLDER}/{each.name}": each.text for each in usable}
    return {"README.md": readme, "manifest.csv": f"{header}\n", **configurations}


def write_starter(folder: Path) -> list[Path]:
    """Write the starter files into a folder, which is made if need be.

    Parameters
    ----------
    folder : Path
        May hold other files; none of them is touched.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    UsageError
        A file of one of these names is there already; then nothing is written.
    """
    texts = {folder / name: text for name, text in starter_files().items()}
    taken = [path for path in texts if os.path.lexists(path)]
    if taken:
        names = ", ".join(path.relative_to(folder).as_posix() for path in taken)
        msg = (
            f"'{folder}' already holds {names}; "
            "nothing was written. Choose another folder, or move these files away"
        )
        raise UsageError(msg)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x" fails on a file that somebody else made in the meantime.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return list(texts)
