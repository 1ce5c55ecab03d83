from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from filelock import FileLock

from cellharness import own_files
from cellharness.data.images import read_label, write_label
from cellharness.errors import UsageError
from cellharness.files import hash_file, remove_leftovers, whole_file, write_atomic
from cellharness.own_files import LIST_LOCK, OwnFiles, draft_of, replace_folder


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


class SlowReader(OwnFiles):
    """Leaves others time between reading the list and writing it."""

    def _written(self):
        found = super()._written()
        time.sleep(0.1)
        return found


def test_those_who_list_files_of_one_folder_at_the_same_time_lose_none(tmp_path):
    names = [f"{number}.csv" for number in range(4)]

    def work(name):
        (tmp_path / name).write_text(name)
        SlowReader(tmp_path).add([name])

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(work, names))
    assert OwnFiles(tmp_path)._written() == {name: hash_file(tmp_path / name) for name in names}
    # What is ours by the list is in nobody's way, and neither are the books themselves.
    OwnFiles(tmp_path).refuse_foreign(overwrite=False)


def test_a_list_that_somebody_does_not_let_go_of_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(own_files, "_PATIENCE_S", 0.1)
    (tmp_path / "a.csv").write_text("a")
    busy = r"another command is writing '.*\.cellharness\.sha256'; wait for it"
    with FileLock(tmp_path / LIST_LOCK), pytest.raises(UsageError, match=busy):
        OwnFiles(tmp_path).add(["a.csv"])


def test_a_folder_that_is_replaced_holds_no_lock(tmp_path):
    target = tmp_path / "report"
    for text in ("old", "new"):
        draft = draft_of(target)
        (draft / "index.html").write_text(text)
        replace_folder(draft, target)
    assert {path.name for path in target.iterdir()} == {"index.html", ".cellharness.sha256"}
    assert (target / "index.html").read_text() == "new"
    OwnFiles(target).refuse_foreign(overwrite=False)
