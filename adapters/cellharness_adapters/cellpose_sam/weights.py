"""Where the weights of Cellpose 4 come from, and which names it has. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping

from cellharness.errors import unknown_name
from cellharness.weights import HostedWeights, Weights, find_weights, local_weights

_TERMS = "BSD-3-Clause (cellpose); all models saw training images for non-commercial use"
_TERMS_DINO = f"{_TERMS}; the encoder is under the DINOv3 License"
#: Of the paper's list, which is longer, those that its scripts load or others found in it.
_DATA = (
    "Cellpose",
    "Cellpose user images",
    "Cellpose nuclei",
    "TissueNet",
    "LiveCell",
    "Omnipose",
    "YeaZ",
    "DeepBacs",
    "NeurIPS 2022 CellSeg",
    "MoNuSeg",
)
# One state of the repository, so that a later upload is not taken for these.
_PLACE = (
    "https://huggingface.co/mouseland/cellpose-sam/resolve/7c61431b5fbb078f3296754bd15d9f51b320f837"
)


def _hosted(name: str, sha256: str, licence: str = _TERMS) -> HostedWeights:
    return HostedWeights(
        name=name,
        base_url=_PLACE,
        file_names={"network": name},
        folder_variable="CELLPOSE_LOCAL_MODELS_PATH",
        default_folder=".cellpose/models",
        licence=licence,
        training_data=_DATA,
        known_sha256={"network": sha256},
    )


CPSAM_V2 = _hosted("cpsam_v2", "0f1cc3f7ecdd8a037a57c6c48d9d8921391be4cbce3fa9f13c3e3a2e1253c667")
CPSAM = _hosted("cpsam", "e1440429eb384f95afe32bcba6510f90d518eaedc917ede549bed6804004abe2")
CPDINO = _hosted(
    "cpdino", "fad0dda262554922da1c5ab0e0004b00c1b14b8a48bea6781b89222567577573", _TERMS_DINO
)
CPDINO_VITB = _hosted(
    "cpdino-vitb", "3ed4c06a3963ab13ff377d4e2957174aaaf637434eb031ae9931fcbfaf9a217f", _TERMS_DINO
)

_NAMED: Mapping[str, HostedWeights] = {
    each.name: each for each in (CPSAM_V2, CPSAM, CPDINO, CPDINO_VITB)
}


def resolve(name: str) -> Weights:
    """Find weights of Cellpose 4 by name or by path, fetching named ones when missing.

    Raises
    ------
    UsageError
        Neither one of its names nor a file. The library would take its default in their place.
    WeightsUnavailableError
        Named, but not to be had now; or a folder that holds none, or several.
    """
    if name in _NAMED:
        source = _NAMED[name]
        return source.locate() or source.fetch()
    path = find_weights(name, (CPSAM_V2.folder,))
    if path is None:
        hint = f"The path of a file is taken as well, or its name in '{CPSAM_V2.folder}'."
        raise unknown_name(kind="weights of Cellpose-SAM", name=name, known=_NAMED, hint=hint)
    return local_weights(path)
