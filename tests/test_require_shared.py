"""What needs ../shared skips without it, unless it is required: then it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_fixture(shared):
    pass

def test_itself():
    pytest.skip("needs ../shared/golden/x, which is not here")

def test_other():
    pytest.skip("needs a GPU")

@pytest.mark.xfail(reason="not ../shared either")
def test_known():
    raise AssertionError
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "code", "summary"),
    [
        ("", 0, "3 skipped, 1 xfailed"),
        ("0", 0, "3 skipped, 1 xfailed"),
        ("1", 1, "1 failed, 1 skipped, 1 xfailed, 1 error"),
    ],
)
def test_skips_for_want_of_shared_data_can_be_made_failures(tmp_path, value, code, summary):
    folder = tmp_path / "project" / "tests"
    folder.mkdir(parents=True)
    here = Path(__file__).parent
    for name in ("conftest.py", "drawn_case.py"):
        shutil.copy(here / name, folder)
    shutil.copytree(here / "plugin", folder / "plugin")
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "CELLHARNESS_REQUIRE_SHARED": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stdout
    assert summary in result.stdout
