from __future__ import annotations

import hashlib
import json
import socket
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cellharness.cli import app
from cellharness.data.challenge import RECORD_URL
from cellharness.data.challenge_download import (
    ARCHIVES,
    Archive,
    DownloadError,
    download_challenge,
    read_archives,
)
from cellharness.downloading import ResumingDownloader
from cellharness.errors import UsageError
from download_server import Server


def zipped(path: Path, *members: tuple[str, bytes]) -> Path:
    """Write a small archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as content:
        for name, data in members:
            content.writestr(name, data)
    return path


@pytest.fixture
def server(tmp_path):
    path = zipped(
        tmp_path / "made.zip",
        ("Tuning/images/a.tif", np.random.default_rng(0).bytes(300_000)),
    )
    server = Server(path.read_bytes())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(server: Server, out: Path, sha256: str | None = None, **options) -> Path:
    digest = sha256 or hashlib.sha256(server.content).hexdigest()
    archives = {"Tuning": Archive("Tuning.zip", server.url, digest)}
    options.setdefault("pause", 0.0)
    downloader = ResumingDownloader(out / "Tuning.zip.part", **options)
    (path,) = download_challenge(out, ["Tuning"], archives=archives, downloader=downloader)
    return path


def test_download_checks_and_unpacks(tmp_path, server):
    seen = []
    path = fetch(server, tmp_path / "out", progress=lambda *n: seen.append(n))
    assert path.read_bytes() == server.content
    assert (tmp_path / "out/Tuning/images/a.tif").stat().st_size == 300_000
    assert seen[-1] == (len(server.content), len(server.content))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["Tuning", "Tuning.zip"]


def test_download_goes_on_after_cut_connections(tmp_path, server):
    server.cut_after = [100_000, 50_000]
    path = fetch(server, tmp_path / "out")
    assert path.read_bytes() == server.content
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_download_goes_on_in_a_later_call(tmp_path, server):
    server.cut_after = [120_000]
    server.fail = []
    with pytest.raises(DownloadError) as error:
        fetch(server, tmp_path / "out", attempts=0)
    assert "120000 bytes are kept" in str(error.value)
    assert not (tmp_path / "out/Tuning.zip").exists()
    path = fetch(server, tmp_path / "out")
    assert path.read_bytes() == server.content
    assert server.asked == [None, "bytes=120000-"]


def test_download_from_a_server_without_ranges_starts_again(tmp_path, server):
    server.cut_after = [100_000]
    server.ranges = False
    assert fetch(server, tmp_path / "out").read_bytes() == server.content


@pytest.mark.parametrize("surplus", [b"", b"more"])
def test_partial_file_that_is_whole_or_too_long(tmp_path, server, surplus):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/Tuning.zip.part").write_bytes(server.content + surplus)
    assert fetch(server, tmp_path / "out").read_bytes() == server.content


def test_download_tries_again_when_the_server_is_busy(tmp_path, server):
    server.fail = [503, 429]
    assert fetch(server, tmp_path / "out").read_bytes() == server.content


def test_download_of_an_absent_file_is_not_repeated(tmp_path, server):
    server.fail = [404]
    with pytest.raises(DownloadError, match="404"):
        fetch(server, tmp_path / "out")
    assert len(server.asked) == 1


def test_download_with_another_hash_is_refused_and_removed(tmp_path, server):
    with pytest.raises(DownloadError, match=r"f{64}"):
        fetch(server, tmp_path / "out", sha256="f" * 64)
    assert not list((tmp_path / "out").iterdir())


def test_a_file_put_there_by_hand_is_taken_without_network(tmp_path, server):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/Tuning.zip").write_bytes(server.content)
    fetch(server, tmp_path / "out")
    assert server.asked == []
    assert (tmp_path / "out/Tuning/images/a.tif").exists()


def test_offline_error_says_what_to_do(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/Tuning.zip"
    out = tmp_path / "out"
    downloader = ResumingDownloader(out / "Tuning.zip.part", attempts=2, pause=0.0)
    archives = {"Tuning": Archive("Tuning.zip", url, "a" * 64)}
    with pytest.raises(DownloadError) as error:
        download_challenge(out, archives=archives, parts=["Tuning"], downloader=downloader)
    for words in (RECORD_URL, "a" * 64, str(out / "Tuning.zip"), url):
        assert words in str(error.value)


def test_nothing_is_asked_for_where_the_network_is_forbidden(tmp_path, server, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    with pytest.raises(DownloadError, match="CELLHARNESS_OFFLINE forbids the network"):
        fetch(server, tmp_path / "out")
    assert server.asked == []


def test_unknown_archive(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'Testing'"):
        download_challenge(tmp_path, ["Test1ng"])


def test_addresses_of_the_record():
    archive = ARCHIVES["Testing"]
    assert archive.url == "https://zenodo.org/records/10719375/files/Testing.zip?download=1"
    assert all(len(a.sha256) == 64 for a in ARCHIVES.values())


def test_archives_may_be_elsewhere(tmp_path, server):
    digest = hashlib.sha256(server.content).hexdigest()
    mirror = tmp_path / "mirror.json"
    mirror.write_text(json.dumps({"Tuning": {"url": server.url, "sha256": digest}}))
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["data", "download", "--out", str(out), "--archives", str(mirror)]
    )
    assert result.exit_code == 0, result.output
    assert (out / "Tuning.zip").read_bytes() == server.content
    assert (out / "Tuning/images/a.tif").stat().st_size == 300_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", r"cannot be read .*write it as"),
        ("{}", "names no archive; write it as"),
        ('{"Tunning": {}}', "Tuning"),
        ('{"Tuning": {"sha256": "' + "0" * 64 + '"}}', "url of Tuning is None; write it as"),
        ('{"Tuning": {"url": "ftp://a/b", "sha256": "' + "0" * 64 + '"}}', "is 'ftp://a/b'"),
        ('{"Tuning": {"url": "http://a/b", "sha256": "12"}}', "sha256 of Tuning is '12'"),
    ],
)
def test_a_file_of_archives_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "mirror.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_archives(path)
