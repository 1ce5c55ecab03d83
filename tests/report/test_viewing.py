"""A case in napari: what becomes a layer, and the window itself where napari is installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from cellharness.data.images import write_label
from cellharness.data.manifest import Manifest
from cellharness.errors import MissingDependencyError, UsageError
from cellharness.report.viewing import Layer, add_layers, case_layers, open_viewer
from cellharness.run_directory import DatasetRecord, MethodRecord, RunDirectory, RunRecord


@pytest.fixture
def run_dir(small_manifest, tmp_path):
    run = RunDirectory(tmp_path / "run")
    manifest = Manifest.read(small_manifest)
    run.path.mkdir()
    manifest.write(run.manifest)
    methods = [MethodRecord(name="a", label="A"), MethodRecord(name="b")]
    dataset = DatasetRecord(root=str(manifest.root))
    RunRecord(name="r", dataset=dataset, methods=methods).write(run.record)
    write_label(run.prediction("a", "case_1"), np.ones((96, 112), np.uint8))
    return run.path


def test_image_truth_and_masks_become_layers(run_dir, small_manifest):
    image, truth, mask = case_layers(run_dir, "case_1")
    assert [layer.name for layer in (image, truth, mask)] == ["case_1", "truth", "A"]
    folder = small_manifest.parent
    np.testing.assert_array_equal(image.data, tifffile.imread(folder / "images/case_1.tif"))
    np.testing.assert_array_equal(truth.data, tifffile.imread(folder / "labels/case_1_label.tiff"))
    assert mask.data.all()


def test_what_is_not_there_is_named(run_dir):
    with pytest.raises(UsageError, match="case_1"):
        case_layers(run_dir, "case_11")
    with pytest.raises(UsageError, match="unknown method of this run 'c'"):
        case_layers(run_dir, "case_1", ["c"])
    with pytest.raises(UsageError, match=r"'b' has no mask of 'case_1'; .*ledger\.csv"):
        case_layers(run_dir, "case_1", ["b"])


def test_without_napari_the_command_that_installs_it_is_told(run_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cellharness\[napari\]'"):
        open_viewer(run_dir, "case_1")


def test_where_no_window_can_open_what_shows_the_cells_all_the_same_is_told(run_dir, monkeypatch):
    def broken(**_):
        msg = "no GL"
        raise AttributeError(msg)

    monkeypatch.setitem(sys.modules, "napari", SimpleNamespace(Viewer=broken))
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    with pytest.raises(MissingDependencyError, match=r"no GL.*OpenGL 2\.1.*explore\.html"):
        open_viewer(run_dir, "case_1")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(MissingDependencyError, match="there is no screen"):
        open_viewer(run_dir, "case_1")


class Recorder:
    """Takes layers as napari does, and keeps what it was told."""

    def __init__(self):
        self.added = {}

    def add_image(self, data, *, name, **options):
        self.added[name] = SimpleNamespace(data=data, **options)

    def add_labels(self, data, *, name, **options):
        self.added[name] = SimpleNamespace(data=data, **options)
        return self.added[name]


def test_cells_are_outlined_and_colours_seen_as_such(monkeypatch):
    colormaps = SimpleNamespace(DirectLabelColormap=lambda color_dict: color_dict)
    monkeypatch.setitem(sys.modules, "napari.utils.colormaps", colormaps)
    for parent in ("napari", "napari.utils"):
        monkeypatch.setitem(sys.modules, parent, SimpleNamespace())
    cells = np.ones((20, 30), np.uint8)
    colours = np.zeros((20, 30, 2), np.uint16)
    colours[5:, :, 0] = 4000
    viewer = Recorder()
    layers = [Layer("c", "image", colours)]
    layers += [Layer(name, "labels", cells) for name in ("truth", "A", "B")]
    add_layers(viewer, layers)
    image = viewer.added["c"]
    assert (image.rgb, image.data.shape, image.data.dtype) == (True, (20, 30, 3), np.uint8)
    assert image.data[-1, 0].tolist() == [255, 0, 0]
    shown = {name: viewer.added[name] for name in ("truth", "A", "B")}
    assert len({each.colormap[None] for each in shown.values()}) == 3
    assert all(each.contour > 0 for each in shown.values())
    assert [each.visible for each in shown.values()] == [True, True, False]
    grey = np.full((20, 30), 300, np.uint16)
    grey[:10], grey[0, 0] = 200, 65535
    add_layers(viewer, [Layer("g", "image", grey)])
    assert viewer.added["g"].contrast_limits == (200, 300)
    assert not viewer.added["g"].rgb


def test_napari_takes_the_layers(run_dir, monkeypatch):
    """Its model, without a window: that needs OpenGL, which few test machines have."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    reason = "needs the extra 'napari', which is not installed"
    components = pytest.importorskip("napari.components", reason=reason)
    viewer = components.ViewerModel()
    add_layers(viewer, case_layers(run_dir, "case_1"))
    assert [layer.name for layer in viewer.layers] == ["case_1", "truth", "A"]
    assert viewer.layers["truth"].data.max() == 9
    assert viewer.layers["truth"].contour > 0
