"""The built-in methods, weights, environments: name -> "module:attribute", imported at first use.

Adding a method is a new file here, with a class as in :mod:`cellharness.methods.base`, and one line
in :data:`METHODS`. :mod:`cellharness.methods.registry` reads all tables.
"""

from __future__ import annotations

METHODS: dict[str, str] = {
    "cellpose": "cellharness_adapters.cellpose.segmenter:Cellpose",
    "cellpose2": "cellharness_adapters.cellpose.finetuned:Cellpose2",
    "cellpose-sam": "cellharness_adapters.cellpose_sam.segmenter:CellposeSam",
    "command": "cellharness_adapters.external.command:Command",
    "container": "cellharness_adapters.external.container:Container",
    "cpn": "cellharness_adapters.cpn.segmenter:Cpn",
    "instanseg": "cellharness_adapters.instanseg.segmenter:Instanseg",
    "kit-ge": "cellharness_adapters.kit_ge.segmenter:KitGe",
    "mediar": "cellharness_adapters.mediar.segmenter:Mediar",
    "mediar-style": "cellharness_adapters.mediar_style.segmenter:MediarStyle",
    "misic": "cellharness_adapters.misic.segmenter:Misic",
    "otsu-watershed": "cellharness_adapters.otsu_watershed.segmenter:OtsuWatershed",
    "omnipose-paper": "cellharness_adapters.omnipose.segmenter:OmniposePaper",
    "omnipose": "cellharness_adapters.omnipose.segmenter:Omnipose",
    "precomputed": "cellharness_adapters.precomputed:Precomputed",
    "stardist": "cellharness_adapters.stardist.segmenter:Stardist",
}

ENVIRONMENTS: dict[str, str] = {
    "cellpose4": "cellharness_adapters.cellpose_sam.environment:CELLPOSE4",
    "stardist": "cellharness_adapters.stardist.environment:STARDIST",
}

WEIGHTS: dict[str, str] = {
    "cyto": "cellharness_adapters.cellpose.weights:CYTO",
    "cyto2": "cellharness_adapters.cellpose.weights:CYTO2",
    "cyto3": "cellharness_adapters.cellpose.weights:CYTO3",
    "cpsam_v2": "cellharness_adapters.cellpose_sam.weights:CPSAM_V2",
    "cpsam": "cellharness_adapters.cellpose_sam.weights:CPSAM",
    "cpdino": "cellharness_adapters.cellpose_sam.weights:CPDINO",
    "cpdino-vitb": "cellharness_adapters.cellpose_sam.weights:CPDINO_VITB",
    "nuclei": "cellharness_adapters.cellpose.weights:NUCLEI",
    "cyto2-four-networks": "cellharness_adapters.omnipose.weights:CYTO2_FOUR_NETWORKS",
    "cyto2_omni": "cellharness_adapters.omnipose.weights:CYTO2_OMNI",
    "bact_phase_omni": "cellharness_adapters.omnipose.weights:BACT_PHASE_OMNI",
    "bact_fluor_omni": "cellharness_adapters.omnipose.weights:BACT_FLUOR_OMNI",
    "bact_phase_affinity": "cellharness_adapters.omnipose.weights:BACT_PHASE_AFFINITY",
    "worm_omni": "cellharness_adapters.omnipose.weights:WORM_OMNI",
    "worm_bact_omni": "cellharness_adapters.omnipose.weights:WORM_BACT_OMNI",
    "worm_high_res_omni": "cellharness_adapters.omnipose.weights:WORM_HIGH_RES_OMNI",
    "misic": "cellharness_adapters.misic.weights:MISIC",
    "brightfield_nuclei": "cellharness_adapters.instanseg.weights:BRIGHTFIELD_NUCLEI",
    "fluorescence_nuclei_and_cells": (
        "cellharness_adapters.instanseg.weights:FLUORESCENCE_NUCLEI_AND_CELLS"
    ),
    "single_channel_nuclei": "cellharness_adapters.instanseg.weights:SINGLE_CHANNEL_NUCLEI",
    "2D_versatile_fluo": "cellharness_adapters.stardist.weights:VERSATILE_FLUO",
    "2D_versatile_he": "cellharness_adapters.stardist.weights:VERSATILE_HE",
    "2D_paper_dsb2018": "cellharness_adapters.stardist.weights:PAPER_DSB2018",
}
