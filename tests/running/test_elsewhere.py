"""A method in another Python: the same masks, its own versions, and what goes wrong there."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import sysconfig
import venv
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
import yaml

from cellharness import api
from cellharness.config.reading import ConfigError
from cellharness.config.run import TilesConfig, load_config
from cellharness.data.manifest import Case
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.files import hash_file
from cellharness.run_directory import RunRecord
from cellharness.running.ledger import Outcome
from cellharness.running.messages import JsonLine
from cellharness.running.process import MethodProcess
from cellharness.running.run import run_comparison
from cellharness.running.worker import Answered, MethodSpec, Next, Ready, Task
from drawn_case import draw_case


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The interpreter of an environment without any package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The interpreter of an environment that sees our packages, but one of another version.

    The package is `imageio`, whose version is part of every identity; it is not cellharness.
    """
    folder = tmp_path_factory.mktemp("other")
    venv.create(folder, symlinks=True, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    facts = site / "imageio-0.0.7.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: imageio\nVersion: 0.0.7\n")
    (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        image, _ = draw_case(np.random.default_rng(number))
        tifffile.imwrite(folder / f"photo_{number}.tif", image)
    return folder


def write_config(folder: Path, manifest: Path, **method) -> Path:
    path = folder / "config.yaml"
    there = {"name": "there", "method": "otsu-watershed", **method}
    methods = [there, {"name": "here", "method": "otsu-watershed"}]
    scoring = {"thresholds": [0.5], "workers": 1, "profiles": ["strict"]}
    dataset = {"manifest": str(manifest), "splits": ["test"]}
    settings = {"name": "t", "dataset": dataset, "methods": methods, "scoring": scoring}
    path.write_text(yaml.safe_dump(settings))
    return path


def test_labels_are_the_same_to_the_bit(images, other, tmp_path):
    here = api.predict("otsu-watershed", images, tmp_path / "here")
    there = api.predict("otsu-watershed", images, tmp_path / "there", python=other)
    assert here.statuses == there.statuses
    for mask in (tmp_path / "here").glob("*.tiff"):
        assert mask.read_bytes() == (tmp_path / "there" / mask.name).read_bytes()
        assert tifffile.imread(mask).any()
    note = json.loads((tmp_path / "there" / "provenance.json").read_text())
    assert note["environment"]["python"] == sys.version.split()[0]
    assert note["environment"]["versions"]["imageio"] == "0.0.7"
    assert note["environment"]["versions"]["cellharness"] == version("cellharness")
    assert "environment" not in json.loads((tmp_path / "here" / "provenance.json").read_text())
    assert str(other) not in json.dumps(note)


def test_a_run_records_where_and_makes_masks_again_when_that_changes(
    small_manifest, other, tmp_path
):
    # Relative paths start at the configuration; the link that an environment's python is stays one.
    (tmp_path / "env").symlink_to(other.parent.parent)
    config = write_config(tmp_path, small_manifest, python="env/bin/python")
    folder = tmp_path / "run"
    result = run_comparison(load_config(config), folder)
    assert result.statuses["there"] == result.statuses["here"]
    there, here = RunRecord.read(folder / "run.json").methods
    assert here.environment == {}
    assert there.environment["name"] == ""
    assert there.environment["versions"]["imageio"] == "0.0.7"
    masks = {path: path.stat().st_mtime_ns for path in folder.glob("predictions/*/*.tiff")}
    assert len(masks) == 10
    for mask in folder.glob("predictions/there/*.tiff"):
        assert mask.read_bytes() == (folder / "predictions" / "here" / mask.name).read_bytes()

    run_comparison(load_config(config), folder, resume=True)
    assert masks == {path: path.stat().st_mtime_ns for path in masks}
    # In our own Python it is another prediction.
    config = write_config(tmp_path, small_manifest)
    run_comparison(load_config(config), folder, resume=True)
    changed = {path for path, written in masks.items() if path.stat().st_mtime_ns != written}
    assert {path.parent.name for path in changed} == {"there"}
    assert len(changed) == 5


def test_what_lacks_packages_costs_its_own_method_only(small_manifest, bare, tmp_path):
    config = write_config(tmp_path, small_manifest, python=str(bare))
    result = run_comparison(load_config(config), tmp_path / "run")
    assert result.statuses["there"] == {"error": 5}
    assert result.statuses["here"].total() == 5
    assert "error" not in result.statuses["here"]
    assert "No module named" in result.messages["there"]
    assert f"{bare} -m pip install" in result.messages["there"]
    assert "numpy>=" in result.messages["there"]


def test_an_environment_that_is_not_built_costs_its_own_method_only(
    small_manifest, tmp_path, monkeypatch
):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    config = write_config(tmp_path, small_manifest, environment="cellpose4")
    result = run_comparison(load_config(config), tmp_path / "run")
    assert result.statuses["there"] == {"error": 5}
    assert "cellharness environments create cellpose4" in result.messages["there"]
    assert "error" not in result.statuses["here"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"environment": "celpose4"}, "unknown environment 'celpose4'. Did you mean 'cellpose4'"),
        ({"python": "nowhere/python"}, "no Python '.*nowhere/python'"),
    ],
)
def test_misspelt_places_are_told_before_anything_runs(small_manifest, tmp_path, keys, message):
    config = load_config(write_config(tmp_path, small_manifest, **keys))
    with pytest.raises(UsageError, match=message):
        run_comparison(config, tmp_path / "run")
    assert not list((tmp_path / "run").glob("predictions/*/*"))


def test_a_method_has_one_place(small_manifest, tmp_path):
    path = write_config(tmp_path, small_manifest, python="p", environment="cellpose4")
    with pytest.raises(ConfigError, match="either 'environment' or 'python', not both"):
        load_config(path)


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false"])
def test_what_is_no_python_is_told(images, tmp_path, program):
    with pytest.raises(MissingDependencyError, match=f"'{program}' gave no answer .*is it a Py"):
        api.predict("otsu-watershed", images, tmp_path / "out", python=program)
    assert not (tmp_path / "out").exists()


def test_a_python_that_is_too_old_is_told(images, tmp_path, bare):
    # Stands in for one: it says of itself that it is old.
    old = tmp_path / "python"
    old.write_text(
        f"#!/bin/sh\nshift\ncode=$1\nshift\n"
        f'exec {bare} -c "import sys; sys.version_info = (3, 8, 1)\n$code" "$@"\n'
    )
    old.chmod(0o755)
    with pytest.raises(MissingDependencyError, match=r"it is Python 3\.8, and 3\.11 is the oldest"):
        api.predict("otsu-watershed", images, tmp_path / "out", python=old)


def test_files_of_the_working_directory_are_no_modules(images, other, tmp_path, monkeypatch):
    folder = tmp_path / "cwd"
    folder.mkdir()
    for name in ("json", "numpy", "cellharness"):
        (folder / f"{name}.py").write_text("raise SystemExit('mine')\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    result = api.predict("otsu-watershed", images, tmp_path / "out", python=other)
    assert result.statuses["otsu-watershed"] == {"ok": 2}


@pytest.fixture
def process(other, images, tmp_path):
    """The process of a method in another Python, and a task for it."""
    made = []

    def make(**limits):
        settings = {"timeout_s": 60.0, "load_timeout_s": 60.0, "memory_gb": None, **limits}
        spec = MethodSpec("otsu-watershed", {}, None, 0, python=str(other))
        made.append(MethodProcess(spec, **settings))
        return made[-1]

    case = Case("photo_0", images / "photo_0.tif", None, None, "", "", "test", "")
    make.task = Task(case, tmp_path / "mask.tiff")
    yield make
    for each in made:
        each.stop()


def test_a_process_that_is_killed_is_started_again(process):
    method = process()
    assert method.segment(process.task).status == "ok"
    first = method._process.pid
    psutil.Process(first).kill()
    assert method.segment(process.task).status == "oom"
    assert method.segment(process.task).status == "ok"
    second = method._process.pid
    assert second != first
    method.stop()
    assert not psutil.pid_exists(second)


def test_limits_hold_there_too(process):
    late = process(load_timeout_s=0.01).segment(process.task)
    assert late.status == "timeout"
    large = process(memory_gb=0.001).segment(process.task)
    assert large.status == "oom"
    assert "over the limit" in large.message


@pytest.mark.slow
def test_cases_are_segmented_at_the_same_time_there_too(other, images, tmp_path):
    spec = MethodSpec("otsu-watershed", {}, None, 0, python=str(other), at_once=2)
    process = MethodProcess(spec, 60.0, 60.0, None)
    tasks = [
        Task(Case(path.stem, path, None, None, "", "e", "test", ""), tmp_path / f"{path.stem}.tiff")
        for path in sorted(images.iterdir())
    ]
    try:
        outcomes = {task.case.case: outcome for task, outcome in process.segment_each(tasks)}
    finally:
        process.stop()
    assert set(outcomes) == {"photo_0", "photo_1"}
    for task in tasks:
        outcome = outcomes[task.case.case]
        assert (outcome.status, outcome.details["cases_at_once"]) == ("ok", 2)
        assert outcome.prediction_sha256 == hash_file(task.prediction)
        assert math.isnan(outcome.seconds["total"])


def test_it_ends_with_who_started_it(other, images, tmp_path):
    code = f"""
if __name__ == "__main__":
    from pathlib import Path
    from cellharness.running.process import MethodProcess
    from cellharness.running.worker import MethodSpec
    spec = MethodSpec("otsu-watershed", {{}}, None, 0, python={str(other)!r})
    method = MethodProcess(spec, 60.0, 60.0, None)
    method.start()
    print(method._process.pid, flush=True)
    input()
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    run = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    worker = psutil.Process(int(run.stdout.readline()))
    run.kill()
    run.communicate()
    worker.wait(10)


def test_messages_come_through_as_they_are():
    import multiprocessing

    ours, theirs = (JsonLine(end) for end in multiprocessing.Pipe())
    case = Case("c", Path("a b/ü.tif"), None, "DIC", "given", "e", "test", "", extra=(("k", "v"),))
    spec = MethodSpec("m", {"a": [1, 2.5], "b": {"c": None}, "d": "x"}, None, 3, 2, (case,), "p")
    outcome = Outcome("ok", "über", {"total": 1.25}, 3.5, None, "ab", {"n": [1]}, None, 2, 99)
    tiled = replace(spec, tiles=TilesConfig(size=512, overlap=64))
    for message in (
        spec,
        tiled,
        Task(case, Path("m.tiff")),
        outcome,
        Ready(3, forked=True),
        Next(),
        Answered("c", outcome),
    ):
        ours.send(message)
        assert theirs.poll(1)
        assert theirs.recv() == message
    ours.send(Outcome("ok", details={"diameter": math.nan, "largest": math.inf}))
    details = theirs.recv().details
    assert math.isnan(details["diameter"])
    assert details["largest"] == math.inf
    ours.close()
    with pytest.raises(EOFError):
        theirs.recv()
