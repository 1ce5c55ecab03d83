"""A case of a run in napari: image, truth and masks as layers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cellharness.analysis.run_data import root_of
from cellharness.data.display import shown_range, stretch
from cellharness.data.images import read_image, read_label
from cellharness.data.manifest import Manifest
from cellharness.errors import MissingDependencyError, UsageError, unknown_name
from cellharness.report.outlines import STYLES
from cellharness.run_directory import RunDirectory, RunRecord

#: Name of the layer of the true cells.
TRUTH = "truth"

# Okabe and Ito's palette, its light colours first: images are dark or grey.
_COLOURS = ("#F0E442", "#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#D55E00", "#0072B2")
_CONTOUR_PX = 2
#: Any of them says where Qt is to open its window.
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


@dataclass(frozen=True)
class Layer:
    """What becomes a layer.

    Attributes
    ----------
    name : str
    kind : {"image", "labels"}
    data : ndarray, (H, W) or (H, W, C)
    """

    name: str
    kind: Literal["image", "labels"]
    data: np.ndarray


def case_layers(run_dir: Path, case: str, methods: Sequence[str] | None = None) -> list[Layer]:
    """Read the image, the truth and the masks of a case, in this order.

    Parameters
    ----------
    run_dir : Path
    case : str
    methods : sequence of str or None
        Names of the run's methods; None for all that have a mask.

    Raises
    ------
    UsageError
        No such run, case or method, or a method that was asked for has no mask of the case.
    """
    run = RunDirectory(run_dir)
    record = RunRecord.read(run.record)
    manifest = Manifest.read(run.manifest, root_of(run_dir, record))
    found = manifest[case]
    names = {method.name: method.label or method.name for method in record.methods}
    for name in methods or ():
        if name not in names:
            raise unknown_name(kind="method of this run", name=name, known=names)
    layers = [Layer(case, "image", read_image(found.image))]
    if found.label is not None:
        layers.append(Layer(TRUTH, "labels", read_label(found.label)))
    for name in methods or names:
        mask = run.prediction(name, case)
        if mask.is_file():
            layers.append(Layer(names[name], "labels", read_label(mask)))
        elif methods:
            msg = f"method '{name}' has no mask of '{case}'; the run's ledger.csv says why"
            raise UsageError(msg)
    return layers


def open_viewer(run_dir: Path, case: str, methods: Sequence[str] | None = None) -> None:
    """Show a case in napari until its window is closed.

    Parameters
    ----------
    run_dir, case, methods
        See `case_layers`.

    Raises
    ------
    MissingDependencyError
        napari is not installed, or can open no window here.
    """
    layers = case_layers(run_dir, case, methods)
    try:
        import napari
    except ImportError as error:
        msg = f"napari cannot be loaded ({error}); pip install 'cellharness[napari]'"
        raise MissingDependencyError(msg) from error
    # Qt ends the process where it finds no screen, so that nothing could be said afterwards.
    if sys.platform == "linux" and not any(map(os.environ.get, _SCREENS)):
        msg = "there is no screen: neither DISPLAY nor WAYLAND_DISPLAY is set"
        raise _no_window(msg)
    try:
        add_layers(napari.Viewer(title=f"{case}, {run_dir}"), layers)
    # The case was read; what Qt and OpenGL raise where they cannot draw is of any kind.
    except Exception as error:
        msg = f"{type(error).__name__}: {error}"
        raise _no_window(msg) from error
    napari.run()


def _no_window(why: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"napari can open no window here ({why}). It needs a screen, a Qt such as PyQt6 "
        "(pip install 'cellharness[napari]') and OpenGL 2.1. The page explore.html in the run's "
        "report shows the cells in any browser, and `cellharness predict --overlays` draws them"
    )


def add_layers(viewer: Any, layers: Sequence[Layer]) -> None:
    """Add layers to a napari viewer, or to its model, which needs no window.

    Cells are outlined, every layer in a colour of its own: filled ones of two layers would hide the
    image and each other. Of several masks the first is shown, the others wait for a click.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    layers : sequence of Layer
        From `case_layers`.
    """
    from napari.utils.colormaps import DirectLabelColormap

    masks = 0
    for layer in layers:
        if layer.kind == "image":
            colours = layer.data.ndim == 3
            # As they are, napari takes two channels for a stack, and shows 16 bits as black.
            data = stretch(layer.data) if colours else layer.data
            limits = None if colours else shown_range(data)
            viewer.add_image(data, name=layer.name, rgb=colours, contrast_limits=limits)
            continue
        truth = layer.name == TRUTH
        colour = STYLES["truth"].colour if truth else _COLOURS[masks % len(_COLOURS)]
        one = DirectLabelColormap(color_dict={None: colour, 0: "transparent"})
        shown = viewer.add_labels(layer.data, name=layer.name, colormap=one, opacity=1.0)
        shown.contour = _CONTOUR_PX
        shown.visible = truth or masks == 0
        masks += not truth
