"""The wheel of this checkout in an environment without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a folder outside the checkout to call its commands in."""

    path: Path
    folder: Path

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        # The tests' own PYTHONPATH would bring in packages of the tests.
        own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        paths = {"PATH": f"{self.path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=own | paths | {"PYTHONNOUSERSITE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def cellharness(self, *args: object) -> subprocess.CompletedProcess[str]:
        return self.run(self.path / "bin" / "cellharness", *args)


def _pip(*args: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A copy of what is built, since building leaves files, and would pack old ones again."""
    copy = tmp_path_factory.mktemp("source") / "cellharness"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("harness", "adapters", "configs"):
        shutil.copytree(PROJECT / name, copy / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, copy / name)
    return copy


def build_wheel(project: Path, out: Path) -> Path:
    """Build with the tools of this environment: nothing is fetched."""
    before = set(out.glob("*.whl"))
    _pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out, project)
    (wheel,) = set(out.glob("*.whl")) - before
    return wheel


@pytest.fixture(scope="session")
def wheel(source, tmp_path_factory):
    return build_wheel(source, tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def wheel_of_source_distribution(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("source-distribution")
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, out], cwd=source, check=True, stdout=subprocess.DEVNULL
    )
    (archive,) = out.glob("*.tar.gz")
    return build_wheel(archive, out)


def _foreign_project(folder: Path) -> Path:
    """Somebody else's distribution, with packages called as two folders of this project."""
    for name in ("adapters", "harness"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("whose = 'foreign'\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "foreign"\nversion = "1"\n'
        '[tool.setuptools]\npackages = ["adapters", "harness"]\n'
    )
    return folder


def _with_requirements(texts: Iterable[str], found: dict[str, Distribution]) -> None:
    """Collect the installed distributions that some requirements come down to."""
    for text in texts:
        requirement = Requirement(text)
        extras = requirement.extras or {""}
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras):
            continue
        name = canonicalize_name(requirement.name)
        if name not in found:
            found[name] = distribution(name)
            _with_requirements(found[name].requires or (), found)


def _link(found: Iterable[Distribution], site: Path) -> None:
    """Show installed distributions to another environment, and only these."""
    for each in found:
        for name in {path.parts[0] for path in each.files or ()} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(each.locate_file(name))


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory):
    """The wheel, what it requires, and somebody else's ``adapters`` and ``harness``.

    Installing scientific packages anew would take longer than all the tests, so those of this
    environment are linked; `pip check` says whether they are what the wheel asks for.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    path = tmp_path_factory.mktemp("environment")
    venv.create(path, with_pip=False, symlinks=True)
    new = Environment(path, folder)
    foreign = build_wheel(_foreign_project(tmp_path_factory.mktemp("foreign")), wheel.parent)
    install = ("--python", new.python, "install", "--quiet", "--no-index", "--no-deps")
    _pip(*install, wheel, foreign)
    (site,) = path.glob("lib/python*/site-packages")
    (facts,) = site.glob("cellharness-*.dist-info")
    found: dict[str, Distribution] = {}
    _with_requirements(Distribution.at(facts).requires or (), found)
    _link(found.values(), site)
    _pip("--python", new.python, "check")
    return new
