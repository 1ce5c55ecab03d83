"""Compiled loops are kept on disk: beside the source, in the cache folder, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

LOOP = """
from cellharness.compiled import compiled

@compiled
def total(values):
    result = 0
    for value in values:
        result += value
    return result
"""

CALL = """
import json, sys
import numpy as np
sys.path.insert(0, {folder!r})
from loops import total
assert total(np.arange(4)) == 6
stats = total.stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""


def called(folder, **variables):
    """(loaded, compiled) loops of a new process."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | variables
    code = CALL.format(folder=str(folder))
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return tuple(json.loads(answer.stdout))


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "loops.py").write_text(LOOP)
    return folder


@pytest.fixture
def read_only(package, tmp_path):
    """Variables under which neither the package's folder nor the home folder takes a cache."""
    # Files in the places of folders stop even a superuser.
    (package / "__pycache__").write_text("")
    home = tmp_path / "home"
    home.write_text("")
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


@pytest.mark.slow
def test_a_second_process_loads_what_the_first_compiled(package):
    assert called(package) == (0, 1)
    assert called(package) == (1, 0)


@pytest.mark.slow
def test_a_read_only_installation_keeps_code_in_the_users_cache(package, tmp_path):
    (package / "__pycache__").write_text("")
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / "cache")}
    assert called(package, **home) == (0, 1)
    assert called(package, **home) == (1, 0)


@pytest.mark.slow
def test_without_a_home_folder_code_is_kept_where_the_variable_says(package, read_only, tmp_path):
    own = {"CELLHARNESS_CACHE": str(tmp_path / "own"), **read_only}
    assert called(package, **own) == (0, 1)
    assert called(package, **own) == (1, 0)


@pytest.mark.slow
def test_where_nothing_can_be_written_code_is_compiled_and_not_kept(package, read_only):
    nowhere = {"CELLHARNESS_CACHE": read_only["HOME"], **read_only}
    assert called(package, **nowhere) == (0, 1)
    assert called(package, **nowhere) == (0, 1)


@pytest.mark.slow
def test_a_library_keeps_its_own_code_and_no_other(tmp_path):
    for name in ("mine", "other"):
        (tmp_path / f"{name}.py").write_text(
            "from numba import njit\n\n"
            "@njit('int64(int64)', nogil=True)\ndef twice(value):\n    return 2 * value\n"
        )
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numba
from cellharness.compiled import package_keeps_code
before = numba.njit
with package_keeps_code("mine"):
    import mine, other
assert numba.njit is before
assert mine.twice(4) == other.twice(4) == 8
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    kept = [path.name for path in (tmp_path / "__pycache__").glob("*.nbi")]
    assert len(kept) == 1
    assert kept[0].startswith("mine.twice")


@pytest.mark.slow
def test_cellpose_is_imported_without_compiling_anything():
    pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")
    code = """
from cellharness_adapters.cellpose.library import dynamics
loops = [dynamics.steps2D, dynamics.steps3D, dynamics._extend_centers, dynamics.map_coordinates]
hits = [sum(loop.stats.cache_hits.values()) for loop in loops]
misses = [sum(loop.stats.cache_misses.values()) for loop in loops]
assert all(hits), hits
assert not any(misses), misses
"""
    # The first process may have to compile.
    importing = "import cellharness_adapters.cellpose.library"
    subprocess.run([sys.executable, "-c", importing], check=True)
    subprocess.run([sys.executable, "-c", code], check=True)
