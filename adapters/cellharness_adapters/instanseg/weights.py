"""Where InstanSeg's models come from, and what they were trained on. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping

from cellharness.weights import HostedWeights, ZippedWeights

_PLACE = "https://github.com/instanseg/instanseg/releases/download"


def _hosted(
    name: str,
    release: str,
    training_data: tuple[str, ...],
    known_sha256: Mapping[str, str] | None = None,
) -> ZippedWeights:
    archive = HostedWeights(
        name=name,
        base_url=f"{_PLACE}/instanseg_models_{release}",
        file_names={"archive": f"{name}.zip"},
        folder_variable="",
        default_folder="",
        licence="Apache-2.0",
        training_data=training_data,
        advice="The path of an instanseg.pt may be given as `weights` as well.",
        known_sha256=known_sha256 or {},
    )
    return ZippedWeights(archive, {"network": "instanseg.pt"})


# Addresses are those of model-index.json in instanseg-torch 0.1.2, which has no hashes. Training
# data are as the models' own notes name them, of fluorescence as the authors' paper does.
BRIGHTFIELD_NUCLEI = _hosted(
    "brightfield_nuclei",
    "v0.1.1",
    ("TNBC 2018", "LyNSeC", "NuInsSeg", "IHC TMA", "CoNSeP"),
)
FLUORESCENCE_NUCLEI_AND_CELLS = _hosted("fluorescence_nuclei_and_cells", "v0.1.1", ("CPDMI 2023",))
SINGLE_CHANNEL_NUCLEI = _hosted(
    "single_channel_nuclei",
    "v0.1.2",
    ("CPDMI 2023", "DSB2018", "S-BSST265"),
    # From a public record of the archive, not the publisher; of the others none was found.
    {"archive": "6bc2e4cd8acd9bea64a04e926a74a53f922d76fd6c1dc633ca0bca335df4d4d7"},
)
