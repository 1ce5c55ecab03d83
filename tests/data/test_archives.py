from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from cellharness.data import archives
from cellharness.data.archives import ArchiveError, extract_archive


def zipped(path: Path, *members: tuple[str, bytes], **changes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            for key, value in changes.items():
                setattr(info, key, value)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def test_archive_unpacks(tmp_path):
    path = zipped(tmp_path / "a.zip", ("Tuning/images/", b""), ("Tuning/images/a.tif", b"a" * 999))
    out = tmp_path / "out"
    assert extract_archive(path, out) == [(out / "Tuning/images/a.tif").resolve()]
    assert (out / "Tuning/images/a.tif").read_bytes() == b"a" * 999
    assert [p.name for p in (out / "Tuning/images").iterdir()] == ["a.tif"]
    written = (out / "Tuning/images/a.tif").stat()
    extract_archive(path, out)
    extract_archive(path, out, overwrite=True)
    again = (out / "Tuning/images/a.tif").stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "C:/evil", "\\evil", "a\\..\\..\\evil", "..\\evil"]
)
def test_archive_paths_out_are_refused_before_anything_is_written(tmp_path, name):
    path = zipped(tmp_path / "a.zip", ("fine.txt", b"fine"), (name, b"evil"))
    with pytest.raises(ArchiveError, match=r"(absolute|climbs out).*nothing was unpacked"):
        extract_archive(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "out"]


def test_archive_links_are_refused(tmp_path):
    link = (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "a.zip", ("link", b"/etc"), external_attr=link, create_system=3)
    with pytest.raises(ArchiveError, match="'link' is a link"):
        extract_archive(path, tmp_path / "out")


def test_archive_does_not_write_through_a_link_that_is_there(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "images").symlink_to(tmp_path / "outside")
    path = zipped(tmp_path / "a.zip", ("images/a.tif", b"a"))
    with pytest.raises(ArchiveError, match="leads out"):
        extract_archive(path, tmp_path / "out")
    assert not list((tmp_path / "outside").iterdir())


def test_broken_archives(tmp_path):
    path = zipped(tmp_path / "a.zip", ("a.tif", bytes(range(256)) * 40))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArchiveError, match="not a sound zip"):
        extract_archive(path, tmp_path / "out")
    flipped = bytearray(content)
    flipped[60] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(ArchiveError, match="not a sound zip"):
        extract_archive(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archive_with_a_member_twice(tmp_path):
    path = zipped(tmp_path / "a.zip", ("a.tif", b"1"), ("a.tif", b"2"))
    with pytest.raises(ArchiveError, match="occurs twice"):
        extract_archive(path, tmp_path / "out")


def test_archive_larger_than_the_disk(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", ("a.tif", b"1" * 100))
    usage = type("Usage", (), {"free": 99})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArchiveError, match=r"100 bytes.*only 99 free"):
        extract_archive(path, tmp_path / "out")


# Downloads, from a server on this machine.
