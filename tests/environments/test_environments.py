"""Environments are really built, by uv and by pip, of a small package and without a network."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cellharness.cli import main
from cellharness.environments import (
    EnvironmentSource,
    building,
    create_environment,
    differences,
    environment_python,
    status_of,
)
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.installation import own_requirements
from cellharness.methods.registry import environment_sources

BUILT_IN = environment_sources()


def write_wheel(folder: Path, number: str) -> None:
    """Write a wheel of the package `tinything`, of one module."""
    facts = f"tinything-{number}.dist-info"
    files = {
        "tinything.py": f"number = '{number}'\n",
        f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: tinything\nVersion: {number}\n",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        lines.append(f"{name},sha256={digest.decode()},{len(text)}")
    files[f"{facts}/RECORD"] = "\n".join([*lines, f"{facts}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(folder / f"tinything-{number}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """An environment of one small package, which both installers find in a folder alone."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for number in ("1.0", "2.0"):
        write_wheel(wheels, number)
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(wheels))
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    requirements = tmp_path / "tiny.txt"
    requirements.write_text("# by hand\ntinything==1.0\nabsent==3.0 ; sys_platform == 'none'\n")
    return EnvironmentSource("tiny", "Small.", requirements)


def number_in(source):
    code = "import tinything; print(tinything.number)"
    return subprocess.check_output([source.python, "-c", code], text=True).strip()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_an_environment_is_built_used_and_built_again(source, installer):
    if installer == "uv" and building._find_uv() is None:
        pytest.skip("needs uv, which is not here")
    assert status_of(source) == "absent"
    with pytest.raises(MissingDependencyError, match="cellharness environments create tiny"):
        environment_python(source)

    said = []
    assert create_environment(source, installer, say=said.append) > 0
    assert f"with {installer}" in said[0]
    assert status_of(source) == "ready"
    assert differences(source) == []
    assert environment_python(source) == source.python
    assert number_in(source) == "1.0"
    note = json.loads(source.note.read_text())
    assert note["installer"] == installer
    assert note["requirements_sha256"] == source.sha256
    assert (source.folder / "requirements.txt").read_bytes() == source.requirements.read_bytes()
    with pytest.raises(UsageError, match="--overwrite builds it again"):
        create_environment(source, installer)

    source.requirements.write_text("tinything==2.0\n")
    assert status_of(source) == "out of date"
    assert differences(source) == ["tinything 1.0 is installed, wanted ==2.0"]
    with pytest.raises(MissingDependencyError, match=r"other versions .* --overwrite"):
        environment_python(source)
    beside = source.folder / "notes of mine.txt"
    beside.write_text("kept")
    create_environment(source, installer, overwrite=True)
    assert number_in(source) == "2.0"
    assert beside.read_text() == "kept"


def test_pip_goes_on_where_uv_fails(source, tmp_path, monkeypatch):
    broken = tmp_path / "uv"
    broken.write_text("#!/bin/sh\necho 'no such mirror' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(building, "_find_uv", lambda: str(broken))
    with pytest.raises(UsageError, match="no such mirror"):
        create_environment(source, "uv")
    assert status_of(source) == "half made"
    with pytest.raises(MissingDependencyError, match=r"not built to the end.*--overwrite"):
        environment_python(source)
    with pytest.raises(UsageError, match="but half made; --overwrite"):
        create_environment(source)

    said = []
    create_environment(source, overwrite=True, say=said.append)
    assert any("no such mirror" in text and "pip goes on" in text for text in said)
    assert number_in(source) == "1.0"
    (source.folder / "venv/bin/python").unlink()
    assert status_of(source) == "broken"
    with pytest.raises(MissingDependencyError, match="lost its Python"):
        environment_python(source)


def test_files_of_others_are_not_touched(source, tmp_path):
    source.folder.mkdir(parents=True)
    theirs = source.folder / "results.csv"
    theirs.write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="did not write; move them away"):
            create_environment(source, overwrite=overwrite)
    with pytest.raises(MissingDependencyError, match="files of others"):
        environment_python(source)
    assert [path.name for path in source.folder.iterdir()] == ["results.csv"]
    # A link in the place of the environment is taken away, and not what it leads to.
    theirs.unlink()
    elsewhere = tmp_path / "theirs"
    elsewhere.mkdir()
    (elsewhere / "results.csv").write_text("years of work")
    source.note.write_text(json.dumps({"environment": "tiny", "status": "building"}))
    source.venv.symlink_to(elsewhere)
    create_environment(source, overwrite=True)
    assert (elsewhere / "results.csv").read_text() == "years of work"
    assert not source.venv.is_symlink()


def test_a_package_that_is_not_to_be_had_is_told(source):
    source.requirements.write_text("tinything==9.0\n")
    with pytest.raises(UsageError, match=r"environment 'tiny' could not be built: .*tinything"):
        create_environment(source)


@pytest.mark.parametrize("line", ["tinything", "tinything>=1", "tinything==1.*", "tiny thing==1"])
def test_versions_must_be_exact(source, line):
    source.requirements.write_text(f"absent==1.0\n{line}\n")
    with pytest.raises(UsageError, match=f"line 2: '{line.replace('*', '.')}'"):
        create_environment(source)
    assert not source.folder.exists()


def run(*command):
    with pytest.raises(SystemExit) as ended:
        main(command)
    return ended.value.code


def test_the_commands(source, tmp_path, installed, capsys):
    module = f"""
        from pathlib import Path
        from cellharness.environments import EnvironmentSource
        TINY = EnvironmentSource("tiny", "Small.", Path({str(source.requirements)!r}))
    """
    installed(module, {"cellharness.environments": {"tiny": "TINY"}})
    assert run("environments", "check", "tiny") == 2
    assert "cellharness environments create tiny" in capsys.readouterr().err
    assert run("environments", "create", "tiny", "--installer", "conda") == 2
    assert "choose from auto, uv, pip" in capsys.readouterr().err
    assert run("environments", "create", "tny") == 2
    assert "Did you mean 'tiny'?" in capsys.readouterr().err
    assert run("environments", "create", "tiny") == 0
    assert str(source.python) in capsys.readouterr().out
    assert run("environments", "check", "tiny") == 0
    assert run("environments", "list") == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if "tiny" in line]
    assert any("ready" in line for line in listed)
    (facts,) = source.venv.rglob("tinything-1.0.dist-info/METADATA")
    facts.write_text(facts.read_text().replace("Version: 1.0", "Version: 1.5"))
    assert run("environments", "check", "tiny") == 1
    told = capsys.readouterr().out
    assert "tinything 1.5 is installed, wanted ==1.0" in told
    assert "create tiny --overwrite" in told


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_shipped_environments_are_pinned_and_can_run_cellharness(name):
    source = BUILT_IN[name]()
    assert source.name == name
    assert source.summary.endswith(".")
    pins = {
        canonicalize_name(pin.name): pin
        for pin in source.pins()
        if pin.marker is None or pin.marker.evaluate()
    }
    for text in own_requirements():
        needed = Requirement(text)
        pin = pins[canonicalize_name(needed.name)]
        number = str(pin.specifier).removeprefix("==")
        assert needed.specifier.contains(number), f"{text}, pinned {number}"


def test_our_own_python_is_the_one_that_builds(source):
    create_environment(source)
    found = subprocess.check_output([source.python, "-V"], text=True).split()[1]
    assert found == sys.version.split()[0]
    # What is installed beside us is not seen there.
    code = "import importlib.util as u; print(u.find_spec('numpy'))"
    assert version("numpy")
    assert subprocess.check_output([source.python, "-c", code], text=True).strip() == "None"
