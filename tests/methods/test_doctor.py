"""The doctor finds what is wrong, and the command that it names mends it."""

from __future__ import annotations

import hashlib
import shlex
import zipfile
from importlib.metadata import distribution

import pytest

from cellharness.cli import main
from cellharness.installation import install_command
from cellharness.methods.doctor import examine

PACKAGE = """
    from cellharness.methods.base import BaseSegmenter, MethodInfo
    from cellharness.weights import WheelWeights

    class Needy(BaseSegmenter):
        info = MethodInfo(
            summary="Needs a package.", licence="MIT", extra="{extra}",
            requires=("numpy>=1", "no-such-package>=2,<3"),
        )

        def segment(self, image):
            return image

    OWN = WheelWeights(
        name="own", requirement="own==1.0", wheel="own-1.0-py3-none-any.whl",
        wheel_sha256="{wheel}", members={{"network": ("own/net", "{member}")}}, licence="MIT",
    )
"""


@pytest.fixture
def weights(tmp_path, monkeypatch, installed):
    """Install a method and weights of its own; give the folder of weights."""
    monkeypatch.setenv("CELLHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CELLHARNESS_OFFLINE", "1")
    folder = tmp_path / "cache" / "weights"
    folder.mkdir(parents=True)
    wheel = folder / "own-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("own/net", b"network")
    source = PACKAGE.format(
        extra="no-such-extra",
        wheel=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member=hashlib.sha256(b"network").hexdigest(),
    )
    points = {
        "cellharness.methods": {"needy": "Needy", "broken": "Nothing"},
        "cellharness.weights": {"own": "OWN", "lost": "Nowhere"},
    }
    installed(source, points)
    return folder


def finding(subject):
    (found,) = [each for each in examine() if each.subject == subject]
    return found


def follow(remedy):
    """Run a remedy as a user would copy it; give the exit code."""
    command, *args = shlex.split(remedy)
    assert command == "cellharness"
    try:
        main(args)
    except SystemExit as stopped:
        return stopped.code or 0
    return 0


def test_weights_that_are_absent_changed_and_mended(weights):
    absent = finding("weights own")
    assert (absent.ok, absent.state) == (None, "not on this machine")
    assert follow(absent.remedy) == 0
    assert finding("weights own").ok
    (weights / "own" / "net").write_bytes(b"tampered")
    changed = finding("weights own")
    assert changed.ok is False
    assert "is not the registered file" in changed.state
    # The same without the word that allows it to replace a file does not help.
    assert follow(changed.remedy.replace(" --force", "")) == 2
    assert finding("weights own").ok is False
    assert follow(changed.remedy) == 0
    assert (weights / "own" / "net").read_bytes() == b"network"
    assert finding("weights own").ok


def test_what_a_method_lacks_is_named_as_it_can_be_installed(weights):
    needy = finding("method needy")
    assert needy.ok is False
    assert needy.state == "needs no-such-package>=2,<3"
    assert needy.remedy == "pip install 'no-such-package>=2,<3'"


def test_what_cannot_be_imported_is_a_finding_and_the_others_follow(weights):
    assert "broken" in finding("method broken").state
    assert finding("method broken").ok is False
    assert finding("weights lost").ok is False
    assert finding("method otsu-watershed").ok


def test_the_command_line_says_it_and_leaves_with_one(weights, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["doctor"])
    assert stopped.value.code == 1
    printed = capsys.readouterr().out
    assert "-> pip install 'no-such-package>=2,<3'" in printed
    assert "-> cellharness weights fetch own\n" in printed


def test_only_extras_that_this_copy_has_are_named(monkeypatch):
    extras = distribution("cellharness").metadata.get_all("Provides-Extra")
    assert "cellpose" in extras
    assert "[cellpose]'" in install_command("cellpose")
    assert install_command("omnipose-of-the-moon", ["numpy>=1"]) == ""


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'cellharness[cellpose]'"),
        ('{"url": "x", "dir_info": {}}', "pip install '.[cellpose]' in the project's folder"),
        (
            '{"url": "x", "dir_info": {"editable": true}}',
            "pip install -e '.[cellpose]' in the project's folder",
        ),
    ],
)
def test_the_command_is_that_of_the_way_this_copy_was_installed(monkeypatch, origin, command):
    class Copy:
        metadata = distribution("cellharness").metadata

        @staticmethod
        def read_text(name):
            assert name == "direct_url.json"
            return origin

    monkeypatch.setattr("cellharness.installation.distribution", lambda _name: Copy)
    assert install_command("cellpose") == command
