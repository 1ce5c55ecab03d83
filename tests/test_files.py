from __future__ import annotations

import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from cellharness.data.images import read_label, write_label
from cellharness.files import remove_leftovers, whole_file, write_atomic


def test_a_file_appears_whole_and_replaces_another(tmp_path):
    path = tmp_path / "a.json"
    write_atomic(path, b"one")
    with whole_file(path) as partial:
        partial.write_bytes(b"tw")
        assert path.read_bytes() == b"one"
        partial.write_bytes(b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_atomic(path, b"one")
    with pytest.raises(RuntimeError, match="midway"), whole_file(path) as partial:  # noqa: PT012
        partial.write_bytes(b"tw")
        raise RuntimeError("midway")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.json": b"one"}


def test_the_longest_names_can_be_written(tmp_path):
    path = tmp_path / f"{'n' * 249}.tiff"
    write_label(path, np.ones((2, 2), np.uint8))
    assert read_label(path).tolist() == [[1, 1], [1, 1]]


def test_partial_files_of_killed_writers_are_known_and_removed(tmp_path):
    """A real writer, killed with -9 in the middle of a real label image."""
    code = (
        "import os, signal, sys, tifffile\n"
        "import numpy as np\n"
        "from cellharness.data.images import write_label\n"
        "def half(path, *args, **kwargs):\n"
        "    path.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "tifffile.imwrite = half\n"
        "write_label(sys.argv[1], np.ones((3, 3), np.uint8))\n"
    )
    killed = tmp_path / "killed_label.tiff"
    assert subprocess.run([sys.executable, "-c", code, str(killed)], check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"half"
    for name in (".hidden.tmp", ".mine.txt", "a.1-1.tmp"):
        (tmp_path / name).touch()
    with whole_file(tmp_path / "live.json") as partial:
        partial.write_bytes(b"being written")
        assert remove_leftovers(tmp_path) == [left]
        assert partial.is_file()
    assert remove_leftovers(tmp_path / "absent") == []


def test_a_number_that_another_process_has_by_now_does_not_keep_a_file(tmp_path):
    left = tmp_path / f".a.tiff.{os.getpid()}-1.tmp"
    left.touch()
    assert remove_leftovers(tmp_path) == []
    os.utime(left, (0, 0))
    assert remove_leftovers(tmp_path) == [left]
