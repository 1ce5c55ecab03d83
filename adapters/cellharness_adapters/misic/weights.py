"""Where MiSiC's weights come from. Nothing here imports torch or h5py."""

from __future__ import annotations

from cellharness.weights import WheelWeights

#: The authors' own, inside the wheel of their napari plug-in.
MISIC = WheelWeights(
    name="misic",
    requirement="misic-napari==0.2.3",
    wheel="misic_napari-0.2.3-py3-none-any.whl",
    wheel_sha256="38bd81187742c1333e80aae034951d4ddf0442dff1b5e51475585120fb04bd54",
    members={
        "network": (
            "misic_ui/misic/MiSiCv2.h5",
            "60a54fd1f0fd25e7d355e6fb4ced029c2d1287d1f47eb6b951ec44dcaf02d3b1",
        ),
    },
    licence="MIT (misic-napari)",
    training_data=("MiSiC",),
)
