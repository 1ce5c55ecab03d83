"""What quick commands import: nothing that takes long and that they do not use."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

#: Slow to import; none of it is needed to answer a question.
HEAVY = {
    "cellpose", "cv2", "imageio", "matplotlib", "numba", "numpy", "pandas", "scipy", "skimage",
    "torch",
}  # fmt: skip

PROBE = """
import json, sys
{code}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""

COMMAND = """
from cellharness.cli import main
try:
    main({args!r})
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def imported(code):
    """Top-level packages that a new process holds after some code."""
    # Without the test methods: a method of somebody else may import what it likes.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(
        [sys.executable, "-c", PROBE.format(code=code)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout.splitlines()[-1]))


def imported_by(*args):
    return imported(COMMAND.format(args=list(args)))


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("predict", "--help"),
        ("compare", "--help"),
        ("data", "--help"),
    ],
    ids=" ".join,
)
def test_help_and_version_import_next_to_nothing(args):
    found = imported_by(*args)
    assert not found & (HEAVY | {"pooch", "yaml", "cellharness_adapters"})


@pytest.mark.parametrize(
    "args",
    [("methods",), ("methods", "otsu-watershed"), ("methods", "cellpose"), ("weights", "list")],
    ids=" ".join,
)
def test_lists_describe_methods_and_weights_without_importing_what_segments(args):
    assert not imported_by(*args) & HEAVY


def test_the_package_itself_imports_nothing_and_names_what_it_offers():
    code = "import cellharness; names = dir(cellharness); assert 'score_pair' in names"
    assert not imported(code) & (HEAVY | {"pydantic", "typer", "rich", "yaml"})


@pytest.mark.parametrize(
    ("name", "not_needed"),
    [
        ("score_pair", {"torch", "matplotlib"}),
        ("score_folders", {"torch", "matplotlib"}),
        ("rank", {"torch", "matplotlib", "numba"}),
        ("read_image", {"torch", "matplotlib", "numba", "pandas"}),
        ("run", HEAVY),
        ("predict", HEAVY),
        ("compare", HEAVY),
    ],
)
def test_a_function_imports_what_it_needs_and_no_more(name, not_needed):
    assert not imported(f"import cellharness; cellharness.{name}") & not_needed


def test_predicting_classically_needs_neither_torch_nor_tables_nor_figures(tmp_path):
    code = f"""
import numpy as np
from pathlib import Path
images = Path({str(tmp_path)!r}) / "images"
images.mkdir(exist_ok=True)
np.save(images / "one.npy", np.pad(np.full((9, 9), 200, np.uint8), 5))
arguments = ["--method", "otsu-watershed", "--images", str(images), "--out", str(images / "masks")]
from cellharness.cli import main
try:
    main(["predict", *arguments])
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    found = imported(code)
    assert not found & {"torch", "cellpose", "numba", "pandas", "matplotlib", "scipy"}
    assert (tmp_path / "images" / "masks" / "one_label.tiff").is_file()


def test_the_process_of_a_classical_method_imports_neither_torch_nor_tables():
    code = """
from cellharness.running.worker import MethodSpec, start
start(MethodSpec("otsu-watershed", {}, None, 0))
"""
    assert not imported(code) & {"torch", "cellpose", "numba", "pandas", "matplotlib", "typer"}
