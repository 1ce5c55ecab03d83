"""Where Omnipose weights come from. Nothing here imports torch."""

from __future__ import annotations

from cellharness.weights import HostedWeights
from cellharness_adapters.cellpose.weights import CYTO2

#: Where Omnipose's own weights lie, and Cellpose's, as the two libraries have it.
_HOST = "https://raw.githubusercontent.com/kevinjohncutler/omnipose-models/main"
_TERMS = "Omnipose NonCommercial License (University of Washington)"
_BACTERIA = ("Omnipose",)
_WORMS = ("OpenWorm", "BBBC010")

#: Weights whose flows are meant for an affinity graph, not for clustering.
FOR_AFFINITY = frozenset({"bact_phase_affinity"})


def _hosted(name: str, data: tuple[str, ...]) -> HostedWeights:
    return HostedWeights(
        name=name,
        base_url=_HOST,
        file_names={"network": f"{name}torch_0"},
        folder_variable=CYTO2.folder_variable,
        default_folder=CYTO2.default_folder,
        licence=_TERMS,
        training_data=data,
        advice="A file of your own is taken as weights=PATH.",
    )


BACT_PHASE_OMNI = _hosted("bact_phase_omni", _BACTERIA)
BACT_FLUOR_OMNI = _hosted("bact_fluor_omni", _BACTERIA)
BACT_PHASE_AFFINITY = _hosted("bact_phase_affinity", _BACTERIA)
WORM_OMNI = _hosted("worm_omni", _WORMS)
WORM_BACT_OMNI = _hosted("worm_bact_omni", (*_BACTERIA, *_WORMS))
WORM_HIGH_RES_OMNI = _hosted("worm_high_res_omni", _WORMS)
CYTO2_OMNI = _hosted("cyto2_omni", CYTO2.training_data)

#: All four networks of cyto2, which the paper's script of Omnipose averaged.
CYTO2_FOUR_NETWORKS = HostedWeights(
    name="cyto2-four-networks",
    base_url=CYTO2.base_url,
    file_names={
        "network": "cyto2torch_0",
        **{f"network_{number}": f"cyto2torch_{number}" for number in (1, 2, 3)},
    },
    folder_variable=CYTO2.folder_variable,
    default_folder=CYTO2.default_folder,
    licence=CYTO2.licence,
    training_data=CYTO2.training_data,
    advice=CYTO2.advice,
)
