from __future__ import annotations

import hashlib
import zipfile

import pytest

from cellharness.weights import (
    HostedWeights,
    WeightFileError,
    WeightsHashError,
    WeightSource,
    WeightsUnavailableError,
    ZippedWeights,
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    return tmp_path / "weights" / "cells"


def pack(folder, **members):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "cells.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/") + ".bin", content)
    return hashlib.sha256((folder / "cells.zip").read_bytes()).hexdigest()


def source(sha256=None):
    archive = HostedWeights(
        name="cells",
        base_url="https://example.org/models",
        file_names={"archive": "cells.zip"},
        folder_variable="",
        default_folder="",
        licence="MIT",
        training_data=("Here",),
        known_sha256={"archive": sha256} if sha256 else {},
    )
    return ZippedWeights(archive, {"network": "net.bin"})


def test_a_file_is_taken_out_of_a_verified_archive(cache):
    found = source(pack(cache, net="weights", other="x")).locate()
    assert found.files["network"].read_text() == "weights"
    assert found.sha256 == {"network": hashlib.sha256(b"weights").hexdigest()}
    assert found.source == "https://example.org/models/cells.zip"
    assert isinstance(source(), WeightSource)


def test_what_was_taken_out_and_changed_since_is_put_right(cache):
    known = source(pack(cache, folder__net="weights"))
    path = known.locate().files["network"]
    path.write_text("spoilt")
    assert known.locate().files["network"].read_text() == "weights"


def test_an_absent_archive_says_what_to_put_where(cache):
    assert source().locate() is None
    message = f"Put cells.zip \\(from https://example.org/models\\) into '{cache}'\\. *$"
    with pytest.raises(WeightsUnavailableError, match=message):
        source().fetch()


def test_an_archive_of_another_hash_or_changed_since_its_first_use_is_refused(cache):
    pack(cache, net="weights")
    with pytest.raises(WeightsHashError, match="fetch cells --force"):
        source("0" * 64).locate()
    source().locate()
    pack(cache, net="others")
    with pytest.raises(WeightsHashError, match="changed since its first use"):
        source().locate()


def test_what_is_no_archive_or_lacks_the_file_is_named(cache):
    with pytest.raises(WeightFileError, match=r"holds 0 files 'net.bin', not one; it holds a.bin"):
        source(pack(cache, a="1")).locate()
    with pytest.raises(WeightFileError, match=r"holds 2 files 'net.bin'"):
        source(pack(cache, a__net="1", b__net="2")).locate()
    (cache / "cells.zip").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(WeightFileError, match="no whole zip archive"):
        source(hashlib.sha256(b"PK\x03\x04 cut").hexdigest()).locate()
