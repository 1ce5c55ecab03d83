from __future__ import annotations

import hashlib
import http.server
import socket
import stat
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from harness import challenge
from harness.challenge import (
    Archive,
    ArchiveError,
    ChallengeError,
    DownloadError,
    PartCount,
    ResumingDownloader,
    download_challenge,
    extract_archive,
    import_challenge,
)
from harness.dataset import Manifest, hash_file
from harness.errors import UsageError

# A challenge in small: part folder -> names of images.
IMAGES = {
    "Training-labeled": ["cell_00001.png", "cell_00002.tif"],
    "Tuning": ["cell_00001.tiff"],
    "Testing/Public": ["OpenTest_001.png", "OpenTest_002.tif"],
    "Testing/Hidden": ["TestHidden_001.tif", "TestHidden_002.tif"],
}


def put(path: Path, value: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(b"only its bytes matter here" + bytes([value]))
    else:
        tifffile.imwrite(path, np.full((4, 4), value, np.uint8))


def make_tree(root: Path) -> Path:
    for part, names in IMAGES.items():
        for value, name in enumerate(names):
            put(root / part / "images" / name, value)
            if part != "Testing/Hidden":
                put(root / part / "labels" / f"{Path(name).stem}_label.tiff")
    for name in ("TestHidden_001", "TestHidden_002"):
        put(root / "Testing/Hidden/osilab_seg" / f"{name}_label.tiff")
    put(root / "Testing/Public/1st_osilab_seg/OpenTest_001_label.tiff")
    put(root / "Testing/Public/WSI/slide_1.tiff")
    put(root / "Testing/Public/WSI-labels/slide_1_label.tiff")
    put(root / "Testing/Public/osilab_seg_WSI/slide_1_label.tiff")
    return root


@pytest.fixture
def few(monkeypatch):
    """Let the small tree have the counts that are expected."""
    counts = dict(zip(challenge.PARTS, [2, 1, 2, 1, 2], strict=True))
    parts = {
        name: challenge.Part(part.split, part.experiment, counts[name], part.prefix)
        for name, part in challenge.PARTS.items()
    }
    monkeypatch.setattr(challenge, "PARTS", parts)


def row(result, name):
    case = result.manifest[name]
    root = result.manifest.root
    return (
        case.image.relative_to(root).as_posix(),
        case.label.relative_to(root).as_posix() if case.label else None,
        case.split,
        dict(case.extra)["winner_mask"],
    )


def test_whole_tree(tmp_path, few):
    root = make_tree(tmp_path / "data")
    steps = []
    result = import_challenge(root, root / "manifest.csv", progress=lambda *n: steps.append(n))
    assert result.problems == ()
    assert steps[-1] == (8, 8)
    assert [c.case for c in result.manifest.cases] == [
        "cell_00001", "cell_00002", "tuning_cell_00001", "OpenTest_001", "OpenTest_002",
        "slide_1", "TestHidden_001", "TestHidden_002",
    ]  # fmt: skip
    assert row(result, "tuning_cell_00001") == (
        "Tuning/images/cell_00001.tiff", "Tuning/labels/cell_00001_label.tiff", "tuning", "",
    )  # fmt: skip
    assert row(result, "OpenTest_001")[3] == (
        "Testing/Public/1st_osilab_seg/OpenTest_001_label.tiff"
    )
    assert row(result, "slide_1") == (
        "Testing/Public/WSI/slide_1.tiff",
        "Testing/Public/WSI-labels/slide_1_label.tiff",
        "test",
        "Testing/Public/osilab_seg_WSI/slide_1_label.tiff",
    )
    assert row(result, "TestHidden_002")[1:] == (
        None, "hidden", "Testing/Hidden/osilab_seg/TestHidden_002_label.tiff",
    )  # fmt: skip
    assert result.found["testing-public"] == PartCount(images=2, labels=2, winner_masks=1)
    case = result.manifest["cell_00002"]
    assert case.sha256 == hash_file(case.image)
    assert (case.modality, case.modality_source) == (None, "")
    assert case.licence == "CC BY-NC-ND 4.0"


def test_the_written_manifest_reads_back(tmp_path, few):
    root = make_tree(tmp_path / "data")
    made = import_challenge(root, tmp_path / "elsewhere" / "m.csv").manifest
    read = Manifest.read(tmp_path / "elsewhere" / "m.csv", root=root)
    assert read.cases == made.cases
    assert read.seen("cell_00001")
    assert not read.seen("OpenTest_001")


def test_nested_folders_and_litter_are_tolerated(tmp_path, few):
    flat = make_tree(tmp_path / "flat")
    for part in ("Training-labeled", "Tuning", "Testing"):
        (tmp_path / "nested" / part).mkdir(parents=True)
        (flat / part).rename(tmp_path / "nested" / part / part)
    hidden = tmp_path / "nested/Testing/Testing/Hidden"
    (hidden / "osilab_seg").rename(hidden / "tmp")
    (hidden / "osilab_seg").mkdir()
    (hidden / "tmp").rename(hidden / "osilab_seg" / "osilab_seg")
    (tmp_path / "nested/Tuning/Tuning/images/Thumbs.db").write_bytes(b"")
    put(tmp_path / "nested/__MACOSX/Tuning/images/cell_00001.tiff")
    result = import_challenge(tmp_path / "nested", tmp_path / "m.csv")
    assert result.problems == ()
    assert len(result.manifest) == 8
    assert row(result, "TestHidden_001")[3].endswith(
        "osilab_seg/osilab_seg/TestHidden_001_label.tiff"
    )


def test_a_single_part_may_be_given(tmp_path, few):
    root = make_tree(tmp_path / "data")
    result = import_challenge(root / "Tuning", tmp_path / "m.csv", {"tuning": "test"})
    assert [(c.case, c.split) for c in result.manifest.cases] == [("tuning_cell_00001", "test")]
    assert result.problems == ()


def test_slides_in_the_folder_of_the_others(tmp_path, few):
    root = make_tree(tmp_path / "data")
    public = root / "Testing/Public"
    (public / "WSI-labels/slide_1_label.tiff").rename(public / "labels/slide_1_label.tiff")
    result = import_challenge(root, tmp_path / "m.csv")
    assert result.problems == ()
    assert row(result, "slide_1")[1] == "Testing/Public/labels/slide_1_label.tiff"


def test_missing_partners_are_recorded(tmp_path, few):
    root = make_tree(tmp_path / "data")
    (root / "Training-labeled/labels/cell_00002_label.tiff").unlink()
    (root / "Tuning/images/cell_00001.tiff").unlink()
    (root / "Tuning/images/notes.txt").write_text("?")
    put(root / "Testing/Public/odd/x.tif")
    result = import_challenge(root, tmp_path / "m.csv")
    assert row(result, "cell_00002")[1] is None
    text = "\n".join(result.problems)
    assert "training: cell_00002.tif has no label; its row has an empty one" in text
    assert "tuning: label cell_00001_label.tiff has no image" in text
    assert "tuning: 0 images, expected 1" in text
    assert "Tuning/images/*.txt" in text
    assert "Testing/Public/odd/*.tif" in text
    assert len(result.problems) == 5


def test_dotted_names_do_not_collide(tmp_path, few):
    root = make_tree(tmp_path / "data")
    for name in ("cell.v1", "cell.v2"):
        put(root / f"Tuning/images/{name}.tif")
        put(root / f"Tuning/labels/{name}_label.tiff")
    result = import_challenge(root, tmp_path / "m.csv", {"tuning": "tuning"})
    assert row(result, "tuning_cell.v1")[1] == "Tuning/labels/cell.v1_label.tiff"
    assert row(result, "tuning_cell.v2")[1] == "Tuning/labels/cell.v2_label.tiff"


def test_ambiguous_partners_are_left_empty_and_named(tmp_path, few):
    root = make_tree(tmp_path / "data")
    put(root / "Training-labeled/images/cell_00001.tif")
    put(root / "Training-labeled/labels/cell_00002_label.tif")
    result = import_challenge(root, tmp_path / "m.csv", {"training": "train"})
    assert row(result, "cell_00001-png")[1] is None
    assert row(result, "cell_00001-tif")[1] is None
    assert row(result, "cell_00002")[1] is None
    text = "\n".join(result.problems)
    assert "label of cell_00002.tif is ambiguous" in text
    assert "cell_00001.tif became case cell_00001-tif" in text
    assert "has no image" not in text


def test_names_a_manifest_cannot_hold_are_altered(tmp_path, few):
    root = make_tree(tmp_path / "data")
    put(root / "Tuning/images/a b.tif")
    put(root / "Tuning/images/a_b.tif")
    for stem in ("a b", "a_b"):
        put(root / f"Tuning/labels/{stem}_label.tiff")
    result = import_challenge(root, tmp_path / "m.csv", {"tuning": "tuning"})
    assert row(result, "tuning_a_b")[1] == "Tuning/labels/a b_label.tiff"
    assert row(result, "tuning_a_b-2")[1] == "Tuning/labels/a_b_label.tiff"
    assert "a b.tif became case tuning_a_b" in "\n".join(result.problems)


def test_wrong_folders_and_parts(tmp_path):
    (tmp_path / "holidays").mkdir()
    with pytest.raises(ChallengeError, match=r"Training-labeled/images.*the folder holds holidays"):
        import_challenge(tmp_path, tmp_path / "m.csv")
    with pytest.raises(ChallengeError, match="no such folder"):
        import_challenge(tmp_path / "absent", tmp_path / "m.csv")
    with pytest.raises(UsageError, match=r"'tunning'. Did you mean 'tuning'"):
        import_challenge(tmp_path, tmp_path / "m.csv", {"tunning": "t"})


# Archives.


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
    extract_archive(path, out)


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
    monkeypatch.setattr(challenge.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArchiveError, match=r"100 bytes.*only 99 free"):
        extract_archive(path, tmp_path / "out")


# Downloads, from a server on this machine.


class Server(http.server.ThreadingHTTPServer):
    """Serves one content; can cut connections, ignore ranges, and fail."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.cut_after: list[int] = []
        self.ranges = True
        self.fail: list[int] = []
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/Tuning.zip?download=1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, content = self.server, self.server.content
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.fail:
            self.send_error(server.fail.pop(0))
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if server.cut_after:
            body = body[: server.cut_after.pop(0)]
            self.wfile.write(body)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


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
    for words in (challenge.RECORD_URL, "a" * 64, str(out / "Tuning.zip"), url):
        assert words in str(error.value)


def test_unknown_archive(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'Testing'"):
        download_challenge(tmp_path, ["Test1ng"])


def test_addresses_of_the_record():
    archive = challenge.ARCHIVES["Testing"]
    assert archive.url == "https://zenodo.org/records/10719375/files/Testing.zip?download=1"
    assert all(len(a.sha256) == 64 for a in challenge.ARCHIVES.values())
