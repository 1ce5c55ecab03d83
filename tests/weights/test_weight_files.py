"""Weight files of every kind that people bring: read, or told apart by name with the remedy."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch, of the extra 'cellpose'")

from cellharness.weights import (  # noqa: E402
    Network,
    WeightFileError,
    WeightsHashError,
    WeightsUnavailableError,
    find_weights,
    local_weights,
    read_weights,
)

MINE = Network(
    "my network",
    lambda shapes: "conv.weight" in shapes,
    "Use method mine.",
    positive=("scale",),
)
OTHER = Network("another network", lambda shapes: "fc.weight" in shapes, "Use method other.")


@pytest.fixture
def state():
    torch.manual_seed(0)
    module = torch.nn.Sequential()
    module.add_module("conv", torch.nn.Conv2d(1, 2, 3))
    module.add_module("norm", torch.nn.BatchNorm2d(2))
    return module.state_dict()


@pytest.fixture
def saved(tmp_path):
    def save(content, name="weights.pt", **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return save


def same(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[k], state[k]) for k in state)


def prefixed(state, prefix):
    return {f"{prefix}{name}": value for name, value in state.items()}


WRAPPED = {
    "plain": lambda state: state,
    "ordered": lambda state: __import__("collections").OrderedDict(state),
    "state_dict": lambda state: {"state_dict": state, "epoch": 3, "best": 0.5},
    "model": lambda state: {"model": state, "meta": {"scale": 1.0}},
    "model_state_dict": lambda state: {"epoch": 3, "model_state_dict": state, "optimizer": {}},
    "nested": lambda state: {"model": {"state_dict": state}},
    "DataParallel": lambda state: prefixed(state, "module."),
    "compiled": lambda state: prefixed(state, "_orig_mod."),
    "compiled in parts": lambda state: {k.replace(".", "._orig_mod."): v for k, v in state.items()},
    "compiled, parallel": lambda state: prefixed(state, "module._orig_mod."),
    "parallel, compiled": lambda state: prefixed(state, "_orig_mod.module."),
    "Lightning": lambda state: {
        "state_dict": {**prefixed(state, "model."), "loss.weight": torch.ones(2)},
        "pytorch-lightning_version": "2.4",
    },
    "averaged": lambda state: {**prefixed(state, "module."), "n_averaged": torch.tensor(4)},
    "parameters": lambda state: {
        k: torch.nn.Parameter(v, v.is_floating_point()) for k, v in state.items()
    },
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("new_format", [True, False])
def test_what_is_around_the_weights_is_taken_off(state, saved, wrap, new_format):
    path = saved(wrap(state), _use_new_zipfile_serialization=new_format)
    assert same(read_weights(path, MINE, (OTHER,)).state, state)


def test_what_lies_beside_the_weights_is_kept(state, saved):
    found = read_weights(saved({"model": state, "meta": {"scale": 0.5}, "epoch": 7}), MINE)
    assert found.beside == {"meta": {"scale": 0.5}, "epoch": 7}


def zipped(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return stream.getvalue()


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 26563614\n"
# What a file is, and what its message names.
NO_WEIGHTS = {
    "empty": (b"", r"is empty .*copy or download it again"),
    "zeros": (bytes(3000), r"is empty .*all zero"),
    "page": (
        b"\n<!DOCTYPE html><html><head><title>Sign in</title>",
        r"a web page \(HTML\) \('Sign in'\).*download the file itself",
    ),
    "page with BOM": (b"\xef\xbb\xbf<html lang='de'>", "a web page"),
    "page after XML": (b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC>", "a web page"),
    "page in UTF-16": ("<html><body>".encode("utf-16"), "a web page"),
    "pointer": (LFS.encode(), r"a Git LFS pointer.*26563614 bytes.*git lfs pull"),
    "reply": (json.dumps({"message": "Not Found"}).encode(), "a text file that begins with"),
    "note": (b"see README", "a text file that begins with 'see README'"),
    "Keras": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file, as Keras.*convert"),
    "gzip": (gzip.compress(b"weights"), "a gzip archive; unpack it"),
    "zip": (zipped(a_pt=b"1", README_md=b"2"), r"a zip archive that holds a.pt, README.md; unpack"),
    "script": (zipped(constants_pkl=b"1", data_pkl=b"2"), "a TorchScript program"),
    "safetensors": (b"\x40" + bytes(7) + b'{"conv.weight":', "a safetensors file; .*torch.save"),
    "pickle": (pickle.dumps({"a": 1}), "a Python pickle that torch did not write"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(9), "a PNG image"),
    "MXNet": (b"\x12\x01" + bytes(30), "an MXNet array file"),
    "noise": (bytes(range(200, 256)), "is no file of torch weights: it begins with"),
}


@pytest.mark.parametrize(("content", "message"), NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_what_is_no_weights_is_told_by_name(tmp_path, content, message):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(WeightFileError, match=message) as caught:
        read_weights(path, MINE)
    assert str(path) in str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_an_array_file_is_told_by_name(tmp_path):
    np.save(tmp_path / "size.npy", np.zeros(3))
    with pytest.raises(WeightFileError, match="a NumPy array file"):
        read_weights(tmp_path / "size.npy", MINE)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_cut_file_is_told_by_name(state, saved, new_format, share):
    # Wide enough that most of the file is values, as in real ones.
    wide = {**state, "dense.weight": torch.randn(300, 300)}
    path = saved(wide, _use_new_zipfile_serialization=new_format)
    data = path.read_bytes()
    path.write_bytes(data[: max(40, int(share * len(data)))])
    with pytest.raises(WeightFileError, match=r"cut short or damaged \(\d+ bytes\)") as caught:
        read_weights(path, MINE)
    assert "weights_only" not in str(caught.value)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (eval, ("__import__('pathlib').Path('ran').touch()",))


PICKLED = {
    "module": lambda _: torch.nn.Conv2d(1, 1, 1),
    "module beside": lambda state: {"state_dict": state, "model": torch.nn.ReLU()},
    "options": lambda state: {"state_dict": state, "args": argparse.Namespace(lr=1)},
    "code": lambda state: {"state_dict": state, "x": Evil()},
}


@pytest.mark.parametrize("make", PICKLED.values(), ids=PICKLED)
@pytest.mark.parametrize("new_format", [True, False])
def test_pickled_objects_are_named_and_never_run(
    state, saved, tmp_path, monkeypatch, make, new_format
):
    monkeypatch.chdir(tmp_path)
    path = saved(make(state), _use_new_zipfile_serialization=new_format)
    with pytest.raises(
        WeightFileError, match=r"pickled Python object \(\S+\).*state_dict\(\)"
    ) as e:
        read_weights(path, MINE)
    assert "weights_only" not in str(e.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, torch.zeros(3), {"a": {"b": 1}}])
def test_torch_files_without_a_state_dict_say_what_they_hold(saved, content):
    with pytest.raises(WeightFileError, match=r"holds no state dict .* but (no dict|a dict with)"):
        read_weights(saved(content), MINE)


def test_another_network_that_is_known_is_named(saved):
    path = saved({"module.fc.weight": torch.zeros(2)})
    with pytest.raises(
        WeightFileError, match=r"holds another network, and not my.*Use method other"
    ):
        read_weights(path, MINE, (OTHER,))


@pytest.mark.parametrize("name", ["conv.weight", "conv.bias", "norm.running_mean", "norm.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(state, saved, name, value):
    state[name].view(-1)[0] = value
    message = rf"weights.pt'.*'{name}' holds NaN or infinity \(1 of {state[name].numel()} values\)"
    with pytest.raises(WeightFileError, match=message):
        read_weights(saved({"state_dict": prefixed(state, "module.")}), MINE)


def test_a_negative_variance_is_refused(state, saved):
    state["norm.running_var"][1] = -1
    with pytest.raises(WeightFileError, match=r"'norm.running_var' holds a negative variance"):
        read_weights(saved(state), MINE)


@pytest.mark.parametrize("value", [[0.0], [-3.0], []])
def test_what_must_be_positive_is_checked(state, saved, value):
    with pytest.raises(WeightFileError, match=r"'scale' is \[.*must be above 0"):
        read_weights(saved({**state, "scale": torch.tensor(value)}), MINE)


def test_a_file_is_found_in_home_in_a_folder_and_in_a_librarys_own(tmp_path, monkeypatch, saved):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = saved({"a": torch.zeros(1)}, "net")
    assert find_weights("~/net") == path
    (tmp_path / "notes.txt").write_text("PK")
    assert find_weights(tmp_path) == path
    assert find_weights("net", [tmp_path / "no", tmp_path]) == path
    assert local_weights("net", folders=[tmp_path]).files == {"network": path}
    below = tmp_path / "training" / "models"
    below.mkdir(parents=True)
    path.rename(below / "net")
    assert find_weights(tmp_path / "training") == below / "net"


def test_a_folder_with_none_or_several_says_so(tmp_path, saved):
    with pytest.raises(WeightsUnavailableError, match="holds no file of torch weights"):
        find_weights(tmp_path)
    saved({"a": torch.zeros(1)}, "one")
    saved({"a": torch.zeros(1)}, "two")
    with pytest.raises(WeightsUnavailableError, match=r"2 weight files; name one: one, two"):
        find_weights(tmp_path)


def test_the_message_says_where_was_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsUnavailableError) as caught:
        local_weights("net.pt", folders=[tmp_path / "models"])
    text = str(caught.value)
    assert f"'{tmp_path / 'net.pt'}'" in text
    assert f"'{tmp_path / 'models' / 'net.pt'}'" in text
    with pytest.raises(WeightsUnavailableError, match="no weight file ''"):
        local_weights("")


def test_what_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(WeightFileError, match="cannot read the weight file"):
        read_weights(tmp_path, MINE)


def test_a_file_is_compared_with_the_sha256_that_is_asked_for(saved, state):
    path = saved(state)
    found = local_weights(path).sha256["network"]
    for digits in (found, found[:16], found[:8].upper()):
        assert local_weights(path, sha256=digits).sha256 == {"network": found}
    with pytest.raises(WeightsHashError, match=f"has SHA256 {found}, and 0123abcd was asked for"):
        local_weights(path, sha256="0123abcd")
