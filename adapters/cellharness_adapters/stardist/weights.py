"""Where StarDist's models come from, and what a model's folder holds. Imports no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellharness.errors import first_of, unknown_name
from cellharness.files import hash_file
from cellharness.weights import (
    HostedWeights,
    WeightFileError,
    Weights,
    WeightsUnavailableError,
    ZippedWeights,
    places,
)

#: What the library writes into a model's folder.
CONFIG, THRESHOLDS, NETWORK = "config.json", "thresholds.json", "weights_best.h5"
_PLACE = "https://github.com/stardist/stardist-models/releases/download/v0.1"


def _hosted(name: str, sha256: str, training_data: tuple[str, ...]) -> ZippedWeights:
    archive = HostedWeights(
        name=name,
        base_url=_PLACE,
        file_names={"archive": f"python_{name}.zip"},
        folder_variable="",
        default_folder="",
        licence="BSD-3-Clause (stardist-models)",
        training_data=training_data,
        advice="A folder of such a model may be given as `weights` as well.",
        known_sha256={"archive": sha256},
    )
    return ZippedWeights(archive, {"config": CONFIG, "thresholds": THRESHOLDS, "network": NETWORK})


# Addresses and SHA256 are those that stardist 0.9.2 registers in stardist/models/__init__.py,
# training data those that its README names.
VERSATILE_FLUO = _hosted(
    "2D_versatile_fluo",
    "4ad678d0758eed6e55625f1b5ae30771e59adb79f1239e09b9772eac8846c3dd",
    ("DSB2018",),
)
VERSATILE_HE = _hosted(
    "2D_versatile_he",
    "f1696ef0631bd7e1c0e5c0d3017e2b4c6a95e284c6aab9c22fc2f08317817b28",
    ("MoNuSeg", "TNBC 2018"),
)
PAPER_DSB2018 = _hosted(
    "2D_paper_dsb2018",
    "4c11cf68512341d9e8ce3d1278c64ceb8ac400582739f85fcab079a2e82840d2",
    ("DSB2018",),
)

_NAMED: Mapping[str, ZippedWeights] = {
    each.name: each for each in (VERSATILE_FLUO, VERSATILE_HE, PAPER_DSB2018)
}


def resolve(given: str) -> Weights:
    """Find a model by one of the library's names or by path, fetching named ones when missing.

    Parameters
    ----------
    given : str
        A name, the folder of a model, or a weight file (.h5) in such a folder.

    Returns
    -------
    Weights
        Roles ``config``, ``network`` and, where the folder has them, ``thresholds``.

    Raises
    ------
    UsageError
        Neither a name nor a path.
    WeightsUnavailableError
        Named, but not to be had now; or a folder without a configuration, or with no weights or
        several. The library would predict with random weights, or take the newest.
    """
    if given in _NAMED:
        source = _NAMED[given]
        return source.locate() or source.fetch()
    path = next((place for place in places(given) if place.exists()), None)
    if path is None:
        hint = f"The path of a model's folder ({CONFIG}, {NETWORK}) is taken as well."
        raise unknown_name(kind="weights of StarDist", name=given, known=_NAMED, hint=hint)
    folder, network = (path, None) if path.is_dir() else (path.parent, path)
    if not (folder / CONFIG).is_file():
        msg = (
            f"'{folder}' holds no {CONFIG}, which says how a model of StarDist is built; give the "
            f"folder that its training wrote ({CONFIG}, {THRESHOLDS}, {NETWORK})"
        )
        raise WeightsUnavailableError(msg)
    files = {"config": folder / CONFIG, "network": network or _network_in(folder)}
    if (folder / THRESHOLDS).is_file():
        files["thresholds"] = folder / THRESHOLDS
    hashes = {role: hash_file(each) for role, each in files.items()}
    return Weights(folder.name, files, hashes)


def read_json(path: Path) -> dict[str, Any]:
    """Read a configuration or thresholds.

    Raises
    ------
    WeightFileError
        The file is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"'{path}' is no JSON of a model of StarDist: {error!s:.200}"
        raise WeightFileError(msg) from error
    if not isinstance(content, dict):
        msg = f"'{path}' is no JSON of a model of StarDist: it holds no object"
        raise WeightFileError(msg)
    return content


def _network_in(folder: Path) -> Path:
    """The weight file of a folder: the one that a training keeps as its best, or the only one."""
    best = folder / NETWORK
    if best.is_file():
        return best
    found = sorted([*folder.glob("*.h5"), *folder.glob("*.hdf5")])
    if len(found) == 1:
        return found[0]
    names = f": {first_of(each.name for each in found)}" if found else ""
    msg = (
        f"the folder '{folder}' holds no {NETWORK} and {len(found)} other weight files{names}; "
        "give the path of the one that is meant"
    )
    raise WeightsUnavailableError(msg)
