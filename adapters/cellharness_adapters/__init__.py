"""The built-in methods and weights: name -> "module:attribute", imported at first use.

Adding a method is a new file here, with a class as in :mod:`cellharness.methods.base`, and one line
in :data:`METHODS`. :mod:`cellharness.methods.registry` reads both tables.
"""

from __future__ import annotations

METHODS: dict[str, str] = {
    "cellpose": "cellharness_adapters.cellpose.segmenter:Cellpose",
    "cellpose2": "cellharness_adapters.cellpose.finetuned:Cellpose2",
    "kit-ge": "cellharness_adapters.kit_ge.segmenter:KitGe",
    "otsu-watershed": "cellharness_adapters.otsu_watershed.segmenter:OtsuWatershed",
    "omnipose-paper": "cellharness_adapters.omnipose.segmenter:OmniposePaper",
    "omnipose": "cellharness_adapters.omnipose.segmenter:Omnipose",
    "precomputed": "cellharness_adapters.precomputed:Precomputed",
}

WEIGHTS: dict[str, str] = {
    "cyto": "cellharness_adapters.cellpose.weights:CYTO",
    "cyto2": "cellharness_adapters.cellpose.weights:CYTO2",
    "cyto3": "cellharness_adapters.cellpose.weights:CYTO3",
    "nuclei": "cellharness_adapters.cellpose.weights:NUCLEI",
    "cyto2-four-networks": "cellharness_adapters.omnipose.weights:CYTO2_FOUR_NETWORKS",
    "cyto2_omni": "cellharness_adapters.omnipose.weights:CYTO2_OMNI",
    "bact_phase_omni": "cellharness_adapters.omnipose.weights:BACT_PHASE_OMNI",
    "bact_fluor_omni": "cellharness_adapters.omnipose.weights:BACT_FLUOR_OMNI",
    "bact_phase_affinity": "cellharness_adapters.omnipose.weights:BACT_PHASE_AFFINITY",
    "worm_omni": "cellharness_adapters.omnipose.weights:WORM_OMNI",
    "worm_bact_omni": "cellharness_adapters.omnipose.weights:WORM_BACT_OMNI",
    "worm_high_res_omni": "cellharness_adapters.omnipose.weights:WORM_HIGH_RES_OMNI",
}
