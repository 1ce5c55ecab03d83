"""Programs and containers of others: what they are given, held to, and taken from."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
import yaml

from cellharness.config.run import load_config
from cellharness.data.images import read_image, read_label
from cellharness.data.manifest import Manifest
from cellharness.errors import UsageError
from cellharness.methods.base import CaseError
from cellharness.methods.registry import build
from cellharness.running.run import run_comparison
from cellharness_adapters.external.program import run_program

#: What a stand-in program begins with: it reads all images of a folder and can write masks.
HEAD = """
import argparse, os, pathlib, sys, time
import numpy as np, tifffile
from PIL import Image
parser = argparse.ArgumentParser()
parser.add_argument("-i", type=pathlib.Path)
parser.add_argument("-o", type=pathlib.Path)
options = parser.parse_args()
images = {path.stem: np.asarray(tifffile.imread(path)) for path in sorted(options.i.iterdir())}
def write(name, mask):
    tifffile.imwrite(options.o / name, mask)
def mask_of(image):
    return (image > 100).astype(np.uint16)
"""
GOOD = """
for stem, image in images.items():
    write(f"{stem}_label.tiff", mask_of(image))
print("segmented", len(images))
"""


@pytest.fixture
def program(tmp_path):
    """Write a program's source; returns the method's parameters that run it."""

    def write(body, **parameters):
        path = tmp_path / "program.py"
        path.write_text(HEAD + textwrap.dedent(body))
        return {"interpreter": sys.executable, "command": [str(path)], **parameters}

    return write


@pytest.fixture
def case(small_manifest):
    return Manifest.read(small_manifest)["case_1"]


def segment(parameters, case, method="command"):
    segmenter = build(method, parameters)
    segmenter.weights()
    segmenter.load()
    segmenter.warmup()
    segmenter.begin_case(case)
    return segmenter.segment(read_image(case.image)), segmenter.details()


def failure(parameters, case, method="command"):
    with pytest.raises(CaseError) as caught:
        segment(parameters, case, method)
    return caught.value


def test_a_program_gets_the_image_and_its_mask_is_taken(program, case):
    labels, details = segment(program(GOOD), case)
    assert np.array_equal(labels > 0, read_image(case.image) > 100)
    assert details["exit_code"] == 0
    assert details["printed"] == "segmented 1\n"
    assert details["program_seconds"] > 0


def test_folders_may_stand_anywhere_in_the_command(program, case):
    parameters = program("""
        import json
        write(next(iter(images)) + "_label.tiff", mask_of(next(iter(images.values()))))
        print(json.dumps([os.getcwd(), os.environ.get("COLOUR"), os.environ.get("PYTHONPATH")]))
    """)
    script = parameters["command"][0]
    parameters["command"] = f"'{script}' -o={{outputs}} -i={{inputs}}".replace("=", " ")
    parameters |= {"folder": Path(script).parent, "environment": {"COLOUR": "blue"}}
    _, details = segment(parameters, case)
    assert json.loads(details["printed"]) == [str(Path(script).parent), "blue", None]


def test_the_input_form_can_be_handed_over_instead_of_the_file(program, case):
    parameters = program(
        "print(sorted(p.name for p in options.i.iterdir()), images['case_1'].dtype)"
    )
    error = failure({**parameters, "images": "tiff"}, case)
    assert error.details["printed"] == "['case_1.tiff'] uint8\n"
    assert "case_1.tif'" in failure(parameters, case).details["printed"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("", "missing", r"no 'case_1_label\.tiff' among the outputs: it wrote nothing"),
        ("write('case_1.tiff', np.ones((96, 112), np.uint8))", "missing", r"it wrote case_1\.tiff"),
        (
            "write('case_1_label.tiff', np.ones((112, 96), np.uint8))",
            "error",
            r"shape \(112, 96\), the image \(96, 112\)",
        ),
        (
            "write('case_1_label.tiff', np.ones((2, 96, 112), np.uint8))",
            "error",
            r"shape \(2, 96, 112\)",
        ),
        (
            "write('case_1_label.tiff', np.full((96, 112), 0.5, np.float32))",
            "error",
            "no label image",
        ),
        ("(options.o / 'case_1_label.tiff').write_bytes(b'II*')", "error", "no label image"),
        (
            "(options.o / 'case_1_label.tiff').symlink_to('/etc/hostname')",
            "missing",
            r"no 'case_1_label\.tiff'",
        ),
        ("print('first'); sys.exit('no such model')", "error", "exit code 1; .* no such model"),
        ("os.kill(os.getpid(), 11)", "error", "died of SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "oom", "died of SIGKILL"),
    ],
)
def test_what_goes_wrong_is_named(program, case, body, status, message):
    import re

    error = failure(program(body), case)
    assert error.status == status
    assert re.search(message, str(error)), str(error)
    assert "exit_code" in error.details


def test_a_program_that_hangs_is_ended_with_all_it_started(program, case, tmp_path):
    parameters = program(
        f"""
        import subprocess
        child = subprocess.Popen(["sleep", "600"])
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
        print("started", flush=True)
        time.sleep(600)
        """,
        timeout_s=6,
    )
    error = failure(parameters, case)
    assert error.status == "timeout"
    assert str(error) == "no result within 6 s; it was ended"
    assert error.details["printed"] == "started\n"
    assert is_over(int((tmp_path / "pid").read_text()))


def test_what_a_program_leaves_behind_is_ended_too(tmp_path):
    source = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid)"
    finished = run_program([sys.executable, "-c", source])
    assert is_over(int(finished.printed))


def is_over(pid):
    """Whether a process ends within five seconds; one that nobody has buried yet is over too."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_memory_is_limited(program, case):
    error = failure(program("block = np.ones(2**27); time.sleep(60)", memory_gb=0.5), case)
    assert error.status == "oom"
    assert "over the limit of 0.5 GiB" in str(error)


def test_of_much_that_is_printed_the_ends_are_kept(tmp_path):
    before = psutil.Process().memory_info().rss
    lines = "[sys.stdout.write('x' * 2**20) for _ in range(128)]"
    source = f"import sys; print('begin'); {lines}; print('end')"
    finished = run_program([sys.executable, "-c", source], keep=200)
    assert finished.exit_code == 0
    assert finished.printed.startswith("begin\nxxx")
    assert finished.printed.endswith("xxxend\n")
    assert len(finished.printed) < 240
    assert psutil.Process().memory_info().rss - before < 64 * 2**20


@pytest.mark.slow
def test_a_gigabyte_of_output_is_survived():
    source = "import sys; [sys.stdout.write('x' * 2**20) for _ in range(1024)]"
    finished = run_program([sys.executable, "-c", source], keep=200)
    assert finished.exit_code == 0
    assert f"... {2**30 - 200} bytes ..." in finished.printed


def test_a_program_that_is_not_there_is_named(program, tmp_path):
    with pytest.raises(UsageError, match="no program 'no-such-program'"):
        build("command", {"command": "no-such-program --fast"}).weights()
    with pytest.raises(UsageError, match="no working directory"):
        build("command", program(GOOD, folder=tmp_path / "nowhere")).weights()
    with pytest.raises(UsageError, match=r"no file .*weights\.pt"):
        build("command", program(GOOD, files=[tmp_path / "weights.pt"])).weights()
    with pytest.raises(UsageError, match="leave images at 'file'"):
        build("command", program(GOOD, per="folder", images="tiff"))


def test_a_changed_script_is_another_program(program):
    before = build("command", program(GOOD)).weights()[0].sha256
    after = build("command", program(GOOD + "# changed")).weights()[0].sha256
    assert before.keys() == after.keys()
    assert before != after


def test_start_up_is_timed_apart(program, case):
    parameters = program(GOOD, time_startup=True)
    _, details = segment(parameters, case)
    assert details["startup_exit_code"] == 0
    assert details["startup_seconds"] > 0


def comparison(manifest, methods, **limits):
    text = yaml.safe_dump(
        {
            "name": "external",
            "dataset": {"manifest": str(manifest), "splits": ["test"]},
            "methods": methods,
            "limits": limits,
        }
    )
    path = manifest.parent / "config.yaml"
    path.write_text(text)
    return load_config(path)


def test_a_run_records_what_each_case_came_to(program, small_manifest, tmp_path):
    parameters = program(
        """
        (stem, image), = images.items()
        if stem == "case_2":
            sys.exit("cannot do this one")
        print("saw", stem)
        write(f"{stem}_label.tiff", mask_of(image))
        """
    )
    parameters["interpreter"] = str(parameters["interpreter"])
    config = comparison(
        small_manifest, [{"name": "theirs", "method": "command", "parameters": parameters}]
    )
    result = run_comparison(config, tmp_path / "run")
    assert result.statuses["theirs"] == {"ok": 4, "error": 1}
    assert "exit code 1; it last printed: cannot do this one" in result.messages["theirs"]
    import pandas as pd

    rows = pd.read_csv(tmp_path / "run" / "ledger.csv").set_index("case")
    assert "cannot do this one" in json.loads(rows.loc["case_2", "details"])["printed"]
    assert json.loads(rows.loc["case_3", "details"])["printed"] == "saw case_3\n"


def test_one_call_serves_all_cases_of_a_run(program, small_manifest, tmp_path):
    count = tmp_path / "calls"
    parameters = program(
        f"""
        with open({str(count)!r}, "a") as file:
            print(*sorted(images), file=file)
        for stem, image in images.items():
            if stem != "case_4":
                write(f"{{stem}}_label.tiff", mask_of(image))
        """,
        per="folder",
    )
    config = comparison(
        small_manifest, [{"name": "theirs", "method": "command", "parameters": parameters}]
    )
    result = run_comparison(config, tmp_path / "run")
    assert count.read_text().splitlines() == ["case_1 case_2 case_3 case_4 case_5"]
    assert result.statuses["theirs"] == {"ok": 4, "missing": 1}


DOCKER = """#!{python} -I
# Stands in for docker and podman: checks the arguments, plays what an image would do.
import json, os, pathlib, sys, time
words = sys.argv[1:]
log = pathlib.Path({log!r})
with log.open("a") as file:
    print(json.dumps(words), file=file)
if words[:2] == ["image", "inspect"]:
    if words[-1] == "team/absent":
        sys.exit("Error: No such image: team/absent")
    print("sha256:0123")
elif words[0] == "run":
    folders = dict(reversed(words[i + 1].split(":")[:2]) for i, w in enumerate(words) if w == "-v")
    inputs = pathlib.Path(folders["/workspace/inputs"])
    outputs = pathlib.Path(folders["/workspace/outputs"])
    image = words[words.index("/bin/bash") - 1]
    if image == "team/hangs":
        time.sleep(600)
    for path in inputs.iterdir():
        if image != "team/empty":
            mask = pathlib.Path({mask!r}).read_bytes()
            (outputs / (path.stem + "_label.tiff")).write_bytes(mask)
    print("played", image)
    sys.exit({{"team/careless": 3, "team/empty": 137}}.get(image, 0))
"""


@pytest.fixture
def docker(tmp_path, monkeypatch, case):
    """A stand-in on PATH; returns what reads the arguments it was called with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    mask, log = tmp_path / "mask.tiff", tmp_path / "docker.log"
    tifffile.imwrite(mask, read_label(case.label))
    for name in ("docker", "podman"):
        path = folder / name
        path.write_text(DOCKER.format(python=sys.executable, log=str(log), mask=str(mask)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def test_a_container_is_run_exactly_as_in_the_challenge(docker, case):
    labels, details = segment({"image": "team/good:tag"}, case, "container")
    assert np.array_equal(labels, read_label(case.label))
    (words,) = docker()
    name = words[words.index("--name") + 1]
    inputs, outputs = (words[i + 1] for i, word in enumerate(words) if word == "-v")
    assert inputs.endswith("/inputs:/workspace/inputs")
    assert outputs.endswith("/outputs:/workspace/outputs")
    assert words == [
        *("run", "--gpus", "device=0", "-m", "28g", "--name", name, "--rm"),
        *("-v", inputs, "-v", outputs),
        *("team/good:tag", "/bin/bash", "-c", "sh predict.sh"),
    ]
    assert details["container"] == name
    assert details["unlike_the_challenge"] == []
    assert details["printed"] == "played team/good:tag\n"


def test_each_call_has_a_name_of_its_own(docker, case):
    for _ in range(2):
        segment({"image": "team/good"}, case, "container")
    names = {words[words.index("--name") + 1] for words in docker()}
    assert len(names) == 2


def test_stricter_flags_are_options_and_recorded(docker, case):
    parameters = {
        "image": "team/good",
        "engine": "podman",
        "gpus": None,
        "network": False,
        "read_only_inputs": True,
        "shm_size": "8g",
        "memory": None,
    }
    _, details = segment(parameters, case, "container")
    (words,) = docker()
    assert words[:2] == ["run", "--name"]
    assert words[3:8] == ["--rm", "--network", "none", "--shm-size", "8g"]
    assert words[9].endswith(":/workspace/inputs:ro")
    assert details["unlike_the_challenge"] == [
        "network none",
        "read-only inputs",
        "shm-size",
        "no GPU",
    ]


def test_a_mask_counts_although_the_container_failed_as_in_the_challenge(docker, case):
    labels, details = segment({"image": "team/careless"}, case, "container")
    assert labels.any()
    assert details["exit_code"] == 3


def test_a_container_without_a_mask_says_how_it_ended(docker, case):
    error = failure({"image": "team/empty"}, case, "container")
    assert error.status == "oom"
    assert "exit code 137; it last printed: played team/empty" in str(error)


def test_a_container_that_hangs_is_removed(docker, case):
    error = failure({"image": "team/hangs", "timeout_s": 3}, case, "container")
    assert error.status == "timeout"
    run, removal = docker()
    assert removal == ["rm", "-f", run[run.index("--name") + 1]]


def test_what_it_was_trained_on_is_told_by_the_configuration(program):
    told = {"training_data": ["LiveCell"], "licence": "MIT"}
    for method, parameters in (("command", program(GOOD)), ("container", {"image": "team/good"})):
        (found,) = build(method, {**parameters, **told}).weights()
        assert found.record()["training_data"] == ["LiveCell"]
        assert found.licence == "MIT"


def test_the_image_is_known_by_its_own_id(docker):
    assert build("container", {"image": "team/good"}).resolved() == {"image_id": "sha256:0123"}
    with pytest.raises(UsageError, match=r"No such image.*`docker pull team/absent`"):
        build("container", {"image": "team/absent"}).resolved()


def test_an_engine_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="no 'apptainer' on PATH"):
        build("container", {"image": "x.sif", "engine": "apptainer"}).resolved()


def test_apptainer_is_told_the_same_in_its_own_words():
    container = build("container", {"image": "docker://team/good", "engine": "apptainer"})
    words = container.command("name", Path("/tmp/a/inputs"), Path("/tmp/a/outputs"))
    assert words == [
        *("apptainer", "exec", "--writable-tmpfs"),
        *(
            "--bind",
            "/tmp/a/inputs:/workspace/inputs",
            "--bind",
            "/tmp/a/outputs:/workspace/outputs",
        ),
        *("--nv", "--memory", "28g", "docker://team/good", "/bin/bash", "-c", "sh predict.sh"),
    ]


def _engine():
    for name in ("docker", "podman"):
        with_daemon = [name, "info"]
        try:
            if not subprocess.run(
                with_daemon, capture_output=True, check=False, timeout=20
            ).returncode:
                return name
        except (OSError, subprocess.SubprocessError):
            continue
        return name
    return ""


@pytest.mark.slow
def test_a_real_engine_gets_a_tiny_image_to_run(case, tmp_path):
    engine = _engine()
    if not engine:
        pytest.skip("needs docker or podman with a running engine, which is not here")
    image = os.environ.get("CELLHARNESS_TEST_IMAGE", "")
    if not image:
        pytest.skip("needs CELLHARNESS_TEST_IMAGE, an image of this machine with bash")
    script = "for f in inputs/*; do cp $f outputs/$(basename ${f%.*})_label.tiff; done"
    parameters = {
        "image": image,
        "engine": engine,
        "gpus": None,
        "script": f"cd /workspace; {script}",
    }
    labels, _ = segment(parameters, case, "container")
    assert np.array_equal(labels, read_image(case.image))
